"""Simulated searches for a threshold: worlds that its model describes and others, and what is found in them.

Strengths are shares of the range, as in `simeval.stats.threshold`.
"""

from collections import defaultdict
from copy import deepcopy
from functools import cache
from pathlib import Path

import numpy as np

from simeval.config.placement import is_settled
from simeval.config.threshold import CLEAN_FIRST, LEAST
from simeval.core.types import CLEAN
from simeval.stats.threshold import ThresholdPosterior
from simeval.store.run import Run

STRENGTHS = np.arange(1, 41) / 40
TASKS = 10


def filled(cells, level=0.5, strengths=STRENGTHS):
    """A posterior with (strength, successes, failures)."""
    posterior = ThresholdPosterior(strengths, level)
    for strength, successes, failures in cells:
        for success, count in ((True, successes), (False, failures)):
            for _ in range(count):
                posterior.add(strength, success=success)
    return posterior


@cache
def unfilled():
    """A posterior without episodes, to be copied: its grid takes longer than many episodes."""
    return ThresholdPosterior(STRENGTHS)


RANGE_ENDS = {"light": (1.0, 0.0), "occlusion": (0.0, 0.9), "noise": (0.0, 1.0)}


@cache
def stored_rates(axis):
    """Success by task and strength as `results/correlation` has it, with straight lines between its strengths."""
    identity, stop = RANGE_ENDS[axis]
    scored = defaultdict(list)
    for result in Run.load(Path(__file__).parents[2] / "results" / "correlation").results:
        name, _, value = result.spec.condition.partition(":")
        if name in (axis, CLEAN):
            x = (float(value or identity) - identity) / (stop - identity)
            scored[x, result.spec.task].append(result.outcome == "success")
    places = sorted({x for x, _ in scored})
    rates = [[np.mean(scored[x, task]) for x in places] for task in range(TASKS)]
    return lambda task, x: np.interp(x, places, rates[task])


PLACES = {"anywhere": (0.5, 1.5), "just behind the end": (1.05, 1.05)}
"""Worlds like that in which tasks differ, whose threshold may lie beyond the range: from where to where."""


def world(kind, rng):
    """Success by task and strength; the model describes `one` nearly, the others less and less."""
    if kind in RANGE_ENDS:
        return stored_rates(kind)
    clean, theta = rng.uniform(0.6, 0.97), rng.uniform(*PLACES.get(kind, (0.25, 0.8)))
    rates = 1 / (1 + np.exp(-(np.log(clean / (1 - clean)) + rng.normal(0, 0.8, TASKS))))
    thetas = np.clip(theta + rng.normal(0, 0.1, TASKS), 0.03, None)
    never = np.arange(TASKS) < rng.integers(2, 4)

    def logistic(x, middle):
        return (1 + np.exp(-18 * middle)) / (1 + np.exp(18 * (x - middle)))

    if kind in PLACES:
        kind = "tasks differ"
    return {
        "one": lambda task, x: clean * logistic(x, theta),
        "tasks differ": lambda task, x: rates[task] * logistic(x, thetas[task]),
        "abrupt": lambda task, x: rates[task] * (x < thetas[task]),
        "a quarter never falls": lambda task, x: rates[task] * (1.0 if never[task] else logistic(x, thetas[task])),
        "slow": lambda task, x: clean * 0.5 ** (x / theta),
        "beyond": lambda task, x: clean * (1 - 0.3 * x),
    }[kind]


def truth(rate):
    """The strength at which the mean over tasks is half of the clean one; infinite if it never is."""
    places = np.linspace(0, 2, 2001)
    means = np.mean([np.broadcast_to(rate(task, places), places.shape) for task in range(TASKS)], axis=0)
    below = np.flatnonzero(means <= means[0] / 2)
    return places[below[0]] if below.size else np.inf


def order(rng, rounds):
    return np.concatenate([rng.permutation(TASKS) for _ in range(rounds)])


def searched(kind, seed, most=400, width=0.0, workers=1):
    """Truth, estimate and episodes of an adaptive search."""
    rng = np.random.default_rng((seed, 7))
    rate, posterior = world(kind, rng), deepcopy(unfilled())
    tasks, used, running, placed = order(rng, most // TASKS + 1), [0, 0], [], 0
    while placed < most:
        strength = 0 if placed < CLEAN_FIRST else posterior.best([s for s, _ in running])
        arm = int(strength > 0)
        success = rng.random() < rate(tasks[used[arm]], STRENGTHS[strength - 1] if strength else 0.0)
        used[arm] += 1
        placed += 1
        running.append((strength, success))
        if len(running) >= workers:
            done, outcome = running.pop(0)
            posterior.add(done, success=bool(outcome))
            if width and used[1] >= LEAST and is_settled(posterior.estimate(), used[1], width):
                break
    for strength, success in running:
        posterior.add(strength, success=bool(success))
    return truth(rate), posterior.estimate(), placed


def swept(kind, seed, each):
    """The same for `each` episodes at five strengths and clean."""
    rng = np.random.default_rng((seed, 7))
    rate, cells = world(kind, rng), []
    for strength in (0, 8, 16, 24, 32, 40):
        at = STRENGTHS[strength - 1] if strength else 0.0
        successes = sum(bool(rng.random() < rate(task % TASKS, at)) for task in range(each))
        cells.append((strength, successes, each - successes))
    return truth(rate), filled(cells).estimate(), 6 * each


def coverage(runs):
    """Share of intervals that hold the truth up to half a step of the strengths; any threshold beyond is the last."""
    half = 0.5 / len(STRENGTHS)
    inside = [found.interval.low - half <= min(true, 1.49) <= found.interval.high + half for true, found, _ in runs]
    return np.mean(inside)
