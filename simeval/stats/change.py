"""Compares two policies on the same episodes: success, robustness and drift, before (A) and after (B).

Non-obvious behaviour:
- Robustness is compared by the difference of the two drops, not by success under perturbation: a policy that is better
  everywhere is not necessarily more robust. Points alone punish the better policy, so it is compared by the share of
  success that is kept as well, and only where both scales agree is a policy called better or worse.
- Gains are positive where B is better.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simeval.stats.drift import MIN_CLUSTERS
from simeval.stats.intervals import Interval
from simeval.stats.paired import holm, paired_drop
from simeval.stats.quantiles import normal_isf, standard_error, t_isf
from simeval.stats.resampling import Resampling
from simeval.stats.retention import Retention, compare_retention
from simeval.stats.states import over_states, repeats_differ

Floats = NDArray[np.float64]
ALPHA = 0.05

Direction = Literal["better", "worse", "depends on the scale", "no difference shown"]


@dataclass(frozen=True, slots=True)
class Gain:
    """Gain of B over A on one condition.

    Attributes:
        condition: its name; empty for the mean over conditions.
        n: number of common episodes.
        units: number of their initial states.
        a, b: success rates, or drops, or mean drifts.
        only_a, only_b: episodes that only A, only B solved; `None` except for success.
        gain: success: b - a; drops and drifts: a - b. Positive: B is better, or drifts less.
        interval: of `gain`.
        p: two-sided; `None` where there is no test.
        p_holm: adjusted over the conditions.
        direction: `better` or `worse` if the interval excludes 0 and `p_holm` is below .05; for robustness only if the
            same is so for the success that is kept, else `depends on the scale`.
        reason: why a number is missing; empty otherwise.
        interval_90: success: as in `PairedDrop`; its lower limit decides "B is no worse than the margin" at 5 %.
    """

    condition: str
    n: int
    units: int
    a: float | None = None
    b: float | None = None
    only_a: int | None = None
    only_b: int | None = None
    gain: float | None = None
    interval: Interval | None = None
    p: float | None = None
    p_holm: float | None = None
    direction: Direction = "no difference shown"
    reason: str = ""
    interval_90: Interval | None = None


@dataclass(frozen=True, slots=True)
class RunChange:
    """Two runs compared.

    Attributes:
        success: by condition, the unperturbed one first.
        robustness: by perturbed condition: is B's drop smaller than A's?
        overall: mean of `robustness` over the conditions, on the episodes with all conditions.
        retention: by perturbed condition: does B keep more of its clean success?
        overall_retention: the same of the mean over the conditions.
    """

    success: tuple[Gain, ...]
    robustness: tuple[Gain, ...]
    overall: Gain
    retention: tuple[Retention, ...] = ()
    overall_retention: Retention | None = None


def compare_runs(
    conditions: Sequence[str],
    a: ArrayLike,
    b: ArrayLike,
    *,
    units: ArrayLike | None = None,
    resampling: Resampling | None = None,
) -> RunChange:
    """Compare two runs of the same episodes.

    Args:
        conditions: names of the columns, the unperturbed condition first.
        a: float[pairs, conditions], 1 success, 0 failure of the first run; NaN where an episode is missing.
        b: the same episodes of the second run.
        units: int[pairs], initial state of each row; `None` if they are all different.
        resampling: level, and seed of the permutation test.

    Raises:
        ValueError: the shapes do not fit, or an outcome is not 0, 1 or NaN.
    """
    first, second = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    labels = np.arange(len(first)) if units is None else np.asarray(units)
    expected = (len(labels), max(1, len(conditions)))
    if not first.shape == second.shape == expected:
        raise ValueError(f"outcomes of shape {first.shape} and {second.shape}, expected {expected}")
    if not all(np.isin(part[~np.isnan(part)], (0, 1)).all() for part in (first, second)):
        raise ValueError("an outcome is neither 0 nor 1")
    chosen = resampling or Resampling()
    success = [_success(name, first[:, i], second[:, i], labels, chosen.level) for i, name in enumerate(conditions)]
    lost_a, lost_b = first[:, :1] - first[:, 1:], second[:, :1] - second[:, 1:]
    robustness = [
        _robustness(name, lost_a[:, i], lost_b[:, i], labels, chosen) for i, name in enumerate(conditions[1:])
    ]
    clean = first[:, 0], second[:, 0]
    kept = _adjusted_retention(
        [
            compare_retention(name, clean, (first[:, i], second[:, i]), labels, chosen.level)
            for i, name in enumerate(conditions[1:], start=1)
        ]
    )
    overall, overall_kept = Gain("", 0, 0, reason="no pair that both runs have"), None
    if lost_a.size:
        overall = _robustness("", lost_a.mean(axis=1), lost_b.mean(axis=1), labels, chosen)
        means = first[:, 1:].mean(axis=1), second[:, 1:].mean(axis=1)
        (overall_kept,) = _adjusted_retention([compare_retention("", clean, means, labels, chosen.level)])
        overall = _agreed(_adjusted([overall])[0], overall_kept)
    agreed = tuple(_agreed(*both) for both in zip(_adjusted(robustness), kept, strict=True))
    return RunChange(_adjusted(success), agreed, overall, kept, overall_kept)


def adjusted_gains(rows: Sequence[Gain]) -> tuple[Gain, ...]:
    """The gains with Holm's adjustment over all of them, and their directions."""
    return _adjusted(list(rows))


def compare_scores(a: ArrayLike, b: ArrayLike, *, units: ArrayLike, resampling: Resampling | None = None) -> Gain:
    """The gain in one number per pair: success, or its mean over conditions.

    Success is compared as in `compare_runs`. A mean has the interval and the test that robustness has there.

    Args:
        a: float[pairs], in [0, 1], of the first run; NaN where an episode is missing.
        b: the same pairs of the second run.
        units: int[pairs], initial state of each.
        resampling: level, and seed of the permutation test.
    """
    first, second, labels = np.asarray(a, dtype=float), np.asarray(b, dtype=float), np.asarray(units)
    chosen = resampling or Resampling()
    if all(np.isin(part[~np.isnan(part)], (0, 1)).all() for part in (first, second)):
        return _success("", first, second, labels, chosen.level)
    gain = _robustness("", -first, -second, labels, chosen)  # a drop is what is lost, so success is a negative one
    return gain if gain.a is None or gain.b is None else replace(gain, a=-gain.a, b=-gain.b)


def compare_drift(
    conditions: Sequence[str],
    a: ArrayLike,
    b: ArrayLike,
    *,
    units: ArrayLike,
    resampling: Resampling | None = None,
) -> tuple[Gain, ...]:
    """Drift before and after, on the same frames. Only fair if both have the same unit: the caller must report if not.

    The interval is Student's t on the differences of the clusters, the test a sign-flip test over them, adjusted over
    the conditions as for success.

    Args:
        conditions: names of the columns.
        a: float[frames, conditions], drift of the first policy; NaN where not measured.
        b: the same frames of the second.
        units: int[frames], cluster of each frame.
        resampling: level, and seed of the permutation test.

    Raises:
        ValueError: the shapes do not fit.
    """
    first, second, labels = np.asarray(a, dtype=float), np.asarray(b, dtype=float), np.asarray(units)
    expected = (len(labels), len(conditions))
    if not first.shape == second.shape == expected:
        raise ValueError(f"drifts of shape {first.shape} and {second.shape}, expected {expected}")
    chosen = resampling or Resampling()
    return _adjusted([_drift(name, first[:, i], second[:, i], labels, chosen) for i, name in enumerate(conditions)])


def _success(name: str, a: Floats, b: Floats, units: NDArray[np.generic], level: float) -> Gain:
    both = ~(np.isnan(a) | np.isnan(b))
    paired = paired_drop(b[both] == 1, a[both] == 1, units=units[both], level=level)
    if not paired.n:
        return Gain(name, 0, 0, reason="no episode that both runs have")
    return Gain(
        condition=name,
        n=paired.n,
        units=paired.units,
        a=paired.perturbed_rate,
        b=paired.clean_rate,
        only_a=paired.n01,
        only_b=paired.n10,
        gain=paired.drop,
        interval=paired.interval,
        p=paired.p,
        interval_90=paired.interval_90,
    )


def _robustness(name: str, lost_a: Floats, lost_b: Floats, units: NDArray[np.generic], resampling: Resampling) -> Gain:
    """Difference of two drops. Interval and test use the mean over each initial state."""
    both = ~(np.isnan(lost_a) | np.isnan(lost_b))
    if not both.any():
        return Gain(name, 0, 0, reason="no pair that both runs have")
    gained = lost_a[both] - lost_b[both]
    means = _by_unit(gained, units[both])
    several = repeats_differ(gained, units[both])
    return Gain(
        condition=name,
        n=int(both.sum()),
        units=len(means),
        a=float(lost_a[both].mean()),
        b=float(lost_b[both].mean()),
        gain=float((lost_a[both] - lost_b[both]).mean()),
        interval=over_states(gained, units[both], resampling.level, largest=2.0)
        if several
        else _padded(means, resampling.level),
        p=_sign_flip_p(means, resampling),
    )


def _drift(name: str, a: Floats, b: Floats, units: NDArray[np.generic], resampling: Resampling) -> Gain:
    both = ~(np.isnan(a) | np.isnan(b))
    if not both.any():
        return Gain(name, 0, 0, reason="no frame that both audits have")
    means = _by_unit(a[both] - b[both], units[both])
    gain = Gain(
        condition=name,
        n=int(both.sum()),
        units=len(means),
        a=float(_by_unit(a[both], units[both]).mean()),
        b=float(_by_unit(b[both], units[both]).mean()),
        gain=float(means.mean()),
    )
    if len(means) < MIN_CLUSTERS:
        return replace(gain, reason=f"{len(means)} episode{'s' * (len(means) > 1)} only: no interval")
    half = t_isf((1 - resampling.level) / 2, len(means) - 1) * standard_error(means)
    interval = Interval(float(means.mean()) - half, float(means.mean()) + half, resampling.level, "t over clusters")
    return replace(gain, interval=interval, p=_sign_flip_p(means, resampling))


def _by_unit(values: Floats, units: NDArray[np.generic]) -> Floats:
    _, index = np.unique(units, return_inverse=True)
    return np.asarray(np.bincount(index, weights=values) / np.bincount(index), dtype=float)


def _padded(differences: Floats, level: float) -> Interval:
    """Wald's interval after adding one unit with gain 1 and one with gain -1, as Bonett and Price do for one drop."""
    padded = np.concatenate([differences, [1.0, -1.0]])
    centre, half = padded.mean(), normal_isf((1 - level) / 2) * padded.std() / np.sqrt(len(padded))
    return Interval(max(-2.0, float(centre - half)), min(2.0, float(centre + half)), level, "wald, padded")


def _sign_flip_p(means: Floats, resampling: Resampling) -> float:
    """Two-sided p-value under random swaps of the two policies within every initial state."""
    from scipy import stats  # not above: it takes 0.4 s, and `show` does without

    moved = means[means != 0]
    if not moved.size:
        return 1.0
    if moved.size == 1:
        return 1.0  # two equally likely signs

    def mean(sample: Floats, axis: int = -1) -> Floats:
        return np.asarray(sample.mean(axis=axis))

    result = stats.permutation_test(
        (moved,),
        mean,
        permutation_type="samples",
        vectorized=True,
        n_resamples=resampling.n_permutations,
        batch=1000,
        rng=resampling.rng(),
    )
    return float(result.pvalue)


def _adjusted(rows: list[Gain]) -> tuple[Gain, ...]:
    """Apply Holm's adjustment over the conditions, and set the direction."""
    adjusted = iter(holm([row.p for row in rows if row.p is not None]))
    rows_with_p = [replace(row, p_holm=None if row.p is None else next(adjusted)) for row in rows]
    return tuple(replace(row, direction=_direction(row)) for row in rows_with_p)


def _adjusted_retention(rows: list[Retention]) -> tuple[Retention, ...]:
    adjusted = iter(holm([row.p for row in rows if row.p is not None]))
    return tuple(replace(row, p_holm=None if row.p is None else next(adjusted)) for row in rows)


def _agreed(gain: Gain, kept: Retention) -> Gain:
    """A robustness gain with the word that both scales support."""
    says: Direction = "no difference shown"
    if kept.interval is not None and kept.p_holm is not None and kept.p_holm < ALPHA:
        says = "better" if kept.interval.low > 1 else "worse"
    return gain if gain.direction == says else replace(gain, direction="depends on the scale")


def _direction(row: Gain) -> Direction:
    significant = row.interval is not None and row.p_holm is not None and row.p_holm < ALPHA
    if not significant or row.interval is None or row.interval.low <= 0 <= row.interval.high:
        return "no difference shown"
    return "better" if row.interval.low > 0 else "worse"
