"""A run and an audit, tied together: hand-made rows whose sums can be checked by eye."""

import numpy as np
import pandas as pd
import pytest

from simeval.analysis.join import join, study_conditions
from simeval.core.drift_row import FLOOR, DriftRow
from simeval.stats.drift import VARIANTS

CONDITIONS = ["none", "noise:0.1", "noise:0.3", "robot.qpos:0.1", "instruction:empty", "noise:0"]


def episodes(outcomes: dict[str, list[str]], suites=("toy",)) -> pd.DataFrame:
    """Two tasks with two initial states each; outcomes in that order, by condition."""
    found = [
        {"pair_id": f"{suite}/{task}/init0{state}/r0", "suite": suite, "task": task, "init_state": state}
        | {"condition": name, "outcome": values[2 * task + state]}
        for suite in suites
        for name, values in outcomes.items()
        for task in range(2)
        for state in range(2)
    ]
    frame = pd.DataFrame(found)
    frame["suite"] = pd.Categorical(frame["suite"], suites)
    frame["condition"] = pd.Categorical(frame["condition"], CONDITIONS)
    return frame


def row(pair: str | None, condition: str, drift: float | None, **changes) -> DriftRow:
    values = dict.fromkeys(VARIANTS, drift) | {
        "frame": f"{pair}@{changes.get('step', 0)}",
        "source": "start",
        "cluster": pair or "episode 0",
        "step": 0,
        "suite": "toy" if pair else "",
        "task": 0 if pair else None,
        "pair_id": pair,
        "condition": condition,
        "seed": 0,
        "mean_abs": 7.0,
        "psnr": 20.0,
        "instruction": "go",
    }
    return DriftRow(**{**values, **changes})


PAIRS = [f"toy/{task}/init0{state}/r0" for task in range(2) for state in range(2)]
OUTCOMES = {
    "none": ["success", "success", "success", "failure"],
    "noise:0.1": ["success", "failure", "success", "success"],
    "noise:0.3": ["failure", "infeasible", "error", "failure"],
}


def test_outcomes_and_drift_of_the_same_pair_meet():
    rows = [row(pair, "noise:0.3", 0.1 * i) for i, pair in enumerate(PAIRS)]
    rows += [row(PAIRS[0], FLOOR, 0.02), row(PAIRS[1], FLOOR, 0.04), row(PAIRS[0], "none", 0.0)]
    (found,) = join(episodes(OUTCOMES), rows[::-1])
    study = found.study
    assert [condition.name for condition in study.conditions] == CONDITIONS[1:]
    assert study.tasks.tolist() == [0, 0, 1, 1]
    assert study.init_states.tolist() == [0, 1, 0, 1]
    assert study.clean.tolist() == [1, 1, 1, 0]
    assert study.perturbed[:, 0].tolist() == [1, 0, 1, 1]
    assert study.perturbed[[0, 3], 1].tolist() == [0, 0]
    assert np.isnan(study.perturbed[[1, 2], 1]).all()
    assert study.infeasible[:, 1].tolist() == [False, True, False, False]
    assert study.drift[:, 1] == pytest.approx([0.0, 0.1, 0.2, 0.3])
    assert np.isnan(study.drift[:, 0]).all()
    assert study.floor == pytest.approx(0.03)
    assert found.frames == 4


def test_frames_and_seeds_of_a_pair_are_averaged_and_the_worst_moment_is_a_rival():
    drifts = [0.1] * 5 + [0.9] * 5
    rows = [
        row(PAIRS[0], "noise:0.1", drift, step=8 * i, source="replay", seed=seed)
        for i, drift in enumerate(drifts)
        for seed in (0, 1)
    ]
    (found,) = join(episodes(OUTCOMES), rows)
    assert found.study.drift[0, 0] == pytest.approx(0.5)
    worst = {rival.name: rival.values for rival in found.rivals}["drift_exec, worst moment"]
    assert worst[0] == pytest.approx(0.9)
    assert np.isnan(worst[1])


def test_drift_of_a_dataset_serves_every_suite_but_no_pair():
    rows = [row(None, "noise:0.1", 0.2, frame="episode 0@0"), row(None, "noise:0.1", 0.4, frame="episode 0@9")]
    rows += [row(None, "noise:0.1", 0.6, frame="episode 1@0", cluster="episode 1")]
    for found in join(episodes(OUTCOMES, ("toy", "libero_goal")), rows):
        assert found.study.drift is None
        assert found.study.frames.values[:, 0].tolist() == [0.2, 0.4, 0.6]
        assert found.study.frames.clusters.tolist() == [0, 0, 1]


def test_rivals_are_means_over_clusters_and_inner_distances_are_among_them():
    rows = [row(PAIRS[0], "noise:0.1", 0.2, step=step, frame=f"a@{step}", mean_abs=4.0) for step in range(3)]
    rows += [row(PAIRS[1], "noise:0.1", 0.2, mean_abs=8.0, representation=(("vision_cosine", 0.5),))]
    (found,) = join(episodes(OUTCOMES), rows)
    rivals = {rival.name: rival.values[0] for rival in found.rivals}
    assert rivals["mean_abs"] == pytest.approx(6.0)
    assert rivals["vision_cosine"] == pytest.approx(0.5)
    assert "drift_exec" not in rivals
    assert "drift_exec, worst moment" not in rivals


def test_without_an_audit_there_are_outcomes_and_no_drift():
    (found,) = join(episodes(OUTCOMES), [])
    assert found.study.drift is None
    assert found.study.frames is None
    assert found.rivals == ()


def test_infeasible_frames_have_no_drift():
    (found,) = join(
        episodes(OUTCOMES), [row(PAIRS[0], "noise:0.1", None, infeasible="no room"), row(PAIRS[1], "noise:0.1", 1)]
    )
    assert np.isnan(found.study.drift[0, 0])
    assert found.study.drift[1, 0] == 1


def test_conditions_are_classed_by_what_they_do():
    names = ["noise:0.1", "noise:0.3", "noise:0.3@wrist", "light:0.6", "light:0.2", "light:0.6+noise:0.1"]
    names += ["robot.qpos:0.1", "instruction:empty", "instruction:paraphrase", "noise:0", "noise:0+light:1"]
    found = {condition.name: condition for condition in study_conditions(names)}
    assert {c.axis_family for c in found.values() if "+" in c.name} == {"light+noise"}
    assert found["noise:0.1"].severity == pytest.approx(0.1)
    assert found["noise:0.3@wrist"].severity is None
    assert found["noise:0.3@wrist"].axis_family == "noise"
    assert found["light:0.2"].severity == pytest.approx(0.8)
    assert found["light:0.6+noise:0.1"].severity is None
    assert found["instruction:empty"].severity is None
    validities = {name: condition.validity for name, condition in found.items()}
    assert validities["robot.qpos:0.1"] == "not_applicable"
    assert validities["instruction:empty"] == "changed"
    assert validities["instruction:paraphrase"] == "kept"
    assert [name for name, condition in found.items() if condition.identity] == ["noise:0", "noise:0+light:1"]
