"""Units of axis values, and the keys that axes share."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

CONTROL_STEP_MS = 50
"""Simulated time of one control step (ms). Must equal `1000 / envs.base.CONTROL_HZ`; tested."""


@dataclass(frozen=True, slots=True)
class Unit:
    """The unit of an axis' number.

    Attributes:
        name: as printed.
        factors: each accepted suffix (`""` for the bare number) with its factor to this unit.
        whole: whether only whole numbers are allowed.
        rounded_up: suffixes whose numbers are rounded up to whole ones.
    """

    name: str
    factors: Mapping[str, Decimal] = field(hash=False)
    whole: bool = False
    rounded_up: tuple[str, ...] = ()

    @property
    def accepted(self) -> str:
        """Text of the accepted suffixes."""
        return " or ".join(f"'{suffix}'" if suffix else "a bare number" for suffix in self.factors)


# Decimal, because 0.7 / 100 in binary floating point is not 0.007, and both must give the same canonical form.
_ONE = Decimal(1)

FRACTION = Unit("fraction", {"": _ONE, "%": Decimal("0.01")})
MULTIPLIER = Unit("multiplier", {"": _ONE, "%": Decimal("0.01")})
PROBABILITY = Unit("probability", {"": _ONE, "%": Decimal("0.01")})
NUMBER = Unit("number", {"": _ONE})
COUNT = Unit("count", {"": _ONE}, whole=True)
PIXELS_AT_224 = Unit("px at 224", {"": _ONE, "px": _ONE})
DEGREES = Unit("deg", {"": _ONE, "deg": _ONE, "rad": Decimal("57.295779513082320877")})
RADIANS = Unit("rad", {"": _ONE, "rad": _ONE, "deg": Decimal("0.017453292519943295769")})
CENTIMETRES = Unit("cm", {"": _ONE, "cm": _ONE, "mm": Decimal("0.1"), "m": Decimal(100)})
KELVIN = Unit("K", {"": _ONE, "K": _ONE})
STEPS = Unit("steps", {"": _ONE, "steps": _ONE, "ms": _ONE / CONTROL_STEP_MS}, whole=True)
STEPS_UP = Unit(STEPS.name, STEPS.factors, whole=True, rounded_up=("ms",))
WORD = Unit("word", {})


@dataclass(frozen=True, slots=True)
class Key:
    """An option of an axis, written `/name=value`.

    Attributes:
        name: as written.
        default: the value that the canonical form leaves out.
        words: the allowed values; empty if `kind` defines them.
        kind: without `words`: a number of control steps, a whole number, the name of an object, or a share in [0, 1].
        only_with: another key and its values with which alone this one has a meaning.
        means: short description; those of keys that several axes share are in `simeval list perturbations`.
    """

    name: str
    default: str
    words: tuple[str, ...] = ()
    kind: Literal["step", "number", "name", "share"] = "step"
    only_with: tuple[str, tuple[str, ...]] | None = None
    means: str = ""

    @property
    def accepted(self) -> str:
        """The allowed values, as `simeval list perturbations` prints them."""
        return "|".join(self.words) or {"step": "STEP", "number": "N", "name": "NAME", "share": "SHARE"}[self.kind]


FROM = Key("from", "0")
"""First control step that is perturbed."""
UNTIL = Key("until", "")
"""First control step that is clean again; by default there is none."""
FLICKER = Key("mode", "flicker", ("flicker", "static"))
"""New random numbers for every frame; with `static`, those of step 0 for the whole episode."""
STATIC = Key("mode", "static", ("flicker", "static"))
"""The same random numbers for the whole episode; with `flicker`, new ones for every frame."""
SEED = Key("seed", "0", kind="number")
"""Selects other random numbers than the pair's own; every axis that uses random numbers has this key implicitly."""
TARGET = Key("target", "", kind="name")
"""An object or fixture by its name in the task file."""
TIMING_KEYS = (FROM.name, UNTIL.name, FLICKER.name, SEED.name)
"""Keys that `Condition` implements itself; they are not passed to the axis' function."""


@dataclass(frozen=True, slots=True)
class Argument:
    """The argument of a word of a word axis, after a second colon: `typo:0.1`, `lang:de`.

    Attributes:
        means: short description.
        words: the allowed texts; empty for a number.
        bounds: smallest and largest allowed number.
        presets: the numbers of the severities s1 to s5.
        default: value of a missing argument, which the canonical form leaves out; `None` if the argument is required,
            `""` if the bare word has a meaning of its own.
    """

    means: str
    words: tuple[str, ...] = ()
    bounds: tuple[float, float] = (0.0, 1.0)
    presets: tuple[float, ...] = ()
    default: str | None = None

    @property
    def allowed(self) -> str:
        """Text of the allowed arguments."""
        if not self.words:
            severities = f" or a severity s1 to s{len(self.presets)}" if self.presets else ""
            return f"a number in [{self.bounds[0]:g}, {self.bounds[1]:g}]{severities}"
        numbers = [word for word in self.words if word.isdecimal()]
        texts = [word for word in self.words if not word.isdecimal()]
        return f"one of {', '.join(texts + ([f'{numbers[0]} to {numbers[-1]}'] if numbers else []))}"
