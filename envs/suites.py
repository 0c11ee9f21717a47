"""Catalogue of suites, tasks, instructions, goals and protocols; starts no simulator.

LIBERO's tasks are read from the files of the installed `libero` distribution. The package is never imported here:
its import asks a question on stdin and takes seconds.
"""

import importlib.util
import re
import runpy
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from envs.goals import EnvError, Goal

LIBERO_SUITES = ("libero_spatial", "libero_object", "libero_goal", "libero_10", "libero_90")
SUITES = (*LIBERO_SUITES, "toy")
INIT_STATES = 50
"""Published initial states per task; the toy suite has as many. Source: LIBERO's `.pruned_init` files."""

TOY_COLORS = ("red", "green", "blue", "yellow")
TOY_ABSENT = ("purple", "white", "orange")


@dataclass(frozen=True)
class SceneContents:
    """The objects and regions of a task's scene that goals and instructions can refer to.

    Attributes:
        names: every name that a goal atom may contain.
        placements: where each movable object starts: (predicate, region or support, its ranges).
    """

    names: frozenset[str]
    placements: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Task:
    """One task of a suite.

    Attributes:
        suite: name of the suite.
        index: index in the suite (LIBERO's default order).
        name: LIBERO's file name without suffix.
        instruction: the text that policies were trained on (from the file name; the wording in the BDDL differs).
        goal: the success predicate.
        scenery: what goals can refer to in this scene.
        bddl: task file; `None` for toy tasks.
        init_states: file with the published initial states; `None` for toy tasks.
    """

    suite: str
    index: int
    name: str
    instruction: str
    goal: Goal
    scenery: SceneContents = field(repr=False)
    bddl: Path | None = field(default=None, repr=False)
    init_states: Path | None = field(default=None, repr=False)


@dataclass(frozen=True)
class OtherGoal:
    """An instruction of another task that is feasible in this task's scene, with its goal in this scene.

    Attributes:
        instruction: the other task's instruction, verbatim.
        goal: its success predicate, bound to the objects of this scene.
        source: the other task, for instance `libero_spatial/6`.
    """

    instruction: str
    goal: Goal
    source: str


@cache
def libero_root() -> Path:
    """Folder of LIBERO's code, task files and initial states.

    Raises:
        EnvError: LIBERO is not installed.
    """
    spec = importlib.util.find_spec("libero")
    if spec is None or not spec.submodule_search_locations:
        raise EnvError("LIBERO is not installed; run: pip install hf-libero==0.1.4")
    return Path(spec.submodule_search_locations[0]) / "libero"


def tasks(suite: str) -> tuple[Task, ...]:
    """All tasks of a suite, in order.

    Raises:
        KeyError: no such suite.
        EnvError: LIBERO is not installed.
    """
    if suite not in SUITES:
        raise KeyError(suite)
    return _toy_tasks() if suite == "toy" else _libero_tasks(suite)


@cache
def _toy_tasks() -> tuple[Task, ...]:
    scenery = SceneContents(frozenset(f"{color}_block" for color in TOY_COLORS), {})
    return tuple(
        Task("toy", i, f"touch_the_{color}_block", f"touch the {color} block", (("touch", f"{color}_block"),), scenery)
        for i, color in enumerate(TOY_COLORS)
    )


@cache
def _libero_tasks(suite: str) -> tuple[Task, ...]:
    root = libero_root()
    names = runpy.run_path(str(root / "benchmark" / "libero_suite_task_map.py"))["libero_task_map"][suite]
    return tuple(_libero_task(root, suite, index, name) for index, name in enumerate(names))


def _libero_task(root: Path, suite: str, index: int, name: str) -> Task:
    bddl = root / "bddl_files" / suite / f"{name}.bddl"
    goal, scenery = _read_bddl(bddl)
    # LIBERO-100 names start with the scene ("KITCHEN_SCENE3_..."), which is not part of the instruction.
    instruction = re.sub(r"^[A-Z_]+_SCENE\d+_", "", name).replace("_", " ")
    init_states = root / "init_files" / suite / f"{name}.pruned_init"
    return Task(suite, index, name, instruction, goal, scenery, bddl, init_states)


type _Node = str | list["_Node"]


def _parse(text: str) -> list[_Node]:
    stack: list[list[_Node]] = [[]]
    for token in re.findall(r"[()]|[^\s()]+", re.sub(r";.*", "", text).lower()):
        if token == "(":
            stack.append([])
        elif token == ")":
            closed = stack.pop()
            stack[-1].append(closed)
        else:
            stack[-1].append(token)
    return stack[0]


def _words(node: _Node) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    else:
        for child in node:
            yield from _words(child)


def _atoms(node: _Node) -> Goal:
    if node[0] == "and":
        return tuple(atom for child in node[1:] for atom in _atoms(child))
    return (tuple(_words(node)),)


def _read_bddl(path: Path) -> tuple[Goal, SceneContents]:
    (definition,) = _parse(path.read_text())
    sections = {node[0]: node[1:] for node in definition if isinstance(node, list)}
    regions = {}
    for region in sections[":regions"]:
        attributes = {entry[0]: entry[1:] for entry in region[1:]}
        regions[f"{attributes[':target'][0]}_{region[0]}"] = tuple(_words(list(attributes.get(":ranges", []))))
    names = {word for part in (":objects", ":fixtures") for word in _declared(sections[part])}
    placements = {
        atom[1]: (atom[0], atom[2], *regions.get(atom[2], ()))
        for atom in (tuple(_words(node)) for node in sections[":init"])
        if len(atom) == 3
    }
    return _atoms(sections[":goal"][0]), SceneContents(frozenset(names | regions.keys()), placements)


def _declared(nodes: list[_Node]) -> Iterator[str]:
    """Names in a list such as `a_1 a_2 - a b_1 - b`; the word after each dash is a category."""
    words = list(_words(nodes))
    for i, word in enumerate(words):
        if word != "-" and (i == 0 or words[i - 1] != "-"):
            yield word


def _evaluable(goal: Goal, scenery: SceneContents) -> bool:
    return all(name in scenery.names for atom in goal for name in atom[1:])


def _category(name: str) -> str:
    return re.sub(r"_\d+$", "", name)


def _rebound(goal: Goal, source: SceneContents, target: SceneContents) -> Goal:
    """Transfer a goal to the objects at the same places of another scene (libero_spatial's goals are all equal)."""
    binding = {
        name: other
        for name, place in source.placements.items()
        for other, other_place in target.placements.items()
        if place == other_place and _category(name) == _category(other)
    }
    return tuple((atom[0], *(binding.get(name, name) for name in atom[1:])) for atom in goal)


@cache
def other_goals(suite: str, index: int) -> tuple[OtherGoal, ...]:
    """The counterfactual instructions of a task.

    These are the other tasks of its suite that are feasible in its scene. Tasks whose goal implies the task's own goal,
    or follows from it, are left out.
    """
    task = tasks(suite)[index]
    return _counterfactuals(task, (other for other in tasks(suite) if other.index != index))


@cache
def other_goals_libero90(suite: str, index: int) -> tuple[OtherGoal, ...]:
    """Further counterfactual instructions of a libero_10 task: those of libero_90 for the same scene.

    Separate from `other_goals`, because a policy trained on the four suites of ten tasks has not seen their wording.
    """
    if suite != "libero_10":
        return ()
    task = tasks(suite)[index]
    scene = _scene(task)
    return _counterfactuals(task, (other for other in tasks("libero_90") if _scene(other) == scene))


def _counterfactuals(task: Task, others: Iterable[Task]) -> tuple[OtherGoal, ...]:
    counterfactuals = []
    for other in others:
        goal = other.goal
        if goal == task.goal:
            goal = _rebound(other.goal, other.scenery, task.scenery)
        overlap = set(goal) <= set(task.goal) or set(task.goal) <= set(goal)
        if not overlap and _evaluable(goal, task.scenery):
            counterfactuals.append(OtherGoal(other.instruction, goal, f"{other.suite}/{other.index}"))
    return tuple(counterfactuals)


def _scene(task: Task) -> str:
    """The scene prefix of a LIBERO-100 task's name: `KITCHEN_SCENE3_`."""
    return task.name.removesuffix(task.instruction.replace(" ", "_"))


@cache
def mismatched_instructions(suite: str, index: int) -> tuple[str, ...]:
    """Instructions of other suites whose objects are absent from this task's scene."""
    task = tasks(suite)[index]
    if suite == "toy":
        return tuple(f"touch the {color} block" for color in TOY_ABSENT)
    others = [other for name in LIBERO_SUITES[:4] if name != suite for other in tasks(name)]
    present = {_kind(name) for name in task.scenery.names}
    return tuple(sorted({o.instruction for o in others if not any(_kind(atom[1]) in present for atom in o.goal)}))


def _kind(name: str) -> str:
    """The kind of object as an instruction names it: every cabinet, and every part of one, is a `cabinet`."""
    kind = re.sub(r"_\d+(_\D*)?$", "", name)
    return "cabinet" if kind.endswith("_cabinet") else kind


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


@dataclass(frozen=True)
class Protocol:
    """A named way to run the benchmark. Success rates are comparable only within one protocol.

    Attributes:
        name: value of `--protocol`.
        limits: by suite.
        first_env_seed: simulator seed for initial state 0.
        env_seed_step: added to the seed for each further initial state.
        source: where the numbers come from.
    """

    name: str
    limits: Mapping[str, Limits]
    first_env_seed: int
    env_seed_step: int
    source: str

    def env_seed(self, init_state: int) -> int:
        """Simulator seed of an initial state. It depends on nothing else, so that the episodes of a pair share it."""
        return self.first_env_seed + self.env_seed_step * init_state


def _limits(max_steps: Mapping[str, int], resolution: int) -> dict[str, Limits]:
    return {suite: Limits(steps, 10, resolution) for suite, steps in max_steps.items()} | {"toy": Limits(60, 0, 128)}


_OPENVLA_STEPS = {
    "libero_spatial": 220,
    "libero_object": 280,
    "libero_goal": 300,
    "libero_10": 520,
    "libero_90": 400,
}

PROTOCOLS: Mapping[str, Protocol] = {
    "openvla": Protocol(
        "openvla",
        _limits(_OPENVLA_STEPS, 256),
        first_env_seed=0,
        env_seed_step=0,
        source="OpenVLA's run_libero_eval.py: 256 px, 10 idle steps, environment seed 0",
    ),
    "lerobot": Protocol(
        "lerobot",
        _limits(_OPENVLA_STEPS | {"libero_spatial": 280}, 360),
        first_env_seed=1000,
        env_seed_step=1,
        source="lerobot-eval 0.6.1: 360 px, 10 idle steps, environment seed 1000 + episode",
    ),
}
