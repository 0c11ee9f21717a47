"""Matches a checkpoint's images to the suites' cameras by their saved names."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from envs.base import CAMERAS
from simeval.core.errors import ConfigError

_WRIST = re.compile(r"wrist|hand|gripper|^image_?2$|^camera_?2$")
_AGENTVIEW = re.compile(r"agentview|base|front|top|exterior|third|primary|^image$|^image_?1$|^camera_?1$")
"""Camera names seen in LIBERO checkpoints: lerobot's `image`/`image2`, its SmolVLA base's `camera1`/`camera2`, openpi's
`base_0_rgb`/`left_wrist_0_rgb`, the original datasets' `agentview`/`wrist_image`/`eye_in_hand`."""

_NO_COLOURS = re.compile(r"depth|segment|mask|tactile|optical_?flow")
"""Images of something else than colours, whatever camera their names have."""

_FIRST_OF_ZERO = re.compile(r"^(image|camera)_?0$")
_NUMBERED = re.compile(r"^(image|camera)_?\d$")
_EMPTY = re.compile(r"\.empty_camera_\d+$")
"""Placeholders that lerobot declares for a policy's `empty_cameras`. They get no image in training either."""

_LEAVES_OUT = frozenset({"pi0", "pi05", "pi0_fast", "smolvla", "xvla"})
"""Types that tolerate missing images, whatever their `empty_cameras`. Source: `present_img_keys` in their models,
lerobot 0.6.1. EVO1 tolerates as many as it has `empty_cameras`, its placeholders included."""


@dataclass(frozen=True, slots=True)
class Cameras:
    """The cameras that a checkpoint uses.

    Attributes:
        keys: the observation key of the image, for each of the suites' cameras that it uses.
        unfed: observation keys that it declares, without lerobot's placeholders, and that get no image.
        guessed: for each camera whose name in the training data says nothing, the key that the policy gives it.
    """

    keys: Mapping[str, str]
    unfed: tuple[str, ...]
    guessed: Mapping[str, str]


def camera_of(key: str) -> str | None:
    """The camera that an observation key stands for, by its name; `None` if unknown."""
    word = _word(key)
    if _NO_COLOURS.search(word):
        return None
    if _WRIST.search(word):
        return "wrist"
    return "agentview" if _AGENTVIEW.search(word) else None


def _word(key: str) -> str:
    return key.removeprefix("observation.").removeprefix("images.").lower()


def _cameras_of(keys: Sequence[str]) -> dict[str, str | None]:
    """The camera of each key; of numbered ones none if they are counted from 0, where number 1 is the second."""
    from_zero = any(_FIRST_OF_ZERO.search(_word(key)) for key in keys)
    return {key: None if from_zero and _NUMBERED.search(_word(key)) else camera_of(key) for key in keys}


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
        ConfigError: an image matches no camera, and the policy needs it; or two match one camera equally well.
    """
    found: dict[str, str] = {}
    # A rename map may give a placeholder an image.
    declared = [key for key in images if not _EMPTY.search(key) or key in sources]
    by_source, by_key = _cameras_of([sources.get(key, key) for key in declared]), _cameras_of(declared)

    def doubt(key: str) -> tuple[bool, bool, bool]:
        """The less of it, the earlier a key gets its camera."""
        source = sources.get(key, key)
        known = by_source[source] is not None
        word = _word(source if known else key)
        return not known, bool(_NUMBERED.search(word)), "right" in word

    for key in sorted(declared, key=doubt):
        camera = by_source[sources.get(key, key)] or by_key[key]
        if camera not in offered:
            continue
        first = found.setdefault(camera, key)
        if first != key and doubt(first) == doubt(key):
            raise ConfigError(
                f"policy '{name}' does not fit: both {sources.get(first, first)} and {sources.get(key, key)} could be "
                f"{camera}; a rename_map in its policy_preprocessor.json can tell"
            )
    fed = {key: camera for camera, key in found.items()}
    matched = {fed[key]: sources.get(key, key) for key in declared if key in fed}
    unmatched = [key for key in declared if key not in fed]
    kind = config["type"]
    all_matched = set(matched) == set(offered)
    tolerated = kind in _LEAVES_OUT or (kind == "evo1" and len(unmatched) <= config.get("empty_cameras", 0))
    if (unmatched and not (all_matched and tolerated)) or (declared and not matched):
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
    guessed = {camera: found[camera] for camera, source in matched.items() if by_source[source] is None}
    return Cameras(matched, tuple(unmatched), guessed)
