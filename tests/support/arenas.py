"""LIBERO scenes for tests of scene and physics axes: built once per module, reset as the loop resets them."""

import dataclasses
from pathlib import Path

import numpy as np

from envs.assets import BUNDLED
from envs.libero.env import LiberoEnv
from envs.suites import tasks
from perturbations.spec import parse
from simeval.core.seeding import PairStreams


@dataclasses.dataclass(frozen=True)
class Reset:
    init_state: int = 0
    env_seed: int = 0
    settle_steps: int = 10


def build(suite: str, task: int, assets: Path = BUNDLED, size: int = 96) -> LiberoEnv:
    return LiberoEnv(tasks(suite)[task], size, assets)


def streams(seed: int = 0):
    return PairStreams(seed, (1, 2, 3, 4)).generator


def begin(env, text: str, init_state: int = 0, seed: int = 0):
    """An episode under a condition, up to its first policy frame."""
    condition, rng = parse(text), streams(seed)
    env.reset(Reset(init_state), lambda physics: condition.apply_physics(physics, rng))
    condition.apply_scene(env.scene(), rng)
    return env


def pictures(env, text: str = "none", **how) -> dict[str, np.ndarray]:
    return dict(begin(env, text, **how).observe().images)


def apart(one: dict, other: dict) -> dict[str, float]:
    """Mean absolute difference of two sets of pictures, by camera."""
    return {camera: float(np.abs(one[camera].astype(int) - other[camera]).mean()) for camera in one}


def fields(struct, prefix: str = "") -> dict:
    """Every array and number of a model, by dotted name."""
    found = {}
    for name in dir(struct):
        if name.startswith("_") or callable(value := getattr(struct, name)):
            continue
        if isinstance(value, np.ndarray):
            found[prefix + name] = value.tobytes()
        elif isinstance(value, int | float):
            found[prefix + name] = value
        elif prefix + name in ("vis", "opt", "stat") or prefix == "vis.":
            found |= fields(value, f"{prefix}{name}.")
    return found


def changed(before: dict, after: dict) -> set[str]:
    assert before.keys() == after.keys()
    return {name for name in before if before[name] != after[name]}
