"""Contracts of perturbations: stages, the registry of axes, and what axes read and write.

An axis is one way to change an episode. It is declared once as an `AxisInfo` and implemented by one function. The
grammar, the canonical form, `simeval list perturbations` and the tests all read the declaration.

The signature of the function depends on the axis' channel. Each key of the axis (`/fill=black`) is passed as a keyword
argument:

A function that uses no random numbers leaves out `rng`, and its axis has no key `seed`.

- language: `f(context, value, rng) -> Instruction`.
- physics: `f(physics, value, rng) -> None`, called once per episode before the scene settles. With `AxisInfo.at_step`
  it is called between two control steps instead, at the step given by the key `from`. It may raise `Infeasible`.
- scene: `f(scene, value, rng) -> None`, writes only the fields declared in `AxisInfo.writes`. An axis with cameras is
  called once per camera, with the keyword `camera`.
- image: `f(pixels, value, rng) -> pixels`, `float32[H, W, 3]` on the 0..255 scale, not clipped; `pixels` may be
  overwritten. With `AxisInfo.wants_target` it also gets the keywords `target` and `named`, `bool[H, W]` or `None`: the
  masks of the task's objects, and of the object named by `/target=NAME`, in this camera's first policy frame.
- timing: `f(step, value, rng) -> int` returns the control step whose observation the policy gets at `step`. Here `rng`
  is a function that maps a control step to its generator.
- state: `f(state, value, rng, scale) -> state`, `float32[8]`; `scale` is the training standard deviation per dimension.
- action: `f(actions, value, rng) -> actions`, `float32[T, 7]`. T is 1, because each control step has its own generator.
- latency: `f(call, value, rng) -> int`, control steps from the policy's question number `call` to its answer. What the
  robot does meanwhile is said by the keys of `perturbations.latency`, which the function does not get. With a parameter
  `measured` it gets the control steps, a `float`, that the policy's answer took by this machine's clock, with
  `control_hz` the suite's control steps per second.

If an image, state or action function has a parameter `memory`, it gets a `dict` that is empty at the start of the
episode and persists until its end (for images: one per camera).
"""

import inspect
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
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
    "Unit", "axes", "find_axis", "image_difference", "implementation", "register", "quote",
    "accepts", "unregister_all_but",
]  # fmt: skip

CAMERAS = ("agentview", "wrist")
"""The cameras of every suite. Must equal `envs.base.CAMERAS`; tested."""

ALL = "all"
"""Camera selector: all cameras that the axis supports. The default."""

Channel = Literal["language", "physics", "scene", "image", "timing", "state", "action", "latency"]
Family = Literal["V", "S", "E"]
"""Vision, semantics, execution. Source: the generalisation axes of RL4VLA (gen-robot/RL4VLA)."""

_FAMILIES: Mapping[Channel, Family] = {"language": "S", "scene": "V", "image": "V"}
"""The family of most axes of a channel; that of all others is E."""
_BY_CHANNEL = cast(Family, "")

Meaning = Literal["kept", "changed", "not_applicable"]
"""Whether an instruction-following policy should act as in the clean episode: yes (`kept`), no (`changed`), or
undefined (`not_applicable`). It decides how a condition enters a report: drift is a fault only if meaning is kept."""

_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")


class SpecError(ValueError):
    """An invalid perturbation was requested. The message is one line with the value and what is allowed."""


class Infeasible(ValueError):  # noqa: N818  (names the outcome that the episode's row records)
    """The perturbation exists but cannot be applied to this episode's scene or task."""


class Stage(IntEnum):
    """Where an axis acts; the values give the order of application."""

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
    LATENCY = 12

    @property
    def channel(self) -> Channel:
        """What the axes of this stage change; all stages of a camera's signal path change its image."""
        return "image" if Stage.OPTICS <= self <= Stage.DROP else cast(Channel, self.name.lower())


@dataclass(frozen=True, slots=True, kw_only=True)
class AxisInfo:
    """The declaration of an axis.

    Attributes:
        name: canonical name, also the name of its random stream.
        aliases: other accepted names.
        stage: where it acts.
        family: the kind of generalisation it tests; by default V for images and scenes, S for language, else E.
        unit: unit of its number, or `WORD`.
        value_means: short description of the value.
        bounds: smallest and largest allowed number.
        words: the allowed values of a word axis, each with its effect on the instruction's meaning.
        also: words that are allowed besides the numbers, each with its meaning.
        explained: short description of each word that is not self-explanatory.
        arguments: what may follow a word after a second colon, by word.
        identity: the value that changes nothing.
        presets: the numbers of the severities s1 to s5. They are labels; difficulty is not comparable across axes.
        source: where the presets and the definition come from.
        cameras: cameras it supports; empty if it takes no `@camera`.
        keys: its options.
        writes: the `MjModel` fields that it writes, dotted.
        draws: whether it uses random numbers; if so it also has the key `seed`. By default, whether its function takes
            `rng`; `False` is for a function that takes it and does not use it.
        wants_target: an image axis that needs masks of the task's objects.
        at_step: a physics axis that acts between two control steps, given by its key `from`.
    """

    name: str
    stage: Stage
    family: Family = _BY_CHANNEL
    unit: Unit
    value_means: str
    identity: float | str
    source: str
    aliases: tuple[str, ...] = ()
    bounds: tuple[float, float] = (-np.inf, np.inf)
    words: Mapping[str, Meaning] = field(default_factory=dict, hash=False)
    also: Mapping[str, str] = field(default_factory=dict, hash=False)
    explained: Mapping[str, str] = field(default_factory=dict, hash=False)
    arguments: Mapping[str, Argument] = field(default_factory=dict, hash=False)
    presets: tuple[float, ...] = ()
    cameras: tuple[str, ...] = ()
    keys: tuple[Key, ...] = ()
    writes: tuple[str, ...] = ()
    draws: bool | None = None
    wants_target: bool = False
    at_step: bool = False

    def __post_init__(self) -> None:
        if not self.family:
            object.__setattr__(self, "family", _FAMILIES.get(self.channel, "E"))
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
        """The part of the episode that it changes."""
        return self.stage.channel

    @property
    def allowed(self) -> str:
        """Text of the allowed values: `in [0, 1]`, or `one of original, empty`."""
        return f"one of {', '.join(self.words)}" if self.words else f"in [{self.bounds[0]:g}, {self.bounds[1]:g}]"

    @property
    def example(self) -> str:
        """A valid term with an effect."""
        words = [word for word in self.words if word != self.identity]
        return f"{self.name}:{words[0] if words else f'{(self.presets or self.bounds)[0]:g}'}"

    def key(self, name: str) -> Key | None:
        """The option of that name, or `None`."""
        return next((key for key in self.keys if key.name == name), None)


Function = TypeVar("Function", bound=Callable[..., Any])

_axes: dict[str, AxisInfo] = {}
_functions: dict[str, Callable[..., Any]] = {}
_parameters: dict[str, frozenset[str]] = {}

_BY_KEYWORD = frozenset(("camera", "control_hz", "measured", "memory", "named", "scale", "target"))
"""Parameters that functions get by keyword, apart from the keys of their axis."""


def register(info: AxisInfo) -> Callable[[Function], Function]:
    """Register the decorated function as the implementation of an axis; see the module's docstring for its signature.

    A user-defined axis must be imported in every process that runs episodes; `--plugin` does that.

    Raises:
        ValueError: a name is already taken.
    """

    def add(function: Function) -> Function:
        names = (info.name, *info.aliases)
        taken = [name for name in names if name in _axes]
        if taken:
            raise ValueError(f"axis name {taken[0]!r} is already taken")
        parameters = _parameters_of(function, info)
        registered = replace(info, draws="rng" in parameters) if info.draws is None else info
        _axes.update(dict.fromkeys(names, registered))
        _functions[info.name], _parameters[info.name] = function, parameters
        return function

    return add


def _parameters_of(function: Callable[..., Any], info: AxisInfo) -> frozenset[str]:
    """Names of a function's parameters; the third one, which is passed by position, counts as `rng` under any name."""
    parameters = inspect.signature(function).parameters.values()
    positional = [one.name for one in parameters if one.kind <= inspect.Parameter.POSITIONAL_OR_KEYWORD]
    variable = any(one.kind is inspect.Parameter.VAR_POSITIONAL for one in parameters)
    third = positional[2] if len(positional) > 2 else ""
    by_keyword = third in _BY_KEYWORD or info.key(third) is not None
    names = frozenset(one.name for one in parameters)
    return names | {"rng"} if variable or (third and not by_keyword) else names


def unregister_all_but(names: Collection[str]) -> None:
    """Unregister all other axes: those that a plugin registered before it failed."""
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
        SpecError: there is none; the message suggests the nearest name.
    """
    if name in _axes:
        return _axes[name]
    below = [other for other in _axes if other.startswith(f"{name}.")]
    if below:
        raise SpecError(f"unknown perturbation '{quote(name)}'; there are {', '.join(sorted(below))}")
    close = get_close_matches(name[:40].lower(), _axes, n=1, cutoff=0.4)
    hint = f"did you mean '{close[0]}'?" if close else "`simeval list perturbations` prints the known ones"
    raise SpecError(f"unknown perturbation '{quote(name)}'; {hint}")


def implementation(info: AxisInfo) -> Callable[..., Any]:
    """The function of an axis."""
    return _functions[info.name]


def is_own(info: AxisInfo) -> bool:
    """Whether an axis is a user's or another package's, not one of those here."""
    return str(getattr(_functions[info.name], "__module__", "")).partition(".")[0] != __package__


def accepts(info: AxisInfo, parameter: str) -> bool:
    """Whether the function of an axis has a parameter of that name."""
    return parameter in _parameters[info.name]


def quote(text: str, limit: int = 60) -> str:
    """Prepare user text for a one-line message: printable, at most `limit` characters."""
    printable = "".join(c if c.isprintable() else "?" for c in text[: limit + 1])
    return printable if len(printable) <= limit else printable[: limit - 3] + "..."
