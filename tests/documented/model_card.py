"""Success of the bundled policy, and what its gripper did: simeval/policies/bundled/MODEL_CARD.md."""

from collections.abc import Iterator
from functools import partial

from documented import ROOT
from documented.claims import Claim, Statement, Table
from documented.formats import percent, span
from documented.runs import analysed, clean_numbers, clean_rate, rate_of, run
from envs.suites import tasks
from simeval.analysis import success
from simeval.core.types import CLEAN

PAGE = "simeval/policies/bundled/MODEL_CARD.md"
TASKS = {
    "spatial": "| bowl | successes of 50 | 95 % interval, % |",
    "object": "| object | successes of 50 | 95 % interval, % |",
    "goal": "| goal | successes of 50 | 95 % interval, % |",
}
"""Headers of the tables of tasks, by run."""
CONDITIONS = "| condition | success, % | drop, points (95 % interval) |"


def statements() -> Iterator[Statement]:
    for name in TASKS:
        yield Claim(
            PAGE,
            f"--out results/{name}`): **{{wins}} of {{n}}**, {{rate}} % (95 % interval {{low}} to {{high}}).",
            clean_numbers(name),
        )
    for name, header in TASKS.items():
        yield Table(PAGE, header, partial(task_rows, name))
    yield Claim(PAGE, "(50 pairs each, clean {rate} %; rows in `results/correlation`", clean_numbers("correlation"))
    yield Table(PAGE, CONDITIONS, lambda: condition_rows("correlation"))
    other = {"pairs": str(clean_rate("correlation").n)} | language("correlation", "instruction:counterfactual")
    yield Claim(
        PAGE,
        "(`instruction:counterfactual`, {pairs} pairs), it brought the other bowl in {followed} %, the original one in "
        "{ignored} %; the gripper first closed next to what the instruction names in {approached} %.",
        other,
    )
    yield Claim(
        PAGE, "In {right} of the {failures} failures above it had first closed its gripper at the right", held("object")
    )
    yield Claim(
        PAGE, "In {other} of the {failures} failures the gripper first closed at something else", first_grasps("goal")
    )


def task_rows(name: str) -> dict[str, tuple[str, ...]]:
    """Successes by task, with the labels that the table has now."""
    found = {row.task: row for row in success.task_table(run(name).episodes) if row.condition == CLEAN}
    return {
        f"{task} {label}": (str(successes(found[task])), span(found[task].interval))
        for task, label in enumerate(task_labels(TASKS[name]))
    }


def task_labels(header: str) -> list[str]:
    """How a table calls its tasks."""
    below = (ROOT / PAGE).read_text().split(header + "\n")[1].split("\n")
    return [line.split("|")[1].strip().split(" ", 1)[1] for line in below[1:11]]


def successes(row: success.TaskRate) -> int:
    assert row.rate is not None
    return round(row.rate * row.n)


def condition_rows(name: str) -> dict[str, tuple[str, ...]]:
    """Success and drop, by condition."""
    return {
        drop.condition: (
            percent(rate_of(name, drop.condition).rate),
            f"{percent(drop.drop)} ({span(drop.interval)})",
        )
        for drop in analysed(name).drops
    }


def language(name: str, condition: str) -> dict[str, str]:
    """Whether the policy did what another instruction names."""
    row = next(row for row in analysed(name).language if row.condition == condition)
    shares = {"followed": row.followed, "ignored": row.ignored, "approached": row.approached}
    return {key: percent(share.rate) for key, share in shares.items()}


def first_grasps(name: str) -> dict[str, str]:
    """Of the failures: at how many the gripper first closed at something that the goal names, or at something else."""
    failed = [result for result in run(name).results if result.outcome == "failure"]
    right = other = 0
    for result in failed:
        goal = tasks(result.spec.suite)[result.spec.task].goal
        if result.approached is not None:
            named = any(word.startswith(result.approached) for atom in goal for word in atom[1:])
            right, other = right + named, other + (not named)
    return {"right": str(right), "other": str(other), "failures": str(len(failed))}


def held(name: str) -> dict[str, str]:
    """Of the failures: at how many the gripper first closed at the object that is to be moved."""
    failed = [result for result in run(name).results if result.outcome == "failure"]
    moved = [tasks(result.spec.suite)[result.spec.task].goal[0][1] for result in failed]
    return {
        "right": str(sum(result.approached == name for result, name in zip(failed, moved, strict=True))),
        "failures": str(len(failed)),
    }
