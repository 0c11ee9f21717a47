"""Linear probes find what was planted, nothing in shuffled labels, and never see a held-out group."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from simeval.stats import probe as module
from simeval.stats.held_out import deal_folds, shuffle_groups, shuffle_within
from simeval.stats.probe import (
    PENALTIES,
    SHUFFLES,
    ProbeData,
    kept,
    probe,
)
from simeval.stats.resampling import Resampling

QUICK = Resampling(n_resamples=199)
GROUPS, PER_GROUP, SIZE = 20, 4, 30


def planted(kind: str, *, strength: float = 3.0, seed: int = 0) -> ProbeData:
    """Labels that differ by group, and features with a linear trace of them."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(GROUPS), PER_GROUP)
    n = len(groups)
    if kind == "classes":
        labels = groups % 4
        trace = np.eye(4)[labels]
    elif kind == "numbers":
        labels = np.repeat(rng.normal(size=(GROUPS, 2)), PER_GROUP, axis=0) + 0.1 * rng.normal(size=(n, 2))
        trace = labels
    else:
        labels = (np.arange(n) % PER_GROUP == groups % PER_GROUP).astype(int)
        trace = labels[:, None].astype(float)
    features = rng.normal(size=(n, SIZE)) + strength * trace @ rng.normal(size=(trace.shape[1], SIZE))
    return ProbeData(features, labels, groups, groups, sets=groups)


def scored(kind: str, data: ProbeData, tested=None, shuffles=SHUFFLES):
    folds = deal_folds(data.groups, data.groups % 4, 0)
    names = np.arange(len(data.groups)) % PER_GROUP

    def with_shuffles(part):
        rng = np.random.default_rng(1)
        others = (
            shuffle_within(part.labels, part.groups, names, rng)
            if kind == "pairs"
            else shuffle_groups(part.labels, part.groups, rng)
            for _ in range(shuffles)
        )
        return replace(part, shuffled=tuple(others))

    return probe(kind, with_shuffles(data), [with_shuffles(part) for part in tested or [data]], folds, QUICK)


def scores(*args, **more):
    return [one.score for one in scored(*args, **more)]


@pytest.mark.parametrize(("kind", "chance"), [("classes", 0.25), ("numbers", 0.0), ("pairs", 0.5)])
def test_a_planted_signal_is_found_and_shuffled_labels_give_chance(kind, chance):
    (found,) = scores(kind, planted(kind))
    assert found.score > 0.9
    assert found.interval.low <= found.score <= found.interval.high
    assert found.p == pytest.approx(1 / (SHUFFLES + 1))
    assert found.chance == pytest.approx(chance, abs=0.25)
    assert (found.n, found.units, found.folds) == (GROUPS * PER_GROUP, GROUPS, 5)
    assert (found.error is not None) == (kind == "numbers")


@pytest.mark.parametrize("kind", ["classes", "numbers", "pairs"])
def test_noise_holds_nothing(kind):
    ps = [scores(kind, planted(kind, strength=0.0, seed=seed))[0].p for seed in range(8)]
    assert np.mean(np.array(ps) <= 0.05) <= 0.25
    assert np.mean(ps) > 0.3


def test_a_label_that_only_the_group_gives_away_is_not_found():
    """Every group has its own direction: with frames of a group on both sides, the probe would know it by heart."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(GROUPS), PER_GROUP)
    features = 5 * rng.normal(size=(GROUPS, 200))[groups] + 0.1 * rng.normal(size=(len(groups), 200))
    labels = rng.permutation(GROUPS)[groups] % 2
    data = ProbeData(features, labels, groups, groups)
    (fair,) = probe("classes", data, [data], deal_folds(groups, 0 * groups, 0), QUICK)
    leaky = np.arange(len(groups)) % 2  # frames of a group in both folds
    single = ProbeData(features, labels, np.arange(len(groups)), groups)
    (unfair,) = probe("classes", single, [single], leaky, QUICK)
    assert unfair.score.score == 1.0
    assert fair.score.score < 0.8


def test_folds_hold_whole_groups_and_spread_each_stratum():
    groups = np.repeat(np.arange(12), 3)
    strata = groups // 4
    folds = deal_folds(groups, strata, 0, 4)
    assert all(len(set(folds[groups == group])) == 1 for group in range(12))
    assert all(sorted({int(fold) for fold in folds[strata == s]}) == [0, 1, 2, 3] for s in range(3))
    assert set(deal_folds(np.array([3, 3, 7]), np.zeros(3, int), 0)) == {0, 1}


def test_held_out_groups_are_never_fitted(monkeypatch):
    data = planted("numbers")
    fitted = []
    real = module._Fit.of

    def of(x, targets, groups):
        fitted.append(set(groups.tolist()))
        return real(x, targets, groups)

    monkeypatch.setattr(module._Fit, "of", staticmethod(of))
    folds = deal_folds(data.groups, data.groups % 4, 0)
    probe("numbers", data, [data], folds, QUICK)
    for fold, groups in enumerate(fitted):
        assert groups.isdisjoint(data.groups[folds == fold].tolist())
    assert len(fitted) == 5


def test_perturbed_samples_are_read_with_the_probe_of_the_clean_ones():
    data = planted("classes")
    noise = np.random.default_rng(5).normal(size=data.features.shape)
    weak = ProbeData(data.features + 30 * noise, data.labels, data.groups, data.units)
    clean, perturbed = scores("classes", data, [data, weak])
    assert clean.score > 0.9 > 0.6 > perturbed.score


def test_weights_are_those_of_scikit_learn():
    data = planted("numbers", strength=0.3)
    path = module._solve(data.features, [data.labels])
    standard = (data.features - data.features.mean(0)) / data.features.std(0)
    for p, penalty in enumerate(PENALTIES):
        reference = Ridge(alpha=penalty * (standard**2).sum()).fit(standard, data.labels)
        assert path.weights[p, 0] == pytest.approx(reference.coef_.T, abs=1e-8)
        assert path.offsets[0] == pytest.approx(reference.intercept_)


def test_what_cannot_be_scored_says_why():
    data = planted("classes")
    one = ProbeData(data.features, data.labels, 0 * data.groups, data.units)
    assert scores("classes", one)[0].reason == "one group: nothing can be held out"
    same = ProbeData(data.features, 0 * data.labels, data.groups, data.units)
    assert scores("classes", same)[0].reason == "one class: nothing to tell apart"
    other = ProbeData(data.features, data.labels + 9, data.groups, data.units)
    assert "no tested sample" in scores("classes", data, [other])[0].reason


def test_shuffles_keep_what_belongs_together():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(6), 4)
    labels = shuffle_groups(groups % 3, groups, rng)
    assert all(len(set(labels[groups == group])) == 1 for group in range(6))
    assert sorted(labels) == sorted(groups % 3)
    names = np.tile(np.arange(4), 6)
    swapped = shuffle_within(names, groups // 2, names, rng)
    for half in range(3):
        pairs = {(a, b) for a, b in zip(names[groups // 2 == half], swapped[groups // 2 == half], strict=True)}
        assert len(pairs) == 4
    assert (swapped != names).any()


def test_what_is_kept_is_paired_by_unit():
    strong, weak = planted("classes"), planted("classes", strength=1.0)
    (start,), (other,) = scored("classes", strong), scored("classes", weak)
    difference, interval = kept(start, other, QUICK)
    assert difference == other.score.score - start.score.score < 0
    assert interval.low <= difference <= interval.high
    same, width = kept(start, start, QUICK)
    assert (same, width.low, width.high) == (0, 0, 0)
    assert (
        kept(
            start,
            scored("classes", ProbeData(strong.features, 0 * strong.labels, strong.groups, strong.units))[0],
            QUICK,
        )
        is None
    )
