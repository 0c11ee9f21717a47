"""Which of our cameras a checkpoint's images are, judged by the names they were saved under."""

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
"""Types that do without a declared image that is not handed over. Source: `missing_img_keys` in their models."""


@dataclass(frozen=True, slots=True)
class Cameras:
    """What a checkpoint sees.

    Attributes:
        keys: for each of our cameras that it looks at, the observation key to hand the image over under.
        unfed: observation keys that it declares, beyond its `empty_cameras`, and that nobody hands over.
    """

    keys: Mapping[str, str]
    unfed: tuple[str, ...]


def camera_of(key: str) -> str | None:
    """Which of our cameras an observation key means, judged by its name."""
    word = key.removeprefix("observation.").removeprefix("images.").lower()
    if _WRIST.search(word):
        return "wrist"
    return "agentview" if _AGENTVIEW.search(word) else None


def match_cameras(
    images: Mapping[str, Any], sources: Mapping[str, str], config: Mapping[str, Any], name: str
) -> Cameras:
    """Our cameras for a checkpoint's images.

    Args:
        images: those that it declares.
        sources: name of the policy -> name of the training data, from the saved rename map.
        config: of the policy.
        name: of the checkpoint.

    Raises:
        ConfigError: an image has no camera of ours, and the policy cannot do without.
    """
    matched: dict[str, str] = {}
    unmatched: list[str] = []
    wanted = [key for key in images if ".empty_camera_" not in key]
    for key in wanted:
        source = sources.get(key, key)
        camera = camera_of(source) or camera_of(key)
        if camera is None or camera in matched:
            unmatched.append(key)
        else:
            matched[camera] = source
    allowed, kind = config.get("empty_cameras", 0), config["type"]
    everything = set(matched) == set(CAMERAS)
    if (len(unmatched) > allowed and not (everything and kind in _LEAVES_OUT)) or (wanted and not matched):
        complaint = (
            f"policy '{name}' does not fit: it wants the cameras {', '.join(wanted)}, the suites offer "
            f"{' and '.join(CAMERAS)}, "
        )
        if everything:
            raise ConfigError(
                f"{complaint}and '{kind}' cannot do without {', '.join(unmatched)}; if it was trained without, "
                "delete it from input_features in config.json"
            )
        raise ConfigError(
            f"{complaint}and nothing tells which would be {', '.join(unmatched)}; "
            "a rename_map in its policy_preprocessor.json can"
        )
    return Cameras(matched, tuple(unmatched) if len(unmatched) > allowed else ())
