"""The contract between an environment and the evaluation loop.

One environment object is one built scene: a task of a suite at one camera resolution. It can be reset to any of the
task's initial states at any time. Observations and dynamics after a reset depend on the reset alone, not on history.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from envs.goals import Atom as Atom
from envs.goals import EnvError as EnvError
from envs.goals import Goal as Goal
from envs.interface import ACTION_SIZE as ACTION_SIZE
from envs.interface import CAMERAS as CAMERAS
from envs.interface import CONTROL_HZ as CONTROL_HZ
from envs.interface import STATE_SIZE as STATE_SIZE

APPROACH_REACH = 0.03
"""The gripper counts as at an object if a fingertip is this close to its surface (m). Our choice."""


class ResetSpec(Protocol):
    """What a reset depends on. `simeval.core.types.EpisodeSpec` has these fields and more."""

    @property
    def init_state(self) -> int:
        """Index of the published initial state."""

    @property
    def env_seed(self) -> int:
        """Seed of the simulator's own random numbers at reset (in LIBERO: fixture poses)."""

    @property
    def settle_steps(self) -> int:
        """Control steps with the idle action before the policy's first frame."""


@dataclass(frozen=True, slots=True)
class ResetOptions:
    """A `ResetSpec` for use outside an episode."""

    init_state: int = 0
    env_seed: int = 0
    settle_steps: int = 0


@dataclass(frozen=True, slots=True)
class Observation:
    """What a policy observes.

    Attributes:
        images: one `uint8[H, W, 3]` RGB image per requested camera, upright, as in the policies' training data.
        state: `float32[state_size]`, see `envs.interface.STATE_SIZE`.
        step: control steps executed since the first policy frame.
    """

    images: Mapping[str, NDArray[np.uint8]]
    state: NDArray[np.float32]
    step: int


@dataclass(frozen=True, slots=True)
class StepResult:
    """The result of one call of `Env.step`.

    Attributes:
        steps: control steps executed; fewer than requested if a watched goal was reached.
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
    """Everything that an observation is computed from. Made by `Env.snapshot`, and valid for that scene only.

    Attributes:
        arrays: simulator arrays by name.
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
    """Ground-truth state of the scene, for scripted experts; learned policies never get it.

    Attributes:
        objects: pose of each movable object and fixture by its name in the task file.
        hand: pose of the point between the fingertips.
        gripper: `float64[2]`, finger positions (m).
        joints: positions of the scene's articulated joints (drawers, knobs; m or rad) by name.
        goal: what the episode's instruction asks for.
        step: control steps executed since the first policy frame.
        native: the state observation of the package that the suite is from, as its own experts get it; `None` if there
            is none.
    """

    objects: Mapping[str, Pose]
    hand: Pose
    gripper: NDArray[np.float64]
    joints: Mapping[str, float]
    goal: Goal
    step: int
    native: NDArray[np.float64] | None = None


class Textures(Protocol):
    """The textures of a scene. The next reset undoes every change."""

    def get(self, texture: int) -> NDArray[np.uint8]:
        """Return a copy of a texture, `uint8[H, W, channels]`."""

    def set(self, texture: int, pixels: NDArray[np.uint8]) -> None:
        """Replace a texture by other pixels of the same shape.

        Raises:
            ValueError: the shape or type is not that of the texture.
        """


@dataclass(frozen=True, slots=True)
class Scene:
    """The handle that scene perturbations write through.

    Attributes:
        model: the live `mujoco.MjModel`. Any visual field may be written between `reset` and the end of the episode;
            the next `reset` restores every field to its compiled value.
        cameras: MuJoCo camera id of each of the suite's cameras.
        task_objects: names of the objects and fixtures that the task's goal names.
        bodies: body id of each movable object by its name in the task file.
        fixtures: body id of each fixture.
        workspace_center: `float64[3]`: centre of the workspace, on the surface of the table or floor (m).
        textures: the textures of the model. They cannot be written through `model`, because OpenGL keeps copies.
        mirrored: whether images are mirror images of what a camera in the world sees, as LIBERO's are.
    """

    model: Any
    cameras: Mapping[str, int]
    task_objects: tuple[str, ...] = ()
    bodies: Mapping[str, int] = field(default_factory=dict)
    fixtures: Mapping[str, int] = field(default_factory=dict)
    workspace_center: NDArray[np.float64] = field(default_factory=lambda: np.zeros(3))
    textures: Textures | None = None
    mirrored: bool = True

    @property
    def pivot(self) -> NDArray[np.float64]:
        """Former name of `workspace_center`, for plugins that use it."""
        return self.workspace_center

    def geoms_of(self, name: str) -> tuple[int, ...]:
        """Geoms of an object or fixture, including all of its parts.

        Raises:
            KeyError: the scene has no such object.
        """
        return geoms_below(self.model, {**self.fixtures, **self.bodies}[name])

    def texture(self, texture: int) -> NDArray[np.uint8]:
        """Return a copy of a texture, `uint8[H, W, channels]`."""
        return self._textures().get(texture)

    def set_texture(self, texture: int, pixels: NDArray[np.uint8]) -> None:
        """Replace a texture by other pixels of the same shape until the next reset.

        Surfaces of one object that look the same share a texture, for instance a table's top and legs.

        Raises:
            ValueError: the shape or type is not that of the texture.
        """
        self._textures().set(texture, pixels)

    def _textures(self) -> Textures:
        if self.textures is None:
            raise EnvError("this scene has no textures")
        return self.textures


def geoms_below(model: Any, body: int) -> tuple[int, ...]:
    """Geoms of a body and of all its descendants."""
    members = {body}
    for child in range(body + 1, model.nbody):  # MuJoCo numbers parents before children
        if int(model.body_parentid[child]) in members:
            members.add(child)
    return tuple(geom for geom in range(model.ngeom) if int(model.geom_bodyid[geom]) in members)


def check_actions(actions: NDArray[np.float32], size: int = ACTION_SIZE) -> None:
    """Check what `Env.step` is given: `float32[n, size]`.

    Raises:
        EnvError: they are not finite numbers of the right shape.
    """
    if actions.ndim != 2 or actions.shape[1] != size or not np.isfinite(actions).all():
        raise EnvError(f"actions must be finite numbers [n, {size}], got {actions.shape}: {actions}")


Intervention = Callable[[Any], None]
"""A change made to the simulation from outside. It gets the scene's physics handle, which has every member of
`perturbations.base.Physics`; `envs.sim.physics.MujocoPhysics` is one."""


class Env(Protocol):
    """One built scene; see the module's docstring. A new suite implements this."""

    goals: tuple[Goal, ...]
    """Goals that `step` watches and stops at; `reset` sets it to the task's goal alone."""

    tracked: tuple[Goal, ...]
    """Goals whose first hit `step` reports without stopping; `reset` clears it."""

    renders: int
    """Number of camera images rendered so far, by any caller."""

    @property
    def approached(self) -> str | None:
        """The object or fixture next to which the gripper first closed since the reset; `None` if it has not.

        It is the one nearest to the fingertips after the first control step whose action closes the gripper within
        `APPROACH_REACH` of one. For a robot without gripper: the first object it touched.
        """

    def reset(self, spec: ResetSpec, before_settling: Intervention | None = None) -> None:
        """Restore every model field, set the exact initial state and settle. Earlier episodes leave no trace.

        Args:
            spec: what the reset depends on.
            before_settling: changes the initial state before anything moves.

        Raises:
            EnvError: the initial state does not exist or the simulation is not finite.
        """

    def observe(self, cameras: Sequence[str] = CAMERAS) -> Observation:
        """Return the observation of the last control step; only the requested cameras are rendered.

        By default all cameras of the suite.
        """

    def step(self, actions: NDArray[np.float32]) -> StepResult:
        """Execute `float32[n, action_size]` actions, one control step each, up to the first that reaches a goal.

        Nothing is rendered.

        Raises:
            EnvError: the actions have a wrong shape, or they or the simulation are not finite.
        """

    def state(self) -> NDArray[np.float64]:
        """Return time, positions and velocities (`float64[1 + nq + nv]`), and what else moves by itself."""

    def set_state(self, state: NDArray[np.float64]) -> None:
        """Load a stored state, for replays. A `step` from it is not exact; only `reset` makes an exact start."""

    def snapshot(self) -> SensorSnapshot:
        """Return a copy of everything that the present observation is computed from."""

    def restore_view(self, snapshot: SensorSnapshot) -> None:
        """Make `observe` and `masks` show a snapshot of this scene; call `reset` before the next `step`."""

    def render(self, camera: str, size: int) -> NDArray[np.uint8]:
        """Render the present state, `uint8[size, size, 3]`, upright: for videos, at any size."""

    def privileged(self, goal: Goal) -> Privileged:
        """Return the ground-truth state by name, for scripted experts."""

    def intervene(self, change: Intervention) -> None:
        """Change the simulation between two control steps; the present observation shows the change."""

    def masks(self, camera: str, names: Sequence[str], *, alone: bool = False) -> dict[str, NDArray[np.bool_]]:
        """Segment objects in the image that `observe` would return.

        Args:
            camera: an entry of `CAMERAS`.
            names: objects and fixtures by their name in the task file; unknown names are left out.
            alone: ignore occlusion, as if nothing else were in the scene.

        Returns:
            `bool[H, W]` by name, upright; true where the object is visible.
        """

    def scene(self) -> Scene:
        """Return the handle for scene perturbations."""

    def close(self) -> None:
        """Free the simulation and its render context."""
