"""The whole report's numbers: planted relations are found, absent ones are not, thin data give words and never NaN."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from drift_studies import constant, simulated
from worlds import World

from simeval.stats.association import Association
from simeval.stats.clusters import clusters_needed
from simeval.stats.correlation import Correlation, Options, correlate
from simeval.stats.intervals import Interval
from simeval.stats.loco import Loco
from simeval.stats.reliability import drop_reliability
from simeval.stats.resampling import Resampling
from simeval.stats.screening import Predictor, dose_response, screening_table, top_one
from simeval.stats.study import ConditionInfo, DriftOutcomes, FrameDrift, condition_points, validity
from simeval.stats.verdict import UNEQUAL, classify

QUICK = Options(resampling=Resampling(n_resamples=99, n_permutations=499))
COARSE = Options(resampling=Resampling(n_resamples=19, n_permutations=99))
"""Where no interval is looked at."""


def values(found: object) -> list[object]:
    """All leaves of a value."""
    if isinstance(found, dict):
        return [leaf for part in found.values() for leaf in values(part)]
    if isinstance(found, list | tuple):
        return [leaf for part in found for leaf in values(part)]
    return [found]


def clean_of_nan(found: Correlation) -> bool:
    """Only the intercepts of tasks that always or never succeed may be infinite."""
    record = asdict(found)
    record["curve"] = None
    json.dumps(record, allow_nan=False)
    return not any(isinstance(leaf, float) and not np.isfinite(leaf) for leaf in values(record))


@pytest.fixture(scope="module")
def planted() -> Correlation:
    study = simulated(1)
    rng = np.random.default_rng(0)
    noise = Predictor("noise", rng.random(24))
    patchy = Predictor("patchy", np.where(np.arange(24) < 12, np.nanmean(study.drift, axis=0), np.nan))
    return correlate(study, (noise, patchy), QUICK)


def test_a_planted_relation_is_found(planted):
    primary = planted.between[0]
    assert primary.association.stat == "spearman"
    assert primary.association.value > 0.7
    assert primary.association.p < 0.05
    assert primary.ci_measurement.low < primary.association.value
    assert planted.verdict.word == "useful for ranking"
    assert (planted.k, planted.families) == (24, 6)
    assert planted.within_task.rho > 0.5
    assert planted.loco[0].skill > 0.4
    assert planted.between_families.k == 6
    assert 0.8 < planted.ceiling.ceiling < 1
    assert planted.curve.beta < 0
    assert clean_of_nan(planted)


def test_unrelated_drift_is_not_predictive():
    found = correlate(simulated(unrelated=True), (), QUICK)
    assert found.verdict.word == "not predictive"
    assert found.loco[0].skill < 0.1
    assert all(budget.drift is None and budget.reason for budget in found.budgets)
    assert clean_of_nan(found)


def test_rivals_are_ranked_on_what_they_have(planted):
    ranking = {row.name: row for row in planted.ranking}
    assert [row.name for row in planted.ranking][-1] == "noise"
    assert ranking["drift_exec"].primary
    assert ranking["drift_exec"].p_holm is None
    assert ranking["noise"].less_than_primary > 0.4
    assert ranking["noise"].p_holm >= ranking["noise"].association.p
    assert (ranking["patchy"].association.k, ranking["patchy"].less_than_primary) == (12, pytest.approx(0.0))
    assert ranking["drift_exec"].skill == pytest.approx(planted.loco[0].skill, abs=0.2)


def test_same_inputs_same_numbers(planted):
    one, other = (json.dumps(asdict(correlate(simulated(2), (), COARSE))) for _ in range(2))
    assert one == other


def test_the_order_of_conditions_and_pairs_does_not_matter():
    study = simulated(3, tasks=3, states=6)
    columns, rows = np.random.default_rng(1).permutation(24), np.random.default_rng(2).permutation(18)
    shuffled = study.select(columns)
    shuffled = replace(
        shuffled,
        tasks=study.tasks[rows],
        init_states=study.init_states[rows],
        clean=study.clean[rows],
        perturbed=shuffled.perturbed[rows],
        drift=shuffled.drift[rows],
    )
    one, other = correlate(study, (), COARSE), correlate(shuffled, (), COARSE)
    for a, b in zip(one.between, other.between, strict=True):
        assert a.association.value == pytest.approx(b.association.value)
        assert a.association.loo_min == pytest.approx(b.association.loo_min)
    assert one.within_task.rho == pytest.approx(other.within_task.rho)
    assert [a.value for a in one.aurocs] == pytest.approx([a.value for a in other.aurocs])
    assert one.loco[1].mae == pytest.approx(other.loco[1].mae)
    assert [s.caught for s in one.screening] == [s.caught for s in other.screening]


def test_the_scale_of_drift_does_not_matter_to_ranks():
    study = simulated(3, tasks=3, states=6)
    scaled = correlate(replace(study, drift=100 * study.drift, floor=2.0), (), COARSE)
    plain = correlate(study, (), COARSE)
    assert scaled.between[0].association == plain.between[0].association
    assert [p.drift.over_floor for p in scaled.points] == pytest.approx([p.drift.over_floor for p in plain.points])
    assert scaled.screening == plain.screening
    assert [a.value for a in scaled.aurocs] == [a.value for a in plain.aurocs]


@pytest.mark.parametrize(
    ("study", "words"),
    [
        (constant(1.0, 1.0), "all conditions lose the same success"),
        (constant(1.0, 0.0), "all conditions lose the same success"),
        (constant(0.0, 0.0), "all conditions lose the same success"),
        (constant(1.0, 1.0, conditions=0), "too few conditions: 0"),
        (constant(1.0, 1.0, pairs=0), "too few conditions: 0"),
        (constant(np.nan, np.nan), "too few conditions: 0"),
    ],
    ids=["all-success", "all-failure", "hopeless", "no conditions", "no pairs", "all errors"],
)
def test_thin_data_give_words_and_never_nan(study, words):
    found = correlate(study, (Predictor("other", np.linspace(0, 1, len(study.conditions))),), COARSE)
    assert found.verdict.word == "undecided"
    assert words in found.verdict.reason
    assert found.between[0].association.value is None
    assert clean_of_nan(found)


def test_hopeless_policies_and_saturated_cells_are_named():
    assert "never succeeded" in correlate(constant(0.0, 0.0), (), COARSE).caveats[0]
    assert any("carry no order" in line for line in correlate(constant(1.0, 1.0), (), COARSE).caveats)


def test_drops_that_differ_from_the_table_of_drops_are_named():
    """Task 0 has 30 pairs and loses nothing, task 1 has 2 and loses all: 6 points over pairs, 50 over tasks."""
    tasks, k = np.repeat([0, 1], [30, 2]), 4
    conditions = tuple(ConditionInfo(f"c{i}", f"c{i}") for i in range(k))
    perturbed = np.repeat(np.where(tasks == 0, 1.0, 0.0)[:, None], k, axis=1)
    drift = np.tile(np.linspace(0.1, 0.4, k), (32, 1))
    study = DriftOutcomes(conditions, tasks, np.arange(32), np.ones(32), perturbed, drift)
    found = correlate(study, (), COARSE)
    assert found.points[0].drop == 2 / 32
    assert found.caveats[-1] == UNEQUAL
    assert UNEQUAL not in correlate(constant(1.0, 1.0), (), COARSE).caveats


def test_three_conditions_are_too_few():
    found = correlate(simulated(families=3, severities=1), (), QUICK)
    assert (found.k, found.between[0].association.ci_conditions) == (3, None)
    assert found.between[0].association.p > 0.3
    assert found.verdict == replace(found.verdict, word="undecided", more_kinds=3)
    assert "at least 6" in found.verdict.reason
    assert "too few conditions: 3" in found.loco[0].reason
    assert clean_of_nan(found)


def test_constant_drift_is_said():
    study = simulated(4, tasks=2, states=5)
    found = correlate(replace(study, drift=np.full_like(study.drift, 0.3)), (), COARSE)
    assert "drift the same" in found.verdict.reason
    assert clean_of_nan(found)


def test_exclusions_have_reasons():
    study = simulated(5, tasks=2, states=5)
    conditions = list(study.conditions)
    conditions[0] = replace(conditions[0], validity="changed")
    conditions[1] = replace(conditions[1], validity="not_applicable")
    conditions[2] = replace(conditions[2], identity=True)
    perturbed, drift = study.perturbed.copy(), study.drift.copy()
    perturbed[:, 3] = np.nan
    perturbed[0, 4] = np.nan
    drift[:, 5] = np.nan
    found = correlate(replace(study, conditions=tuple(conditions), perturbed=perturbed, drift=drift), (), COARSE)
    assert [point.reason for point in found.points[:7]] == [
        "meaning changed: here a good policy drifts",
        "drift cannot see it: offline, the policy is shown the same",
        "changes nothing: it lies at (0, 0) by construction",
        "no complete pair",
        "more than 2 % of pairs missing",
        "no drift was measured",
        "",
    ]
    assert found.k == 18
    assert [row.condition for row in found.changed] == ["axis0:0"]
    assert found.changed[0].unmoved is False
    assert clean_of_nan(found)


def test_infeasible_pairs_are_not_missing():
    study = simulated(5, tasks=2, states=5)
    perturbed, infeasible = study.perturbed.copy(), np.zeros(study.perturbed.shape, dtype=bool)
    perturbed[:3, 0], infeasible[:3, 0] = np.nan, True
    point = condition_points(replace(study, perturbed=perturbed, infeasible=infeasible))[0]
    assert (point.pairs, point.missing, point.reason) == (7, 0, "")


def test_tasks_that_a_condition_was_not_run_on_are_not_missing():
    study = simulated(5, tasks=2, states=5)
    perturbed = study.perturbed.copy()
    perturbed[study.tasks == 1, 0] = np.nan
    point = condition_points(replace(study, perturbed=perturbed))[0]
    assert (point.pairs, point.missing, point.reason) == (5, 0, "")
    assert correlate(replace(study, perturbed=perturbed), (), COARSE).within_task.tasks[1].conditions == 23


def test_drift_of_other_frames_ranks_conditions_only():
    study = simulated(6)
    frames = FrameDrift(study.drift[:30], np.arange(30) // 3)
    found = correlate(replace(study, drift=None, frames=frames), (), QUICK)
    assert found.between[0].association.value > 0.6
    assert found.between[0].ci_measurement is not None
    assert found.within_task is None
    assert {area.value for area in found.aurocs} == {None}
    assert "drift of its own" in found.aurocs[0].reason
    assert clean_of_nan(found)


def test_repeats_of_an_initial_state_are_one_unit():
    study = simulated(7, tasks=2, states=10)
    twice = np.repeat(np.arange(20), 2)
    doubled = replace(
        study,
        tasks=study.tasks[twice],
        init_states=study.init_states[twice],
        clean=study.clean[twice],
        perturbed=study.perturbed[twice],
        drift=study.drift[twice],
    )
    one, other = condition_points(study)[5], condition_points(doubled)[5]
    assert (other.pairs, other.drop, other.drift.clusters) == (2 * one.pairs, one.drop, one.drift.clusters)
    assert other.drop_se == pytest.approx(one.drop_se)
    assert other.drift.se == pytest.approx(one.drift.se)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"tasks": np.zeros(3, int)}, "tasks has shape"),
        ({"clean": np.full(10, 0.5)}, "neither 0 nor 1"),
        ({"drift": np.full((10, 24), -1.0)}, "negative"),
        ({"conditions": (ConditionInfo("a", "a"),) * 24}, "occurs twice"),
        ({"drift": np.zeros((10, 3))}, "drift has shape"),
    ],
)
def test_wrong_studies_are_refused(change, words):
    with pytest.raises(ValueError, match=words):
        replace(simulated(tasks=2, states=5), **change)


def test_wrong_rivals_are_refused():
    with pytest.raises(ValueError, match="expected 24 distances"):
        correlate(simulated(tasks=2, states=5), (Predictor("short", np.ones(3)),), COARSE)
    with pytest.raises(ValueError, match="not negative"):
        correlate(simulated(tasks=2, states=5), (Predictor("negative", -np.ones(24)),), COARSE)


@pytest.mark.parametrize(
    ("meaning", "channels", "expected"),
    [
        ("kept", {"image"}, "kept"),
        ("kept", {"image", "scene", "state"}, "kept"),
        ("kept", {"language"}, "kept"),
        ("changed", {"language"}, "changed"),
        ("not_applicable", {"language", "image"}, "changed"),
        ("kept", {"physics"}, "not_applicable"),
        ("changed", {"language", "action"}, "not_applicable"),
        ("kept", {"image", "timing"}, "not_applicable"),
    ],
)
def test_validity(meaning, channels, expected):
    assert validity(meaning, channels) == expected


def rho(value: float, low: float, high: float, k: int = 24, kinds: int = 8, p: float = 0.01) -> Association:
    return Association("spearman", value, Interval(low, high, 0.95, "test"), p=p, k=k, n_clusters=kinds)


HIGH = rho(0.9, 0.6, 0.97)
ORDERED, UNORDERED = rho(0.8, 0.2, 0.9, 8), rho(0.3, -0.5, 0.9, 8, p=0.4)


@pytest.mark.parametrize(
    ("association", "families", "skill", "word", "words"),
    [
        (HIGH, ORDERED, 0.4, "useful for ranking", "0.90 [0.60, 0.97] over 24 conditions of 8 kinds; skill"),
        (HIGH, rho(0.8, -0.1, 0.9, 8, p=0.03), 0.4, "useful for ranking", "skill for a new kind 0.40"),
        (HIGH, rho(0.8, 0.1, 0.9, 8, p=0.09), 0.4, "useful for ranking", "skill for a new kind 0.40"),
        (HIGH, UNORDERED, 0.4, "orders strengths of one kind", "kinds are not shown to be ordered"),
        (HIGH, rho(-0.9, -0.99, -0.5, 8), 0.4, "orders strengths of one kind", "kinds are not shown to be ordered"),
        (HIGH, Association("spearman", None), 0.4, "orders strengths of one kind", "not shown"),
        (HIGH, ORDERED, 0.0, "orders strengths of one kind", "a new kind is predicted no better than by the mean"),
        (HIGH, ORDERED, None, "undecided", "could be predicted"),
        (rho(0.9, 0.6, 0.97, 8, 8), ORDERED, 0.0, "undecided", "no better than the mean"),
        (rho(-0.1, -0.5, 0.29), ORDERED, 0.4, "not predictive", "below 0.3"),
        (rho(0.7, 0.4, 0.9), ORDERED, 0.4, "undecided", "more kinds of perturbation"),
        (rho(0.1, -0.4, 0.5), ORDERED, 0.4, "undecided", "more kinds of perturbation"),
        (rho(0.4, 0.0, 0.7), ORDERED, 0.4, "undecided", "decide nothing"),
        (rho(0.501, 0.0, 0.7), ORDERED, 0.4, "undecided", "too close"),
    ],
)
def test_words_are_earned(association, families, skill, word, words):
    verdict = classify(association, families, Loco("family", "logistic", 24, skill=skill))
    assert verdict.word == word
    assert words in verdict.reason
    assert verdict.more_kinds is None or verdict.more_kinds > 0


def test_more_strengths_of_the_same_kinds_are_not_asked_for():
    few, many = (classify(rho(0.75, 0.4, 0.9, k), ORDERED, Loco("family", "", k, skill=0.4)) for k in (8, 24))
    assert few.more_kinds == many.more_kinds == clusters_needed(0.75, 0.5, 0.4, 8) - 8


def test_families_that_are_unrelated_are_not_useful_however_strong_they_rise():
    """Nine kinds of three strengths: drift and loss grow with strength, but a kind's drift says nothing of its loss."""
    rng = np.random.default_rng(21)
    words = [correlate(World((3,) * 9, rise=1.2).study(rng), (), COARSE).verdict.word for _ in range(6)]
    assert "useful for ranking" not in words


def test_noise_that_all_drops_share_lowers_no_ceiling():
    """Outcomes that follow from the condition alone: all noise is the clean arm's, and it blurs no order."""
    rng = np.random.default_rng(22)
    clean = (rng.random(50) < 0.5).astype(float)
    perturbed = np.tile((np.arange(8) < 4).astype(float), (50, 1))
    conditions = tuple(ConditionInfo(f"c{i}", f"c{i}") for i in range(8))
    study = DriftOutcomes(conditions, np.arange(50) % 5, np.arange(50) // 5, clean, perturbed, rng.random((50, 8)))
    found = drop_reliability(study)
    assert found.noise == pytest.approx(0.0, abs=1e-12)
    assert found.ceiling == pytest.approx(1.0)


def test_the_noise_is_half_the_variance_of_a_difference():
    """Two halves of the conditions: by hand from the harm table, in one task."""
    study = replace(simulated(9, tasks=1, states=30, families=3, severities=1))
    drops = study.pair_drops
    pairs = [(0, 1), (0, 2), (1, 2)]
    expected = np.mean([(drops[:, a] - drops[:, b]).var(ddof=1) / 30 / 2 for a, b in pairs])
    assert drop_reliability(study).noise == pytest.approx(expected)


def test_the_correlation_without_noise_stands_beside_the_ceiling(planted):
    value = planted.between[0].association.value
    assert planted.noise_free == pytest.approx(min(1.0, value / planted.ceiling.ceiling))
    assert value < planted.noise_free <= 1
    assert correlate(constant(1.0, 1.0), (), COARSE).noise_free is None


def test_a_repeat_is_around_the_value_and_mmrv_has_none(planted):
    """Resamples carry the noise twice and lean to 0; the value must not lie at the upper limit."""
    for row in planted.between:
        if row.association.stat == "mmrv":
            assert (row.ci_measurement, row.association.ci_conditions) == (None, None)
        else:
            z = np.arctanh([row.ci_measurement.low, row.association.value, row.ci_measurement.high])
            assert z[1] - z[0] == pytest.approx(z[2] - z[1])


def test_screening_by_hand():
    table = screening_table([0.1, 0.9, 0.5], [0.3, 0.4, 0.0], [True, True, False])
    assert [(row.rolled_out, row.caught, row.worst_missed) for row in table] == [
        (1, 0.5, 0.3),
        (2, 0.5, 0.3),
        (3, 1.0, None),
    ]
    assert table[0].skipped == pytest.approx(2 / 3)
    assert screening_table([0.1], [0.0], [False])[0].caught is None
    assert screening_table([], [], []) == ()


def test_top_one_and_regret():
    assert top_one([1, 2, 3], [0.1, 0.5, 0.2]).regret == pytest.approx(0.3)
    assert top_one([1, 2, 3], [0.1, 0.5, 0.5]).agree
    assert top_one([], []) is None


def test_dose_response_needs_three_strengths():
    rows = dose_response(["a"] * 3 + ["b"] * 2, [1.0, 2.0, 3.0, 1.0, 2.0], [1, 2, 3, 1, 2], [0.0, 0.0, 0.0, 0.1, 0.2])
    assert [(row.axis_family, row.severity_drift, row.severity_drop) for row in rows] == [("a", 1.0, None)]


def test_simpsons_paradox_is_the_first_thing_said():
    """Condition 0 runs on the hard task only, where everything drifts and drops more."""
    rng = np.random.default_rng(8)
    tasks, k = np.repeat([0, 1], 40), 8
    level = np.linspace(0, 0.3, k)
    conditions = tuple(ConditionInfo(f"c{i}", f"c{i}") for i in range(k))
    hard = np.arange(k) >= 4
    chance = np.where(tasks[:, None] == 1, 0.5, 0.95) + level * 0.5
    perturbed = (rng.random((80, k)) < np.clip(chance, 0, 1)).astype(float)
    drift = np.where(tasks[:, None] == 1, 1.0, 0.1) + level + 0 * perturbed
    perturbed[(tasks[:, None] == 1) != hard] = np.nan
    study = DriftOutcomes(conditions, tasks, np.tile(np.arange(40), 2), np.ones(80), perturbed, drift)
    found = correlate(study, (), COARSE)
    assert found.between[0].association.value > 0
    assert found.within_task.rho < 0
    assert "Simpson" in found.caveats[0]


@pytest.mark.slow
def test_verdicts_of_unrelated_drift_are_seldom_wrong():
    words = [correlate(simulated(seed, unrelated=True), (), COARSE).verdict.word for seed in range(40)]
    assert words.count("useful for ranking") == 0
    planted = [correlate(simulated(seed), (), COARSE).verdict.word for seed in range(20)]
    assert planted.count("not predictive") == 0
    assert planted.count("useful for ranking") > 7
