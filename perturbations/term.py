"""A term of a condition: one axis at one value."""

from dataclasses import dataclass
from typing import Any

from perturbations.base import (
    ALL,
    SEED,
    TARGET,
    TIMING_KEYS,
    AxisInfo,
    Meaning,
    RngFactory,
    accepts,
    find_axis,
    implementation,
)


def number_text(value: float) -> str:
    """The shortest text that parses to the same number, without `+`, which separates terms."""
    return repr(float(value)).removesuffix(".0").replace("e+", "e")


@dataclass(frozen=True, slots=True)
class Term:
    """One axis at one value. `perturbations.spec` builds it and checks the values.

    Attributes:
        axis: canonical name of the axis.
        value: a number in the axis' unit, or a word, with its argument after a colon.
        camera: the camera it applies to, or `all`.
        options: (key, value) of the keys that differ from their default, sorted by key.
    """

    axis: str
    value: float | str
    camera: str = ALL
    options: tuple[tuple[str, str], ...] = ()

    @property
    def info(self) -> AxisInfo:
        """The axis' declaration."""
        return find_axis(self.axis)

    @property
    def is_identity(self) -> bool:
        """Whether it changes nothing."""
        return self.value == self.info.identity

    @property
    def cameras(self) -> tuple[str, ...]:
        """The cameras it applies to; empty for an axis that takes no camera."""
        return self.info.cameras if self.camera == ALL else (self.camera,)

    @property
    def meaning(self) -> Meaning:
        """Its effect on the instruction's meaning."""
        return self.info.words.get(str(self.value).partition(":")[0], "kept")

    def option(self, name: str) -> str | None:
        """The value of a key; `None` if the axis has no such key."""
        key = self.info.key(name)
        return dict(self.options).get(name, key.default) if key else None

    @property
    def target(self) -> str:
        """The object that `/target=NAME` names; empty without one."""
        return self.option(TARGET.name) or ""

    @property
    def settings(self) -> dict[str, str]:
        """The keys that are passed to the axis' function, with their values."""
        chosen = dict(self.options)
        if self.info.channel == "latency":
            return {}  # its keys are for the loop
        # An image axis gets the target's mask, not its name.
        handled = (*TIMING_KEYS, TARGET.name) if self.info.channel == "image" else TIMING_KEYS
        return {key.name: chosen.get(key.name, key.default) for key in self.info.keys if key.name not in handled}

    def is_active(self, step: int) -> bool:
        """Whether it applies after `step` control steps: from <= step < until."""
        until = self.option("until")
        return int(self.option("from") or 0) <= step and (not until or step < int(until))

    def rng_for(self, rng: RngFactory) -> RngFactory:
        """Its random streams: those of the pair, or others with `/seed=N`."""
        seed = self.option(SEED.name) or SEED.default
        if seed == SEED.default:
            return rng
        return lambda name, camera, step: rng(f"{name}/seed={seed}", camera, step)

    def call(self, part: Any, rng: RngFactory, camera: str = "", step: int = 0, **extra: Any) -> Any:
        """Call the axis' function; see `perturbations.base` for its signature.

        Args:
            part: what the function changes or chooses from, for instance the image of a camera.
            rng: the pair's random streams.
            camera: the camera it is applied to, for axes that take one.
            step: the control step that the generator belongs to. A timing axis gets its generators by step instead.
            extra: keyword arguments, apart from the camera of a scene axis and the settings.
        """
        info, streams = self.info, self.rng_for(rng)
        if info.channel == "scene" and camera:
            extra["camera"] = camera
        random: tuple[Any, ...] = ()
        if accepts(info, "rng"):
            by_step = info.channel == "timing"
            random = ((lambda s: streams(self.axis, "", s)) if by_step else streams(self.axis, camera, step),)
        return implementation(info)(part, self.value, *random, **extra, **self.settings)

    def __str__(self) -> str:
        value = self.value if isinstance(self.value, str) else number_text(self.value)
        camera = "" if self.camera == ALL else f"@{self.camera}"
        return f"{self.axis}:{value}{camera}" + "".join(f"/{name}={text}" for name, text in self.options)
