"""The axis `latency.profile`: each question waits as long as one of the answers that `simeval profile` timed.

Its file is named by `--plugin`, so it travels to every worker as text, and the manifest has its digest. It is data:
nothing in it is executed.
"""

import math
from typing import Annotated

import msgspec
import numpy as np

from perturbations.base import MULTIPLIER, AxisInfo, Stage, register
from perturbations.latency import MERGE, MODE, THRESHOLD

NAME = "latency.profile"
SUFFIX = ".json"
"""Ending of the name of a profile, which tells it from a plugin that is code."""

_Time = Annotated[float, msgspec.Meta(ge=0, le=3600)]


class _File(msgspec.Struct):
    """What is read of the file: the times (s)."""

    seconds: Annotated[list[_Time], msgspec.Meta(min_length=1, max_length=100_000)]


def register_axis(text: str) -> None:
    """Register the axis of a profile's text.

    Raises:
        ValueError: the text is no profile, or another profile is registered.
    """
    try:
        seconds = np.array(msgspec.json.decode(text, type=_File).seconds)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise ValueError(f"it is not a file of simeval profile: {error}") from None

    @register(
        AxisInfo(
            name=NAME,
            stage=Stage.LATENCY,
            unit=MULTIPLIER,
            value_means="latency as in a profile, times this, rounded up to control steps",
            bounds=(0.0, 100.0),
            identity=0.0,
            presets=(0.5, 1.0, 2.0, 4.0, 8.0),
            source="simeval profile",
            keys=(MERGE, MODE, THRESHOLD),
        )
    )
    def _latency(call: int, value: float, rng: np.random.Generator, control_hz: int) -> int:
        """One of the times, the same at every strength."""
        del call
        # A time that is a whole number of steps, but for the last digit of a binary number, is that number.
        return math.ceil(round(value * float(rng.choice(seconds)) * control_hz, 9))
