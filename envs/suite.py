"""The record that describes a suite: its tasks, its environments, and what they need and cost."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from envs.interface import LIBERO_INTERFACE, Interface
from envs.tasks import OtherGoal, Task

if TYPE_CHECKING:
    from envs.base import Env

INIT_STATES = 50
"""Published initial states per task of LIBERO; the toy suite has as many. Source: LIBERO's `.pruned_init` files."""


@dataclass(frozen=True, slots=True)
class Limits:
    """A protocol's numbers for one suite.

    Attributes:
        max_steps: control steps after which the episode fails.
        settle_steps: idle control steps before the policy's first frame.
        resolution: side of the camera images (px).
    """

    max_steps: int
    settle_steps: int
    resolution: int


def _no_notes(numbers: Sequence[int]) -> tuple[str, ...]:
    del numbers
    return ()


def _always() -> bool:
    return True


def _nothing() -> None:
    return


def _no_goals(task: Task) -> tuple[OtherGoal, ...]:
    del task
    return ()


def _no_instructions(task: Task) -> tuple[str, ...]:
    del task
    return ()


@dataclass(frozen=True)
class Suite:
    """A suite of tasks. `envs.suites.register_suite` makes it available by its name.

    Functions are called in every process that plans or runs episodes, and must give the same answer in each.

    Attributes:
        name: value of `--suite`: lower-case letters, digits and underscores.
        tasks: returns all tasks; `Task.suite` is `name` and `Task.index` the position.
        make_env: builds the scene of a task: (task, side of the camera images in px, asset folder or `None`). The
            environment keeps the contract of `envs.base.Env`; `simeval.testing.check_env` checks it.
        limits: the protocol's numbers.
        interface: its cameras, and the sizes of its states and actions.
        protocol_limits: other numbers by the name of a protocol.
        init_states: number of initial states of each task.
        benchmark: the benchmark whose results these are, for instance `LIBERO`; empty for none.
        default_policy: value of `--policy` if it is not given; empty if it has to be given.
        needs_assets: whether scenes are built from LIBERO's asset folder (`--assets`).
        scenes_kept: built scenes that a worker keeps. One of LIBERO's own takes up to 0.9 GB with its OpenGL context.
        step_seconds: seconds of a control step on one busy core, for estimates.
        frame_seconds: seconds to render an observation of both cameras with software OpenGL on one busy core.
        bundled_frame_seconds: the same with `--assets bundled`, if that makes a difference.
        other_goals_apart: further counterfactual instructions of a task, in a wording that policies trained on the
            suite have not seen. Those of its own suite are found without it.
        base: the suite whose tasks were changed to make these; empty for none. Its reviewed texts are taken for tasks
            with its wording, and policies trained on it are expected to do these.
        goals_from: the suite whose tasks give the counterfactual instructions; empty for this one. For suites that
            have many tasks with one goal.
        mismatched_instructions: instructions that name objects which are absent from a task's scene.
        category: the category of a task, for a table of success by category; `None` for suites without categories.
        instruction_sources: other sources of a task's instruction, by the word of `--instruction-source`; makes the
            variant `NAME@WORD` of the suite, see `envs.variants`.
        base_task: the task that a task was made from, in the same initial states: its instruction, goal and scene.
            Makes the variant `NAME@base`, the reference of `--base-arm`. `EnvError` says why there is none.
        inapplicable: axes that none of its scenes has, with the reason; they are refused before anything runs.
        notes: what a reader of results on some of its tasks must know, for instance where the files come from and which
            tasks are known to be flawed; goes into manifest and tables.
        present: whether the suite's files are on this machine; lists leave it out otherwise.
        require: raises `EnvError` if they are not; says in one line how to get them.
    """

    name: str
    tasks: Callable[[], tuple[Task, ...]]
    make_env: "Callable[[Task, int, Path | None], Env]"
    limits: Limits
    interface: Interface = LIBERO_INTERFACE
    protocol_limits: Mapping[str, Limits] = field(default_factory=dict)
    init_states: int = INIT_STATES
    benchmark: str = ""
    default_policy: str = ""
    needs_assets: bool = False
    scenes_kept: int = 1
    step_seconds: float = 0.01
    frame_seconds: float = 0.01
    bundled_frame_seconds: float | None = None
    other_goals_apart: Callable[[Task], tuple[OtherGoal, ...]] = _no_goals
    base: str = ""
    goals_from: str = ""
    mismatched_instructions: Callable[[Task], tuple[str, ...]] = _no_instructions
    category: Callable[[Task], str] | None = None
    instruction_sources: Mapping[str, Callable[[Task], str]] = field(default_factory=dict)
    base_task: Callable[[Task], Task] | None = None
    inapplicable: Mapping[str, str] = field(default_factory=dict)
    notes: Callable[[Sequence[int]], tuple[str, ...]] = _no_notes
    present: Callable[[], bool] = _always
    require: Callable[[], None] = _nothing
