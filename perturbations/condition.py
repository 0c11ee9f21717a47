"""What a condition is and does: a set of terms that apply themselves in one fixed order."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import cast

import numpy as np
from numpy.typing import NDArray

from perturbations.base import (
    ALL,
    CAMERAS,
    TIMING_KEYS,
    AxisInfo,
    Channel,
    Instruction,
    InstructionContext,
    Meaning,
    RngFactory,
    Scene,
    SpecError,
    find_axis,
    implementation,
)


def number_text(value: float) -> str:
    """The shortest text that reads back as the same number, without `+`, which separates terms."""
    return repr(float(value)).removesuffix(".0").replace("e+", "e")


@dataclass(frozen=True, slots=True)
class Term:
    """One axis at one value. Built by `perturbations.spec`, which checks the values.

    Attributes:
        axis: canonical name.
        value: a number in the axis' unit, or a word.
        camera: the camera it is aimed at, or `all`.
        options: (key, value) of the keys that differ from their default, by key.
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
        """The cameras it is aimed at; empty for an axis that takes no camera."""
        return self.info.cameras if self.camera == ALL else (self.camera,)

    def option(self, name: str) -> str | None:
        """The value of a key; `None` if the axis has no such key."""
        key = self.info.key(name)
        return dict(self.options).get(name, key.default) if key else None

    @property
    def settings(self) -> dict[str, str]:
        """Every key that the axis' own function takes, with its value."""
        chosen = dict(self.options)
        return {key.name: chosen.get(key.name, key.default) for key in self.info.keys if key.name not in TIMING_KEYS}

    def is_active(self, step: int) -> bool:
        """Whether it acts on the frame after `step` control steps: from <= step < until."""
        until = self.option("until")
        return int(self.option("from") or 0) <= step and (not until or step < int(until))

    def __str__(self) -> str:
        value = self.value if isinstance(self.value, str) else number_text(self.value)
        camera = "" if self.camera == ALL else f"@{self.camera}"
        return f"{self.axis}:{value}{camera}" + "".join(f"/{name}={text}" for name, text in self.options)


@dataclass(frozen=True)
class Condition:
    """A perturbation of an episode: terms, kept in order of application. `str()` gives the canonical text.

    The order is that of the stages, then by axis name, then by camera; never that of the text.

    Attributes:
        terms: the terms; empty for the clean condition.

    Raises:
        SpecError: two terms of one axis meet on a camera.
    """

    terms: tuple[Term, ...] = ()

    def __post_init__(self) -> None:
        ordered = sorted(self.terms, key=lambda term: (term.info.stage, term.axis, (ALL, *CAMERAS).index(term.camera)))
        object.__setattr__(self, "terms", tuple(ordered))
        for one, other in combinations(ordered, 2):
            shared = [camera for camera in one.cameras if camera in other.cameras]
            if one.axis == other.axis and (shared or not one.cameras):
                place = f" for camera '{shared[0]}'" if shared else ""
                raise SpecError(f"{one.axis}: given twice in one condition{place}")

    def __str__(self) -> str:
        return "+".join(map(str, self.terms)) or "none"

    @property
    def is_clean(self) -> bool:
        """Whether this is `none`. A condition of identity values is not, though it shows the same pixels."""
        return not self.terms

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of the axes involved, in order of application."""
        return tuple(dict.fromkeys(term.axis for term in self.terms))

    @property
    def family(self) -> str:
        """`V`, `S` or `E`; joined by `+` where a condition mixes them, `none` for the clean one."""
        return "+".join(dict.fromkeys(term.info.family for term in self.terms)) or "none"

    @property
    def meaning(self) -> Meaning:
        """What became of the instruction's meaning; decides which goal counts as success."""
        meanings = (term.info.words.get(str(term.value), "kept") for term in self.terms)
        return next((meaning for meaning in meanings if meaning != "kept"), "kept")

    @property
    def cameras(self) -> tuple[str, ...]:
        """The cameras whose pixels its image terms change; terms of identity value change none."""
        touched = {camera for term in self._effective("image") for camera in term.cameras}
        return tuple(camera for camera in CAMERAS if camera in touched)

    def apply_images(
        self, images: Mapping[str, NDArray[np.uint8]], step: int, rng: RngFactory
    ) -> dict[str, NDArray[np.uint8]]:
        """What the policy sees instead of these pictures.

        Args:
            images: `uint8[H, W, 3]` by camera, upright; never written to.
            step: control steps executed since the first policy frame.
            rng: the pair's random streams.

        Returns:
            A picture per camera; for an untouched camera the very array that came in.

        Raises:
            ValueError: a camera is unknown, or a picture is not `uint8[H, W, 3]`.
        """
        return {camera: self._perturbed(image, camera, step, rng) for camera, image in images.items()}

    def _perturbed(self, image: NDArray[np.uint8], camera: str, step: int, rng: RngFactory) -> NDArray[np.uint8]:
        # An unknown camera would stay clean under `@all` and hide half of the effect.
        if camera not in CAMERAS:
            raise ValueError(f"unknown camera {camera!r}; known: {', '.join(CAMERAS)}")
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(f"camera {camera}: expected uint8[H, W, 3], got {image.dtype}{list(image.shape)}")
        active = [term for term in self._effective("image") if camera in term.cameras and term.is_active(step)]
        if not active:
            return image
        pixels = image.astype(np.float32)
        for term in active:
            draw_step = step if term.option("mode") == "flicker" else 0
            generator = rng(term.axis, camera, draw_step)
            pixels = implementation(term.info)(pixels, term.value, generator, **term.settings)
        # Rounded and clipped once, here: a stage that clipped would make the next one depend on it.
        return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)

    def apply_scene(self, scene: Scene, rng: RngFactory) -> None:
        """Write the scene terms into the model, once per episode after the reset, which undoes the last episode's."""
        for term in self._effective("scene"):
            function = implementation(term.info)
            for camera in term.cameras:
                function(scene, term.value, rng(term.axis, camera, 0), camera=camera, **term.settings)
            if not term.cameras:
                function(scene, term.value, rng(term.axis, "", 0), **term.settings)

    def instruction(self, context: InstructionContext, rng: RngFactory) -> Instruction:
        """What the policy is told.

        Raises:
            Infeasible: the task offers no such instruction.
        """
        for term in self._effective("language"):
            told = implementation(term.info)(context, term.value, rng(term.axis, "", 0), **term.settings)
            return cast(Instruction, told)
        return Instruction(context.original, None, "original")

    def _effective(self, channel: Channel) -> Iterator[Term]:
        return (term for term in self.terms if term.info.channel == channel and not term.is_identity)
