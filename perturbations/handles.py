"""What axes read and write: handles of the running simulation, and the instructions of a task."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import mujoco

RngFactory = Callable[[str, str, int], np.random.Generator]
"""Makes a fresh generator for (stream name, camera, step). Strength is no key: all strengths share random numbers."""

Goal = tuple[tuple[str, ...], ...]
"""A conjunction of predicates; same as `envs.base.Goal`."""


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

    @property
    def mirrored(self) -> bool:
        """Whether images are mirror images of what a camera in the world sees."""

    def geoms_of(self, name: str) -> tuple[int, ...]:
        """Geoms of an object or fixture, including all of its parts.

        Raises:
            KeyError: the scene has no such object.
        """

    def texture(self, texture: int) -> NDArray[np.uint8]:
        """Return a copy of a texture, `uint8[H, W, channels]`."""

    def set_texture(self, texture: int, pixels: NDArray[np.uint8]) -> None:
        """Replace a texture by other pixels of the same shape until the next reset.

        Raises:
            ValueError: the shape or type is not that of `texture()`.
        """


class Physics(Protocol):
    """The handle that physics axes write through, after the initial state is set and before the scene settles.

    After writing `data.qpos`, call `forward()` before reading a pose or a contact. The next reset restores every field
    of the model. Arrays that are too large for that, those of meshes and textures, are read-only.
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
        """Set the arm's joint positions, `float64[7]` (rad), at rest; the controller then holds them.

        Raises:
            Infeasible: the scene has no arm.
        """

    def contacts_deeper_than(self, depth_m: float) -> tuple[tuple[str, str], ...]:
        """Pairs of bodies that overlap by more than `depth_m` (m), as of the last `forward()`.

        A body is named after the object, fixture or `robot` that it belongs to; other bodies have their own name.
        """

    def settle_check(self) -> Mapping[str, NDArray[np.float64]]:
        """Displacement of each movable object if the scene settled now, `float64[3]` (m); changes nothing."""

    @property
    def distractors(self) -> tuple[str, ...]:
        """Names of the distractors: objects irrelevant to the task that the scene holds in reserve, out of sight.

        Placed distractors stay in the list; it is empty if there are none. Read it only if distractors are needed: an
        environment may have to build another scene first, and then calls the axis again.
        """

    @property
    def workspace_center(self) -> NDArray[np.float64]:
        """`float64[3]`: centre of the workspace; see `Scene.workspace_center`."""

    def place_distractor(self, distractor: str, place: NDArray[np.float64], yaw: float) -> float | None:
        """Place a distractor upright on the table or floor; from then on it is one of `objects`.

        Args:
            distractor: one of `distractors`.
            place: `float64[2]`, x and y (m).
            yaw: rotation about the vertical (rad).

        Returns:
            Its height (m). `None`, with nothing changed, if the place is occupied or not on the table or floor.
        """

    def remove_distractor(self, distractor: str) -> None:
        """Take a distractor out of the scene again."""

    def clearance(self, name: str, reach: float, others: Sequence[str] = ()) -> float:
        """Smallest distance (m, at most `reach`) between a movable object and others.

        Args:
            name: the object.
            reach: largest distance of interest (m).
            others: the other objects; by default all objects, fixtures and the robot, but not the support.
        """

    def occlusion_fraction(self) -> float:
        """The largest fraction of any of `targets` that placed distractors hide from the fixed camera, in [0, 1]."""

    def forward(self) -> None:
        """Update poses and contacts to `data.qpos`."""

    def refresh_constants(self) -> None:
        """Recompute what MuJoCo derives from masses, inertias and sizes; call it after changing those."""


@dataclass(frozen=True, slots=True)
class Masks:
    """Masks of objects in one camera's first policy frame.

    Attributes:
        target: `bool[H, W]`, the objects that the task's goal names; `None` if the suite has no masks.
        named_masks: `bool[H, W]` by name, for objects named by `/target=NAME`.
    """

    target: NDArray[np.bool_] | None
    named_masks: Mapping[str, NDArray[np.bool_]]


@dataclass(frozen=True, slots=True)
class Instruction:
    """An instruction for the policy.

    Attributes:
        text: the instruction.
        goal: the goal that the text asks for, if it is another than the original; else `None`.
        source: where the text comes from: `original`, `empty`, or an entry of a pool such as `libero_goal/4`.
    """

    text: str
    goal: Goal | None
    source: str


@dataclass(frozen=True, slots=True)
class InstructionContext:
    """What a language axis can choose from in one task.

    Attributes:
        original: the task's instruction.
        original_goal: the task's goal.
        counterfactuals: instructions for other goals that are feasible in this scene, each with its goal.
        mismatches: instructions of other scenes, whose objects are absent here.
        suite: name of the suite; empty outside one.
        task: index of the task in it.
        names: every name of the scene that a goal may contain.
        starts: support or container in which each object starts, by name of the object.
        apart: further counterfactuals, worded as in a suite that policies for this one were not trained on.
        turn: index of the episode among those of its task, for conditions that rotate through entries.
        changed: what a suite made of this task, with its goal if that is another one; `None` if it is no base task.

    Raises:
        ValueError: a counterfactual has no goal or the original goal, or an alternative has the original text.
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
    changed: Instruction | None = None

    def __post_init__(self) -> None:
        others = (*self.counterfactuals, *self.apart)
        if any(other.goal in (None, self.original_goal) for other in others):
            raise ValueError(f"a counterfactual of {self.original!r} has no goal of its own")
        if self.original in (*(other.text for other in others), *self.mismatches):
            raise ValueError(f"{self.original!r} is among its own alternatives")


Memory = dict[str, Any]
"""Memory of one term of a condition during one episode; empty at its start."""
