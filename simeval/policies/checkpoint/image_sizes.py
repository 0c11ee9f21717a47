"""The size of a checkpoint's images: some types take them as they come, and lerobot checks no size.

Such a network was trained on one size. On another one ACT predicts something else without a word, Diffusion and VQ-BeT
crop another part of the image or break in the middle of a run. So another size is refused. So are cameras of different
sizes: the suites render all in one.

Non-obvious behaviour:
- A saved crop is in pixels, so on another size it shows another part of the scene, whatever the type. If the declared
  size is what comes out of the step, as in lerobot's human-in-the-loop recipes, nothing tells the size before it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from simeval.core.errors import ConfigError
from simeval.policies.checkpoint.steps import Step

_RESIZED_BY = {"act": None, "diffusion": "resize_shape", "multi_task_dit": "image_resize_shape", "vqbet": None}
"""Types that take images as they come, with the field that lets them resize. Source: lerobot 0.6.1. SmolVLA, pi0 and
the other large ones resize all images to the size of their backbone."""
RESIZER = "image_crop_resize_processor"
_REMEDY = f"a step {RESIZER} (resize_size) in its policy_preprocessor.json can"

type Size = tuple[int, int]
"""Height and width (px)."""


@dataclass(frozen=True, slots=True)
class OnlySize:
    """The only size of images that a checkpoint takes.

    Attributes:
        size: height and width (px).
        why: why it takes no other, as the end of a sentence.
    """

    size: Size
    why: str


def only_size(
    sizes: Mapping[str, Size], sources: Mapping[str, str], config: Mapping[str, Any], before: Sequence[Step], name: str
) -> OnlySize | None:
    """The size that all images must have; `None` if they may have any.

    Args:
        sizes: the declared size of each image that is passed, by its observation key.
        sources: name in the policy -> name in the training data, from the saved rename map.
        config: configuration of the policy.
        before: the steps of the saved preprocessor.
        name: name of the checkpoint.

    Raises:
        ConfigError: its images must have different sizes.
    """
    crops = {key: _cropped((key, sources.get(key, key)), before) for key in sizes}
    cropped = [key for key, size in sizes.items() if crops[key] not in (None, size)]
    kind = config["type"]
    field = _RESIZED_BY.get(kind)
    resizes = kind not in _RESIZED_BY or any(_resize(step) for step in before)
    resizes = resizes or (field is not None and config.get(field) is not None)
    needed = {key: size for key, size in sizes.items() if key in cropped or (crops[key] is None and not resizes)}
    if not needed:
        return None
    if len(set(needed.values())) > 1:
        text = ", ".join(f"{key} {_text(size)}" for key, size in needed.items())
        raise ConfigError(
            f"policy '{name}' does not fit: its images have different sizes ({text}), the suites' cameras have one"
        )
    why = f"its {RESIZER} crops by pixels" if cropped else f"'{kind}' resizes none; {_REMEDY}"
    return OnlySize(next(iter(needed.values())), why)


def require_size(only: OnlySize | None, sizes: Iterable[tuple[int, ...]], *, name: str) -> None:
    """Refuse images of another size than the training images.

    Args:
        only: the size that the checkpoint takes; `None` for any.
        sizes: heights and widths (px) of the images that it would get.
        name: its name.

    Raises:
        ConfigError: one of them differs.
    """
    if only is None:
        return
    other = next((size for size in sizes if size != only.size), None)
    if other is not None:
        raise ConfigError(
            f"policy '{name}' does not fit: its images have {_text(only.size)} px and these {_text(other)}, "
            f"and {only.why}"
        )


def crops_by_pixels(before: Sequence[Step]) -> bool:
    """Whether the saved preprocessor cuts a part out of images, given in pixels."""
    return any(step.name == RESIZER and step.config.get("crop_params_dict") for step in before)


def _cropped(names: Sequence[str], before: Sequence[Step]) -> Size | None:
    """The size of an image after the step that cuts a part out of it; `None` if none does."""
    for step in before:
        crops = (step.config.get("crop_params_dict") or {}) if step.name == RESIZER else {}
        crop = next((crops[key] for key in names if key in crops), None)
        if crop is not None:
            height, width = _resize(step) or crop[2:]
            return height, width
    return None


def _resize(step: Step) -> Sequence[int] | None:
    return (step.config.get("resize_size") or None) if step.name == RESIZER else None


def _text(size: Sequence[int]) -> str:
    return "x".join(map(str, size))
