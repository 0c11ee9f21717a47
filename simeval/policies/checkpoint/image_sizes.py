"""The size of a checkpoint's images: some types take them as they come, and lerobot checks no size.

Such a network was trained on one size. On another one ACT predicts something else without a word, Diffusion and VQ-BeT
crop another part of the image or break in the middle of a run. So another size is refused.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from simeval.core.errors import ConfigError
from simeval.policies.checkpoint.steps import Step

_RESIZED_BY = {"act": None, "diffusion": "resize_shape", "multi_task_dit": "image_resize_shape", "vqbet": None}
"""Types that take images as they come, with the field that lets them resize. Source: lerobot 0.6.1. SmolVLA, pi0 and
the other large ones resize all images to the size of their backbone."""
_RESIZER = "image_crop_resize_processor"


def takes_one_size(config: Mapping[str, Any], before: Sequence[Step]) -> bool:
    """Whether images must have the size of the training images.

    Args:
        config: configuration of the policy.
        before: the steps of the saved preprocessor.
    """
    if config["type"] not in _RESIZED_BY or any(step.name == _RESIZER for step in before):
        return False
    field = _RESIZED_BY[config["type"]]
    return field is None or config.get(field) is None


def require_size(trained: tuple[int, int] | None, sizes: Iterable[tuple[int, ...]], *, kind: str, name: str) -> None:
    """Refuse images of another size than the training images.

    Args:
        trained: height and width (px) that the checkpoint takes; `None` for any.
        sizes: heights and widths of the images that it would get.
        kind: its type.
        name: its name.

    Raises:
        ConfigError: one of them differs.
    """
    other = next((size for size in sizes if size != trained), None)
    if trained is not None and other is not None:
        given, wanted = ("x".join(map(str, size)) for size in (other, trained))
        raise ConfigError(
            f"policy '{name}' does not fit: its images have {wanted} px and these {given}, and '{kind}' resizes none; "
            f"a step {_RESIZER} (resize_size) in its policy_preprocessor.json can"
        )
