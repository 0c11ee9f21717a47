"""Matches a checkpoint's images to the suites' cameras by their saved names."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from envs.base import CAMERAS
from simeval.core.errors import ConfigError

_WRIST = re.compile(r"wrist|hand|gripper|^image_?2$|^camera_?2$")
_AGENTVIEW = re.compile(r"agentview|base|front|top|exterior|third|primary|^image$|^image_?1$|^camera_?1$")
"""Camera names seen in LIBERO checkpoints: lerobot's `image`/`image2`, its SmolVLA base's `camera1`/`camera2`, openpi's
`base_0_rgb`/`left_wrist_0_rgb`, the original datasets' `agentview`/`wrist_image`/`eye_in_hand`."""

_LEAVES_OUT = frozenset({"pi0", "pi05", "pi0_fast", "smolvla"})
"""Types that tolerate missing images. Source: `missing_img_keys` in their models."""


@dataclass(frozen=True, slots=True)
class Cameras:
    """The cameras that a checkpoint uses.

    Attributes:
        keys: the observation key of the image, for each of the suites' cameras that it uses.
        unfed: observation keys that it declares, beyond its `empty_cameras`, and that get no image.
    """

    keys: Mapping[str, str]
    unfed: tuple[str, ...]


def camera_of(key: str) -> str | None:
    """The camera that an observation key stands for, by its name; `None` if unknown."""
    word = key.removeprefix("observation.").removeprefix("images.").lower()
    if _WRIST.search(word):
        return "wrist"
    return "agentview" if _AGENTVIEW.search(word) else None


def match_cameras(
    images: Mapping[str, Any],
    sources: Mapping[str, str],
    config: Mapping[str, Any],
    name: str,
    offered: tuple[str, ...] = CAMERAS,
) -> Cameras:
    """Match a checkpoint's images to the suites' cameras.

    Args:
        images: the images that it declares.
        sources: name in the policy -> name in the training data, from the saved rename map.
        config: configuration of the policy.
        name: name of the checkpoint.
        offered: the suites' cameras.

    Raises:
        ConfigError: an image matches no camera, and the policy needs it.
    """
    matched: dict[str, str] = {}
    unmatched: list[str] = []
    declared = [key for key in images if ".empty_camera_" not in key]
    for key in declared:
        source = sources.get(key, key)
        camera = camera_of(source) or camera_of(key)
        if camera not in offered or camera in matched:
            unmatched.append(key)
        else:
            matched[camera] = source
    allowed, kind = config.get("empty_cameras", 0), config["type"]
    all_matched = set(matched) == set(offered)
    if (len(unmatched) > allowed and not (all_matched and kind in _LEAVES_OUT)) or (declared and not matched):
        complaint = (
            f"policy '{name}' does not fit: it wants the cameras {', '.join(declared)}, the suites offer "
            f"{' and '.join(offered)}, "
        )
        if all_matched:
            raise ConfigError(
                f"{complaint}and '{kind}' cannot do without {', '.join(unmatched)}; if it was trained without, "
                "delete it from input_features in config.json"
            )
        raise ConfigError(
            f"{complaint}and nothing tells which would be {', '.join(unmatched)}; "
            "a rename_map in its policy_preprocessor.json can"
        )
    return Cameras(matched, tuple(unmatched) if len(unmatched) > allowed else ())
