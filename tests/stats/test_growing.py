"""A run that grows ten times, or is looked at after every pair, calls no more false drops than it says."""

import math

import numpy as np
import pandas as pd
import pytest
from measured.until import TIMES, false_drops, grown

from simeval.analysis.sequential import sequential
from simeval.config.evaluation import EvalConfig
from simeval.config.layout import layout_of, planned
from simeval.config.plan import make_plan
from simeval.stats.anytime import log_e_values

CONDITION = "noise:0.1"
RUNS = 4000


def growing() -> list[dict]:
    """Manifests of a run of ten tasks that has one initial state of each at first, and grows by one each time."""
    configs = [
        EvalConfig(suite=("libero_goal",), perturb=(CONDITION,), workers=0, init_states=f"0-{last}")
        for last in range(TIMES)
    ]
    plans = [make_plan(config) for config in configs]
    steps = [{"layout": layout_of(plan)} for plan in plans]
    return [
        {"conditions": plan.conditions, "config": config.to_dict(), "grown": steps[:i], **steps[i]}
        for i, (plan, config) in enumerate(zip(plans, configs, strict=True))
    ]


def test_what_a_grown_run_prints_is_what_is_simulated():
    """p of a run of ten sizes, from its manifests and rows, against the largest e-value so far."""
    manifests, rng = growing(), np.random.default_rng(3)
    order = [cell for cell, _ in planned(manifests[-1])]
    outcomes = {
        (cell, name): bool(rng.random() < rate) for cell in order for name, rate in (("none", 0.8), (CONDITION, 0.6))
    }
    differences = np.array([float(outcomes[cell, "none"]) - outcomes[cell, CONDITION] for cell in order])
    highest = np.maximum(*(np.maximum.accumulate(log_e_values(sign * differences, 0.0)) for sign in (1, -1)))
    seen = []
    for manifest in manifests[1:]:
        plan = [episode for _, cell in planned(manifest) for episode in cell]
        rows = pd.DataFrame(plan, columns=["suite", "task", "init_state", "condition", "repeat"])
        rows["outcome"] = ["success" if outcomes[tuple(e[:3]), e.condition] else "failure" for e in plan]
        found = sequential(manifest, rows.sample(frac=1, random_state=1)).drops["libero_goal", CONDITION]
        seen.append(found.p)
        assert found.p == pytest.approx(min(1.0, 2 * math.exp(-max(0.0, highest[len(plan) // 2 - 1]))))
        assert found.p_holm == found.p
    assert len(set(seen)) > 3
    assert sorted(seen, reverse=True) == seen


@pytest.mark.slow
def test_peeking_at_every_pair_calls_few_false_drops():
    for row in false_drops(RUNS):
        print(f"\nfalse drops at any of 500 looks, {row.world}: {row.simulated:.4f}")
        assert row.runs == RUNS
        assert row.simulated <= row.nominal == 0.025


@pytest.mark.slow
def test_growing_ten_times_calls_few_false_drops():
    """Also where drops differ by task; McNemar's p, looked at as often, would be below .05 in far more runs."""
    *ours, theirs = grown(RUNS)
    for row in (*ours, theirs):
        print(f"\ngrown ten times, {row.world}: {row.simulated:.4f}")
        assert row.runs == RUNS
    assert all(row.simulated <= row.nominal for row in ours)
    assert any("tasks lose" in row.world for row in ours)
    assert "McNemar" in theirs.world
    assert theirs.simulated > 2 * theirs.nominal
