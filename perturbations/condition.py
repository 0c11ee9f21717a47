"""What a condition is and does: a set of terms that apply themselves in one fixed order."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from perturbations.base import (
    ALL,
    CAMERAS,
    Channel,
    Instruction,
    InstructionContext,
    Masks,
    Meaning,
    Memory,
    Physics,
    RngFactory,
    Scene,
    SpecError,
    Stage,
    implementation,
    takes,
)
from perturbations.term import Term, number_text

__all__ = ["ActiveCondition", "Condition", "Term", "number_text"]

STATE_SCALE = (0.105, 0.152, 0.379, 0.344, 0.907, 0.325, 0.0142, 0.0141)
"""Spread of each number of the state (m, rad, m) where the policy does not say what it saw in training. Source:
standard deviations over LIBERO's published demonstrations of four suites, as in openpi's normalisation, rounded."""


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
        """What became of the instruction's meaning."""
        meanings = (term.meaning for term in self.terms)
        return next((meaning for meaning in meanings if meaning != "kept"), "kept")

    @property
    def cameras(self) -> tuple[str, ...]:
        """The cameras whose pixels its image terms change; terms of identity value change none."""
        touched = {camera for term in self.effective("image") for camera in term.cameras}
        return tuple(camera for camera in CAMERAS if camera in touched)

    @property
    def scene_cameras(self) -> tuple[str, ...]:
        """The cameras whose view its scene terms change."""
        touched = {camera for term in self.effective("scene") for camera in term.cameras or CAMERAS}
        return tuple(camera for camera in CAMERAS if camera in touched)

    @property
    def wants_masks(self) -> bool:
        """Whether an image term needs to know where things are visible."""
        return any(term.info.wants_target or term.target for term in self.effective("image"))

    @property
    def targets(self) -> tuple[str, ...]:
        """The things that its image terms name by `/target=NAME`."""
        return tuple(dict.fromkeys(term.target for term in self.effective("image") if term.target))

    def effective(self, *channels: Channel) -> Iterator[Term]:
        """Its terms of these channels that change anything, in order of application."""
        return (term for term in self.terms if term.info.channel in channels and not term.is_identity)

    def instruction(self, context: InstructionContext, rng: RngFactory) -> Instruction:
        """What the policy is told.

        Raises:
            Infeasible: the task offers no such instruction.
        """
        for term in self.effective("language"):
            told = implementation(term.info)(context, term.value, term.draws(rng)(term.axis, "", 0), **term.settings)
            return cast(Instruction, told)
        return Instruction(context.original, None, "original")

    def apply_physics(self, physics: Physics, rng: RngFactory) -> None:
        """Change the initial state and the laws of motion, once per episode before anything settles.

        Raises:
            Infeasible: the scene does not allow it.
        """
        for term in self.effective("physics"):
            if not term.info.at_step:
                implementation(term.info)(physics, term.value, term.draws(rng)(term.axis, "", 0), **term.settings)

    @property
    def steps(self) -> tuple[int, ...]:
        """The control steps before which `apply_step` changes something, in order."""
        return tuple(sorted({int(t.option("from") or 0) for t in self.effective("physics") if t.info.at_step}))

    def apply_step(self, physics: Physics, step: int, rng: RngFactory) -> None:
        """What happens between two control steps, after `step` of them.

        Raises:
            Infeasible: the scene does not allow it.
        """
        for term in self.effective("physics"):
            if term.info.at_step and int(term.option("from") or 0) == step:
                implementation(term.info)(physics, term.value, term.draws(rng)(term.axis, "", 0), **term.settings)

    def apply_scene(self, scene: Scene, rng: RngFactory) -> None:
        """Write the scene terms into the model, once per episode after the reset, which undoes the last episode's."""
        for term in self.effective("scene"):
            function, draws = implementation(term.info), term.draws(rng)
            for camera in term.cameras:
                function(scene, term.value, draws(term.axis, camera, 0), camera=camera, **term.settings)
            if not term.cameras:
                function(scene, term.value, draws(term.axis, "", 0), **term.settings)

    def start(self, rng: RngFactory, scale: Sequence[float] | None = None) -> "ActiveCondition":
        """Begin an episode under this condition.

        Args:
            rng: the pair's random streams.
            scale: spread of each of the state's eight numbers in the policy's training; `STATE_SCALE` if unknown.
        """
        return ActiveCondition(self, rng, np.asarray(STATE_SCALE if scale is None else scale, np.float32))

    def apply_images(
        self, images: Mapping[str, NDArray[np.uint8]], step: int, rng: RngFactory
    ) -> dict[str, NDArray[np.uint8]]:
        """What the policy would see instead of these images as its first; see `ActiveCondition.images`."""
        return self.start(rng).images(images, step)


@dataclass
class ActiveCondition:
    """A condition at work in one episode: it remembers what its terms need of earlier frames and steps.

    Attributes:
        condition: what is applied.
        rng: the pair's random streams.
        scale: `float32[8]`, spread of each number of the state.
        masks: where things are visible in the first policy frame, by camera; to be set before the first picture where
            `Condition.wants_masks`.
    """

    condition: Condition
    rng: RngFactory
    scale: NDArray[np.float32]
    masks: Mapping[str, Masks] = field(default_factory=dict)
    _memory: dict[tuple[Term, str], Memory] = field(default_factory=dict)

    def source(self, step: int) -> int:
        """The control step whose observation the policy gets when it looks after `step` of them."""
        found = step
        for term in self._active("timing", step):
            draws = term.draws(self.rng)
            function = implementation(term.info)
            found = int(function(found, term.value, lambda s, t=term, d=draws: d(t.axis, "", s), **term.settings))
        return found

    def images(self, images: Mapping[str, NDArray[np.uint8]], step: int) -> dict[str, NDArray[np.uint8]]:
        """What the policy sees instead of these pictures.

        Args:
            images: `uint8[H, W, 3]` by camera, upright; never written to.
            step: control steps executed since the first policy frame, when they were taken.

        Returns:
            A picture per camera; for an untouched camera the very array that came in.

        Raises:
            ValueError: a camera is unknown, or a picture is not `uint8[H, W, 3]`.
        """
        return {camera: self._picture(image, camera, step) for camera, image in images.items()}

    def hidden(self, camera: str, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        """`bool[H, W]`: where its occluders let nothing through in the first frame."""
        terms = [t for t in self._active("image", 0) if t.info.stage == Stage.OCCLUSION and camera in t.cameras]
        probes = [np.full((*shape, 3), level, np.float32) for level in (0.0, 255.0)]
        dark, light = (self._chain(terms, probe, camera, 0) for probe in probes)
        covered: NDArray[np.bool_] = (np.abs(light - dark) < 1).all(axis=-1)
        return covered

    def _picture(self, image: NDArray[np.uint8], camera: str, step: int) -> NDArray[np.uint8]:
        # An unknown camera would stay clean under `@all` and hide half of the effect.
        if camera not in CAMERAS:
            raise ValueError(f"unknown camera {camera!r}; known: {', '.join(CAMERAS)}")
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(f"camera {camera}: expected uint8[H, W, 3], got {image.dtype}{list(image.shape)}")
        terms = [term for term in self._active("image", step) if camera in term.cameras]
        if not terms:
            return image
        pixels = self._chain(terms, image.astype(np.float32), camera, step)
        # Rounded and clipped once, here: a stage that clipped would make the next one depend on it.
        return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)

    def _chain(self, terms: list[Term], pixels: NDArray[np.float32], camera: str, step: int) -> NDArray[np.float32]:
        for term in terms:
            draw_step = step if term.option("mode") == "flicker" or takes(term.info, "memory") else 0
            extra = self._extra(term, camera)
            if term.info.wants_target or term.option("target") is not None:
                masks = self.masks.get(camera, Masks(None, {}))
                named = masks.named.get(term.target)
                extra |= {"target": _fitted(masks.target, pixels)} if term.info.wants_target else {}
                extra |= {"named": _fitted(named, pixels)} if term.option("target") is not None else {}
            generator = term.draws(self.rng)(term.axis, camera, draw_step)
            pixels = implementation(term.info)(pixels, term.value, generator, **extra, **term.settings)
        return pixels

    def state(self, state: NDArray[np.float32], step: int) -> NDArray[np.float32]:
        """What the policy is told of the robot's own `float32[8]` state, taken after `step` control steps."""
        for term in self._active("state", step):
            draw_step = 0 if term.option("mode") == "static" else step
            extra = self._extra(term)
            extra |= {"scale": self.scale} if takes(term.info, "scale") else {}
            generator = term.draws(self.rng)(term.axis, "", draw_step)
            found = implementation(term.info)(state.copy(), term.value, generator, **extra, **term.settings)
            state = np.asarray(found, np.float32)
        return state

    def actions(self, actions: NDArray[np.float32], step: int) -> NDArray[np.float32]:
        """What the robot does instead of these `float32[T, 7]` actions, the first after `step` control steps."""
        if not any(self.condition.effective("action")):
            return actions
        return np.concatenate([self._action(actions[i : i + 1], step + i) for i in range(len(actions))])

    def _action(self, action: NDArray[np.float32], step: int) -> NDArray[np.float32]:
        for term in self._active("action", step):
            draw_step = 0 if term.option("mode") == "static" else step
            generator = term.draws(self.rng)(term.axis, "", draw_step)
            extra = self._extra(term)
            found = implementation(term.info)(action.copy(), term.value, generator, **extra, **term.settings)
            # What the environment does with more differs between environments.
            action = np.clip(np.asarray(found, np.float32), -1, 1)
        return action

    def _extra(self, term: Term, camera: str = "") -> dict[str, object]:
        return {"memory": self._memory.setdefault((term, camera), {})} if takes(term.info, "memory") else {}

    def _active(self, channel: Channel, step: int) -> list[Term]:
        return [term for term in self.condition.effective(channel) if term.is_active(step)]


def _fitted(mask: NDArray[np.bool_] | None, pixels: NDArray[np.float32]) -> NDArray[np.bool_] | None:
    """A mask at the size of a picture: videos are drawn larger than what the policy saw."""
    if mask is None or mask.shape == pixels.shape[:2]:
        return mask
    height, width = pixels.shape[:2]
    resized: NDArray[np.uint8] = cv2.resize(mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    return resized.astype(bool)
