"""Variants of a suite: suites of their own, whose name is that of the suite with a word behind an `@`.

`libero_goal_task@file-name` has the same tasks with instructions from another source (`Suite.instruction_sources`).
`libero_goal_task@base` has the tasks that a suite's own were made from, in the same initial states (`Suite.base_task`).
As the variant is part of the suite's name, rows, manifests, tables and pairs tell variants apart without knowing them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from envs.goals import EnvError
from envs.suite import Suite
from envs.tasks import Task

MARK = "@"
BASE = "base"
"""The variant whose tasks are those that the suite's own were made from."""


def own_name(name: str) -> str:
    """The name of the suite that a name is a variant of; the name itself if it is none."""
    return name.partition(MARK)[0]


def variant_word(name: str) -> str:
    """The word behind the `@` of a name; empty for a suite's own tasks."""
    return name.partition(MARK)[2]


def variant_words(suite: Suite) -> Iterator[str]:
    """The words that may stand behind the `@`."""
    yield from suite.instruction_sources
    if suite.base_task is not None:
        yield BASE


def make_variant(suite: Suite, word: str) -> Suite:
    """A variant of a suite.

    Raises:
        EnvError: the suite has no such variant.
    """
    name = f"{suite.name}{MARK}{word}"
    if word == BASE:
        if suite.base_task is None:
            raise EnvError(f"{suite.name} has no base arm: its tasks are not made from those of another suite")
        note = f"{name}: the unchanged tasks of {suite.base or 'its base'}, in the initial states of {suite.name}"
        return replace(
            suite,
            name=name,
            tasks=lambda: _base_tasks(suite, name),
            notes=lambda numbers: (note, *suite.notes(numbers)),
        )
    if word not in suite.instruction_sources:
        raise EnvError(f"{suite.name} has no instructions but its own")
    return replace(
        suite,
        name=name,
        tasks=lambda: _reworded_tasks(suite, word, name),
        notes=lambda numbers: (_difference(suite, word, numbers), *suite.notes(numbers)),
    )


def _base_tasks(suite: Suite, name: str) -> tuple[Task, ...]:
    assert suite.base_task is not None
    return tuple(replace(suite.base_task(task), suite=name, index=task.index) for task in suite.tasks())


def _reworded_tasks(suite: Suite, word: str, name: str) -> tuple[Task, ...]:
    text = suite.instruction_sources[word]
    return tuple(replace(task, suite=name, instruction=text(task)) for task in suite.tasks())


def _difference(suite: Suite, word: str, numbers: Sequence[int]) -> str:
    text = suite.instruction_sources[word]
    others = [str(task.index) for task in suite.tasks() if task.index in numbers and text(task) != task.instruction]
    which = f"not the suite's own in tasks {', '.join(others)}" if others else "which are the suite's own"
    return f"{suite.name}{MARK}{word}: instructions from {word}, {which}"
