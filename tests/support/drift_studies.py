"""Simulated studies: what a run and an audit could have said, with a known relation between drift and drop."""

import numpy as np
from scipy.special import expit

from simeval.stats.study import ConditionInfo, DriftOutcomes

FAMILIES = 6
SEVERITIES = 4


def simulated(
    seed: int = 0,
    *,
    slope: float = -6.0,
    tasks: int = 5,
    states: int = 10,
    families: int = FAMILIES,
    severities: int = SEVERITIES,
    unrelated: bool = False,
) -> DriftOutcomes:
    """Success falls with drift by `slope` on the scale of `logit ~ log1p(drift)`; `unrelated` deals drift out anew."""
    rng = np.random.default_rng(seed)
    base = rng.uniform(0.05, 0.4, size=families)
    strength = np.linspace(0.4, 2.0, severities)
    drift_c = (base[:, None] * strength).ravel() * rng.uniform(0.9, 1.1, size=families * severities)
    task = np.repeat(np.arange(tasks), states)
    ease = rng.normal(2.5, 0.8, size=tasks)[task] + rng.normal(0, 0.5, size=len(task))
    drift = drift_c * rng.lognormal(0, 0.15, size=(len(task), len(drift_c)))
    clean = (rng.random(len(task)) < expit(ease)).astype(float)
    chance = expit(ease[:, None] + slope * np.log1p(drift))
    perturbed = (rng.random(chance.shape) < chance).astype(float)
    if unrelated:
        drift = drift[:, rng.permutation(len(drift_c))]
    conditions = tuple(
        ConditionInfo(f"axis{f}:{s}", f"axis{f}", float(s)) for f in range(families) for s in range(severities)
    )
    return DriftOutcomes(conditions, task, np.tile(np.arange(states), tasks), clean, perturbed, drift, floor=0.02)


def constant(clean: float, perturbed: float, *, conditions: int = 8, pairs: int = 20) -> DriftOutcomes:
    """Every clean and every perturbed episode ended alike."""
    rng = np.random.default_rng(0)
    return DriftOutcomes(
        tuple(ConditionInfo(f"c{i}", f"c{i}") for i in range(conditions)),
        np.repeat([0, 1], pairs // 2),
        np.tile(np.arange(pairs // 2), 2),
        np.full(pairs, clean),
        np.full((pairs, conditions), perturbed),
        rng.random((pairs, conditions)),
    )
