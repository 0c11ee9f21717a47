"""The counterfactual pairs of LIBERO's suites, counted from the task files by a reader of this test's own."""

import re
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path

import pytest

from envs import suites

SPATIAL = {0: [1], 1: [6], 2: [8], 3: [9], 4: [9], 5: [3], 6: [7], 7: [9], 8: [1], 9: [7]}
OBJECT = {
    **{0: [1, 2, 5, 6, 7], 1: [0, 5, 6, 7, 9], 2: [0, 1, 4, 5, 7], 3: [0, 1, 2, 4, 8], 4: [0, 1, 2, 3, 7]},
    **{5: [3, 6, 7, 8, 9], 6: [3, 4, 5, 8, 9], 7: [1, 5, 6, 8, 9], 8: [0, 2, 3, 4, 9], 9: [2, 3, 4, 6, 8]},
}
LONG = {0: [1, 7], 1: [0, 7], 7: [0]}


@dataclass(frozen=True)
class File:
    scene: tuple[str, ...]
    goal: frozenset[tuple[str, ...]]
    names: frozenset[str]
    starts: frozenset[tuple[str, str]]


def block(text: str, name: str) -> str:
    """The text of `(:name ...)`, up to its closing bracket."""
    start = text.index(f"(:{name}")
    depth = 0
    for i, letter in enumerate(text[start:], start):
        depth += (letter == "(") - (letter == ")")
        if depth == 0:
            return " ".join(text[start + len(name) + 2 : i].split())
    raise AssertionError(name)


def read(task: suites.Task) -> File:
    assert task.bddl is not None
    return read_file(task.bddl)


@cache
def read_file(path: Path) -> File:
    text = path.read_text().lower()
    atoms = {name: re.findall(r"\(([a-z]+) ([^()]+)\)", block(text, name)) for name in ("goal", "init")}
    goal = frozenset((predicate, *names.split()) for predicate, names in atoms["goal"] if predicate != "and")
    # A region's own name is complete only with that of what it belongs to.
    regions = block(text, "regions")
    owners = [match[1] for match in re.finditer(r"\(:target ([^\s()]+)\)", regions)]
    heads = re.findall(r"\(([^\s():]+)\s*\(:target", regions)
    assert len(heads) == len(owners)
    named = {f"{owner}_{head}" for owner, head in zip(owners, heads, strict=True)}
    things = {name for part in ("objects", "fixtures") for name in re.findall(r"\b[a-z0-9_]+_\d+\b", block(text, part))}
    tables = {"main_table", "kitchen_table", "living_room_table", "study_table", "floor"}
    ranges = dict(zip([f"{o}_{h}" for o, h in zip(owners, heads, strict=True)], split_regions(regions), strict=True))
    starts = {
        (names.split()[0], f"{predicate} {names.split()[1]} {ranges.get(names.split()[1], '')}")
        for predicate, names in atoms["init"]
        if len(names.split()) == 2
    }
    scene = tuple(block(text, part) for part in ("fixtures", "objects", "regions", "init"))
    return File(scene, goal, frozenset(named | things | tables), frozenset(starts))


def split_regions(regions: str) -> list[str]:
    return re.split(r"\(:target ", regions)[1:]


def evaluable(here: File, goal: frozenset[tuple[str, ...]]) -> bool:
    return all(name in here.names for atom in goal for name in atom[1:])


def counts(pairs):
    """Rows of the table: pairs, identical scenes, another goal that can be evaluated, and one that entails neither."""
    files = [(read(one), read(other)) for one, other in pairs]
    other_goal = [(a, b) for a, b in files if b.goal != a.goal and evaluable(a, b.goal)]
    apart = [(a, b) for a, b in other_goal if not (a.goal <= b.goal or b.goal <= a.goal)]
    return len(files), sum(a.scene == b.scene for a, b in files), len(other_goal), len(apart)


def ordered(suite):
    tasks = suites.tasks(suite)
    return [(one, other) for one, other in product(tasks, tasks) if one != other]


def scene_name(task):
    return re.match(r"[A-Z_]+_SCENE\d+", task.name)[0]


@pytest.mark.parametrize(
    ("suite", "wanted"),
    [
        ("libero_spatial", (90, 0, 0, 0)),
        ("libero_object", (90, 0, 50, 50)),
        ("libero_goal", (90, 90, 90, 90)),
        ("libero_10", (90, 2, 6, 5)),
        ("libero_90", (8010, 346, 664, 626)),
    ],
)
def test_pairs_within_a_suite(suite, wanted):
    assert counts(ordered(suite)) == wanted
    found = sum(len(suites.other_goals(suite, task.index)) for task in suites.tasks(suite))
    assert found == (10 if suite == "libero_spatial" else wanted[3])


def test_pairs_of_libero_10_with_libero_90():
    long, many = suites.tasks("libero_10"), suites.tasks("libero_90")
    pairs = [(one, other) for one, other in product(long, many) if scene_name(one) == scene_name(other)]
    assert counts(pairs) == (40, 40, 40, 25)
    subgoals = [(a, b) for a, b in pairs if read(b).goal < read(a).goal]
    assert len(subgoals) == 15
    found = [suites.other_goals_apart("libero_10", task.index) for task in long]
    assert sum(map(len, found)) == 25
    assert {len(others) for others in found} == {1, 2, 3, 4}
    assert all(other.source.startswith("libero_90/") for others in found for other in others)
    assert suites.other_goals_apart("libero_90", 0) == ()


def test_spatial_pairs_follow_from_where_the_other_bowl_stands():
    """The goals are all alike; what another task calls its bowl may be the second bowl of this scene."""
    tasks = suites.tasks("libero_spatial")
    place = {(task.index, bowl): where for task in tasks for bowl, where in read(task).starts if "bowl" in bowl}
    found = {
        here.index: [
            there.index
            for there in tasks
            if place[there.index, "akita_black_bowl_1"] == place[here.index, "akita_black_bowl_2"]
        ]
        for here in tasks
    }
    assert found == SPATIAL


@pytest.mark.parametrize(
    ("suite", "wanted"), [("libero_spatial", SPATIAL), ("libero_object", OBJECT), ("libero_10", LONG)]
)
def test_the_catalogue_lists_these_pairs(suite, wanted):
    numbers = {
        task.index: [int(other.source.split("/")[1]) for other in suites.other_goals(suite, task.index)]
        for task in suites.tasks(suite)
    }
    assert {task: others for task, others in numbers.items() if others} == wanted


def test_a_mismatch_names_nothing_to_handle_in_the_scene():
    """Not even under another name of the simulator: a white cabinet is a cabinet."""
    words = ("bowl", "cabinet", "stove", "wine bottle", "plate")
    for task in suites.tasks("libero_goal"):
        for text in suites.mismatched_instructions("libero_goal", task.index):
            handled = re.sub(r" and (?:put|place|close).*", "", text)
            handled = re.sub(r" (?:on|in|to) (?:top of )?the .*", "", handled)
            assert not any(word in handled for word in words), text
