"""Success by category, on made-up rows."""

import pandas as pd
import pytest

from envs import suites
from envs.suite import Limits, Suite
from envs.tasks import Task
from simeval.analysis.by_category import ALL_SUITES, category_table
from simeval.analysis.grouping import COLUMNS
from simeval.analysis.success import analyse, summary
from simeval.stats.intervals import wilson

KINDS = ("camera", "camera", "camera", "noise")


@pytest.fixture(autouse=True)
def sorted_suites():
    """Two suites of four tasks each, three of which are of one category."""
    known = suites.registered_suites()
    toy = suites.tasks("toy")[0]
    for name in ("one", "two"):
        listed = tuple(Task(name, i, f"task {i}", "do it", toy.goal, toy.scenery) for i in range(4))
        suites.register_suite(
            Suite(name, lambda listed=listed: listed, None, Limits(9, 0, 64), category=lambda task: KINDS[task.index])
        )
    yield
    suites.unregister_suites_but(known)


def rows(*outcomes: tuple[str, int, int, str, str]) -> pd.DataFrame:
    """Episodes by (suite, task, repeat, condition, outcome)."""
    table = [
        (f"{u}/{c}/{t}/{r}", f"{u}/{t}/{r}", u, t, 0, r, c, o, 9, 5 if o == "success" else None, "neither")
        for u, t, r, c, o in outcomes
    ]
    return pd.DataFrame(table, columns=list(COLUMNS))


def test_a_category_is_the_mean_over_its_tasks():
    table = category_table(
        rows(
            ("one", 0, 0, "none", "success"),
            ("one", 0, 1, "none", "failure"),
            ("one", 1, 0, "none", "success"),
            ("one", 2, 0, "none", "failure"),
            ("one", 3, 0, "none", "failure"),
        )
    )
    camera, noise = table
    assert (camera.suite, camera.category, camera.condition) == ("one", "camera", "none")
    assert (camera.tasks, camera.n, camera.errors, camera.rate) == (3, 4, 0, 0.5)
    assert camera.interval == wilson(1.5, 3)
    assert (noise.category, noise.tasks, noise.rate, noise.interval) == ("noise", 1, 0.0, wilson(0, 1))


def test_errors_and_infeasible_episodes_do_not_count():
    (row,) = category_table(
        rows(
            ("one", 0, 0, "none", "success"),
            ("one", 1, 0, "none", "error"),
            ("one", 2, 0, "none", "infeasible"),
        )
    )
    assert (row.tasks, row.n, row.errors, row.rate) == (1, 1, 1, 1.0)
    (row,) = category_table(rows(("one", 0, 0, "none", "error")))
    assert (row.tasks, row.n, row.errors, row.rate) == (0, 0, 1, None)


def test_tasks_of_several_suites_are_pooled_for_conditions_of_all():
    table = category_table(
        rows(
            ("one", 0, 0, "none", "success"),
            ("two", 0, 0, "none", "failure"),
            ("two", 1, 0, "none", "failure"),
            ("two", 0, 0, "noise:0.1", "failure"),
        )
    )
    assert [(row.suite, row.condition, row.tasks) for row in table] == [
        ("one", "none", 1), ("two", "none", 2), ("two", "noise:0.1", 1), (ALL_SUITES, "none", 3)
    ]  # fmt: skip
    assert table[-1].rate == pytest.approx(1 / 3)
    assert table[-1].interval == wilson(1, 3)


def test_suites_without_categories_have_no_rows():
    assert category_table(rows(("toy", 0, 0, "none", "success"), ("a plugin's", 0, 0, "none", "success"))) == ()
    assert category_table(rows()) == ()
    mixed = category_table(rows(("toy", 0, 0, "none", "success"), ("one", 3, 0, "none", "success")))
    assert [(row.suite, row.category) for row in mixed] == [("one", "noise")]


def test_the_table_is_part_of_the_analysis_and_of_its_json():
    episodes = rows(("one", 3, 0, "none", "success"))
    assert analyse(episodes).categories == category_table(episodes)
    (row,) = summary(episodes)["categories"]
    assert (row["category"], row["rate"], row["interval"]["method"]) == ("noise", 1.0, "wilson")
