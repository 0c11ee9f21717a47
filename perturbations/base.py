"""Contracts of perturbations: stages, the registry of axes, and what axes read and write.

An axis is one way of changing an episode, declared once as an `AxisInfo` and implemented by one function. The grammar,
the canonical form, `simeval list perturbations` and the tests all read the declaration.

The function's signature follows from the axis' channel; a key of the axis (`/fill=black`) arrives as keyword argument:

- image: `f(pixels, value, rng) -> pixels`, `float32[H, W, 3]` on the 0..255 scale, not clipped; `pixels` may be
  overwritten.
- scene: `f(scene, value, rng) -> None`, writing only the fields declared in `AxisInfo.writes`; an axis that is aimed at
  cameras is called once per camera and gets its name as keyword `camera`.
- language: `f(context, value, rng) -> Instruction`.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from difflib import get_close_matches
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar, cast

import cv2
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import mujoco

CAMERAS = ("agentview", "wrist")
"""The views every suite offers. Must equal `envs.base.CAMERAS`; tested."""

ALL = "all"
"""Camera selector: every camera that the axis can be aimed at. The default."""

Channel = Literal["language", "physics", "scene", "image", "state", "action"]
Family = Literal["V", "S", "E"]
"""Vision, semantics, execution. Source: the generalisation axes of RL4VLA (gen-robot/RL4VLA)."""

Meaning = Literal["kept", "changed", "not_applicable"]
"""Whether the instruction still asks for the original goal, for another goal of the scene, or for nothing in it."""

RngFactory = Callable[[str, str, int], np.random.Generator]
"""A fresh generator for (stream name, camera, step). Never keyed by strength, so that strengths share their draws."""

Goal = tuple[tuple[str, ...], ...]
"""A conjunction of predicates, as `envs.base.Goal`."""

_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")


class SpecError(ValueError):
    """A perturbation was asked for that does not exist. One line that quotes the value and says what is allowed."""


class Infeasible(ValueError):  # noqa: N818  (names the outcome that the episode's row records)
    """The perturbation exists but cannot be applied to this episode's scene or task."""


class Stage(IntEnum):
    """Where in the episode an axis acts, in the one order of application."""

    LANGUAGE = 0
    PHYSICS = 1
    SCENE = 2
    OPTICS = 3
    EXPOSURE = 4
    SENSOR = 5
    OCCLUSION = 6
    CODEC = 7
    DROP = 8
    STATE = 9
    ACTION = 10

    @property
    def channel(self) -> Channel:
        """What the stage's axes change; the stages of a camera's signal path all change its image."""
        return "image" if Stage.OPTICS <= self <= Stage.DROP else cast(Channel, self.name.lower())


@dataclass(frozen=True, slots=True)
class Unit:
    """The unit of an axis' number.

    Attributes:
        name: as printed.
        factors: each accepted suffix (`""` for the bare number) and what one of it is in this unit.
    """

    name: str
    factors: Mapping[str, Decimal] = field(hash=False)

    @property
    def accepted(self) -> str:
        """The accepted suffixes in words."""
        return " or ".join(f"'{suffix}'" if suffix else "a bare number" for suffix in self.factors)


# Decimal, because 0.7 / 100 in binary is not the number that 0.007 names, and both must give one canonical form.
FRACTION = Unit("fraction", {"": Decimal(1), "%": Decimal("0.01")})
MULTIPLIER = Unit("multiplier", {"": Decimal(1), "%": Decimal("0.01")})
PIXELS_AT_224 = Unit("px at 224", {"": Decimal(1), "px": Decimal(1)})
WORD = Unit("word", {})


@dataclass(frozen=True, slots=True)
class Key:
    """A setting of an axis, written `/name=value`.

    Attributes:
        name: as written.
        default: value that the canonical form leaves out.
        words: the allowed values; empty for a number of control steps.
    """

    name: str
    default: str
    words: tuple[str, ...] = ()


FROM = Key("from", "0")
"""First control step that is perturbed."""
UNTIL = Key("until", "")
"""First control step that is clean again; by default none."""
FLICKER = Key("mode", "flicker", ("flicker", "static"))
"""Draws are new for every frame, unless static: then those of step 0 hold for the whole episode."""
STATIC = Key("mode", "static", ("flicker", "static"))
"""Draws hold for the whole episode, unless flicker: change over time is another perturbation."""
TIMING_KEYS = (FROM.name, UNTIL.name, FLICKER.name)
"""Keys that `Condition` itself carries out; the axis' function never sees them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AxisInfo:
    """The declaration of an axis.

    Attributes:
        name: canonical name; also the name of its random stream.
        aliases: other accepted names.
        stage: where it acts.
        family: kind of generalisation it probes.
        unit: unit of its number, or `WORD`.
        value_means: what the value is, in a few words.
        bounds: smallest and largest number, both allowed.
        words: the values of a word axis, and what each does to the meaning of the instruction.
        identity: the value that changes nothing.
        presets: the numbers behind the severities s1 to s5; labels, not equal difficulty across axes.
        source: where the presets and the definition come from.
        cameras: cameras it can be aimed at; empty if it takes no `@camera`.
        keys: its settings.
        writes: the `MjModel` fields that it writes, dotted.
    """

    name: str
    stage: Stage
    family: Family
    unit: Unit
    value_means: str
    identity: float | str
    source: str
    aliases: tuple[str, ...] = ()
    bounds: tuple[float, float] = (-np.inf, np.inf)
    words: Mapping[str, Meaning] = field(default_factory=dict, hash=False)
    presets: tuple[float, ...] = ()
    cameras: tuple[str, ...] = ()
    keys: tuple[Key, ...] = ()
    writes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        values = (self.identity, *self.presets)
        if any(v not in self.words if self.words else not self.bounds[0] <= float(v) <= self.bounds[1] for v in values):
            raise ValueError(f"axis {self.name}: identity and presets must be {self.allowed}")
        bad = [name for name in (self.name, *self.aliases) if not _NAME.fullmatch(name) or name == "none"]
        if bad:
            raise ValueError(f"not a name for an axis: {bad[0]!r}")

    @property
    def channel(self) -> Channel:
        """What it changes."""
        return self.stage.channel

    @property
    def allowed(self) -> str:
        """The allowed values in words: `in [0, 1]`, or `one of original, empty`."""
        return f"one of {', '.join(self.words)}" if self.words else f"in [{self.bounds[0]:g}, {self.bounds[1]:g}]"

    @property
    def example(self) -> str:
        """A term that is accepted and changes something."""
        values = self.presets or [word for word in self.words if word != self.identity] or self.bounds
        return f"{self.name}:{values[0]}"

    def key(self, name: str) -> Key | None:
        """The setting of that name, if the axis has it."""
        return next((key for key in self.keys if key.name == name), None)


Function = TypeVar("Function", bound=Callable[..., Any])

_axes: dict[str, AxisInfo] = {}
_functions: dict[str, Callable[..., Any]] = {}


def register(info: AxisInfo) -> Callable[[Function], Function]:
    """Declare the decorated function as the implementation of an axis; the module's docstring gives its signature.

    An axis of your own must be imported in every process that runs episodes.

    Raises:
        ValueError: a name is already taken.
    """

    def add(function: Function) -> Function:
        names = (info.name, *info.aliases)
        taken = [name for name in names if name in _axes]
        if taken:
            raise ValueError(f"axis name {taken[0]!r} is already taken")
        _axes.update(dict.fromkeys(names, info))
        _functions[info.name] = function
        return function

    return add


def axes() -> tuple[AxisInfo, ...]:
    """Every registered axis, in order of application, then by name."""
    return tuple(sorted((_axes[name] for name in _functions), key=lambda info: (info.stage, info.name)))


def find_axis(name: str) -> AxisInfo:
    """The axis of that name or alias.

    Raises:
        SpecError: there is none; suggests the nearest name.
    """
    if name in _axes:
        return _axes[name]
    close = get_close_matches(name[:40].lower(), _axes, n=1, cutoff=0.4)
    hint = f"did you mean '{close[0]}'?" if close else "`simeval list perturbations` prints the known ones"
    raise SpecError(f"unknown perturbation '{shown(name)}'; {hint}")


def implementation(info: AxisInfo) -> Callable[..., Any]:
    """The function behind an axis."""
    return _functions[info.name]


def shown(text: str, limit: int = 60) -> str:
    """User text for a one-line message: printable, at most `limit` characters."""
    printable = "".join(c if c.isprintable() else "?" for c in text[: limit + 1])
    return printable if len(printable) <= limit else printable[: limit - 3] + "..."


class Scene(Protocol):
    """The handle that scene axes write through; `envs.base.Scene` is one. The next reset restores every field."""

    @property
    def model(self) -> "mujoco.MjModel":
        """The live model."""

    @property
    def cameras(self) -> Mapping[str, int]:
        """MuJoCo camera id by name."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """What the policy is told.

    Attributes:
        text: the instruction.
        goal: the other goal that the text asks for; `None` if it asks for the original one or for none.
        source: where the text comes from: `original`, `empty`, or an entry of a pool such as `libero_goal/4`.
    """

    text: str
    goal: Goal | None
    source: str


@dataclass(frozen=True, slots=True)
class InstructionContext:
    """What a language axis may choose from in one task.

    Attributes:
        original: the task's own instruction.
        original_goal: what it asks for.
        counterfactuals: instructions for other goals that this scene can reach, each with its goal.
        mismatches: instructions of other scenes, for which this one has no referent.

    Raises:
        ValueError: a counterfactual has no goal or the original's goal, or an alternative has the original's text.
    """

    original: str
    original_goal: Goal
    counterfactuals: tuple[Instruction, ...]
    mismatches: tuple[str, ...]

    def __post_init__(self) -> None:
        if any(other.goal in (None, self.original_goal) for other in self.counterfactuals):
            raise ValueError(f"a counterfactual of {self.original!r} has no goal of its own")
        if self.original in (*(other.text for other in self.counterfactuals), *self.mismatches):
            raise ValueError(f"{self.original!r} is among its own alternatives")


@dataclass(frozen=True, slots=True)
class ImageDifference:
    """How far pictures are apart, summed over pixels and channels so that frames add up with `+`.

    Attributes:
        sum_abs: sum of absolute differences (levels of 255).
        sum_sq: sum of squared differences.
        n: number of values compared.
    """

    sum_abs: int = 0
    sum_sq: int = 0
    n: int = 0

    def __add__(self, other: "ImageDifference") -> "ImageDifference":
        return ImageDifference(self.sum_abs + other.sum_abs, self.sum_sq + other.sum_sq, self.n + other.n)

    @property
    def mean_abs(self) -> float:
        """Mean absolute difference (levels of 255); 0 if nothing was compared."""
        return self.sum_abs / self.n if self.n else 0.0

    @property
    def psnr(self) -> float | None:
        """Peak signal-to-noise ratio (dB); `None` where nothing differs."""
        return float(10 * np.log10(255**2 * self.n / self.sum_sq)) if self.sum_sq else None


def image_difference(clean: NDArray[np.uint8], perturbed: NDArray[np.uint8]) -> ImageDifference:
    """Compare two `uint8[H, W, 3]` pictures. The sums are exact.

    Raises:
        ValueError: the shapes differ.
    """
    if clean.shape != perturbed.shape:
        raise ValueError(f"pictures of different shape: {clean.shape} and {perturbed.shape}")
    absolute = cv2.norm(clean, perturbed, cv2.NORM_L1)
    squared = cv2.norm(clean, perturbed, cv2.NORM_L2SQR)
    return ImageDifference(round(absolute), round(squared), clean.size)
