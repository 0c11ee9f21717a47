"""Cells of the heat map, points inside tasks, and the median over policies."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from drift_studies import simulated
from reports import FEW, episodes_of

from simeval.analysis.by_task import cell_drops, task_points
from simeval.analysis.grouping import COLUMNS
from simeval.analysis.over_policies import policy_medians
from simeval.analysis.success import drop_table
from simeval.stats.correlation import correlate


def rows(*outcomes: tuple[int, int, str, str]) -> pd.DataFrame:
    """Episodes by (task, initial state, condition, outcome)."""
    table = [
        (f"{c}/{t}/{s}", f"{t}/{s}", "toy", t, s, 0, c, o, 10, 5 if o == "success" else None, "neither")
        for t, s, c, o in outcomes
    ]
    return pd.DataFrame(table, columns=list(COLUMNS))


def test_a_cell_counts_pairs_that_were_harmed_and_helped():
    (cell,) = cell_drops(
        rows(
            *((0, s, "none", o) for s, o in enumerate(["success", "success", "failure", "success"])),
            *((0, s, "noise:0.1", o) for s, o in enumerate(["failure", "failure", "success", "success"])),
        )
    )
    assert (cell.pairs, cell.harmed, cell.helped, cell.missing) == (4, 2, 1, 0)
    assert (cell.clean_rate, cell.rate, cell.drop) == (0.75, 0.5, 0.25)


def test_errors_are_missing_and_infeasible_pairs_are_not():
    (cell,) = cell_drops(
        rows(
            *((0, s, "none", o) for s, o in enumerate(["success", "success", "error", "success"])),
            *((0, s, "noise:0.1", o) for s, o in enumerate(["failure", "error", "success", "infeasible"])),
        )
    )
    assert (cell.pairs, cell.missing, cell.drop) == (1, 2, 1.0)


def test_a_cell_without_a_pair_has_no_number():
    (cell,) = cell_drops(rows((0, 0, "none", "error"), (0, 0, "noise:0.1", "success")))
    assert (cell.pairs, cell.drop, cell.clean_rate, cell.rate) == (0, None, None, None)


def test_cells_add_up_to_the_table_of_drops():
    episodes = episodes_of(simulated(4))
    cells = cell_drops(episodes)
    for row in drop_table(episodes):
        mine = [cell for cell in cells if cell.condition == row.condition]
        assert sum(cell.harmed for cell in mine) == row.harmed
        assert sum(cell.helped for cell in mine) == row.helped
        assert sum(cell.pairs for cell in mine) == row.pairs
    assert [cell.condition for cell in cells][:: len(set(episodes["task"]))] == [
        row.condition for row in drop_table(episodes)
    ]


def test_points_of_a_task_are_means_over_its_pairs():
    study = simulated(4)
    names = tuple(condition.name for condition in study.conditions)
    point = next(p for p in task_points(study, names) if (p.task, p.condition) == (2, names[3]))
    mine = study.tasks == 2
    assert point.drop == pytest.approx((study.clean - study.perturbed[:, 3])[mine].mean())
    assert point.drift == pytest.approx(study.drift[mine, 3].mean())


def test_drift_of_other_frames_has_no_points_inside_tasks():
    study = simulated(4)
    assert task_points(replace(study, drift=None), tuple(c.name for c in study.conditions)) == ()


def test_the_median_is_over_policies_of_one_suite():
    found = [correlate(simulated(seed), (), FEW) for seed in (1, 2, 3)]
    rho = sorted(correlation.between[0].association.value for correlation in found)
    (row,) = policy_medians([*(("toy", correlation) for correlation in found), ("goal", found[0])])
    assert (row.suite, row.policies, row.without) == ("toy", 3, 0)
    assert (row.low, row.rho, row.high) == tuple(rho)


def test_a_policy_without_a_correlation_is_counted_apart():
    nothing = correlate(simulated(1).select(np.array([0])), (), FEW)
    (row,) = policy_medians([("toy", nothing), ("toy", nothing)])
    assert (row.policies, row.without, row.rho) == (0, 2, None)
