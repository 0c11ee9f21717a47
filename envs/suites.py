"""Registry of suites: finds a suite, its tasks, goals and limits by name; starts no simulator.

A suite comes from here (LIBERO's, LIBERO-PRO's, LIBERO-plus's, Meta-World's and the toy suite), from a file
(`--plugin my_suite.py`, which calls `register_suite`), or from an installed package, whose entry point in the group
`simeval.suites` is a `Suite` or a function that returns one.
"""

import importlib.metadata
import re
from functools import cache

from envs.counterfactuals import counterfactuals
from envs.goals import EnvError
from envs.interface import CAMERAS
from envs.libero.suite import SUITES as _LIBERO
from envs.libero_plus.suite import SUITES as _LIBERO_PLUS
from envs.libero_pro.suite import SUITES as _LIBERO_PRO
from envs.metaworld.suite import SUITES as _METAWORLD
from envs.protocols import PROTOCOLS
from envs.suite import Limits, Suite
from envs.tasks import OtherGoal, Task
from envs.toy.suite import TOY
from envs.variants import BASE, MARK, make_variant, own_name, variant_word, variant_words

__all__ = [
    "BUILT_IN", "ENTRY_POINTS", "SHIPPED", "Limits", "OtherGoal", "Suite", "Task", "find_suite", "installed_suites",
    "is_suite", "changed_task", "limits", "mismatched_instructions", "other_goals", "other_goals_apart", "package_of",
    "register_suite", "registered_suites",
    "suite_names", "tasks", "unregister_suites_but",
]  # fmt: skip

ENTRY_POINTS = "simeval.suites"
"""Group of the entry points with which an installed package offers suites."""

BUILT_IN = tuple(suite.name for suite in (*_LIBERO, TOY))
"""Suites whose files come with the package and its dependencies."""

_suites: dict[str, Suite] = {suite.name: suite for suite in (*_LIBERO, TOY, *_LIBERO_PRO, *_LIBERO_PLUS, *_METAWORLD)}

SHIPPED = frozenset(_suites)
"""Suites whose code comes with the package; the files of some may be absent."""

_LONGEST_NAME = 40  # names are part of file names


def register_suite(suite: Suite) -> Suite:
    """Make a suite available by its name in this process.

    Raises:
        ValueError: its name is taken or malformed, a number is not positive, or its tasks are inconsistent.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", suite.name) or len(suite.name) > _LONGEST_NAME:
        raise ValueError(
            f"suite '{suite.name[:60]}': a name has at most {_LONGEST_NAME} lower-case letters, digits and underscores"
        )
    if suite.name in _suites or suite.name in installed_suites():
        raise ValueError(f"suite '{suite.name}': the name is taken")
    _check(suite)
    _suites[suite.name] = suite
    return suite


def registered_suites() -> frozenset[str]:
    """Names of the suites that are registered in this process, present or not."""
    return frozenset(_suites)


def unregister_suites_but(names: frozenset[str]) -> None:
    """Undo registrations: only suites of these names stay."""
    for name in [name for name in _suites if name not in names]:
        del _suites[name]
    for lookup in (_variant, tasks, other_goals, other_goals_apart, mismatched_instructions):
        lookup.cache_clear()


def _check(suite: Suite) -> None:
    what = f"suite '{suite.name}'"
    if unknown := [name for name in suite.protocol_limits if name not in PROTOCOLS]:
        raise ValueError(f"{what}: no protocol '{unknown[0]}'; there are {', '.join(PROTOCOLS)}")
    for numbers in (suite.limits, *suite.protocol_limits.values()):
        for name, value, least in (
            ("max_steps", numbers.max_steps, 1),
            ("settle_steps", numbers.settle_steps, 0),
            ("resolution", numbers.resolution, 8),
        ):
            _whole(f"{what}: {name}", value, least)
    _whole(f"{what}: interface.action_size", suite.interface.action_size, 1)
    _whole(f"{what}: interface.state_size", suite.interface.state_size, 1)
    _whole(f"{what}: interface.control_hz", suite.interface.control_hz, 1)
    cameras = suite.interface.cameras
    if not cameras or cameras != tuple(camera for camera in CAMERAS if camera in cameras):
        raise ValueError(f"{what}: interface.cameras is {cameras}; it must be of {CAMERAS}, in this order")
    _whole(f"{what}: init_states", suite.init_states, 1)
    _whole(f"{what}: scenes_kept", suite.scenes_kept, 1)
    listed = suite.tasks()
    if not listed:
        raise ValueError(f"{what}: has no tasks")
    for position, task in enumerate(listed):
        if (task.suite, task.index) != (suite.name, position):
            raise ValueError(f"{what}: its task number {position} says that it is {task.suite} task {task.index}")
        if not task.instruction.strip():
            raise ValueError(f"{what}: task {position} has no instruction")
        if not task.goal:
            raise ValueError(f"{what}: task {position} has no goal")
        for atom in task.goal:
            if missing := [name for name in atom[1:] if name not in task.scenery.names]:
                raise ValueError(f"{what}: the goal of task {position} names '{missing[0]}', which its scene lacks")
    _check_variants(suite, what)


def _check_variants(suite: Suite, what: str) -> None:
    for word in suite.instruction_sources:
        if word in (BASE, "rule") or not re.fullmatch(r"[a-z][a-z0-9-]*", word):
            raise ValueError(f"{what}: instruction_sources has '{word}'; write another word of lower-case letters")
    if suite.base and (not is_suite(suite.base) or len(tasks(suite.base)) < len(suite.tasks())):
        raise ValueError(f"{what}: base is '{suite.base}', which is no suite with as many tasks")


def _whole(what: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{what} is {value!r}; it must be a whole number of at least {least}")


@cache
def installed_suites() -> dict[str, importlib.metadata.EntryPoint]:
    """The suites that installed packages offer, by name; none of their code is executed."""
    return {entry.name: entry for entry in importlib.metadata.entry_points(group=ENTRY_POINTS)}


def package_of(name: str) -> str | None:
    """Name and version of the installed package that offers a suite; `None` for others."""
    entry = installed_suites().get(own_name(name)) if own_name(name) not in BUILT_IN else None
    if entry is None:
        return None
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value


def suite_names() -> tuple[str, ...]:
    """Names of all suites whose files are on this machine, those that come with the package first."""
    present = (name for name, suite in _suites.items() if suite.present())
    return tuple(dict.fromkeys((*present, *installed_suites())))


def is_suite(name: str) -> bool:
    """Whether there is a suite, or a variant of one, of this name."""
    own, mark, word = name.partition(MARK)
    if own in _suites:
        return not mark or word in variant_words(_suites[own])
    return own in installed_suites()


def find_suite(name: str) -> Suite:
    """The suite of a name, or a variant of one; one of an installed package is loaded now.

    Raises:
        KeyError: there is none.
        EnvError: a package's suite cannot be loaded, or the suite has no such variant.
    """
    if MARK in name:
        return _variant(name)
    if name not in _suites and name in installed_suites():
        _load(name)
    return _suites[name]


@cache
def _variant(name: str) -> Suite:
    return make_variant(find_suite(own_name(name)), variant_word(name))


def _load(name: str) -> None:
    entry = installed_suites()[name]
    what = f"suite '{name}' of {package_of(name)}"
    try:
        loaded = entry.load()
        suite = loaded if isinstance(loaded, Suite) else loaded()
        if not isinstance(suite, Suite) or suite.name != name:
            raise ValueError(f"the entry point {entry.value} is not the Suite of that name")
        _check(suite)
    except Exception as error:
        raise EnvError(f"{what}: {type(error).__name__}: {error}") from error
    _suites[name] = suite


@cache
def tasks(suite: str) -> tuple[Task, ...]:
    """All tasks of a suite, in order.

    Raises:
        KeyError: no such suite.
        EnvError: its package is not installed or cannot be loaded.
    """
    return find_suite(suite).tasks()


def limits(protocol: str, suite: str) -> Limits:
    """A protocol's numbers for a suite.

    Raises:
        KeyError: no such suite or protocol.
    """
    found, named = find_suite(suite), PROTOCOLS[protocol]
    return found.protocol_limits.get(named.name, found.limits)


@cache
def other_goals(suite: str, index: int) -> tuple[OtherGoal, ...]:
    """The counterfactual instructions of a task.

    These are the other tasks of its suite that are feasible in its scene. Tasks whose goal implies the task's own goal,
    or follows from it, are left out.
    """
    task, apart = tasks(suite)[index], find_suite(suite).goals_from
    if apart:
        return counterfactuals(task, tasks(apart))
    # Texts of another source may not ask for the goals of their tasks; a suite's own, and those of its base, do.
    others = tasks(suite if variant_word(suite) == BASE else own_name(suite))
    return counterfactuals(task, (other for other in others if other.index != index))


def changed_task(task: Task) -> Task | None:
    """The suite's own task where a variant has another text or goal in its place; `None` otherwise."""
    own = tasks(own_name(task.suite))[task.index]
    return own if (own.instruction, own.goal) != (task.instruction, task.goal) else None


@cache
def other_goals_apart(suite: str, index: int) -> tuple[OtherGoal, ...]:
    """Further counterfactual instructions of a task, in a wording that policies trained on its suite have not seen.

    For libero_10 these are libero_90's of the same scene.
    """
    return find_suite(suite).other_goals_apart(tasks(suite)[index])


@cache
def mismatched_instructions(suite: str, index: int) -> tuple[str, ...]:
    """Instructions that name objects which are absent from a task's scene, for instance those of other suites."""
    return find_suite(suite).mismatched_instructions(tasks(suite)[index])
