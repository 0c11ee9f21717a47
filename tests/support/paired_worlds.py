"""Pairs whose true drop is known: with tasks, initial states and shared luck, or as bare differences in their order.

Tasks differ, initial states of a task differ, and the perturbed twin shares a part of its luck with the clean one. A
perturbation makes every episode harder by the same amount, so it costs tasks differently, as their rates differ.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

TASKS = 10
EASE = np.linspace(-0.8, 3.2, TASKS)
"""Mean logit of success of each task."""


@dataclass(frozen=True)
class PairedWorld:
    """A perturbation with a true drop.

    Attributes:
        shift: logits that it costs.
        own_luck: share of pairs whose perturbed episode has luck of its own.
        drop: true drop (fraction).
        background: share of pairs that flip without net effect.
        clean: true success rate of clean episodes.
    """

    shift: float
    own_luck: float
    drop: float
    background: float
    clean: float

    def play(
        self, states: int, rng: np.random.Generator, repeats: int = 1
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Outcomes of the clean and the perturbed episodes, `states` initial states of every task.

        Returns:
            bool[tasks * states * repeats] twice; the repeats of a state follow each other.
        """
        return self.play_at(drawn_ease(states, rng), rng, repeats)

    def play_at(
        self, ease: NDArray[np.float64], rng: np.random.Generator, repeats: int = 1
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """The same for initial states whose ease is known: float[tasks, states, 1], in logits."""
        shape = (*ease.shape[:2], repeats)
        luck, other = rng.random((2, *shape))
        luck_of_twin = np.where(rng.random(shape) < self.own_luck, other, luck)
        return (luck < expit(ease)).ravel(), (luck_of_twin < expit(ease - self.shift)).ravel()


def drawn_ease(states: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """How easy new initial states are, in logits: float[tasks, states, 1]."""
    return EASE[:, None, None] + rng.normal(0, 1.0, (TASKS, states, 1))


def two_policies(
    rng: np.random.Generator, losses: Sequence[float], own_luck: float, states: int, repeats: int = 1
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Outcomes of policies A and B in the same initial states under several conditions.

    Args:
        rng: of the draws.
        losses: A minus B under each condition (fraction).
        own_luck: share of pairs whose two episodes have luck of their own.
        states: initial states of every task.
        repeats: of each.

    Returns:
        float[tasks * states * repeats, conditions] twice; the repeats of a state follow each other.
    """
    ease, sides = drawn_ease(states, rng), []
    for loss in losses:
        pair = paired_world(abs(loss), own_luck).play_at(ease, rng, repeats)
        sides.append(pair if loss >= 0 else pair[::-1])
    first, second = (np.column_stack(columns).astype(np.float64) for columns in zip(*sides, strict=True))
    return first, second


@cache
def paired_world(drop: float, own_luck: float) -> PairedWorld:
    """The world with this true drop; its truth from half a million states."""
    ease = EASE[:, None] + np.random.default_rng(0).normal(0, 1.0, (TASKS, 50_000))
    clean = expit(ease)
    low, high = 0.0, 12.0
    while high - low > 1e-6:
        shift = (low + high) / 2
        low, high = (shift, high) if (clean - expit(ease - shift)).mean() < drop else (low, shift)
    helped = own_luck * ((1 - clean) * expit(ease - low)).mean()
    return PairedWorld(low, own_luck, drop, 2 * float(helped), float(clean.mean()))


def pairs_alike(
    rng: np.random.Generator, runs: int, drop: float, background: float, pairs: int = 500
) -> NDArray[np.float64]:
    """Clean minus perturbed success of pairs: `[runs, pairs]`. All have the same chances."""
    draw = rng.random((runs, pairs))
    harmed = drop + background / 2
    return np.where(draw < harmed, 1.0, np.where(draw < harmed + background / 2, -1.0, 0.0))


def pairs_in_rounds(
    rng: np.random.Generator, runs: int, pairs: int, drops: NDArray[np.float64], background: float
) -> NDArray[np.float64]:
    """The same in rounds over the tasks, which differ in their drop: `[runs, pairs]`.

    Args:
        rng: of the draws.
        runs: number of runs.
        pairs: of each run, a multiple of the number of tasks.
        drops: of each task.
        background: share of pairs that flip if a task has no drop.
    """
    rounds = np.concatenate(
        [rng.permuted(np.tile(drops, (runs, 1)), axis=1) for _ in range(pairs // len(drops))], axis=1
    )
    harmed = np.maximum(0, background / 2 + rounds / 2)
    helped = np.maximum(0, background / 2 - rounds / 2)
    draw = rng.random((runs, pairs))
    return np.where(draw < harmed, 1.0, np.where(draw < harmed + helped, -1.0, 0.0))
