"""The contract between an environment and the evaluation loop.

One environment object is one built scene: a task of a suite at one camera resolution. It is reset to any of the
task's initial states from any earlier history, and what it then shows and does is a function of the reset alone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from envs.goals import Atom as Atom
from envs.goals import EnvError as EnvError
from envs.goals import Goal as Goal

CAMERAS = ("agentview", "wrist")
"""The two views every suite offers: a fixed one of the workspace and one that moves with the hand."""

ACTION_SIZE = 7
"""Position delta (3), rotation delta (3), gripper (-1 open, +1 close), each in [-1, 1]. Source: LIBERO, OSC_POSE."""

STATE_SIZE = 8
"""Hand position (3, m), hand axis-angle (3, rad), finger positions (2, m). Source: lerobot's LiberoProcessorStep."""

CONTROL_HZ = 20
"""Control steps per simulated second. Source: LIBERO's `control_freq`."""

APPROACH_REACH = 0.03
"""The gripper counts as at an object if a fingertip is this close to its surface (m). Our choice."""


class ResetSpec(Protocol):
    """What a reset depends on. `simeval.core.types.EpisodeSpec` has these fields and more."""

    @property
    def init_state(self) -> int:
        """Index of the published initial state."""

    @property
    def env_seed(self) -> int:
        """Seed of everything that the simulator draws itself at reset (in LIBERO: fixture poses)."""

    @property
    def settle_steps(self) -> int:
        """Control steps with the idle action before the policy sees its first frame."""


@dataclass(frozen=True, slots=True)
class ResetOptions:
    """A `ResetSpec` for whoever looks at a scene without an episode."""

    init_state: int = 0
    env_seed: int = 0
    settle_steps: int = 0


@dataclass(frozen=True, slots=True)
class Observation:
    """What a policy may look at.

    Attributes:
        images: one `uint8[H, W, 3]` RGB picture per requested camera, upright as policies were trained on them.
        state: `float32[8]`, see `STATE_SIZE`.
        step: control steps executed since the first policy frame.
    """

    images: Mapping[str, NDArray[np.uint8]]
    state: NDArray[np.float32]
    step: int


@dataclass(frozen=True, slots=True)
class StepResult:
    """What happened during one call of `Env.step`.

    Attributes:
        steps: control steps really executed; fewer than asked for if a watched goal was reached.
        reached: for each watched goal, whether it held after the last executed step.
        states: `float64[steps, n]`, `Env.state()` after each executed step.
        tracked: for each of `Env.tracked`, the executed step (1-based, of this call) after which it first held.
    """

    steps: int
    reached: tuple[bool, ...]
    states: NDArray[np.float64]
    tracked: tuple[int | None, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class SensorSnapshot:
    """What an observation is made from, at one moment; a scene's own, made by `Env.moment`.

    Attributes:
        arrays: by name.
        step: control steps executed since the first policy frame.
    """

    arrays: Mapping[str, NDArray[np.float64]]
    step: int


@dataclass(frozen=True, slots=True)
class Pose:
    """A body's pose in the world.

    Attributes:
        pos: `float64[3]`, metres.
        quat: `float64[4]`, w first, unit length.
    """

    pos: NDArray[np.float64]
    quat: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Privileged:
    """The simulator's own view of the scene, for scripted experts; no learned policy gets to see it.

    Attributes:
        objects: pose of each movable object and fixture by its name in the task file.
        hand: pose of the point between the fingertips.
        gripper: `float64[2]`, finger positions (m).
        joints: positions of the scene's articulated joints (drawers, knobs; m or rad) by name.
        goal: what the episode's instruction asks for.
        step: control steps executed since the first policy frame.
    """

    objects: Mapping[str, Pose]
    hand: Pose
    gripper: NDArray[np.float64]
    joints: Mapping[str, float]
    goal: Goal
    step: int


class Textures(Protocol):
    """The textures of a scene; whatever was written is undone by the next reset."""

    def get(self, texture: int) -> NDArray[np.uint8]:
        """A copy of a texture, `uint8[H, W, channels]`."""

    def set(self, texture: int, pixels: NDArray[np.uint8]) -> None:
        """Show other pixels of the same shape.

        Raises:
            ValueError: the shape or type is not that of the texture.
        """


@dataclass(frozen=True, slots=True)
class Scene:
    """The handle through which scene perturbations write.

    Attributes:
        model: the live `mujoco.MjModel`. Any visual field may be written between `reset` and the end of the episode;
            the next `reset` restores every field to its compiled value.
        cameras: MuJoCo camera id of each entry of `CAMERAS`.
        task_objects: names of the objects and fixtures that the task's goal names.
        bodies: body id of each movable object by its name in the task file.
        fixtures: body id of each fixture.
        pivot: `float64[3]`: centre of the workspace, on the surface of the table or floor (m).
        textures: the textures of the model, which cannot be written through `model`: OpenGL has copies of its own.
    """

    model: Any
    cameras: Mapping[str, int]
    task_objects: tuple[str, ...] = ()
    bodies: Mapping[str, int] = field(default_factory=dict)
    fixtures: Mapping[str, int] = field(default_factory=dict)
    pivot: NDArray[np.float64] = field(default_factory=lambda: np.zeros(3))
    textures: Textures | None = None

    def geoms_of(self, name: str) -> tuple[int, ...]:
        """Geoms of an object or fixture and of everything that is a part of it.

        Raises:
            KeyError: the scene has no such thing.
        """
        return geoms_below(self.model, {**self.fixtures, **self.bodies}[name])

    def texture(self, texture: int) -> NDArray[np.uint8]:
        """A copy of a texture, `uint8[H, W, channels]`."""
        return self._textures().get(texture)

    def set_texture(self, texture: int, pixels: NDArray[np.uint8]) -> None:
        """Show other pixels of the same shape in every picture until the next reset.

        Surfaces of one object that look the same share a texture, a table's top and legs for instance.

        Raises:
            ValueError: the shape or type is not that of the texture.
        """
        self._textures().set(texture, pixels)

    def _textures(self) -> Textures:
        if self.textures is None:
            raise EnvError("this scene has no textures")
        return self.textures


def geoms_below(model: Any, body: int) -> tuple[int, ...]:
    """Geoms of a body and of all bodies that hang on it."""
    members = {body}
    for child in range(body + 1, model.nbody):  # MuJoCo numbers parents before children
        if int(model.body_parentid[child]) in members:
            members.add(child)
    return tuple(geom for geom in range(model.ngeom) if int(model.geom_bodyid[geom]) in members)


class Physics(Protocol):
    """The handle through which physics perturbations write; `perturbations.base.Physics` says what each part does."""

    @property
    def model(self) -> Any:
        """The live `mujoco.MjModel`."""

    @property
    def data(self) -> Any:
        """The live `mujoco.MjData`."""

    @property
    def objects(self) -> Mapping[str, int]:
        """Address in `data.qpos` of each movable object's free joint."""

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the objects and fixtures that the task's goal names."""

    @property
    def body_ids(self) -> Mapping[str, int]:
        """Body id of each movable object and fixture."""

    @property
    def robot_qpos(self) -> NDArray[np.float64]:
        """`float64[7]`, the arm's joint positions (rad); empty where there is no arm."""

    def geoms_of(self, name: str) -> tuple[int, ...]:
        """Geoms of an object or fixture."""

    def set_robot(self, q: NDArray[np.float64]) -> None:
        """Put the arm at `float64[7]` joint positions (rad), at rest, so that the controller holds it there."""

    def contacts_deeper_than(self, depth_m: float) -> tuple[tuple[str, str], ...]:
        """Pairs of things that overlap by more than this (m)."""

    def settle_check(self) -> Mapping[str, NDArray[np.float64]]:
        """By how much each movable object would move while the scene settles, `float64[3]` (m)."""

    @property
    def spares(self) -> tuple[str, ...]:
        """Names of objects that the scene holds in reserve; the same before and after any is brought in."""

    @property
    def pivot(self) -> NDArray[np.float64]:
        """`float64[3]`, see `Scene.pivot`."""

    def place_distractor(self, distractor: str, place: NDArray[np.float64], yaw: float) -> float | None:
        """Stand an object of the reserve on the workspace; from then on it is one of `objects`. Returns its height."""

    def remove_distractor(self, distractor: str) -> None:
        """Put it back in reserve."""

    def clearance(self, name: str, reach: float, others: Sequence[str] = ()) -> float:
        """Smallest distance (m, at most `reach`) between a movable object and others, by default any and the robot."""

    def occlusion_fraction(self) -> float:
        """The largest share of one of `targets` that objects brought in hide from the fixed camera."""

    def forward(self) -> None:
        """Bring poses and contacts up to date with the positions."""

    def refresh_constants(self) -> None:
        """Derived quantities after masses, inertias or sizes were changed."""


Intervention = Callable[[Physics], None]
"""A change of the simulation from outside."""


class Env(Protocol):
    """One built scene. See the module's docstring; a new suite implements this and registers in `suites`."""

    goals: tuple[Goal, ...]
    """Goals that `step` watches and stops at; `reset` sets it to the task's own goal alone."""

    tracked: tuple[Goal, ...]
    """Goals whose first hit `step` reports without stopping; `reset` sets it to none."""

    renders: int
    """Camera pictures drawn so far, by any caller."""

    @property
    def approached(self) -> str | None:
        """What the gripper first closed next to since the reset; `None` so far.

        The object or fixture nearest to the fingertips after the first control step whose action closes the gripper
        within `APPROACH_REACH` of one. For a robot without gripper: what it touched first.
        """

    def reset(self, spec: ResetSpec, before_settling: Intervention | None = None) -> None:
        """Set the exact initial state, settle, and restore every model field, from any earlier history.

        Args:
            spec: what the reset depends on.
            before_settling: changes the initial state before anything moves.

        Raises:
            EnvError: the initial state does not exist or the simulation is not finite.
        """

    def observe(self, cameras: Sequence[str] = CAMERAS) -> Observation:
        """The observation that belongs to the last control step; draws only the cameras asked for."""

    def step(self, actions: NDArray[np.float32]) -> StepResult:
        """Execute `float32[n, 7]` actions, one control step each, and stop after the first that reaches a goal.

        Nothing is rendered. Raises:
            EnvError: the simulation is not finite any more.
        """

    def state(self) -> NDArray[np.float64]:
        """Time, positions and velocities: `float64[1 + nq + nv]`."""

    def set_state(self, state: NDArray[np.float64]) -> None:
        """Show a stored state (for replays). Continuing to `step` from it is not exact; `reset` is."""

    def moment(self) -> SensorSnapshot:
        """Keep what `observe` would show now."""

    def show(self, moment: SensorSnapshot) -> None:
        """Let `observe` and `masks` show a kept moment of this scene again; `reset` before the next `step`."""

    def render(self, camera: str, size: int) -> NDArray[np.uint8]:
        """The present state seen by a camera, `uint8[size, size, 3]`, upright: for videos, at any size."""

    def privileged(self, goal: Goal) -> Privileged:
        """The present state by name, for scripted experts."""

    def intervene(self, change: Intervention) -> None:
        """Change the simulation between two control steps; the present observation shows it."""

    def masks(self, camera: str, names: Sequence[str], *, alone: bool = False) -> dict[str, NDArray[np.bool_]]:
        """Where things are visible in what `observe` would show.

        Args:
            camera: an entry of `CAMERAS`.
            names: objects and fixtures by their name in the task file; those that do not exist are left out.
            alone: as if nothing else were in the scene.

        Returns:
            `bool[H, W]` by name, upright.
        """

    def scene(self) -> Scene:
        """The handle for scene perturbations."""

    def close(self) -> None:
        """Free the simulation and its render context."""
