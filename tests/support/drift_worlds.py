"""Worlds for numbers that are not correlations of a study: two policies, flips by state, success against drift; and the
truth of correlations in a population."""

from dataclasses import replace

import numpy as np
from scipy import stats
from scipy.special import expit
from worlds import TASKS, World, means

from simeval.stats.association import STATISTICS
from simeval.stats.curve import Cells, drift_at, fit_curve
from simeval.stats.episodes import Flips
from simeval.stats.resampling import Resampling
from simeval.stats.within_task import cell_means, within_task

FEW = Resampling(n_resamples=199, n_permutations=399)
CORRELATIONS = ("spearman", "kendall", "pearson")


def population(world: World, count: int = 10) -> dict[str, float]:
    """The correlations of a population of families, with the noise of as few episodes."""
    rng = np.random.default_rng(99)
    large = replace(world, sizes=world.sizes * (180 // len(world.sizes)))
    studies = [large.study(rng) for _ in range(count)]
    found = {stat: float(np.mean([STATISTICS[stat](*means(study)) for study in studies])) for stat in CORRELATIONS}
    inside = [within_task(*cell_means(study), np.arange(len(study.conditions)) // 60, FEW).rho for study in studies[:4]]
    return found | {"within tasks": float(np.mean(inside))}


def shared_states(rng: np.random.Generator, conditions: int, share: float = 0.8) -> Flips:
    """Drift that is unrelated to flips, both due to the initial state by `share`: 10 tasks x 5 states."""
    states, shape = 50, (50, conditions)

    def mixed() -> np.ndarray:
        return np.sqrt(share) * rng.normal(size=(states, 1)) + np.sqrt(1 - share) * rng.normal(size=shape)

    drift, flipped = np.exp(mixed()), mixed() < -0.4
    unit, column = np.indices(shape)
    return Flips(drift.ravel(), flipped.ravel(), (unit % TASKS).ravel(), column.ravel(), unit.ravel())


def policies(
    rng: np.random.Generator, states: int, clean: tuple[float, float], kept: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Two policies under five conditions that each keep a share of their success; states are hard for both."""
    hard = rng.normal(0, 1.2, TASKS)[np.arange(states) % TASKS] + rng.normal(0, 1.5, states)
    ranks = stats.norm.cdf((hard - hard.mean()) / hard.std())
    outcomes = []
    for rate, share in zip(clean, kept, strict=True):
        own = stats.norm.cdf(stats.norm.ppf(ranks) * 0.8 + rng.normal(0, 0.6, states))
        first = own > 1 - rate
        held = first[:, None] & (rng.random((states, 5)) < share)
        outcomes.append(np.column_stack([first, held]).astype(float))
    return outcomes[0], outcomes[1]


def budget_cells(
    rng: np.random.Generator, labels: np.ndarray, ease: np.ndarray, states: int = 5
) -> tuple[Cells, float]:
    """Cells of a logistic world in which families and conditions lie off the curve, and the clean rate."""
    families, k = int(labels.max()) + 1, len(labels)
    several = k > families
    step = 0.6 * np.tile(np.linspace(-1, 1, k // families), families) if several else np.zeros(k)
    drift = 0.35 * np.exp((0.5 if several else 0.8) * rng.normal(size=families)[labels] + step + rng.normal(0, 0.2, k))
    off = (0.5 if several else 0.0) * rng.normal(size=families)[labels] + rng.normal(0, 0.3 if several else 0.6, k)
    state = rng.normal(0, 1, (len(ease), states, 1))
    chance = expit(ease[:, None, None] - 6 * np.log1p(drift) + off + state)
    successes = (rng.random(chance.shape) < chance).sum(axis=1)
    tasks, conditions = np.indices(successes.shape)
    cells = Cells(
        tasks.ravel(),
        conditions.ravel(),
        successes.ravel().astype(float),
        np.full(successes.size, float(states)),
        np.tile(drift, len(ease)),
    )
    return cells, float(expit(ease[:, None] + state[..., 0]).mean())


def budget_truth(labels: np.ndarray, ease: np.ndarray) -> tuple[float, float]:
    """Clean rate, and the drift at which half of it is left, in a world with very many conditions and states.

    Args:
        labels: family of each condition of a study, all of one size.
        ease: of each task, logits.
    """
    strengths = len(labels) // (int(labels.max()) + 1)
    many = np.repeat(np.arange(1200 // strengths), strengths)
    clean = float(np.mean([budget_cells(np.random.default_rng(i), labels, ease, 400)[1] for i in range(20)]))
    wide = [fit_curve(budget_cells(np.random.default_rng(100 + i), many, ease, 20)[0]).curve for i in range(6)]
    return clean, float(np.mean([drift_at(curve, clean / 2) for curve in wide]))
