"""Timing axes: late, lost and repeated observations.

`obs.*` apply per control step to the whole observation, images and state. `camdrop` and `freeze` apply to the single
images that the policy uses: with chunks of ten actions, one frame in ten.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from perturbations.base import (
    CAMERAS,
    FLICKER,
    FROM,
    PROBABILITY,
    STEPS,
    UNTIL,
    AxisInfo,
    Memory,
    Stage,
    register,
)

StepRng = Callable[[int], np.random.Generator]
"""Makes a fresh generator for a control step."""

Pixels = NDArray[np.float32]


@register(
    AxisInfo(
        name="obs.delay",
        stage=Stage.TIMING,
        unit=STEPS,
        value_means="age of the observation in control steps (of 50 ms)",
        bounds=(0.0, 40.0),
        identity=0.0,
        presets=(1.0, 2.0, 3.0, 5.0, 8.0),
        source="our choice",
        keys=(FROM, UNTIL),
    )
)
def delay(step: int, value: float) -> int:
    """An earlier observation; before enough time has passed, the first one."""
    return max(0, step - round(value))


@register(
    AxisInfo(
        name="obs.drop",
        stage=Stage.TIMING,
        unit=PROBABILITY,
        value_means="probability that a control step's observation is lost; the last one that arrived is held",
        bounds=(0.0, 1.0),
        identity=0.0,
        presets=(0.05, 0.1, 0.2, 0.3, 0.5),
        source="our choice",
        keys=(FROM, UNTIL),
    )
)
def drop(step: int, value: float, rng: StepRng) -> int:
    """The last control step whose observation arrived; the first one always does."""
    while step > 0 and rng(step).random() < value:
        step -= 1
    return step


@register(
    AxisInfo(
        name="camdrop",
        stage=Stage.DROP,
        unit=PROBABILITY,
        value_means="probability that an image is black",
        bounds=(0.0, 1.0),
        identity=0.0,
        presets=(0.05, 0.1, 0.2, 0.4, 1.0),
        source="our choice",
        cameras=CAMERAS,
        keys=(FROM, FLICKER, UNTIL),
    )
)
def camdrop(pixels: Pixels, value: float, rng: np.random.Generator) -> Pixels:
    """A lost image is black; with `/mode=static` a camera works for the whole episode or not at all."""
    return np.zeros_like(pixels) if rng.random() < value else pixels


@register(
    AxisInfo(
        name="freeze",
        stage=Stage.DROP,
        unit=PROBABILITY,
        value_means="probability that a camera shows its last image again; 1 holds the first for good",
        bounds=(0.0, 1.0),
        identity=0.0,
        presets=(0.05, 0.1, 0.2, 0.4, 1.0),
        source="our choice",
        cameras=CAMERAS,
        keys=(FROM, UNTIL),
    )
)
def freeze(pixels: Pixels, value: float, rng: np.random.Generator, memory: Memory) -> Pixels:
    """A camera that freezes; the first image always arrives."""
    if "pixels" not in memory or rng.random() >= value:
        memory["pixels"] = pixels.copy()
    held: Pixels = memory["pixels"]
    return held.copy()
