"""Action drift: how far a perturbation moves a predicted chunk of actions, for the same frame and sampling noise.

Non-obvious behaviour:
- Motion (translation and rotation) is measured in training standard deviations and divided by the root of the number of
  dimensions, so that 1.0 means one standard deviation per dimension for any robot. The gripper is separate: its single
  step between -1 and 1 would outweigh all motion.
- The difference between two diverged rollouts is not drift; every number here is about one state.
"""

from dataclasses import dataclass
from math import exp, log, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simeval.stats.clusters import jackknife_half_width
from simeval.stats.intervals import Interval
from simeval.stats.quantiles import standard_error

Floats = NDArray[np.float64]

TRANSLATION = slice(0, 3)
GRIPPER = 6
ACTION_DIMS = 7
WINDOW = 5
"""Frames of the sliding mean whose maximum over a rollout is taken: a mean over the rollout dilutes a short fault."""
TINY_STD = 1e-6
"""A dimension that never moved in the training data has no unit of drift."""

MIN_CLUSTERS = 5
"""Smallest number of episodes with an interval: drifts are so skewed that fewer do not show their spread."""

PRIMARY = "drift_exec"
VARIANTS = (PRIMARY, "drift_first", "drift_chunk", "l2_raw", "xyz_sum", "gripper_flip")
"""The primary variant is fixed here, before any result is seen; the others are exploratory."""


@dataclass(frozen=True, slots=True)
class ActionScale:
    """The units of a policy's actions.

    Attributes:
        std: training standard deviation of the six motion dimensions (a seventh, the gripper's, is not used).
        n_action_steps: executed steps of a chunk.
        gripper_threshold: the gripper closes above it (LIBERO: -1 open, 1 closed).
    """

    std: tuple[float, ...]
    n_action_steps: int
    gripper_threshold: float = 0.0

    def __post_init__(self) -> None:
        if len(self.std) not in (GRIPPER, ACTION_DIMS):
            raise ValueError(f"{len(self.std)} standard deviations, expected {GRIPPER} or {ACTION_DIMS}")
        if not all(np.isfinite(value) and value >= 0 for value in self.std[:GRIPPER]):
            raise ValueError(f"standard deviations {self.std} must be finite and not negative")
        if all(value < TINY_STD for value in self.std[:GRIPPER]):
            raise ValueError("no motion dimension has a standard deviation above 0: drift has no unit")
        if self.n_action_steps < 1:
            raise ValueError(f"n_action_steps {self.n_action_steps} must be at least 1")

    @property
    def moving(self) -> NDArray[np.intp]:
        """Motion dimensions with a unit; drift is measured in these."""
        return np.flatnonzero(np.asarray(self.std[:GRIPPER]) >= TINY_STD)


@dataclass(frozen=True, slots=True, eq=False)
class ChunkDrift:
    """Drift of chunks, one number per chunk: each `float64[...]`, the leading shape of the compared arrays.

    Attributes:
        drift_exec: mean over the executed steps of |u| / sqrt(D), u = difference in training standard deviations.
        drift_first: the same at the first step.
        drift_chunk: the same over the whole chunk.
        l2_raw: Euclidean norm of the difference of the first actions, gripper included, in action units.
        xyz_sum: norm of the summed translation differences over the executed steps, in action units.
        gripper_flip: share of executed steps with the opposite gripper command.
    """

    drift_exec: Floats
    drift_first: Floats
    drift_chunk: Floats
    l2_raw: Floats
    xyz_sum: Floats
    gripper_flip: Floats

    def variant(self, name: str) -> Floats:
        """One of `VARIANTS` by name.

        Raises:
            ValueError: there is no such variant.
        """
        if name not in VARIANTS:
            raise ValueError(f"no drift variant {name!r}; there are {', '.join(VARIANTS)}")
        return np.asarray(getattr(self, name), dtype=float)


@dataclass(frozen=True, slots=True)
class DriftMean:
    """Mean drift of one condition.

    Attributes:
        mean: mean over clusters; `None` without data.
        se: standard error over clusters; `None` with fewer than two.
        interval: for other clusters, see `mean_drift`; `None` with fewer than `MIN_CLUSTERS`.
        frames: number of measured frames.
        clusters: number of independent units: initial states, episodes or tasks.
        over_floor: `mean` divided by the drift between two sampling noises on the clean frame; `None` where that is 0
            or unknown.
        reason: why a number is missing; empty otherwise.
    """

    mean: float | None
    se: float | None
    interval: Interval | None
    frames: int
    clusters: int
    over_floor: float | None = None
    reason: str = ""


def chunk_drift(clean: ArrayLike, perturbed: ArrayLike, scale: ActionScale) -> ChunkDrift:
    """Compare chunks predicted from the same state with the same sampling noise.

    Args:
        clean: float[..., T, 7], predicted from the clean inputs; T >= `scale.n_action_steps`.
        perturbed: the same shape, from the perturbed inputs.
        scale: the units.

    Returns:
        Arrays of the leading shape. Equal chunks drift by exactly 0.

    Raises:
        ValueError: the shapes are wrong or differ, or an action is not finite.
    """
    a, b = np.asarray(clean, dtype=float), np.asarray(perturbed, dtype=float)
    if a.shape != b.shape or a.ndim < 2 or a.shape[-1] != ACTION_DIMS or a.shape[-2] < scale.n_action_steps:
        raise ValueError(
            f"chunks of shape {a.shape} and {b.shape}; expected twice (..., T, {ACTION_DIMS}) with T >= "
            f"{scale.n_action_steps}"
        )
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("a predicted action is not finite")
    difference = b - a
    executed = slice(0, scale.n_action_steps)
    dims = scale.moving
    steps = np.linalg.norm(difference[..., dims] / np.asarray(scale.std)[dims], axis=-1) / sqrt(len(dims))
    closed = [chunks[..., executed, GRIPPER] > scale.gripper_threshold for chunks in (a, b)]
    return ChunkDrift(
        drift_exec=steps[..., executed].mean(axis=-1),
        drift_first=steps[..., 0],
        drift_chunk=steps.mean(axis=-1),
        l2_raw=np.linalg.norm(difference[..., 0, :], axis=-1),
        xyz_sum=np.linalg.norm(difference[..., executed, TRANSLATION].sum(axis=-2), axis=-1),
        gripper_flip=(closed[0] != closed[1]).mean(axis=-1),
    )


def windowed_max(values: ArrayLike, window: int = WINDOW) -> float | None:
    """Largest sliding mean over a rollout's frames; the plain mean if there are fewer frames than the window.

    Args:
        values: float[n], drift of the frames in order of time.
        window: number of averaged frames.
    """
    frames = np.asarray(values, dtype=float)
    if not frames.size:
        return None
    return float(np.lib.stride_tricks.sliding_window_view(frames, min(window, frames.size)).mean(axis=1).max())


def mean_drift(
    values: ArrayLike,
    clusters: ArrayLike,
    *,
    floor: float | None = None,
    level: float = 0.95,
) -> DriftMean:
    """Mean drift of a condition. Frames are averaged within their cluster first, so that long rollouts do not dominate.

    The interval is a jackknife over clusters on the logarithm: drifts are positive and skewed. With lognormal clusters
    (sigma .6 to 1) it covers .90 to .94 from 5 clusters on, Student's t on the means .82 to .93.

    Args:
        values: float[n], one drift per frame; NaN where none was measured.
        clusters: int[n], the sampling unit of each frame: an initial state for start frames, an episode for replayed or
            dataset frames.
        floor: drift between two sampling noises on the clean frame; 0 for a deterministic policy.
        level: nominal coverage of the interval.

    Raises:
        ValueError: the shapes differ, or a drift is negative.
    """
    drift, labels = np.asarray(values, dtype=float), np.asarray(clusters)
    if drift.shape != labels.shape or drift.ndim != 1:
        raise ValueError(f"{drift.shape} drifts in {labels.shape} clusters")
    known = np.isfinite(drift)
    drift, labels = drift[known], labels[known]
    if (drift < 0).any():
        raise ValueError("a drift is negative")
    if not drift.size:
        return DriftMean(None, None, None, 0, 0, reason="no drift was measured")
    _, index = np.unique(labels, return_inverse=True)
    means = np.bincount(index, weights=drift) / np.bincount(index)
    mean = float(means.mean())
    over_floor = mean / floor if floor else None
    if len(means) < 2:
        return DriftMean(mean, None, None, drift.size, 1, over_floor, "one cluster only: no standard error")
    interval, reason = _interval(means, level)
    return DriftMean(mean, standard_error(means), interval, drift.size, len(means), over_floor, reason)


def _interval(means: Floats, level: float) -> tuple[Interval | None, str]:
    """Interval of the mean of cluster means, or `None` and the reason."""
    count, mean = len(means), float(means.mean())
    if count < MIN_CLUSTERS:
        return None, f"{count} episodes only: no interval"
    if not means.any():
        return Interval(0.0, 0.0, level, "no drift at all"), ""
    without = (means.sum() - means) / (count - 1)
    if (without <= 0).any():
        return None, f"one of {count} episodes drifts only: no interval"
    factor = exp(jackknife_half_width(log(mean), np.log(without), level))
    return Interval(mean / factor, mean * factor, level, "jackknife over clusters, log"), ""
