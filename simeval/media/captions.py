"""Images with text: captions that always fit, rows and columns."""

import functools
import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import PIL.Image
from numpy.typing import NDArray
from PIL import ImageDraw

from simeval.media.fonts import open_font, printable, runs

Image = NDArray[np.uint8]
"""`uint8[H, W, 3]`, RGB."""

Color = tuple[int, int, int]
"""RGB, 0 to 255."""

SIZES = (14, 13, 12)
"""Font sizes (px per em), tried from large to small; the last is the smallest at which Chinese is legible."""
MARGIN = 6
MAX_LINES = 4

_BACKGROUND = (44, 52, 78)
"""Blue, because scenes have grey and black borders."""
_DARK, _STRONG, _WEAK = (20, 20, 20), (255, 255, 255), (190, 190, 190)

_BREAKS = re.compile(
    # Conditions have no spaces: they may break after a plus or before a setting.
    "(?<=[ +])|(?=/)"
    # Chinese and Japanese have none either: they may break between any two characters, but not before a stop.
    "|(?=[\u2e80-\u2fff\u3040-\u9fff\uf900-\ufaff\U00020000-\U0003ffff])(?<![「『\uff08《])"
)


@dataclass(frozen=True, slots=True)
class TextStyle:
    """How a paragraph is set.

    Attributes:
        sizes: font sizes (px per em); the largest at which the text fits is taken.
        line: line height (px).
        max_lines: text beyond them is cut and ends in dots.
        background: color of the strip.
    """

    sizes: tuple[int, ...] = SIZES
    line: int = 18
    max_lines: int = MAX_LINES
    background: Color = _BACKGROUND


CAPTION_STYLE = TextStyle()


def caption(texts: Sequence[str], width: int, *, strong: bool = True) -> Image:
    """A strip with a wrapped paragraph per text; text beyond four lines is cut and ends in dots.

    Args:
        texts: the paragraphs; empty ones are left out.
        width: of the strip (px).
        strong: whether the first paragraph is white; the others are grey.
    """
    shown = [text for text in texts if text]
    return text_strip([(text, _STRONG if strong and k == 0 else _WEAK) for k, text in enumerate(shown)], width)


def text_strip(
    paragraphs: Sequence[tuple[str, Color]], width: int, style: TextStyle = CAPTION_STYLE, *, height: int = 0
) -> Image:
    """A strip with wrapped paragraphs, each in its color.

    Args:
        paragraphs: text and color.
        width: of the strip (px).
        style: sizes and limits.
        height: of the strip at least (px).
    """
    parts = [_paragraph(printable(text), color, width, style) for text, color in paragraphs]
    margin = np.full((4, width, 3), style.background, np.uint8)
    strip = np.concatenate([margin, *parts, margin])
    return _pad(strip, max(height, len(strip)), width, style.background)


def write_number(image: Image, text: str, center: tuple[float, float]) -> None:
    """Write a short text into an image, with a dark outline: what lies below may have any brightness.

    Args:
        image: changed in place.
        text: one line.
        center: of the text, x and y (px).
    """
    canvas = PIL.Image.fromarray(image)
    pen = ImageDraw.Draw(canvas)
    font = open_font(next(runs(text))[0], SIZES[-1])
    pen.text(center, text, _STRONG, font, anchor="mm", stroke_width=1, stroke_fill=_DARK)
    image[:] = np.asarray(canvas)


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


def _pad(image: Image, height: int, width: int, color: Color = _BACKGROUND) -> Image:
    canvas = np.full((height, width, 3), color, np.uint8)
    canvas[: image.shape[0], : image.shape[1]] = image
    return canvas


@functools.lru_cache(maxsize=32)  # most paragraphs are the same on every frame of a video
def _paragraph(text: str, color: Color, width: int, style: TextStyle) -> Image:
    rows, size = _wrapped(text, width - 2 * MARGIN, style)
    strip = PIL.Image.new("RGB", (width, style.line * len(rows)), style.background)
    pen = ImageDraw.Draw(strip)
    for k, row in enumerate(rows, 1):
        x, baseline = float(MARGIN), style.line * k - size // 4 - 1  # below it there is room for descenders
        for file, part in runs(row):
            font = open_font(file, size)
            pen.text((x, baseline), part, color, font, anchor="ls")
            x += font.getlength(part)
    return np.asarray(strip)


def _wrapped(text: str, width: int, style: TextStyle = CAPTION_STYLE) -> tuple[list[str], int]:
    """Rows of text, and the largest size at which they fit into the style's lines."""
    for size in style.sizes:
        rows = _rows(text, width, size)
        if len(rows) <= style.max_lines:
            return rows, size
    size, rows = style.sizes[-1], rows[: style.max_lines]
    while _width(f"{rows[-1]}...", size) > width and rows[-1]:
        rows[-1] = rows[-1][:-1]
    return [*rows[:-1], f"{rows[-1]}..."], size


def _rows(text: str, width: int, size: int) -> list[str]:
    rows = [""]
    for word in _BREAKS.split(text):
        if rows[-1] and _width(rows[-1] + word.rstrip(), size) > width:
            rows.append("")
        rows[-1] += word
        while _width(rows[-1].rstrip(), size) > width and len(rows[-1]) > 1:
            fitting = next(n for n in range(len(rows[-1]), 0, -1) if n == 1 or _width(rows[-1][:n], size) <= width)
            while fitting < len(rows[-1]) and unicodedata.category(rows[-1][fitting])[0] == "M" and fitting > 1:
                fitting -= 1  # a mark stays with its letter
            rows[-1:] = [rows[-1][:fitting], rows[-1][fitting:]]
    return [row.rstrip() for row in rows]


def _width(text: str, size: int) -> int:
    """Width of a line (px)."""
    return math.ceil(sum(open_font(file, size).getlength(part) for file, part in runs(text)))
