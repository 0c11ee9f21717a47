"""Pictures with text: captions that always fit, rows and columns."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
"""`uint8[H, W, 3]`, RGB."""

FONT = cv2.FONT_HERSHEY_SIMPLEX
SCALES = (0.45, 0.42, 0.39, 0.36)
"""Sizes of letters, tried from large to small; the last is the smallest that can be read (about 8 px high)."""
LINE = 18
"""Distance of two lines (px)."""
MARGIN = 6
MAX_LINES = 3

_BACKGROUND = (44, 52, 78)
"""Blue, because scenes have gray and black borders of their own."""
_STRONG, _WEAK = (255, 255, 255), (190, 190, 190)


def caption(texts: Sequence[str], width: int, *, strong: bool = True) -> Picture:
    """A strip with a paragraph per text, wrapped; what does not fit into three lines ends in dots.

    Args:
        texts: the paragraphs; empty ones are left out.
        width: of the strip (px).
        strong: whether the first paragraph is white, the others are gray.
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


def placeholder(side: int, text: str) -> Picture:
    """A square without picture that says why."""
    square = np.full((side, side, 3), 64, np.uint8)
    strip = caption([text], side - 8)
    square[8 : 8 + len(strip), 4 : side - 4] = strip[: side - 8]
    return square


def upscale(picture: Picture, times: int) -> Picture:
    """The picture with every pixel repeated."""
    return picture.repeat(times, axis=0).repeat(times, axis=1)


def hstack(pictures: Sequence[Picture]) -> Picture:
    """Pictures in a row, the lower ones filled up."""
    height = max(len(picture) for picture in pictures)
    return np.concatenate([_filled(p, height, p.shape[1]) for p in pictures], axis=1)


def vstack(pictures: Sequence[Picture]) -> Picture:
    """Pictures in a column, the narrower ones filled up."""
    width = max(picture.shape[1] for picture in pictures)
    return np.concatenate([_filled(p, len(p), width) for p in pictures], axis=0)


def _filled(picture: Picture, height: int, width: int) -> Picture:
    canvas = np.full((height, width, 3), _BACKGROUND, np.uint8)
    canvas[: picture.shape[0], : picture.shape[1]] = picture
    return canvas


def _ascii(text: str) -> str:
    """OpenCV's letters are ASCII; it draws a question mark for each byte of any other."""
    return "".join(letter if " " <= letter <= "~" else "?" for letter in text)


def _wrapped(text: str, width: int, lines: int = MAX_LINES) -> tuple[list[str], float]:
    """Rows of text, and the largest scale at which they fit into that many."""
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
    # Conditions have no blanks: they may break behind a plus or before a setting.
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
