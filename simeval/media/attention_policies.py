"""One frame, the attention of several policies beside each other, and the outline of the named objects."""

import re
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from simeval.core.errors import ConfigError
from simeval.core.files import write_image
from simeval.core.types import CLEAN
from simeval.media.attention import MIN_SIDE, overlay
from simeval.media.captions import Image, caption, hstack, upscale, vstack
from simeval.probing.frame_set import FrameSet
from simeval.probing.vectors import Vectors

COLUMNS = 4
"""Policies side by side."""
SHEETS = 6
"""Most sheets: one per task for clean frames, then one per condition."""
_OUTLINE = (255, 255, 255)
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9.-]+")


def write_sheets(
    folder: Path, sets: Sequence[FrameSet], vectors: Sequence[tuple[str, Sequence[Vectors]]]
) -> tuple[Path, ...]:
    """Write the sheets as PNG files; older ones are removed.

    Args:
        folder: to write, created if missing.
        sets: frames by condition, the clean ones first.
        vectors: of each policy, by condition.

    Raises:
        ConfigError: a file cannot be written.
    """
    chosen = _chosen(sets)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("*.png"):
            old.unlink()
        paths = []
        for number, (condition, frame) in enumerate(chosen):
            path = folder / f"{number:02d}-{_NOT_IN_NAMES.sub('_', sets[condition].condition)[:60]}.png"
            write_image(path, _sheet(sets[condition], frame, [(name, part[condition]) for name, part in vectors]))
            paths.append(path)
    except OSError as error:
        raise ConfigError(f"{folder}: the image cannot be written: {error.strerror or error}") from error
    return tuple(paths)


def _chosen(sets: Sequence[FrameSet]) -> list[tuple[int, int]]:
    """Condition and frame of each sheet: the first frame of some tasks, then the first one under each condition."""
    firsts: dict[tuple[str, int], int] = {}
    for k, info in enumerate(sets[0].frames):
        if any(info.named):
            firsts.setdefault((info.suite, info.task), k)
    clean = [(0, k) for k in list(firsts.values())[: SHEETS // 2]]
    others = [(number, 0) for number, part in enumerate(sets) if part.condition != CLEAN and part.frames]
    return [*clean, *others[: SHEETS - len(clean)]]


def _sheet(part: FrameSet, frame: int, vectors: Sequence[tuple[str, Vectors]]) -> Image:
    info = part.frames[frame]
    named = [k for k, is_named in enumerate(info.named) if is_named]
    scale = max(float(one.attention[frame].max()) for _, one in vectors)
    cells = []
    for name, one in vectors:
        rows = []
        for c in range(len(part.cameras)):
            image = overlay(part.images[frame, c], one.attention[frame, c].astype(np.float64), scale)
            rows.append(_outlined(image, np.logical_or.reduce(part.masks[frame, named, c], axis=0)))
        covered = np.minimum(1.0, one.covered[frame, named].sum(axis=0))
        share = float((one.attention[frame] * covered).sum() / one.attention[frame].sum())
        cells.append(vstack([caption([name, f"on named objects {100 * share:.1f} %"], rows[0].shape[1]), *rows]))
    lines = [hstack(cells[k : k + COLUMNS]) for k in range(0, len(cells), COLUMNS)]
    width = max(line.shape[1] for line in lines)
    return vstack([caption([f"{part.condition}: {info.instruction}", info.id], width), *lines])


def _outlined(image: Image, mask: NDArray[np.bool_]) -> Image:
    large = upscale(mask.astype(np.uint8)[..., None], -(-MIN_SIDE // min(mask.shape)))[..., 0]
    contours, _ = cv2.findContours(np.ascontiguousarray(large), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    canvas = np.ascontiguousarray(image)
    cv2.drawContours(canvas, contours, -1, (0, 0, 0), 3)
    cv2.drawContours(canvas, contours, -1, _OUTLINE, 1)
    return canvas
