"""The logistic curve, what it cannot fit, leave-one-out prediction and the drift budget."""

from dataclasses import replace

import numpy as np
import pytest
from drift_studies import simulated
from scipy.special import expit

from simeval.stats.budget import drift_budgets
from simeval.stats.curve import Cells, cells_of, drift_at, fit_curve, monotone_curve, separates
from simeval.stats.loco import calibration, leave_out, prediction_band


def cells(rates: np.ndarray, drift: np.ndarray, n: int = 1000) -> Cells:
    """Cells with rates[tasks, conditions] at drift[conditions]."""
    tasks, conditions = np.indices(rates.shape)
    return Cells(
        tasks.ravel(),
        conditions.ravel(),
        (rates * n).round().ravel(),
        np.full(rates.size, float(n)),
        np.tile(drift, len(rates)),
    )


DRIFT = np.geomspace(0.02, 1.0, 10)
EASE = np.array([1.0, 2.0, 3.0])
PLANTED = cells(expit(EASE[:, None] - 5 * np.log1p(DRIFT)), DRIFT)


def test_a_planted_curve_is_recovered():
    curve = fit_curve(PLANTED).curve
    assert curve.beta == pytest.approx(-5, abs=0.02)
    assert [curve.alphas[task] for task in range(3)] == pytest.approx(EASE, abs=0.02)
    assert curve.dispersion < 0.1
    assert curve.predict([1], [0.5])[0] == pytest.approx(expit(2 - 5 * np.log1p(0.5)), abs=0.01)
    assert curve.mean(drift_at(curve, 0.5)) == pytest.approx(0.5)


def test_tasks_without_information_do_not_break_the_fit():
    rates = expit(np.array([1.0, 2.0, 0, 0])[:, None] - 5 * np.log1p(DRIFT))
    rates[2], rates[3] = 1.0, 0.0
    curve = fit_curve(cells(rates, DRIFT)).curve
    assert curve.beta == pytest.approx(-5, abs=0.05)
    assert (curve.alphas[2], curve.alphas[3]) == (np.inf, -np.inf)
    assert curve.predict([2, 3], [0.5, 0.5]).tolist() == [1.0, 0.0]


def test_separation_is_seen_and_not_fitted():
    split = cells((DRIFT < 0.5)[None].astype(float), DRIFT, n=20)
    assert separates(split)
    fit = fit_curve(split)
    assert (fit.curve, fit.separated) == (None, True)
    assert "threshold" in fit.reason
    assert not separates(PLANTED)
    opposed = cells(np.array([DRIFT < 0.5, DRIFT > 0.5]).astype(float), DRIFT, n=20)
    assert fit_curve(opposed).curve is not None, "tasks that disagree in direction have a finite slope"


@pytest.mark.parametrize(("rate", "words"), [(1.0, "always succeeded"), (0.0, "always failed")])
def test_nothing_to_fit_is_said(rate, words):
    assert words in fit_curve(cells(np.full((2, 10), rate), DRIFT)).reason
    assert "drift the same" in fit_curve(cells(np.full((2, 10), 0.5), np.full(10, 0.3))).reason


def test_overdispersion_widens_the_standard_error():
    rng = np.random.default_rng(0)
    noisy = cells(np.clip(expit(EASE[:, None] - 5 * np.log1p(DRIFT)) + rng.normal(0, 0.1, (3, 10)), 0, 1), DRIFT)
    fit, calm = fit_curve(noisy).curve, fit_curve(PLANTED).curve
    assert fit.dispersion > 1.5
    assert fit.se > 2 * calm.se


def test_the_monotone_curve_never_rises():
    places, rates = monotone_curve([3, 1, 2, 2], [0.1, 0.8, 0.9, 0.7], [1, 1, 1, 1])
    assert places.tolist() == [1, 2, 3]
    assert rates.tolist() == pytest.approx([0.8, 0.8, 0.1])
    assert monotone_curve([], [], [])[0].size == 0


@pytest.mark.parametrize("scheme", ["condition", "family"])
def test_planted_conditions_are_predicted(scheme):
    found = leave_out(PLANTED, np.arange(10) // 2, scheme)
    assert (found.method, found.k, found.reason) == ("logistic", 10, "")
    assert found.mae < 0.01 < 0.1 < found.mae_naive
    assert found.skill > 0.95
    assert found.q2 > 0.99
    assert found.band.level == 0.9
    assert [row.observed - row.predicted for row in found.held_out] == [row.residual for row in found.held_out]
    assert all(row.interval.low <= row.predicted <= row.interval.high for row in found.calibration)


def test_unrelated_drift_has_no_skill():
    study = simulated(unrelated=True)
    found = leave_out(cells_of(study), np.arange(24) // 4)
    assert found.skill < 0.1


def test_the_held_out_condition_is_not_seen():
    """Its own outcome must not move its own prediction."""
    changed = PLANTED.successes.copy()
    changed[PLANTED.conditions == 4] = 0.0
    worse = Cells(PLANTED.tasks, PLANTED.conditions, changed, PLANTED.n, PLANTED.drift)
    one, other = (leave_out(part, np.arange(10)).held_out[4] for part in (PLANTED, worse))
    assert one.predicted == other.predicted
    assert one.observed > other.observed == 0.0


def test_separated_folds_fall_back_on_the_monotone_curve():
    found = leave_out(cells((DRIFT < 0.5)[None].astype(float), DRIFT, n=20), np.arange(10))
    assert found.method == "monotone"
    assert found.skill > 0.5


@pytest.mark.parametrize(
    ("count", "families", "scheme", "words"),
    [(3, 3, "condition", "too few conditions: 3"), (8, 2, "family", "too few families to leave out: 2")],
)
def test_too_few_to_leave_out(count, families, scheme, words):
    few = PLANTED.where(PLANTED.conditions < count)
    found = leave_out(few, np.arange(10) % families, scheme)
    assert (found.mae, found.skill) == (None, None)
    assert words in found.reason


def test_equal_success_has_an_error_but_no_skill():
    found = leave_out(cells(np.full((2, 10), 1.0), DRIFT), np.arange(10))
    assert (found.mae, found.skill, found.q2) == (0.0, None, None)
    assert "same success rate" in found.reason


def test_the_band_needs_enough_conditions():
    sizes = np.arange(1, 20) / 100
    assert prediction_band(sizes).level == 0.95
    assert prediction_band(sizes).half_width == pytest.approx(0.19)
    assert (prediction_band(sizes[:9]).level, prediction_band(sizes[:9]).half_width) == (0.9, 0.09)
    assert (prediction_band(sizes[:8]).level, prediction_band(-sizes[:8]).half_width) == (None, 0.08)
    assert prediction_band([]) is None


def test_calibration_counts_every_cell_once():
    predicted = np.linspace(0, 1, 23)
    rows = calibration(predicted, np.round(20 * predicted), np.full(23, 20.0))
    assert (len(rows), sum(row.cells for row in rows), sum(row.n for row in rows)) == (5, 23, 460)
    assert all(row.observed == pytest.approx(row.predicted, abs=0.02) for row in rows)
    assert len(calibration(np.full(5, 0.5), np.ones(5), np.full(5, 2.0))) == 1
    assert calibration([], [], []) == ()


def test_a_budget_is_given_and_ordered():
    strict, loose = drift_budgets(PLANTED, np.arange(10), float(expit(EASE).mean()))
    assert (strict.retained, loose.retained) == (0.9, 0.5)
    assert strict.drift < loose.drift
    assert strict.low <= strict.drift <= strict.high
    assert strict.rate == pytest.approx(0.9 * expit(EASE).mean())


def test_few_families_have_limits_and_three_have_none():
    """Families of several strengths: the limits come from their number, not from that of the conditions."""
    clean = float(expit(EASE).mean())
    four, three = (drift_budgets(PLANTED, np.arange(10) % count, clean)[1] for count in (4, 3))
    assert four.low < four.drift < four.high
    assert (three.low, three.high) == (None, None)
    assert three.reason == "too few families for limits: 3, at least 4 are needed"


def test_below_the_drifts_observed_nothing_is_known():
    rng = np.random.default_rng(4)
    noisy = replace(
        PLANTED, successes=rng.binomial(4, PLANTED.successes / PLANTED.n).astype(float), n=PLANTED.n * 0 + 4
    )
    budget = drift_budgets(noisy, np.arange(10), float(expit(EASE).mean()))[0]
    assert budget.low == 0.0 or budget.low >= PLANTED.drift.min()


def test_no_budget_is_explained():
    rising = Cells(PLANTED.tasks, PLANTED.conditions, PLANTED.n - PLANTED.successes, PLANTED.n, PLANTED.drift)
    mild = PLANTED.where(PLANTED.conditions < 4)
    reasons = [
        drift_budgets(rising, np.arange(10), 0.9)[0].reason,
        drift_budgets(PLANTED, np.arange(10), 0.0)[0].reason,
        drift_budgets(PLANTED, np.arange(10), None)[0].reason,
        drift_budgets(mild, np.arange(10), 0.9)[1].reason,
    ]
    assert reasons == [
        "success does not fall with drift",
        "no clean episode succeeded",
        "no clean episode succeeded",
        "fewer than 2 conditions lie on either side of this success rate",
    ]
