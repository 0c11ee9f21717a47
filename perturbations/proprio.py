"""State axes: changes of the robot's proprioception."""

import numpy as np
from numpy.typing import NDArray

from perturbations.base import (
    FLICKER,
    FROM,
    PROBABILITY,
    UNTIL,
    AxisInfo,
    Memory,
    Stage,
    Unit,
    register,
)
from perturbations.units import NUMBER

State = NDArray[np.float32]
"""`float32[8]`: hand position (3, m), hand axis-angle (3, rad), finger positions (2, m)."""

SPREADS = Unit("training std", NUMBER.factors)


@register(
    AxisInfo(
        name="proprio.noise",
        stage=Stage.STATE,
        unit=SPREADS,
        value_means="sigma of Gaussian noise, in standard deviations of each number in the policy's training",
        bounds=(0.0, 10.0),
        identity=0.0,
        presets=(0.05, 0.1, 0.2, 0.5, 1.0),
        source="our choice",
        keys=(FROM, FLICKER, UNTIL),
    )
)
def noise(state: State, value: float, rng: np.random.Generator, scale: NDArray[np.float32]) -> State:
    """Independent noise on every dimension, new for every frame; a constant bias with `/mode=static`."""
    return state + np.float32(value) * scale * rng.standard_normal(state.shape, dtype=np.float32)


@register(
    AxisInfo(
        name="proprio.zero",
        stage=Stage.STATE,
        unit=PROBABILITY,
        value_means="probability that a frame reports all zeros",
        bounds=(0.0, 1.0),
        identity=0.0,
        presets=(0.05, 0.1, 0.2, 0.5, 1.0),
        source="our choice",
        keys=(FROM, UNTIL),
    )
)
def zero(state: State, value: float, rng: np.random.Generator) -> State:
    """The state is lost: does the policy need it?"""
    return np.zeros_like(state) if rng.random() < value else state


@register(
    AxisInfo(
        name="proprio.freeze",
        stage=Stage.STATE,
        unit=PROBABILITY,
        value_means="probability that a frame repeats the state reported before it; 1 holds the first for good",
        bounds=(0.0, 1.0),
        identity=0.0,
        presets=(0.05, 0.1, 0.2, 0.5, 1.0),
        source="our choice",
        keys=(FROM, UNTIL),
    )
)
def freeze(state: State, value: float, rng: np.random.Generator, memory: Memory) -> State:
    """The state freezes; the first frame always arrives."""
    if "state" not in memory or rng.random() >= value:
        memory["state"] = state.copy()
    held: State = memory["state"]
    return held
