"""What is held out together, and what is shuffled together: groups of samples that are not independent."""

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

FOLDS = 5


def deal_folds(groups: Ints, strata: Ints, seed: int, folds: int = FOLDS) -> Ints:
    """The fold of each sample: whole groups, those of a stratum dealt to different folds: int[n].

    Args:
        groups: int[n].
        strata: int[n], equal within a group, for instance the task.
        seed: of the order in which groups are dealt.
        folds: largest number of folds; not more than there are groups.
    """
    unique, first = np.unique(groups, return_index=True)
    order = np.lexsort((np.random.default_rng(seed).permutation(len(unique)), strata[first]))
    fold_of = np.empty(len(unique), np.int64)
    fold_of[order] = np.arange(len(unique)) % max(1, min(folds, len(unique)))
    return fold_of[np.searchsorted(unique, groups)]


def shuffle_groups(labels: NDArray[np.generic], groups: Ints, rng: np.random.Generator) -> NDArray[np.generic]:
    """Labels with those of each group replaced by those of another, in order; what is equal in a group stays so."""
    unique = np.unique(groups)
    result = labels.copy()
    for group, other in zip(unique, rng.permutation(unique), strict=True):
        mine, source = np.flatnonzero(groups == group), np.flatnonzero(groups == other)
        result[mine] = labels[source[np.arange(len(mine)) % len(source)]]
    return result


def shuffle_within(
    labels: NDArray[np.generic], groups: Ints, names: Ints, rng: np.random.Generator
) -> NDArray[np.generic]:
    """Labels exchanged between the names of a group, alike in all of its sets: an object keeps another's label.

    Args:
        labels: [n].
        groups: int[n], for instance initial states.
        names: int[n], of the objects.
        rng: of the exchange.
    """
    result = labels.copy()
    for group in np.unique(groups):
        mine = np.flatnonzero(groups == group)
        unique = np.unique(names[mine])
        first = {name: labels[mine[names[mine] == name][0]] for name in unique.tolist()}
        for name, other in zip(unique.tolist(), rng.permutation(unique).tolist(), strict=True):
            result[mine[names[mine] == name]] = first[other]
    return result
