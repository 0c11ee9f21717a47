"""Conditions: sets of terms, applied in one fixed order."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from perturbations.base import (
    ALL,
    CAMERAS,
    Channel,
    Infeasible,
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
    accepts,
    is_own,
)
from perturbations.term import Term, number_text
from perturbations.units import CONTROL_STEP_MS

__all__ = ["ActiveCondition", "Condition", "Term", "number_text"]

STATE_SCALE = (0.105, 0.152, 0.379, 0.344, 0.907, 0.325, 0.0142, 0.0141)
"""Default standard deviation per state dimension (m, rad, m), for policies without training statistics. Source:
LIBERO's published demonstrations of four suites, as in openpi's normalisation, rounded."""


@dataclass(frozen=True)
class Condition:
    """A perturbation of an episode: terms in order of application. `str()` gives the canonical text.

    Terms are sorted by stage, then axis name, then camera; their order in the text does not matter.

    Attributes:
        terms: the terms; empty for the clean condition.

    Raises:
        SpecError: two terms of the same axis apply to the same camera, or two give a latency.
    """

    terms: tuple[Term, ...] = ()

    def __post_init__(self) -> None:
        ordered = sorted(self.terms, key=lambda term: (term.info.stage, term.axis, (ALL, *CAMERAS).index(term.camera)))
        object.__setattr__(self, "terms", tuple(ordered))
        for one, other in combinations(ordered, 2):
            shared = [camera for camera in one.cameras if camera in other.cameras]
            if one.axis == other.axis and (shared or not one.cameras):
                suffix = f" for camera '{shared[0]}'" if shared else ""
                raise SpecError(f"{one.axis}: given twice in one condition{suffix}")
            if one.info.channel == other.info.channel == "latency":
                raise SpecError(f"{one.axis} and {other.axis}: one latency in a condition")

    def __str__(self) -> str:
        return "+".join(map(str, self.terms)) or "none"

    @property
    def is_clean(self) -> bool:
        """Whether this is `none`. A condition of identity values is not clean, although its pixels are the same."""
        return not self.terms

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of its axes, in order of application."""
        return tuple(dict.fromkeys(term.axis for term in self.terms))

    @property
    def family(self) -> str:
        """`V`, `S` or `E`; joined by `+` if a condition mixes them; `none` for the clean condition."""
        return "+".join(dict.fromkeys(term.info.family for term in self.terms)) or "none"

    @property
    def meaning(self) -> Meaning:
        """Its effect on the instruction's meaning."""
        meanings = (term.meaning for term in self.terms)
        return next((meaning for meaning in meanings if meaning != "kept"), "kept")

    @property
    def cameras(self) -> tuple[str, ...]:
        """The cameras whose images its image terms change."""
        changed = {camera for term in self.active_terms("image") for camera in term.cameras}
        return tuple(camera for camera in CAMERAS if camera in changed)

    @property
    def scene_cameras(self) -> tuple[str, ...]:
        """The cameras whose view its scene terms change."""
        changed = {camera for term in self.active_terms("scene") for camera in term.cameras or CAMERAS}
        return tuple(camera for camera in CAMERAS if camera in changed)

    @property
    def wants_masks(self) -> bool:
        """Whether an image term needs masks of objects."""
        return any(term.info.wants_target or term.target for term in self.active_terms("image"))

    @property
    def targets(self) -> tuple[str, ...]:
        """The objects that its image terms name by `/target=NAME`."""
        return tuple(dict.fromkeys(term.target for term in self.active_terms("image") if term.target))

    @property
    def latency(self) -> Term | None:
        """The term that says how long the policy's answers take; `None` if they are there at once."""
        return next(self.active_terms("latency"), None)

    def active_terms(self, *channels: Channel) -> Iterator[Term]:
        """Its terms of these channels, by default of all, in order of application, without terms of identity value."""
        terms = (term for term in self.terms if not term.is_identity)
        return (term for term in terms if not channels or term.info.channel in channels)

    def instruction(self, context: InstructionContext, rng: RngFactory) -> Instruction:
        """The instruction that the policy gets.

        Raises:
            Infeasible: the task has no such instruction.
        """
        for term in self.active_terms("language"):
            return cast(Instruction, term.call(context, rng))
        return Instruction(context.original, None, "original")

    def apply_physics(self, physics: Physics, rng: RngFactory) -> None:
        """Apply the physics terms to the initial state and the dynamics, once per episode before the scene settles.

        Raises:
            Infeasible: the scene does not allow it.
        """
        for term in self.active_terms("physics"):
            if not term.info.at_step:
                term.call(physics, rng)

    @property
    def steps(self) -> tuple[int, ...]:
        """The control steps at which `apply_step` changes something, in order."""
        return tuple(sorted({int(t.option("from") or 0) for t in self.active_terms("physics") if t.info.at_step}))

    def apply_step(self, physics: Physics, step: int, rng: RngFactory) -> None:
        """Apply the physics terms that act between two control steps, after `step` steps.

        Raises:
            Infeasible: the scene does not allow it.
        """
        for term in self.active_terms("physics"):
            if term.info.at_step and int(term.option("from") or 0) == step:
                term.call(physics, rng)

    def apply_scene(self, scene: Scene, rng: RngFactory) -> None:
        """Write the scene terms into the model, once per episode after the reset (which undoes earlier changes).

        Raises:
            Infeasible: the scene has no model, or it does not allow it.
        """
        for term in self.active_terms("scene"):
            if scene.model is None:
                raise Infeasible(f"{term}: this scene has no MuJoCo model")
            cameras = [camera for camera in term.cameras if camera in scene.cameras]  # a suite may have only one
            for camera in cameras if term.cameras else ("",):
                term.call(scene, rng, camera)

    def start(self, rng: RngFactory, scale: Sequence[float] | None = None) -> "ActiveCondition":
        """Begin an episode under this condition.

        Args:
            rng: the pair's random streams.
            scale: training standard deviation per state dimension (8); `STATE_SCALE` if unknown.
        """
        return ActiveCondition(self, rng, np.asarray(STATE_SCALE if scale is None else scale, np.float32))


@dataclass
class ActiveCondition:
    """A condition applied to one episode. It holds the memory that its terms keep across frames and steps.

    Attributes:
        condition: the condition.
        rng: the pair's random streams.
        scale: `float32[8]`, standard deviation per state dimension.
        masks: masks of the first policy frame by camera; set them before the first image if `Condition.wants_masks`.
        control_hz: control steps per second; set it for suites whose steps are not those of `CONTROL_STEP_MS`.
        dark: cameras for which a user's axis made an image of numbers up to 1 where it got larger ones: one that
            returns 0 to 1 instead of 0 to 255 makes every picture black.
    """

    condition: Condition
    rng: RngFactory
    scale: NDArray[np.float32]
    masks: Mapping[str, Masks] = field(default_factory=dict)
    control_hz: int = 1000 // CONTROL_STEP_MS
    dark: set[str] = field(default_factory=set)
    _memory: dict[tuple[Term, str], Memory] = field(default_factory=dict)

    def source(self, step: int) -> int:
        """The control step whose observation the policy gets after `step` control steps."""
        source = step
        for term in self._active("timing", step):
            source = int(term.call(source, self.rng))
        return source

    def latency(self, call: int, measured: float = 0.0) -> int:
        """Control steps from a question of the policy to its answer.

        Args:
            call: number of the question in the episode, from 0.
            measured: control steps that the answer took by this machine's clock.
        """
        term = self.condition.latency
        if term is None:
            return 0
        extra: dict[str, Any] = {"measured": measured, "control_hz": self.control_hz}
        extra = {name: value for name, value in extra.items() if accepts(term.info, name)}
        return int(term.call(call, self.rng, step=call, **extra))

    def images(self, images: Mapping[str, NDArray[np.uint8]], step: int) -> dict[str, NDArray[np.uint8]]:
        """The images that the policy gets instead of these.

        Args:
            images: `uint8[H, W, 3]` by camera, upright; never modified.
            step: control steps from the first policy frame to the capture of the images.

        Returns:
            An image per camera; for a camera that no term changes, the input array itself.

        Raises:
            ValueError: a camera is unknown, or an image is not `uint8[H, W, 3]`.
        """
        return {camera: self._image(image, camera, step) for camera, image in images.items()}

    def hidden(self, camera: str, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        """`bool[H, W]`: the pixels that occluders hide completely in the first frame."""
        terms = [t for t in self._active("image", 0) if t.info.stage == Stage.OCCLUSION and camera in t.cameras]
        probes = [np.full((*shape, 3), level, np.float32) for level in (0.0, 255.0)]
        dark, light = (self._chain(terms, probe, camera, 0) for probe in probes)
        covered: NDArray[np.bool_] = (np.abs(light - dark) < 1).all(axis=-1)
        return covered

    def _image(self, image: NDArray[np.uint8], camera: str, step: int) -> NDArray[np.uint8]:
        # `@all` would leave an unknown camera clean, and half of the effect would be missing.
        if camera not in CAMERAS:
            raise ValueError(f"unknown camera {camera!r}; known: {', '.join(CAMERAS)}")
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(f"camera {camera}: expected uint8[H, W, 3], got {image.dtype}{list(image.shape)}")
        terms = [term for term in self._active("image", step) if camera in term.cameras]
        if not terms:
            return image
        pixels = self._chain(terms, image.astype(np.float32), camera, step)
        # Rounded and clipped only here: clipping inside a stage would change the input of the next one.
        return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)

    def _chain(self, terms: list[Term], pixels: NDArray[np.float32], camera: str, step: int) -> NDArray[np.float32]:
        for term in terms:
            rng_step = step if term.option("mode") == "flicker" or accepts(term.info, "memory") else 0
            extra = self._extra(term, camera)
            if term.info.wants_target or term.option("target") is not None:
                masks = self.masks.get(camera, Masks(None, {}))
                named = masks.named_masks.get(term.target)
                extra |= {"target": _resized(masks.target, pixels)} if term.info.wants_target else {}
                extra |= {"named": _resized(named, pixels)} if term.option("target") is not None else {}
            brightest = pixels.max(initial=0)  # before the call, which may change the array
            pixels = _checked(term.call(pixels, self.rng, camera, rng_step, **extra), pixels.shape, term)
            if _is_dark(pixels) and brightest > 1 and is_own(term.info):  # ours make dark images darker on purpose
                self.dark.add(camera)
        return pixels

    def state(self, state: NDArray[np.float32], step: int) -> NDArray[np.float32]:
        """The proprioception that the policy gets instead of `float32[8]` `state`, captured after `step` steps."""
        for term in self._active("state", step):
            rng_step = 0 if term.option("mode") == "static" else step
            extra = self._extra(term)
            extra |= {"scale": self.scale} if accepts(term.info, "scale") else {}
            perturbed = _checked(term.call(state.copy(), self.rng, step=rng_step, **extra), state.shape, term)
            state = perturbed.astype(np.float32, copy=False)
        return state

    def actions(self, actions: NDArray[np.float32], step: int) -> NDArray[np.float32]:
        """The actions that are executed instead of these `float32[T, 7]`; `step` is the control step of the first."""
        if not any(self.condition.active_terms("action")):
            return actions
        return np.concatenate([self._action(actions[i : i + 1], step + i) for i in range(len(actions))])

    def _action(self, action: NDArray[np.float32], step: int) -> NDArray[np.float32]:
        for term in self._active("action", step):
            rng_step = 0 if term.option("mode") == "static" else step
            extra = self._extra(term)
            perturbed = _checked(term.call(action.copy(), self.rng, step=rng_step, **extra), action.shape, term)
            # Environments differ in how they treat values beyond the limits.
            action = np.clip(perturbed.astype(np.float32, copy=False), -1, 1)
        return action

    def _extra(self, term: Term, camera: str = "") -> dict[str, Any]:
        return {"memory": self._memory.setdefault((term, camera), {})} if accepts(term.info, "memory") else {}

    def _active(self, channel: Channel, step: int) -> list[Term]:
        return [term for term in self.condition.active_terms(channel) if term.is_active(step)]


def _checked(value: Any, shape: tuple[int, ...], term: Term) -> NDArray[Any]:
    """What an axis made of an array of that shape. NaN would become a black pixel, or reach the policy.

    Raises:
        ValueError: it is not numbers of that shape, or one is masked or not finite.
    """
    if isinstance(value, np.ma.MaskedArray) and bool(np.any(value.mask)):
        raise ValueError(f"axis {term.info.name}: it returned numbers that are masked; fill them")
    array = np.asarray(value)
    if array.shape != shape or array.dtype.kind not in "fiu":
        found = f"{array.dtype}{list(array.shape)}" if array.ndim else type(value).__name__
        raise ValueError(f"axis {term.info.name}: it returned {found} instead of float32{list(shape)}")
    if not np.isfinite(array).all():
        raise ValueError(f"axis {term.info.name}: it returned numbers that are not finite")
    return array


def _is_dark(pixels: NDArray[Any]) -> bool:
    """Whether an axis made numbers up to 1. All 0 is a black picture on purpose, unless it was rounded to integers."""
    brightest = pixels.max(initial=0)
    return bool(brightest <= 1 and (brightest > 0 or pixels.dtype.kind in "iu"))


def _resized(mask: NDArray[np.bool_] | None, pixels: NDArray[np.float32]) -> NDArray[np.bool_] | None:
    """Resize a mask to an image: videos are rendered larger than the policy's images."""
    if mask is None or mask.shape == pixels.shape[:2]:
        return mask
    height, width = pixels.shape[:2]
    resized: NDArray[np.uint8] = cv2.resize(mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    return resized.astype(bool)
