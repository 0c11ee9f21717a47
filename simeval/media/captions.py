"""Images with text: captions that always fit, rows and columns."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
"""`uint8[H, W, 3]`, RGB."""

FONT = cv2.FONT_HERSHEY_SIMPLEX
SCALES = (0.45, 0.42, 0.39, 0.36)
"""Font scales, tried from large to small; the last is the smallest legible one (about 8 px high)."""
LINE = 18
"""Line height (px)."""
MARGIN = 6
MAX_LINES = 3

_BACKGROUND = (44, 52, 78)
"""Blue, because scenes have grey and black borders."""
_STRONG, _WEAK = (255, 255, 255), (190, 190, 190)


def caption(texts: Sequence[str], width: int, *, strong: bool = True) -> Image:
    """A strip with a wrapped paragraph per text; text beyond three lines is cut and ends in dots.

    Args:
        texts: the paragraphs; empty ones are left out.
        width: of the strip (px).
        strong: whether the first paragraph is white; the others are grey.
    """
    paragraphs = [_wrapped(_ascii(text), width - 2 * MARGIN) for text in texts if text]
    strip = np.full((LINE * sum(len(rows) for rows, _ in paragraphs) + 8, width, 3), _BACKGROUND, np.uint8)
    baseline = LINE - 2
    for k, (rows, scale) in enumerate(paragraphs):
        for row in rows:
            color = _STRONG if strong and k == 0 else _WEAK
            cv2.putText(strip, row, (MARGIN, baseline), FONT, scale, color, 1, cv2.LINE_AA)
            baseline += LINE
    return strip


def placeholder(side: int, text: str) -> Image:
    """A grey square with text, in place of a missing image."""
    square = np.full((side, side, 3), 64, np.uint8)
    strip = caption([text], side - 8)
    square[8 : 8 + len(strip), 4 : side - 4] = strip[: side - 8]
    return square


def upscale(image: Image, times: int) -> Image:
    """The image with every pixel repeated."""
    return image.repeat(times, axis=0).repeat(times, axis=1)


def hstack(images: Sequence[Image]) -> Image:
    """Images in a row, padded to the same height."""
    height = max(len(image) for image in images)
    return np.concatenate([_pad(p, height, p.shape[1]) for p in images], axis=1)


def vstack(images: Sequence[Image]) -> Image:
    """Images in a column, padded to the same width."""
    width = max(image.shape[1] for image in images)
    return np.concatenate([_pad(p, len(p), width) for p in images], axis=0)


def _pad(image: Image, height: int, width: int) -> Image:
    canvas = np.full((height, width, 3), _BACKGROUND, np.uint8)
    canvas[: image.shape[0], : image.shape[1]] = image
    return canvas


def _ascii(text: str) -> str:
    """Replace characters outside ASCII by one question mark each; OpenCV would render one for each byte."""
    return "".join(letter if " " <= letter <= "~" else "?" for letter in text)


def _wrapped(text: str, width: int, lines: int = MAX_LINES) -> tuple[list[str], float]:
    """Rows of text, and the largest scale at which they fit into `lines` lines."""
    for scale in SCALES:
        rows = _rows(text, width, scale)
        if len(rows) <= lines:
            return rows, scale
    rows = rows[:lines]
    while _width(f"{rows[-1]}...", SCALES[-1]) > width and rows[-1]:
        rows[-1] = rows[-1][:-1]
    return [*rows[:-1], f"{rows[-1]}..."], SCALES[-1]


def _rows(text: str, width: int, scale: float) -> list[str]:
    rows = [""]
    # Conditions have no spaces: they may break after a plus or before a setting.
    for word in text.replace("+", "+\0").replace("/", "\0/").replace(" ", " \0").split("\0"):
        if rows[-1] and _width(rows[-1] + word.rstrip(), scale) > width:
            rows.append("")
        rows[-1] += word
        while _width(rows[-1].rstrip(), scale) > width:
            fitting = next(n for n in range(len(rows[-1]), 0, -1) if n == 1 or _width(rows[-1][:n], scale) <= width)
            rows[-1:] = [rows[-1][:fitting], rows[-1][fitting:]]
    return [row.rstrip() for row in rows]


def _width(text: str, scale: float) -> int:
    size: tuple[int, int] = cv2.getTextSize(text, FONT, scale, 1)[0]
    return size[0]
