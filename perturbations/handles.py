"""What axes read and write: handles of the running simulation, and the instructions that a task offers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import mujoco

RngFactory = Callable[[str, str, int], np.random.Generator]
"""A fresh generator for (stream name, camera, step). Never keyed by strength, so that strengths share their draws."""

Goal = tuple[tuple[str, ...], ...]
"""A conjunction of predicates, as `envs.base.Goal`."""


class Scene(Protocol):
    """The handle that scene axes write through; `envs.base.Scene` is one. The next reset restores every field."""

    @property
    def model(self) -> "mujoco.MjModel":
        """The live model."""

    @property
    def cameras(self) -> Mapping[str, int]:
        """MuJoCo camera id by name."""

    @property
    def task_objects(self) -> tuple[str, ...]:
        """Names of the objects and fixtures that the task's goal names."""

    @property
    def bodies(self) -> Mapping[str, int]:
        """Body id of each movable object."""

    @property
    def fixtures(self) -> Mapping[str, int]:
        """Body id of each fixture."""

    @property
    def workspace_center(self) -> NDArray[np.float64]:
        """`float64[3]`: centre of the workspace, on the surface of the table or floor (m)."""

    def geoms_of(self, name: str) -> tuple[int, ...]:
        """Geoms of an object or fixture and of everything that is a part of it.

        Raises:
            KeyError: the scene has no such thing.
        """

    def texture(self, texture: int) -> NDArray[np.uint8]:
        """A copy of a texture, `uint8[H, W, channels]`."""

    def set_texture(self, texture: int, pixels: NDArray[np.uint8]) -> None:
        """Show other pixels, of the same shape, in every picture until the next reset.

        Raises:
            ValueError: the shape or type is not that of `texture()`.
        """


class Physics(Protocol):
    """The handle that physics axes write through, after the initial state was set and before anything settles.

    Whoever writes `data.qpos` calls `forward()` before reading a pose or a contact. The next reset restores every
    field of the model.
    """

    @property
    def model(self) -> "mujoco.MjModel":
        """The live model."""

    @property
    def data(self) -> "mujoco.MjData":
        """The live data."""

    @property
    def objects(self) -> Mapping[str, int]:
        """Address in `data.qpos` of each movable object's free joint: position (3, m), quaternion (4, w first)."""

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the objects and fixtures that the task's goal names."""

    @property
    def body_ids(self) -> Mapping[str, int]:
        """Body id of each movable object and fixture."""

    @property
    def robot_qpos(self) -> NDArray[np.float64]:
        """`float64[7]`: a copy of the arm's joint positions (rad); empty where there is no arm."""

    def geoms_of(self, name: str) -> tuple[int, ...]:
        """Geoms of an object or fixture; see `Scene.geoms_of`."""

    def set_robot(self, q: NDArray[np.float64]) -> None:
        """Put the arm at `float64[7]` joint positions (rad), at rest, so that the controller holds it there.

        Raises:
            Infeasible: the scene has no arm.
        """

    def contacts_deeper_than(self, depth_m: float) -> tuple[tuple[str, str], ...]:
        """Pairs of bodies that overlap by more than `depth_m` (m), as of the last `forward()`.

        The name of a part is that of the object, fixture or `robot` that it belongs to, else the body's own.
        """

    def settle_check(self) -> Mapping[str, NDArray[np.float64]]:
        """By how much each movable object would move while the scene settles, `float64[3]` (m); changes nothing."""

    @property
    def distractors(self) -> tuple[str, ...]:
        """Names of objects that mean nothing to the task and that the scene holds in reserve, parked out of sight.

        The same before and after any is brought in; empty where there are none. Only to be asked for where one is
        wanted: an environment may have to build another scene first, and then calls the axis again.
        """

    @property
    def workspace_center(self) -> NDArray[np.float64]:
        """`float64[3]`: centre of the workspace; see `Scene.workspace_center`."""

    def place_distractor(self, distractor: str, place: NDArray[np.float64], yaw: float) -> float | None:
        """Stand an object of the reserve upright on the table or floor; from then on it is one of `objects`.

        Args:
            distractor: one of `distractors`.
            place: `float64[2]`, x and y (m).
            yaw: how far it is turned about the vertical (rad).

        Returns:
            How tall it is (m); `None`, and nothing is changed, where something else is above that place, or no table.
        """

    def remove_distractor(self, distractor: str) -> None:
        """Put it back in reserve."""

    def clearance(self, name: str, reach: float, others: Sequence[str] = ()) -> float:
        """Smallest distance (m, at most `reach`) between a movable object and other things.

        Args:
            name: the object.
            reach: distances beyond do not matter.
            others: the other things; by default all objects and fixtures and the robot, but not what it stands on.
        """

    def occlusion_fraction(self) -> float:
        """The largest share of one of `targets` that objects brought in hide from the fixed camera, in [0, 1]."""

    def forward(self) -> None:
        """Bring poses and contacts up to date with `data.qpos`."""

    def refresh_constants(self) -> None:
        """Work out again what MuJoCo derives from masses, inertias and sizes, after those were changed."""


@dataclass(frozen=True, slots=True)
class Masks:
    """Where things are visible in one camera's first policy frame.

    Attributes:
        target: `bool[H, W]`, the objects that the task's goal names; `None` where the suite cannot tell.
        named: `bool[H, W]` by name, for things asked for by `/target=NAME`.
    """

    target: NDArray[np.bool_] | None
    named: Mapping[str, NDArray[np.bool_]]


@dataclass(frozen=True, slots=True)
class Instruction:
    """What the policy is told.

    Attributes:
        text: the instruction.
        goal: the other goal that the text asks for; `None` if it asks for the original one or for none.
        source: where the text comes from: `original`, `empty`, or an entry of a pool such as `libero_goal/4`.
    """

    text: str
    goal: Goal | None
    source: str


@dataclass(frozen=True, slots=True)
class InstructionContext:
    """What a language axis may choose from in one task.

    Attributes:
        original: the task's own instruction.
        original_goal: what it asks for.
        counterfactuals: instructions for other goals that this scene can reach, each with its goal.
        mismatches: instructions of other scenes, for which this one has no referent.
        suite: name of the suite; empty outside one.
        task: index of the task in it.
        names: everything in the scene that a goal may name.
        starts: on or in what each thing of the scene starts, by name.
        apart: further counterfactuals, in the words of a suite that policies for this one were not trained on.
        turn: number of the episode among those of its task, for conditions that take turns.

    Raises:
        ValueError: a counterfactual has no goal or the original's goal, or an alternative has the original's text.
    """

    original: str
    original_goal: Goal
    counterfactuals: tuple[Instruction, ...]
    mismatches: tuple[str, ...]
    suite: str = ""
    task: int = 0
    names: frozenset[str] = frozenset()
    starts: Mapping[str, str] = field(default_factory=dict, hash=False)
    apart: tuple[Instruction, ...] = ()
    turn: int = 0

    def __post_init__(self) -> None:
        others = (*self.counterfactuals, *self.apart)
        if any(other.goal in (None, self.original_goal) for other in others):
            raise ValueError(f"a counterfactual of {self.original!r} has no goal of its own")
        if self.original in (*(other.text for other in others), *self.mismatches):
            raise ValueError(f"{self.original!r} is among its own alternatives")


Memory = dict[str, Any]
"""What one term of a condition remembers during one episode; empty at its start."""
