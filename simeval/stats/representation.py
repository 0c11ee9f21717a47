"""Distances between internal representations: cosine distance, linear CKA, total variation.

Non-obvious behaviour:
- Cosine distance and total variation compare two frames. CKA compares two sets of frames: are similar frames still
  similar? It is invariant to a rotation or a uniform scaling of all of them together.
- Plain CKA of few frames with many features is close to 1 for any features. The debiased form is not: it builds on the
  unbiased estimator of HSIC (Song et al. 2012), as Nguyen et al. (2021) do, and may be negative.
- Identical arguments have a distance of exactly 0: rounding must not appear as drift.
"""

from math import nan, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

MIN_FRAMES = 2
MIN_FRAMES_DEBIASED = 4
"""With three, the unbiased estimator of HSIC divides by 0."""

_ROUNDING = 1e-10
"""Share of the plain HSIC below which the unbiased one is only rounding error."""


def cosine_distance(x: ArrayLike, y: ArrayLike) -> float:
    """1 - cosine of the angle between two vectors, in [0, 2].

    Computed as half the squared distance of the unit vectors, which is equal and loses no digits near 0.

    Args:
        x: float[d].
        y: float[d].

    Returns:
        0 for two vectors of zeros, 1 if one of the two is zeros.
    """
    a, b = _unit(x), _unit(y)
    if not (a.any() and b.any()):
        return float(a.any() != b.any())
    return float(0.5 * np.square(a - b).sum())


def total_variation(p: ArrayLike, q: ArrayLike) -> float:
    """Total variation distance of two distributions: the share of the mass that must move, in [0, 1].

    Args:
        p: float[...], not negative, with a sum above 0; scaled to sum 1.
        q: the same shape.

    Raises:
        ValueError: the shapes differ, or an argument is not a distribution.
    """
    first, second = _distribution(p), _distribution(q)
    if first.shape != second.shape:
        raise ValueError(f"distributions of shapes {first.shape} and {second.shape}")
    return float(0.5 * np.abs(first - second).sum())


def linear_cka(x: ArrayLike, y: ArrayLike, *, debiased: bool) -> float:
    """Linear centred kernel alignment (Kornblith et al. 2019) of two sets of features of the same frames.

    Args:
        x: float[n, d].
        y: float[n, e].
        debiased: use the unbiased estimator of HSIC; needs four frames instead of two.

    Returns:
        1 for the same geometry; plain in [0, 1], debiased in [-1, 1]. NaN with too few frames, or if all frames of one
        argument are equal.
    """
    sums = CkaAccumulator()
    sums.add(x, y)
    return sums.cka(debiased=debiased)


class CkaAccumulator:
    """Linear CKA of frames added in batches; the frames are not stored.

    It stores three matrices of `(d + 2)^2` float64 (22 MB for d = 960) for any number of frames: less than the frames
    themselves from about 3 d frames. Each frame x is represented as (1, x, |x|^2), so that the matrices of products
    contain the number of frames, sums, covariances, and the norms for the unbiased estimator.
    """

    def __init__(self) -> None:
        self._first: tuple[Floats, Floats] | None = None
        self._origin: tuple[Floats, Floats]
        self._products: list[Floats]
        self._equal = True
        self._constant = [True, True]

    def add(self, x: ArrayLike, y: ArrayLike) -> None:
        """Add frames.

        Args:
            x: float[m, d].
            y: float[m, e], of the same frames.

        Raises:
            ValueError: the shapes do not match each other or earlier frames.
        """
        pair = (np.asarray(x, np.float64), np.asarray(y, np.float64))
        if any(part.ndim != 2 for part in pair) or len(pair[0]) != len(pair[1]):
            raise ValueError(f"features of shapes {pair[0].shape} and {pair[1].shape}, expected [n, d] and [n, e]")
        if not len(pair[0]):
            return
        if self._first is None:
            self._first = (pair[0][0], pair[1][0])
            # Sums are taken about a point among the frames: about 0, they would lose the digits that differ.
            self._origin = (pair[0].mean(0), pair[1].mean(0))
            sizes = [part.shape[1] + 2 for part in pair]
            self._products = [np.zeros((sizes[a], sizes[b])) for a, b in _BLOCKS]
        if any(part.shape[1] != len(first) for part, first in zip(pair, self._first, strict=True)):
            raise ValueError(f"features of shapes {pair[0].shape} and {pair[1].shape}, before there were others")
        self._equal &= np.array_equal(*pair)
        for side in (0, 1):
            self._constant[side] &= bool((pair[side] == self._first[side]).all())
        lifted = [_lifted(part - origin) for part, origin in zip(pair, self._origin, strict=True)]
        for total, (a, b) in zip(self._products, _BLOCKS, strict=True):
            total += lifted[a].T @ lifted[b]

    @property
    def n(self) -> int:
        """Number of frames so far."""
        return 0 if self._first is None else int(self._products[0][0, 0])

    def cka(self, *, debiased: bool) -> float:
        """The value of `linear_cka` for all frames so far."""
        if self.n < (MIN_FRAMES_DEBIASED if debiased else MIN_FRAMES) or any(self._constant):
            return nan
        xx, yy, xy = (_hsic(products, debiased=debiased) for products in self._products)
        if min(xx, yy) <= 0:
            return nan
        if self._equal:
            return 1.0
        return float(np.clip(xy / sqrt(xx * yy), -1.0, 1.0))


_BLOCKS = ((0, 0), (1, 1), (0, 1))
"""Summed products: x with x, y with y, x with y."""


def _unit(x: ArrayLike) -> Floats:
    vector = np.asarray(x, np.float64)
    norm = np.linalg.norm(vector)
    return vector / norm if norm > 0 else vector


def _distribution(p: ArrayLike) -> Floats:
    masses = np.asarray(p, np.float64)
    total = masses.sum()
    if not (np.isfinite(total) and total > 0 and (masses >= 0).all()):
        raise ValueError("a distribution wants numbers that are not negative, with a sum above 0")
    return np.asarray(masses / total)


def _lifted(x: Floats) -> Floats:
    return np.column_stack((np.ones(len(x)), x, np.square(x).sum(1)))


def _hsic(products: Floats, *, debiased: bool) -> float:
    """HSIC times a factor that is equal for all products of the same frames."""
    n = products[0, 0]
    left, right = products[1:-1, 0] / n, products[0, 1:-1] / n
    plain = float(np.square(products[1:-1, 1:-1] - n * np.outer(left, right)).sum())
    if not debiased:
        return plain
    # |x - mean|^2 is linear in (1, x, |x|^2). With centred features, the unbiased estimator's sums over the kernel
    # without its diagonal reduce to these norms.
    norm_x = np.concatenate(([left @ left], -2 * left, [1.0]))
    norm_y = np.concatenate(([right @ right], -2 * right, [1.0]))
    both, of_x, of_y = norm_x @ products @ norm_y, norm_x @ products[:, 0], products[0] @ norm_y
    unbiased = plain - n / (n - 2) * both + of_x * of_y / ((n - 1) * (n - 2))
    return float(unbiased) if abs(unbiased) > _ROUNDING * plain else 0.0
