"""Contracts of perturbations: stages, the registry of axes, and what axes read and write.

An axis is one way of changing an episode, declared once as an `AxisInfo` and implemented by one function. The grammar,
the canonical form, `simeval list perturbations` and the tests all read the declaration.

The function's signature follows from the axis' channel; a key of the axis (`/fill=black`) arrives as keyword argument:

- language: `f(context, value, rng) -> Instruction`.
- physics: `f(physics, value, rng) -> None`, once per episode before anything settles; with `AxisInfo.at_step` between
  two control steps, at the one that the key `from` says. May raise `Infeasible`.
- scene: `f(scene, value, rng) -> None`, writing only the fields declared in `AxisInfo.writes`; an axis that is aimed at
  cameras is called once per camera and gets its name as keyword `camera`.
- image: `f(pixels, value, rng) -> pixels`, `float32[H, W, 3]` on the 0..255 scale, not clipped; `pixels` may be
  overwritten. With `AxisInfo.wants_target` also keywords `target` and `named`: `bool[H, W]` or `None`, where the task's
  objects and the thing named by `/target=NAME` are visible in this view's first policy frame.
- timing: `f(step, value, rng) -> int`, the control step whose observation the policy gets at `step`; here `rng` is a
  function of the control step.
- state: `f(state, value, rng, scale) -> state`, `float32[8]`; `scale` is the spread of each number in training.
- action: `f(actions, value, rng) -> actions`, `float32[T, 7]`; T is 1, because every control step has draws of its own.

An image, state or action function that has a parameter `memory` gets a `dict` there, empty when the episode starts and
its own from then on (for images: one per camera).
"""

import inspect
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import IntEnum
from typing import Any, Literal, TypeVar, cast

import numpy as np

from perturbations.handles import (
    Goal,
    Instruction,
    InstructionContext,
    Masks,
    Memory,
    Physics,
    RngFactory,
    Scene,
)
from perturbations.image_metrics import ImageDifference, image_difference
from perturbations.units import (
    CENTIMETRES,
    COUNT,
    DEGREES,
    FLICKER,
    FRACTION,
    FROM,
    KELVIN,
    MULTIPLIER,
    NUMBER,
    PIXELS_AT_224,
    PROBABILITY,
    RADIANS,
    SEED,
    STATIC,
    STEPS,
    TARGET,
    TIMING_KEYS,
    UNTIL,
    WORD,
    Argument,
    Key,
    Unit,
)

__all__ = [
    "ALL", "CAMERAS", "CENTIMETRES", "COUNT", "DEGREES", "FLICKER", "FRACTION", "FROM", "KELVIN", "MULTIPLIER",
    "NUMBER", "PIXELS_AT_224", "PROBABILITY", "RADIANS", "SEED", "STATIC", "STEPS", "TARGET", "TIMING_KEYS", "UNTIL",
    "WORD",
    "Argument", "AxisInfo", "Channel", "Family", "Goal", "ImageDifference", "Infeasible", "Instruction",
    "InstructionContext", "Key", "Masks", "Meaning", "Memory", "Physics", "RngFactory", "Scene", "SpecError", "Stage",
    "Unit", "axes", "find_axis", "image_difference", "implementation", "register", "shown",
    "takes", "unregister_all_but",
]  # fmt: skip

CAMERAS = ("agentview", "wrist")
"""The views every suite offers. Must equal `envs.base.CAMERAS`; tested."""

ALL = "all"
"""Camera selector: every camera that the axis can be aimed at. The default."""

Channel = Literal["language", "physics", "scene", "image", "timing", "state", "action"]
Family = Literal["V", "S", "E"]
"""Vision, semantics, execution. Source: the generalisation axes of RL4VLA (gen-robot/RL4VLA)."""

Meaning = Literal["kept", "changed", "not_applicable"]
"""What a policy that listens ought to do: the same (`kept`), something else or nothing (`changed`), or what cannot be
said (`not_applicable`). Decides how a condition enters a report: drift is a fault only where the meaning is kept."""

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
    TIMING = 9
    STATE = 10
    ACTION = 11

    @property
    def channel(self) -> Channel:
        """What the stage's axes change; the stages of a camera's signal path all change its image."""
        return "image" if Stage.OPTICS <= self <= Stage.DROP else cast(Channel, self.name.lower())


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
        explained: what each word does, in a few words; none for words that explain themselves.
        arguments: what may follow a word after another colon, by word.
        identity: the value that changes nothing.
        presets: the numbers behind the severities s1 to s5; labels, not equal difficulty across axes.
        source: where the presets and the definition come from.
        cameras: cameras it can be aimed at; empty if it takes no `@camera`.
        keys: its settings.
        writes: the `MjModel` fields that it writes, dotted.
        draws: whether it draws random numbers; such an axis also has the key `seed`.
        wants_target: an image axis that needs to know where the task's objects are visible.
        at_step: a physics axis that acts between two control steps; its key `from` says when.
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
    explained: Mapping[str, str] = field(default_factory=dict, hash=False)
    arguments: Mapping[str, Argument] = field(default_factory=dict, hash=False)
    presets: tuple[float, ...] = ()
    cameras: tuple[str, ...] = ()
    keys: tuple[Key, ...] = ()
    writes: tuple[str, ...] = ()
    draws: bool = True
    wants_target: bool = False
    at_step: bool = False

    def __post_init__(self) -> None:
        values = (self.identity, *self.presets)
        if any(v not in self.words if self.words else not self.bounds[0] <= float(v) <= self.bounds[1] for v in values):
            raise ValueError(f"axis {self.name}: identity and presets must be {self.allowed}")
        if self.draws and not any(key.name == SEED.name for key in self.keys):
            object.__setattr__(self, "keys", tuple(sorted((*self.keys, SEED), key=lambda key: key.name)))
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
        words = [word for word in self.words if word != self.identity]
        return f"{self.name}:{words[0] if words else f'{(self.presets or self.bounds)[0]:g}'}"

    def key(self, name: str) -> Key | None:
        """The setting of that name, if the axis has it."""
        return next((key for key in self.keys if key.name == name), None)


Function = TypeVar("Function", bound=Callable[..., Any])

_axes: dict[str, AxisInfo] = {}
_functions: dict[str, Callable[..., Any]] = {}
_parameters: dict[str, frozenset[str]] = {}


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
        _parameters[info.name] = frozenset(inspect.signature(function).parameters)
        return function

    return add


def unregister_all_but(names: Collection[str]) -> None:
    """Forget every axis that is not named: what a file declared before it broke."""
    for name in [name for name in _functions if name not in names]:
        del _functions[name], _parameters[name]
    for name in [name for name, info in _axes.items() if info.name not in names]:
        del _axes[name]


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
    below = [other for other in _axes if other.startswith(f"{name}.")]
    if below:
        raise SpecError(f"unknown perturbation '{shown(name)}'; there are {', '.join(sorted(below))}")
    close = get_close_matches(name[:40].lower(), _axes, n=1, cutoff=0.4)
    hint = f"did you mean '{close[0]}'?" if close else "`simeval list perturbations` prints the known ones"
    raise SpecError(f"unknown perturbation '{shown(name)}'; {hint}")


def implementation(info: AxisInfo) -> Callable[..., Any]:
    """The function behind an axis."""
    return _functions[info.name]


def takes(info: AxisInfo, parameter: str) -> bool:
    """Whether the function behind an axis has a parameter of that name."""
    return parameter in _parameters[info.name]


def shown(text: str, limit: int = 60) -> str:
    """User text for a one-line message: printable, at most `limit` characters."""
    printable = "".join(c if c.isprintable() else "?" for c in text[: limit + 1])
    return printable if len(printable) <= limit else printable[: limit - 3] + "..."
