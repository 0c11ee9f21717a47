"""Linear probes: what a linear map can read from features, tested on groups that it was not fitted on.

Ridge regression on standardised features, classes as one-hot numbers. It has a closed form, so all labels, true or
shuffled, share one factorisation, and the same arrays give the same numbers.

Non-obvious behaviour:
- A probe is fitted on clean features and tested on clean and on perturbed ones of the groups that were held out. Frames
  of one group never stand on both sides, nor do they when the penalty is chosen, inside the training groups.
- Chance is measured: the same probe, fitted on and tested with labels that the caller shuffled. Testing it with true
  ones would not do: labels that are wrong in half of the groups still point along a strong feature, either way.
- Intervals resample the tested units with the fits as they are: what other initial states would give these probes.
- A class that no training fold has is left out of the score: nothing could name it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from simeval.stats.clusters import MIN_FOR_INTERVAL
from simeval.stats.held_out import deal_folds
from simeval.stats.intervals import Interval
from simeval.stats.resampling import Resampling, bootstrap_intervals

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Kind = Literal["classes", "numbers", "pairs"]

INNER_FOLDS = 3
PENALTIES = tuple(10.0**power for power in range(-4, 3))
"""Penalties to choose from, in units of the summed squares of the training features."""
SHUFFLES = 19
"""Shuffled probes: the true one is better than all of them by chance in 5 % of cases."""
NO_SPREAD = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class ProbeData:
    """Samples for a probe.

    Attributes:
        features: float[n, d].
        labels: int[n] classes for `classes`; float[n, k] for `numbers`; for `pairs` int[n], 1 for the one that is to
            be found among those of its set, else 0.
        groups: int[n], what is held out as a whole.
        units: int[n], initial state of each, which the interval resamples.
        sets: int[n], for `pairs`: those that are compared with each other, for instance the objects of a frame.
        shuffled: labels shuffled by the caller in the same ways for clean and tested samples, for the chance level.
    """

    features: Floats
    labels: NDArray[np.generic]
    groups: Ints
    units: Ints
    sets: Ints | None = None
    shuffled: tuple[NDArray[np.generic], ...] = ()


@dataclass(frozen=True, slots=True)
class ProbeScore:
    """How well a probe read one set of tested samples.

    Attributes:
        score: `classes`: mean over classes of the share that is right. `numbers`: share of the squared deviation from
            the training mean that is explained, below 0 if the mean is better. `pairs`: share of the pairs of a set in
            which the right one scores higher. `None` where `reason` says why.
        interval: for other initial states, given the fits; `None` with fewer than six.
        error: `numbers`: root of the mean squared distance, in the labels' unit.
        chance: mean score of the shuffled probes.
        p: share of the shuffled probes that are as good, the true one counted among them.
        n: number of tested samples.
        units: number of their initial states.
        folds: number of fits.
        reason: why there is no score; empty otherwise.
    """

    score: float | None
    interval: Interval | None = None
    error: float | None = None
    chance: float | None = None
    p: float | None = None
    n: int = 0
    units: int = 0
    folds: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Probed:
    """A score, and what it is made of: a score is the mean over columns of won / possible, summed over units.

    Attributes:
        score: the score.
        units: int[m], initial states.
        won, possible: float[m, columns].
    """

    score: ProbeScore
    units: Ints
    won: Floats
    possible: Floats


def probe(
    kind: Kind,
    clean: ProbeData,
    tested: Sequence[ProbeData],
    folds: Ints,
    resampling: Resampling,
) -> tuple[Probed, ...]:
    """Fit on the clean samples of all folds but one, test on that one; a score for each tested set.

    Args:
        kind: of the labels.
        clean: what is fitted; float features are standardised by each training part.
        tested: with groups of `clean`; usually clean itself first, then the same samples under perturbations.
        folds: int[n] of the clean samples, see `deal_folds`.
        resampling: of the intervals.
    """
    if len(np.unique(folds)) < 2:
        return tuple(_none("one group: nothing can be held out") for _ in tested)
    classes = np.unique(clean.labels) if kind == "classes" else np.array([])
    if kind != "numbers" and len(np.unique(clean.labels)) < 2:
        return tuple(_none("one class: nothing to tell apart") for _ in tested)
    fold_of = dict(zip(clean.groups.tolist(), folds.tolist(), strict=True))
    targets = [_numbers(kind, labels, classes) for labels in (clean.labels, *clean.shuffled)]
    predicted = [np.full((len(part.features), len(targets), targets[0].shape[1]), np.nan) for part in tested]
    means = [np.full_like(out, np.nan) for out in predicted]
    for fold in np.unique(folds):
        training = folds != fold
        fit = _Fit.of(clean.features[training], [one[training] for one in targets], clean.groups[training])
        for part, out, mean in zip(tested, predicted, means, strict=True):
            held_out = np.array([fold_of.get(group, -1) == fold for group in part.groups.tolist()], bool)
            if held_out.any():
                out[held_out] = fit.predict(part.features[held_out])
                mean[held_out] = fit.offsets
                if kind == "classes":
                    # Of a class that is rarer in training more is held out: its share must not count as evidence.
                    share = np.maximum(fit.offsets, NO_SPREAD)
                    out[held_out] = np.where(fit.offsets > 0, (out[held_out] - share) / share, -np.inf)
    count = len(np.unique(folds))
    found = [
        _score(kind, part, out, mean, classes, resampling)
        for part, out, mean in zip(tested, predicted, means, strict=True)
    ]
    return tuple(replace(one, score=replace(one.score, folds=count)) for one in found)


def kept(start: Probed, other: Probed, resampling: Resampling) -> tuple[float, Interval | None] | None:
    """The second score minus the first, and its interval over the units that both have; `None` without scores.

    Args:
        start: of the policy before.
        other: of another policy, on the same samples.
        resampling: of the interval.
    """
    if start.score.score is None or other.score.score is None:
        return None
    difference = other.score.score - start.score.score
    common, a, b = np.intersect1d(start.units, other.units, return_indices=True)
    if len(common) < MIN_FOR_INTERVAL or start.won.shape[1] != other.won.shape[1]:
        return difference, None

    def resampled(chosen: NDArray[np.intp]) -> Floats:
        values = [
            _ratio(one.won[order][chosen].sum(axis=-2), one.possible[order][chosen].sum(axis=-2))
            for one, order in ((start, a), (other, b))
        ]
        return (values[1] - values[0])[..., None]

    (interval,) = bootstrap_intervals([len(common)], resampled, resampling)
    return difference, interval


def _none(reason: str) -> Probed:
    nothing = np.zeros((0, 1))
    return Probed(ProbeScore(None, reason=reason), np.zeros(0, np.int64), nothing, nothing)


@dataclass(frozen=True, slots=True, eq=False)
class _Fit:
    """Ridge regression of several label sets, each with its own penalty, on the same standardised features."""

    mean: Floats
    scale: Floats
    weights: Floats  # [sets, d, k]
    offsets: Floats  # [sets, k]

    @staticmethod
    def of(x: Floats, targets: Sequence[Floats], groups: Ints) -> "_Fit":
        errors = np.zeros((len(PENALTIES), len(targets)))
        inner = deal_folds(groups, np.zeros_like(groups), 0, INNER_FOLDS)
        for fold in np.unique(inner) if len(np.unique(inner)) > 1 else ():
            training = inner != fold
            fits = _solve(x[training], [one[training] for one in targets])
            held_out = (x[~training] - fits.mean) / fits.scale
            for p in range(len(PENALTIES)):
                for t, target in enumerate(targets):
                    miss = held_out @ fits.weights[p, t] + fits.offsets[t] - target[~training]
                    errors[p, t] += (miss**2).sum()
        fits = _solve(x, targets)
        chosen = errors.argmin(axis=0)
        weights = np.stack([fits.weights[p, t] for t, p in enumerate(chosen)])
        return _Fit(fits.mean, fits.scale, weights, fits.offsets)

    def predict(self, x: Floats) -> Floats:
        """Predictions of every label set: float[n, sets, k]."""
        standard = (x - self.mean) / self.scale
        return np.stack([standard @ w + b for w, b in zip(self.weights, self.offsets, strict=True)], axis=1)


@dataclass(frozen=True, slots=True, eq=False)
class _Path:
    mean: Floats
    scale: Floats
    weights: Floats  # [penalties, sets, d, k]
    offsets: Floats  # [sets, k]


def _solve(x: Floats, targets: Sequence[Floats]) -> _Path:
    """Ridge weights for every penalty and label set, by one eigendecomposition."""
    mean, spread = x.mean(axis=0), x.std(axis=0)
    scale = np.where(spread > NO_SPREAD, spread, 1.0)
    standard = (x - mean) / scale
    total = max(float((standard**2).sum()), NO_SPREAD)
    offsets = np.stack([target.mean(axis=0) for target in targets])
    columns = np.concatenate([target - offset for target, offset in zip(targets, offsets, strict=True)], axis=1)
    # The smaller of the two matrices of products: several times cheaper than singular values, and exact enough here.
    primal = len(x) >= x.shape[1]
    values, vectors = np.linalg.eigh(standard.T @ standard if primal else standard @ standard.T)
    inside = vectors.T @ (standard.T @ columns if primal else columns)
    back = vectors if primal else standard.T @ vectors
    flat = np.stack([back @ (inside / (np.maximum(values, 0.0) + penalty * total)[:, None]) for penalty in PENALTIES])
    weights = flat.reshape(len(PENALTIES), x.shape[1], len(targets), -1).swapaxes(1, 2)
    return _Path(mean, scale, weights, offsets)


def _numbers(kind: Kind, labels: NDArray[np.generic], classes: NDArray[np.generic]) -> Floats:
    if kind == "numbers":
        return np.asarray(labels, float)
    if kind == "pairs":
        return np.asarray(labels, float)[:, None]
    return np.asarray(labels[:, None] == classes, float)


def _score(
    kind: Kind,
    part: ProbeData,
    predicted: Floats,
    mean: Floats,
    classes: NDArray[np.generic],
    resampling: Resampling,
) -> Probed:
    known = ~np.isnan(predicted[:, 0, 0])
    if kind == "classes":
        known &= np.isin(part.labels, classes)
    if not known.any():
        return _none("no tested sample has a label that the probe knows")
    units, index = np.unique(part.units[known], return_inverse=True)
    parts = [
        _parts(kind, part, labels[known], known, predicted[known, number], mean[known, number], classes)
        for number, labels in enumerate((part.labels, *part.shuffled))
    ]
    sums = [(_by_unit(won, index, len(units)), _by_unit(possible, index, len(units))) for won, possible in parts]
    scores = [float(_ratio(won.sum(axis=0), possible.sum(axis=0))) for won, possible in sums]
    if not np.isfinite(scores[0]):
        return _none("all labels are equal")
    shuffled = [score for score in scores[1:] if np.isfinite(score)]
    won, possible = sums[0]
    interval = None
    if len(units) >= MIN_FOR_INTERVAL:

        def resampled(chosen: NDArray[np.intp]) -> Floats:
            return _ratio(won[chosen].sum(axis=-2), possible[chosen].sum(axis=-2))[..., None]

        (interval,) = bootstrap_intervals([len(units)], resampled, resampling)
    error = None
    if kind == "numbers":
        miss = predicted[known, 0] - np.asarray(part.labels, float)[known]
        error = float(np.sqrt((miss**2).sum(axis=1).mean()))
    score = ProbeScore(
        score=scores[0],
        interval=interval,
        error=error,
        chance=float(np.mean(shuffled)) if shuffled else None,
        p=(1 + sum(score >= scores[0] for score in shuffled)) / (1 + len(shuffled)) if shuffled else None,
        n=int(known.sum()),
        units=len(units),
    )
    return Probed(score, units, won, possible)


def _parts(
    kind: Kind,
    part: ProbeData,
    labels: NDArray[np.generic],
    known: NDArray[np.bool_],
    predicted: Floats,
    mean: Floats,
    classes: NDArray[np.generic],
) -> tuple[Floats, Floats]:
    """What each sample has won, of what was possible: float[n, columns] twice; a score is the mean of their ratios."""
    if kind == "numbers":
        truth = np.asarray(labels, float)
        possible = ((truth - mean) ** 2).sum(axis=1, keepdims=True)
        return possible - ((truth - predicted) ** 2).sum(axis=1, keepdims=True), possible
    if kind == "classes":
        right = classes[predicted.argmax(axis=1)] == labels
        member = (labels[:, None] == classes).astype(float)
        return member * right[:, None], member
    assert part.sets is not None
    sets, score = part.sets[known], predicted[:, 0]
    won, possible = np.zeros((len(labels), 1)), np.zeros((len(labels), 1))
    for i in np.flatnonzero(labels == 1):
        others = score[(sets == sets[i]) & (labels == 0)]
        won[i] = (others < score[i]).sum() + 0.5 * (others == score[i]).sum()
        possible[i] = len(others)
    return won, possible


def _by_unit(values: Floats, index: NDArray[np.intp], count: int) -> Floats:
    total = np.zeros((count, values.shape[1]))
    np.add.at(total, index, values)
    return total


def _ratio(won: Floats, possible: Floats) -> Floats:
    """Mean over the columns of won / possible; columns without anything possible are left out."""
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.where(possible > NO_SPREAD, won / possible, np.nan)
    known = ~np.isnan(ratio)
    total = np.where(known, ratio, 0.0).sum(axis=-1)
    return np.asarray(np.where(known.any(axis=-1), total / np.maximum(known.sum(axis=-1), 1), np.nan))
