"""What a task looks like before anything moves: both cameras, one row per asset folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from envs.assets import is_bundled
from envs.base import CAMERAS
from envs.build import make_env
from envs.suites import PROTOCOLS, tasks

CAPTION = 44
"""Height of the text above a row (px)."""

_PROTOCOL = PROTOCOLS["openvla"]
_TITLE_COLOR, _TEXT_COLOR, _BACKGROUND = (255, 255, 255), (190, 190, 190), 32


@dataclass(frozen=True, slots=True)
class _Start:
    init_state: int
    env_seed: int
    settle_steps: int


def contact_sheet(
    suite: str, task: int, *, init_state: int = 0, assets: Sequence[Path], size: int = 256
) -> NDArray[np.uint8]:
    """Both cameras of a task's initial state, after settling, one row per asset folder under a caption.

    Args:
        suite: an entry of `suites.SUITES`.
        task: its index.
        init_state: index of the published initial state.
        assets: LIBERO asset folders, drawn from top to bottom; the toy suite needs none.
        size: side of each picture (px).

    Returns:
        `uint8[rows * (size + CAPTION), 2 * size, 3]`, RGB.

    Raises:
        EnvError: a scene cannot be built, or there is no such initial state.
    """
    folders: Sequence[Path | None] = list(assets) or [None]
    instruction = tasks(suite)[task].instruction
    rows = []
    for folder in folders:
        pictures = _pictures(suite, task, init_state, folder, size)
        title = f"{_name(folder)} | {suite} {task} | initial state {init_state}"
        rows += [_caption(title, instruction, size * len(CAMERAS)), np.concatenate(pictures, axis=1)]
    return np.concatenate(rows, axis=0)


def _pictures(suite: str, task: int, init_state: int, assets: Path | None, size: int) -> list[NDArray[np.uint8]]:
    env = make_env(suite, task, size, assets)
    try:
        env.reset(_Start(init_state, _PROTOCOL.env_seed(init_state), _PROTOCOL.limits[suite].settle_steps))
        images = env.observe().images
    finally:
        env.close()
    return [images[camera] for camera in CAMERAS]


def _name(assets: Path | None) -> str:
    if assets is None:
        return "toy"
    return "bundled scenes" if is_bundled(assets) else f"official scenes ({assets.name})"


def _caption(title: str, instruction: str, width: int) -> NDArray[np.uint8]:
    strip = np.full((CAPTION, width, 3), _BACKGROUND, np.uint8)
    for text, baseline, color in ((title, 17, _TITLE_COLOR), (instruction, 36, _TEXT_COLOR)):
        scale = 0.45
        needed = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)[0][0]
        scale *= min(1.0, (width - 12) / needed)
        cv2.putText(strip, text, (6, baseline), cv2.FONT_HERSHEY_SIMPLEX, scale, color, 1, cv2.LINE_AA)
    return strip
