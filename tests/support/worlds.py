"""Worlds in which the truth is known, for simulations of error rates and coverage.

Ten tasks of normal difficulty (logit, standard deviation 1.2); initial states that both twins share (1.5), and
70 % of their luck; a loss that differs by task. Families of perturbations have a sensitivity of drift and one of
success, correlated by `r`; where they `rise`, both also grow with strength.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from simeval.stats.study import ConditionInfo, DriftOutcomes

Floats = NDArray[np.float64]
TASKS = 10
SHARED = 0.7


@dataclass(frozen=True)
class World:
    """What a population of perturbations is like.

    Attributes:
        sizes: number of strengths of each family.
        r: correlation of a family's two sensitivities.
        rise: how much a step of strength, from -1 to 1 over a family, adds to the logarithms of drift and loss.
        own: spread of what belongs to a condition alone, on the same scale.
        loss: typical loss in logits.
        states: number of initial states, over all tasks.
    """

    sizes: tuple[int, ...]
    r: float = 0.0
    rise: float = 0.0
    own: float = 0.3
    loss: float = 1.0
    states: int = 50

    @property
    def families(self) -> NDArray[np.int64]:
        return np.repeat(np.arange(len(self.sizes)), self.sizes)

    @property
    def strengths(self) -> Floats:
        return np.concatenate([np.linspace(-1, 1, size) if size > 1 else [0.0] for size in self.sizes])

    def draw(self, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """Typical drift and loss in logits of each condition."""
        a, other = rng.normal(size=(2, len(self.sizes)))
        b = self.r * a + np.sqrt(1 - self.r**2) * other
        steps, k = self.rise * self.strengths, len(self.families)
        drift = 0.7 * a[self.families] + steps + self.own * rng.normal(size=k)
        loss = 0.7 * b[self.families] + steps + self.own * rng.normal(size=k)
        return 0.3 * np.exp(drift), self.loss * np.exp(loss)

    def tasks(self) -> NDArray[np.int64]:
        return np.arange(self.states) % TASKS

    def outcomes(self, rng: np.random.Generator, loss: Floats, ease: Floats, by_task: Floats) -> tuple[Floats, Floats]:
        """Clean and perturbed outcomes of new initial states: float[states], float[states, conditions]."""
        task = self.tasks()
        chance = ease[task] + rng.normal(0, 1.5, self.states)
        luck = logit(rng.random(self.states))
        own = logit(rng.random((self.states, len(loss))))
        twin = np.where(rng.random(own.shape) < SHARED, luck[:, None], own)
        lost = (by_task * loss)[task]
        return (chance + luck > 0).astype(float), (chance[:, None] - lost + twin > 0).astype(float)

    def study(self, rng: np.random.Generator) -> DriftOutcomes:
        """A study with new conditions, tasks and initial states."""
        drift, loss = self.draw(rng)
        ease, by_task = rng.normal(0.5, 1.2, TASKS), rng.lognormal(0, 0.4, (TASKS, len(loss)))
        return self.rerun(rng, drift, loss, ease, by_task)

    def rerun(
        self, rng: np.random.Generator, drift: Floats, loss: Floats, ease: Floats, by_task: Floats
    ) -> DriftOutcomes:
        """A study of these conditions and tasks with new initial states."""
        clean, perturbed = self.outcomes(rng, loss, ease, by_task)
        shape = perturbed.shape
        measured = drift * rng.lognormal(0, 0.5, (shape[0], 1)) * rng.lognormal(0, 0.3, shape)
        task, families = self.tasks(), self.families
        conditions = tuple(
            ConditionInfo(f"axis{f}:{i}", f"axis{f}", float(s))
            for i, (f, s) in enumerate(zip(families, self.strengths, strict=True))
        )
        return DriftOutcomes(conditions, task, np.arange(self.states) // TASKS, clean, perturbed, measured)


UNEQUAL = (3, 1, 3, 4, 3, 3, 3, 3, 3)
"""As in results/correlation."""
WORLDS = {
    "7 x 1": World((1,) * 7),
    "12 x 1": World((1,) * 12),
    "4 x 3": World((3,) * 4),
    "4 x 3, rising": World((3,) * 4, rise=1.2),
    "5 x 3, rising": World((3,) * 5, rise=1.2),
    "6 x 2, rising": World((2,) * 6, rise=1.2),
    "6 x 4, rising": World((4,) * 6, rise=1.2),
    "9 x 3, rising": World((3,) * 9, rise=1.2),
    "unequal, rising": World(UNEQUAL, rise=1.2),
}


def means(study: DriftOutcomes) -> tuple[Floats, Floats]:
    """Mean drift and drop of each condition."""
    assert study.drift is not None
    return study.drift.mean(axis=0), study.pair_drops.mean(axis=0)
