"""The p-value of a correlation of conditions in families: whole families are permuted.

Strengths of one axis rise together in drift and in loss, so single conditions are not exchangeable. Families are: each
keeps its conditions and their order, and its losses are set against the drifts of another family. Families of unequal
size cannot be exchanged; then their means are.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from simeval.stats.clusters import members_of
from simeval.stats.resampling import PermutationP, Resampling, orders_p, permutation_p

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

MIN_FAMILIES = 3
"""With two there is nothing to permute: both orders are equally extreme."""
CELLS = 2_000_000
"""Pairs of points compared at a time; bounds the memory."""


def family_blocks(labels: NDArray[np.generic], order_by: Floats) -> Indices | None:
    """Points of each family, by the rank of their drift inside it: int[families, size]; `None` if sizes differ.

    Args:
        labels: family of each point.
        order_by: float[points], drift. It stands for strength, which is not always known.
    """
    members = members_of(labels)
    if len({len(part) for part in members}) != 1:
        return None
    return np.array([part[np.argsort(order_by[part], kind="stable")] for part in members])


def family_means(labels: NDArray[np.generic], values: Floats) -> Floats:
    """Mean over the points of each family: float[..., families] of float[..., points]."""
    return np.stack([values[..., part].mean(axis=-1) for part in members_of(labels)], axis=-1)


def family_weights(x: Floats, y: Floats, labels: NDArray[np.generic]) -> Floats:
    """Products of two families' centred values, for `permutation_p`: float[families, families].

    Args:
        x: float[rows, points], for instance ranks inside each of several tasks, minus their mean.
        y: the same of the other side.
        labels: family of each point.
    """
    blocks = family_blocks(labels, x.mean(axis=0))
    if blocks is None:
        return np.asarray(family_means(labels, x).T @ family_means(labels, y), dtype=float)
    return np.asarray(np.einsum("tfj,tgj->fg", x[:, blocks], y[:, blocks]), dtype=float)


def family_p(
    x: Floats,
    y: Floats,
    labels: NDArray[np.generic],
    stat: str,
    resampling: Resampling,
) -> PermutationP | None:
    """Two-sided p-value of a correlation under permutations of whole families; `None` with fewer than three.

    Args:
        x: float[points], drift.
        y: float[points], drop.
        labels: family of each point.
        stat: `spearman`, `pearson` or `kendall`.
        resampling: seed and number of orders.
    """
    blocks = family_blocks(labels, x)
    if blocks is None:
        x, y = family_means(labels, x), family_means(labels, y)
        labels = np.arange(len(x))
    if len(np.unique(labels)) < MIN_FAMILIES:
        return None
    if stat == "kendall":
        return _kendall_p(x, y, labels, resampling)
    a, b = (stats.rankdata(x), stats.rankdata(y)) if stat == "spearman" else (x, y)
    return permutation_p(family_weights((a - a.mean())[None], (b - b.mean())[None], labels), resampling)


def _kendall_p(x: Floats, y: Floats, labels: NDArray[np.generic], resampling: Resampling) -> PermutationP:
    blocks = family_blocks(labels, x)
    assert blocks is not None
    points = blocks.reshape(-1)
    signs = [np.sign(values[:, None] - values).astype(np.int8) for values in (x, y)]
    fixed = signs[0][np.ix_(points, points)]

    def agreement(order: Indices) -> Floats:
        permuted = blocks[order].reshape(*order.shape[:-1], -1)
        moved = signs[1][permuted[..., :, None], permuted[..., None, :]]
        return np.asarray((fixed * moved).sum(axis=(-1, -2), dtype=np.int64), dtype=float)

    return orders_p(len(blocks), agreement, resampling, batch=max(1, CELLS // len(points) ** 2))
