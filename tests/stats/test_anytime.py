"""Inference that stays valid however often one looks: goldens, laws, and simulated error rates."""

import math

import numpy as np
import pytest
from paired_worlds import pairs_alike, pairs_in_rounds
from scipy.special import betainc, betaln
from scipy.stats import binom

from simeval.stats.anytime import ALPHA, SequentialTest, confidence_interval, log_e_values
from simeval.stats.paired import paired_drop


def drop_e_value(harmed, helped):
    """After so many pairs; the order has no influence."""
    return math.exp(log_e_values([-1.0] * harmed + [1.0] * helped, 0.0)[-1])


@pytest.mark.parametrize(("harmed", "helped", "value"), [(6, 0, 18.1), (7, 0, 31.9), (1, 0, 1.5), (0, 1, 0.5)])
def test_e_values_of_the_audit(harmed, helped, value):
    assert drop_e_value(harmed, helped) == pytest.approx(value, abs=0.05)


def test_against_no_drop_it_is_the_sign_test_with_a_uniform_prior():
    for harmed, helped in [(3, 1), (10, 2), (14, 14), (20, 5)]:
        changed = harmed + helped
        exact = 2 ** (changed + 1) * math.exp(betaln(harmed + 1, helped + 1)) * betainc(helped + 1, harmed + 1, 0.5)
        assert drop_e_value(harmed, helped) == pytest.approx(exact, rel=1e-9)


def test_unchanged_pairs_say_nothing_about_whether_there_is_a_drop_but_much_about_how_large_it_is():
    assert log_e_values([0.0] * 50, 0.0)[-1] == pytest.approx(0.0, abs=1e-12)
    within = log_e_values([0.0] * 200, 0.05)
    assert (np.diff(within) > 0).all()
    assert within[-1] > math.log(1 / ALPHA)


def test_a_fair_bet_wins_nothing_on_average():
    """One pair whose mean difference is at the limit: the e-value is 1 on average, whatever the limit."""
    for limit in (-0.4, 0.0, 0.05, 0.3):
        for helped in (0.0, 0.1, 0.3):
            harmed = limit + helped
            if not 0 <= harmed <= 1 - helped:
                continue
            values = [math.exp(log_e_values([d], limit)[0]) for d in (1.0, -1.0, 0.0)]
            mean = np.dot(values, [harmed, helped, 1 - harmed - helped])
            assert mean == pytest.approx(1.0, abs=1e-12)


def test_the_interval_has_the_limits_that_no_test_has_rejected():
    differences = [1.0, 0.0, 0.0, 1.0, 0.0, -1.0, 1.0, 0.0] * 12
    found = confidence_interval(differences)
    assert 0.0 < found.low < np.mean(differences) < found.high < 1.0
    values = np.asarray(differences)
    needed = math.log(40)
    assert log_e_values(-values, -found.low).max() >= needed
    assert log_e_values(-values, -(found.low + 0.006)).max() < needed
    assert log_e_values(values, found.high).max() >= needed
    assert log_e_values(values, found.high - 0.006).max() < needed


def test_without_pairs_nothing_is_known():
    assert (confidence_interval([]).low, confidence_interval([]).high) == (-1.0, 1.0)
    test = SequentialTest(["noise:0.1"], 0.05)
    assert (test.undecided, test.p_values(), test.expected_left("noise:0.1")) == (
        ("noise:0.1",),
        {"noise:0.1": 1.0},
        None,
    )


# Several conditions


def fed(columns, margin=0.05):
    """A test that got one position after the other; NaN for a condition that does not run there."""
    test = SequentialTest(list(columns), margin)
    for row in zip(*columns.values(), strict=True):
        test.add({name: value for name, value in zip(columns, row, strict=True) if not math.isnan(value)})
    return test


def test_a_harmful_a_helpful_and_a_harmless_condition():
    test = fed({"harm": [1.0] * 200, "help": [-1.0] * 200, "same": [0.0] * 200})
    assert {name: found.verdict for name, found in test.decisions.items()} == {
        "harm": "drop",
        "help": "within",
        "same": "within",
    }
    # The first call needs an e-value of 3 / .025.
    assert [math.exp(log_e_values([-1.0] * n, 0.0)[-1]) >= 120 for n in (9, 10)] == [False, True]
    assert test.decisions["harm"].pairs == 10
    assert test.p_values()["harm"] < ALPHA < test.p_values()["same"]
    assert test.undecided == ()


def test_the_level_grows_with_every_call():
    """One call makes the next one easier: 2 / .025 instead of 3 / .025."""
    weak = [1.0] * 9 + [0.0] * 191
    alone = fed({"weak": weak, "a": [0.0] * 200, "b": [0.0] * 200}, margin=0.001)
    helped = fed({"weak": weak, "a": [1.0] * 200, "b": [0.0] * 200}, margin=0.001)
    assert "weak" not in alone.decisions
    assert helped.decisions["weak"].verdict == "drop"
    assert helped.p_values()["weak"] < ALPHA < alone.p_values()["weak"]


def test_p_values_and_calls_agree():
    rng = np.random.default_rng(5)
    for _ in range(12):
        rates = rng.uniform(0, 0.35, 6)
        columns = {f"c{i}": rng.choice([1.0, 0.0, -1.0], 120, p=[r, 0.95 - r, 0.05]) for i, r in enumerate(rates)}
        test = fed(columns, margin=1e-6)
        dropped = {name for name, found in test.decisions.items() if found.verdict == "drop"}
        assert dropped == {name for name, p in test.p_values().items() if p <= ALPHA}


def test_positions_where_a_condition_does_not_run_are_passed_over():
    gaps = [math.nan, 1.0] * 20
    assert fed({"gaps": gaps, "none": [0.0] * 40}).decisions["gaps"].pairs == 9
    assert fed({"gaps": gaps, "none": [0.0] * 40}).decisions["gaps"].position == 18


def test_what_follows_a_decision_changes_nothing():
    first = {"a": [1.0] * 12, "b": [0.0] * 12}
    before, after = fed(first), fed({"a": [1.0] * 12 + [-1.0] * 300, "b": [0.0] * 312})
    assert before.decisions["a"] == after.decisions["a"]


def test_the_expected_number_of_pairs_is_about_right():
    rng = np.random.default_rng(8)
    columns = {"a": rng.choice([1.0, 0.0, -1.0], 600, p=[0.15, 0.82, 0.03])}
    test, guesses = SequentialTest(["a"], 0.05), []
    for value in columns["a"]:
        if test.undecided:
            test.add({"a": value})
            guesses.append((len(test.differences("a")), test.expected_left("a")))
    end = test.decisions["a"].pairs
    halfway = next(left for pairs, left in guesses if pairs > end / 2 and left is not None)
    assert end / 8 < halfway < 2 * end


# Error rates


@pytest.mark.slow
@pytest.mark.parametrize("background", [0.04, 0.1, 0.2, 0.4])
@pytest.mark.parametrize("spread", [0.0, 0.1, 0.2])
def test_false_drops_when_one_looks_at_every_pair(background, spread):
    """No drop on average, over tasks that may differ: at most 2.5 % are called, at any of 500 looks (4000 runs)."""
    rng = np.random.default_rng(11)
    drops = np.array([spread, -spread] * 5)
    rows = pairs_in_rounds(rng, 4000, 500, drops, max(background, spread))
    assert abs(rows.mean()) < 0.002
    called = sum(log_e_values(-row, 0.0).max() >= math.log(40) for row in rows)
    assert called / 4000 <= 0.025


@pytest.mark.slow
@pytest.mark.parametrize("background", [0.04, 0.1, 0.2])
def test_false_within_when_one_looks_at_every_pair(background):
    """A drop of exactly the margin: at most 5 % are called within it."""
    rng = np.random.default_rng(12)
    harmed, helped = background / 2 + 0.05, background / 2
    draw = rng.random((4000, 500))
    differences = np.where(draw < harmed, 1.0, np.where(draw < harmed + helped, -1.0, 0.0))
    assert sum(log_e_values(row, 0.05).max() >= math.log(20) for row in differences) / 4000 <= 0.05


@pytest.mark.slow
@pytest.mark.parametrize("drop", [0.0, 0.1, 0.3])
def test_the_interval_covers_at_all_looks_together(drop):
    rng, needed = np.random.default_rng(13), math.log(40)
    draw = rng.random((2000, 500))
    differences = np.where(draw < 0.05 + drop, 1.0, np.where(draw < 0.1 + drop, -1.0, 0.0))
    missed = sum(
        log_e_values(row, drop).max() >= needed or log_e_values(-row, -drop).max() >= needed for row in differences
    )
    assert missed / 2000 <= 0.05


@pytest.mark.slow
@pytest.mark.parametrize("conditions", [5, 28])
def test_any_false_call_among_harmless_conditions(conditions):
    """All share the clean arm: its error is in every condition at once."""
    rng, runs, any_called = np.random.default_rng(14), 120, 0
    for _ in range(runs):
        chance = rng.beta(1.2, 0.6, 300)
        clean = rng.random(300) < chance
        flips = rng.random((conditions, 300)) < 0.15
        perturbed = np.where(flips, rng.random((conditions, 300)) < chance, clean)
        differences = clean.astype(float) - perturbed
        test = fed({f"c{i}": row for i, row in enumerate(differences)})
        any_called += any(found.verdict != "within" for found in test.decisions.values())
    assert any_called / runs <= ALPHA


@pytest.mark.slow
@pytest.mark.parametrize(
    ("drop", "background", "pairs", "right"),
    [(0.0, 0.04, 170, "within"), (0.1, 0.04, 114, "drop"), (0.2, 0.1, 61, "drop"), (0.4, 0.1, 25, "drop")],
)
def test_pairs_until_decided_are_those_of_the_audit(drop, background, pairs, right):
    rng, words, needed = np.random.default_rng(15), [], []
    for _ in range(400):
        draw = rng.random(500)
        harmed = background / 2 + drop
        row = np.where(draw < harmed, 1.0, np.where(draw < harmed + background / 2, -1.0, 0.0))
        test = SequentialTest(["a"], 0.05)
        for value in row:
            if test.undecided:
                test.add({"a": value})
        words.append(test.decisions["a"].verdict if test.decisions else None)
        needed.append(len(test.differences("a")))
    assert np.mean(needed) == pytest.approx(pairs, rel=0.12)
    assert words.count(right) / 400 > 0.98


# What the documentation says beside these


@pytest.mark.slow
@pytest.mark.parametrize(("drop", "estimate"), [(0.1, 0.125), (0.2, 0.24), (0.4, 0.45)])
def test_a_drop_that_stopped_its_condition_is_estimated_too_large(drop, estimate):
    found = []
    for row in pairs_alike(np.random.default_rng(16), 1000, drop, 0.1):
        called = log_e_values(-row, 0.0) >= math.log(40)
        found.append(row[: called.argmax() + 1].mean() if called.any() else row.mean())
    assert np.mean(found) == pytest.approx(estimate, abs=0.01)


@pytest.mark.slow
@pytest.mark.parametrize(("background", "called"), [(0.04, 0.05), (0.1, 0.08), (0.2, 0.11)])
def test_a_test_of_fixed_size_calls_too_much_if_one_looks_every_ten_pairs(background, called):
    rows = pairs_alike(np.random.default_rng(17), 4000, 0.0, background)
    harmed, helped = (np.cumsum(rows == side, axis=1)[:, 9::10] for side in (1.0, -1.0))
    p = 2 * binom.cdf(helped, harmed + helped, 0.5)
    share = ((p < 0.05) & (harmed > helped)).any(axis=1).mean()
    assert share == pytest.approx(called, abs=0.015)
    assert share > 0.04


@pytest.mark.slow
def test_the_interval_is_nearly_half_as_wide_again_as_one_of_a_fixed_size():
    ratios = []
    for background in (0.04, 0.16):
        for row in pairs_alike(np.random.default_rng(18), 12, 0.1, background)[:, :200]:
            fixed = paired_drop(row > -1, row < 1).interval
            found = confidence_interval(row)
            ratios.append((found.high - found.low) / (fixed.high - fixed.low))
    assert np.mean(ratios) == pytest.approx(1.45, abs=0.1)
