"""Simulated searches for a bad condition: where a policy fails, the episodes that are chosen, and their rows."""

import random
from functools import cache

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from simeval.config.layout import layout_of
from simeval.config.plan import make_plan
from simeval.config.worst import worst_config
from simeval.config.worst_placement import WorstPlacement
from simeval.core.types import CLEAN

SETTINGS = {"suite": ["toy"], "init_states": "0-39", "workers": 0}
AXES = ("light", "noise")
CLEAN_FAILS = 0.05


def search(*perturb, **own):
    settings = SETTINGS | own.pop("settings", {})
    return worst_config(perturb or AXES, settings, **own)


def point_of(config):
    return {one.condition: one.point for one in config.space.candidates}


def planted(point):
    """Fails where both axes are at about 0.6, and seldom elsewhere."""
    return 0.85 if all(abs(share - 0.6) < 0.21 for share in point) else 0.15


def smooth(point):
    return 0.1 + 0.35 * sum(point)


def flat(point):
    del point
    return 0.4


@cache
def success_rate(fails, spread=0.0):
    """True success over all initial states, of a condition that fails in a typical state with this probability."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    return float(1 - expit(logit(fails) + spread * nodes) @ weights / weights.sum())


def success_at_random(config, fails, spread=0.0):
    """True success over all conditions: each set of axes has the same weight."""
    sets = {}
    for one in config.space.candidates:
        sets.setdefault(one.axes, []).append(success_rate(fails(one.point), spread))
    return float(np.mean([np.mean(rates) for rates in sets.values()]))


def played(config, fails=planted, workers=1, seed=0, placement=None, stop=10_000, spread=0.0):
    """The placement, and episodes with outcomes in the order in which they ended.

    Args:
        config: the search.
        fails: from a point to the probability of a failure there, in a typical initial state.
        workers: episodes that run at the same time.
        seed: of the outcomes.
        placement: one that has been begun.
        stop: most episodes.
        spread: how much initial states differ: standard deviation of the logits of failure.
    """
    placement = placement or WorstPlacement(config, make_plan(config.run))
    points, rng, ran, running = point_of(config), random.Random(seed), [], []
    while len(ran) < stop:
        while len(running) < workers and (spec := placement.next()):
            running.append(spec)
        if not running:
            assert not placement.has_next
            break
        spec = running.pop(rng.randrange(len(running)))
        ran.append((spec, outcome(spec, points, fails, seed, spread)))
        placement.record(*ran[-1])
    return placement, ran


def outcome(spec, points, fails, seed=0, spread=0.0):
    rate = CLEAN_FAILS if spec.condition == CLEAN else fails(points[spec.condition])
    if spread:
        rate = expit(logit(rate) + spread * random.Random(f"{seed} {spec.task} {spec.init_state}").gauss())
    return "failure" if random.Random(f"{seed} {spec.id}").random() < rate else "success"


def table(ran):
    """The rows of a run, as its table has them."""
    rows = [
        {
            "id": spec.id, "pair_id": spec.pair_id, "suite": spec.suite, "task": spec.task,
            "init_state": spec.init_state, "repeat": spec.repeat, "condition": spec.condition, "outcome": result,
            "steps": 5, "first_success": None, "reached": "neither",
        }
        for spec, result in ran
    ]  # fmt: skip
    frame = pd.DataFrame(rows)
    return frame.assign(condition=frame["condition"].astype("category"))


def manifest_of(config):
    plan = make_plan(config.run)
    return {
        "config": {"suite": list(config.run.suite), "seed": config.run.seed, "repeats": config.run.repeats},
        "layout": layout_of(plan),
        "worst": config.record(),
    }
