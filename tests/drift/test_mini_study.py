"""The small audit of several policies in one table: means, and deviations over the right kind of seeds."""

import numpy as np
import pytest

from simeval.core.drift_row import FLOOR, DriftRow
from simeval.core.errors import ConfigError
from simeval.drift.mini import METRICS
from simeval.drift.mini_study import MiniMember, mini_study

CONDITIONS = ("instruction:empty", "noise:0.2")


def member(name: str, group: str, seed: int | None, level: float, seeds=(0, 1)) -> MiniMember:
    """A policy whose drift is `level`, plus a tenth per sampling seed; frames differ by one around it."""
    rows = [
        DriftRow(
            f"f{frame}", "start", f"f{frame}", 0, "toy", 0, None, condition, noise,
            *[(level + 0.1 * noise + frame - 0.5) * (condition != "none")] * 6, 0.0, None, "text",
        )
        for noise in seeds for condition in ("none", FLOOR, *CONDITIONS) for frame in (0, 1)
    ]  # fmt: skip
    return MiniMember(name, group, seed, tuple(rows))


def cells(found, **about):
    return [cell for cell in found if all(getattr(cell, key) == value for key, value in about.items())]


def test_a_recipe_deviates_over_trainings_and_a_policy_over_sampling_seeds():
    study = mini_study("toy", [member("start", "start", None, 1), member("a-0", "a", 0, 2), member("a-1", "a", 1, 4)])
    assert study.conditions == (*CONDITIONS, FLOOR)
    assert study.frames == 2
    (recipe,) = cells(study.recipes, group="a", condition="noise:0.2", measure="l2_raw")
    assert (recipe.mean, recipe.deviation) == (pytest.approx(3.05), pytest.approx(np.std([2.05, 4.05], ddof=1)))
    assert [seed for seed, _ in recipe.by_seed] == [0, 1]
    (policy,) = cells(study.policies, policy="a-1", condition="noise:0.2", measure="l2_raw")
    assert (policy.mean, policy.deviation) == (pytest.approx(4.05), pytest.approx(np.std([4, 4.1], ddof=1)))
    (alone,) = cells(study.recipes, group="start", condition=FLOOR, measure="gripper_flip")
    assert (alone.mean, alone.deviation) == (pytest.approx(1.05), None)
    assert len(study.policies) == 3 * 3 * len(METRICS)


def test_policies_without_an_audit_are_left_out():
    study = mini_study("toy", [member("a", "a", None, 1), MiniMember("b", "b", None, ())])
    assert {cell.policy for cell in study.policies} == {"a"}
    assert mini_study("toy", [MiniMember("b", "b", None, ())]) is None


def test_an_audit_without_its_control_is_refused():
    rows = tuple(row for row in member("a", "a", None, 1).rows if row.condition != "none")
    with pytest.raises(ConfigError, match="no repeat control"):
        mini_study("toy", [MiniMember("a", "a", None, rows)])
