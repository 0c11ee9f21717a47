"""The contract between an environment and the evaluation loop.

One environment object is one built scene: a task of a suite at one camera resolution. It is reset to any of the
task's initial states from any earlier history, and what it then shows and does is a function of the reset alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

CAMERAS = ("agentview", "wrist")
"""The two views every suite offers: a fixed one of the workspace and one that moves with the hand."""

ACTION_SIZE = 7
"""Position delta (3), rotation delta (3), gripper (-1 open, +1 close), each in [-1, 1]. Source: LIBERO, OSC_POSE."""

STATE_SIZE = 8
"""Hand position (3, m), hand axis-angle (3, rad), finger positions (2, m). Source: lerobot's LiberoProcessorStep."""

CONTROL_HZ = 20
"""Control steps per simulated second. Source: LIBERO's `control_freq`."""

Atom = tuple[str, ...]
"""One predicate of LIBERO's goal language, for instance `("on", "akita_black_bowl_1", "plate_1")`."""

Goal = tuple[Atom, ...]
"""A conjunction of atoms: reached when all of them hold."""


class EnvError(RuntimeError):
    """The environment cannot go on: a broken scene, an exploded simulation, missing assets."""


class ResetSpec(Protocol):
    """What a reset depends on. `simeval.types.EpisodeSpec` has these fields and more."""

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
    """

    steps: int
    reached: tuple[bool, ...]
    states: NDArray[np.float64]


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


@dataclass(frozen=True, slots=True)
class Scene:
    """The handle through which scene perturbations write.

    Attributes:
        model: the live `mujoco.MjModel`. Any visual field may be written between `reset` and the end of the episode;
            the next `reset` restores every field to its compiled value.
        cameras: MuJoCo camera id of each entry of `CAMERAS`.
    """

    model: Any
    cameras: Mapping[str, int]


class Env(Protocol):
    """One built scene. See the module's docstring; a new suite implements this and registers in `suites`."""

    goals: tuple[Goal, ...]
    """Goals that `step` watches; `reset` sets it to the task's own goal alone."""

    renders: int
    """Camera pictures drawn so far, by any caller."""

    def reset(self, spec: ResetSpec) -> None:
        """Set the exact initial state, settle, and restore every model field, from any earlier history.

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

    def render(self, camera: str, size: int) -> NDArray[np.uint8]:
        """The present state seen by a camera, `uint8[size, size, 3]`, upright: for videos, at any size."""

    def privileged(self, goal: Goal) -> Privileged:
        """The present state by name, for scripted experts."""

    def scene(self) -> Scene:
        """The handle for scene perturbations."""

    def close(self) -> None:
        """Free the simulation and its render context."""
