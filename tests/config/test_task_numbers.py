"""`--tasks` by number and by category."""

import dataclasses

import pytest

from envs.suites import find_suite, register_suite, tasks
from simeval.config.task_numbers import task_numbers
from simeval.core.errors import ConfigError


@pytest.fixture
def sorted_suite(suite_registry):
    """Twelve tasks: even ones are `cups`, odd ones `plates`, but for the last, the only `lamp`."""
    toy = find_suite("toy")
    twelve = tuple(dataclasses.replace(tasks("toy")[0], suite="twelve", index=index) for index in range(12))

    def category(task):
        return "lamp" if task.index == 11 else ("cups", "plates")[task.index % 2]

    register_suite(dataclasses.replace(toy, name="twelve", tasks=lambda: twelve, category=category))
    return "twelve"


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        (None, range(12)),
        ("0,3,5-7", (0, 3, 5, 6, 7)),
        ("cups", (0, 2, 4, 6, 8, 10)),
        ("plates, lamp", (1, 3, 5, 7, 9, 11)),
        ("lamp,0-1,lamp", (0, 1, 11)),
        ("cups:2", (0, 6)),
        ("cups:4", (0, 2, 6, 8)),
        ("plates:5,cups:1", (0, 1, 3, 5, 7, 9)),
    ],
)
def test_tasks_by_number_and_category(text, numbers, sorted_suite):
    assert task_numbers(text, sorted_suite) == tuple(numbers)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("cup", "--tasks: no category 'cup'; did you mean 'cups'?"),
        ("light", "--tasks: no category 'light'; known: cups, plates, lamp"),
        ("cups:7", "--tasks cups:7: must be a number within 1..6, that of its tasks"),
        ("cups:0", "--tasks cups:0: must be a number within 1..6, that of its tasks"),
        ("cups:", "--tasks cups:: must be a number within 1..6, that of its tasks"),
        ("cups:x", "--tasks cups:x: must be a number within 1..6, that of its tasks"),
        ("12", "--tasks 12: must be within 0..11"),
        ("", "--tasks '': write numbers and ranges, for instance 0,3,5-7"),
    ],
)
def test_what_is_no_task(text, complaint, sorted_suite):
    with pytest.raises(ConfigError) as refused:
        task_numbers(text, sorted_suite)
    assert str(refused.value) == complaint


def test_a_suite_without_categories_has_numbers_alone():
    with pytest.raises(ConfigError, match="--tasks 'cups': toy has no categories; write numbers"):
        task_numbers("cups", "toy")
