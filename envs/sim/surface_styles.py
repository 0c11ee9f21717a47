"""Alternative looks of a scene's table, walls and floor: small procedural textures with one material each.

Every LIBERO scene is built with all of them, unused. A perturbation only assigns another material to a surface's geoms.
That needs no texture upload, and the reset undoes it with the rest of the model.

Non-obvious behaviour:
- The MJCF description contains flat placeholders; the textures are painted into the compiled model. So no files are
  needed. Painting has to happen before a render context copies the textures.
- The textures are sums of a few waves that are periodic on the unit square, so that they repeat without a seam.
"""

import functools
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIZE = 128
"""Side of a texture (px): at one repeat per metre finer than a 256 px camera resolves. Our choice."""

Plane = NDArray[np.float64]
type _Rgb = tuple[int, int, int]

_WAVES = 24
"""Waves per texture: enough that no single one stands out. Our choice."""


@dataclass(frozen=True, slots=True)
class Style:
    """A look of a surface.

    Attributes:
        color: mean colour, RGB 0..255.
        pattern: relative brightness, about 1, at the pixel coordinates x and y, each in 0..1.
        per_metre: repeats of the texture per metre.
    """

    color: _Rgb
    pattern: Callable[[Plane, Plane], Plane]
    per_metre: float


def _noise(seed: int, across: int, along: int) -> Callable[[Plane, Plane], Plane]:
    """Smooth noise of unit variance with up to `across` and `along` periods in the unit square."""
    rng = np.random.Generator(np.random.Philox(seed))
    k = rng.integers(-across, across + 1, _WAVES)
    m = rng.integers(-along, along + 1, _WAVES)
    phase = rng.uniform(0, 2 * np.pi, _WAVES)

    def pattern(x: Plane, y: Plane) -> Plane:
        waves = [np.cos(2 * np.pi * (a * x + b * y) + c) for a, b, c in zip(k, m, phase, strict=True)]
        total: Plane = np.sum(waves, axis=0) * np.sqrt(2 / _WAVES)
        return total

    return pattern


def _wood(seed: int, contrast: float) -> Callable[[Plane, Plane], Plane]:
    """Slightly bent grain along y."""
    bend, grain, fibre = _noise(seed, 2, 2), _noise(seed + 1, 14, 1), _noise(seed + 2, 50, 3)

    def pattern(x: Plane, y: Plane) -> Plane:
        bent = x + 0.007 * bend(x, y)
        return 1 + contrast * (0.7 * grain(bent, y) + 0.4 * fibre(bent, y))

    return pattern


def _stone(seed: int, contrast: float, *, veins: float = 0.0) -> Callable[[Plane, Plane], Plane]:
    """Mottled, with thin dark veins if `veins` is positive."""
    cloud, speck, vein = _noise(seed, 3, 3), _noise(seed + 1, 40, 40), _noise(seed + 2, 3, 3)

    def pattern(x: Plane, y: Plane) -> Plane:
        dark = np.exp(-np.square(22 * vein(x, y))) * (1 + 0.4 * cloud(y, x))
        level: Plane = 1 + contrast * (0.7 * cloud(x, y) + 0.4 * speck(x, y)) - veins * dark
        return level

    return pattern


def _boards(seed: int, contrast: float, rows: int, columns: int, *, joint: float) -> Callable[[Plane, Plane], Plane]:
    """Rows of boards, tiles or bricks, every other row shifted by half unless there are as many columns as rows."""
    inside, rng = _wood(seed, contrast), np.random.Generator(np.random.Philox(seed + 9))
    tone = rng.normal(1.0, 1.2 * contrast, (rows, columns))
    shift = 0.0 if rows == columns else 0.5

    def pattern(x: Plane, y: Plane) -> Plane:
        row = (y * rows).astype(int)
        place = (x * columns + shift * (row % 2)) % columns
        edge = np.minimum(y * rows % 1 / rows, place % 1 / columns) < 0.016
        return np.where(edge, joint, tone[row, place.astype(int)] * inside(y, x))

    return pattern


STYLES: Mapping[str, Mapping[str, Style]] = {
    "table": {
        "oak": Style((188, 140, 86), _wood(11, 0.10), 1.0),
        "walnut": Style((94, 64, 44), _wood(21, 0.16), 1.0),
        "marble": Style((222, 220, 214), _stone(31, 0.02, veins=0.22), 1.0),
        "slate": Style((72, 78, 84), _stone(41, 0.06), 1.5),
        "green": Style((92, 128, 104), _stone(51, 0.015), 1.0),
    },
    "wall": {
        "white": Style((232, 230, 224), _stone(61, 0.012), 1.0),
        "green": Style((116, 148, 120), _stone(71, 0.015), 1.0),
        "blue": Style((106, 138, 178), _stone(81, 0.015), 1.0),
        "terracotta": Style((184, 112, 84), _stone(91, 0.02), 1.0),
        "brick": Style((158, 84, 66), _boards(101, 0.07, 10, 4, joint=1.35), 1.0),
    },
    "floor": {
        "planks": Style((150, 104, 66), _boards(111, 0.08, 8, 2, joint=0.55), 0.8),
        "tiles": Style((214, 212, 206), _boards(121, 0.012, 4, 4, joint=0.72), 0.8),
        "slate": Style((84, 90, 96), _boards(131, 0.05, 3, 3, joint=0.6), 0.8),
        "carpet": Style((122, 62, 66), _stone(141, 0.08), 2.0),
        "concrete": Style((146, 146, 142), _stone(151, 0.04), 0.8),
    },
}
"""The looks of each surface, by name. Must equal `perturbations.texture.STYLES`; tested."""


def _name(surface: str, style: str) -> str:
    return f"style_{surface}_{style}"


@functools.cache  # every scene that a process builds has all of them
def render_texture(style: Style) -> NDArray[np.uint8]:
    """Compute a style's texture, read-only `uint8[SIZE, SIZE, 3]` RGB, seamless when repeated."""
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE
    level = style.pattern(x, y)
    pixels: NDArray[np.uint8] = np.clip(np.rint(level[..., None] * np.asarray(style.color)), 0, 255).astype(np.uint8)
    pixels.flags.writeable = False
    return pixels


def add_styles(xml: str) -> str:
    """Add an unused material for each style to a scene's MJCF."""
    root = ET.fromstring(xml)
    assets = root.find("asset")
    assert assets is not None, "a scene has assets"
    for surface, styles in STYLES.items():
        for style, look in styles.items():
            name, repeat = _name(surface, style), f"{look.per_metre} {look.per_metre}"
            flat = {"builtin": "flat", "type": "2d", "width": str(SIZE), "height": str(SIZE), "rgb1": "1 1 1"}
            ET.SubElement(assets, "texture", {"name": name} | flat)
            shine = {"specular": "0.2", "shininess": "0.1", "reflectance": "0"}
            ET.SubElement(
                assets, "material", {"name": name, "texture": name, "texuniform": "true", "texrepeat": repeat} | shine
            )
    return ET.tostring(root, encoding="unicode")


def paint_styles(model: Any) -> None:
    """Write the textures into a compiled `mujoco.MjModel` whose description went through `add_styles`."""
    for surface, styles in STYLES.items():
        for style, look in styles.items():
            texture = model.texture(_name(surface, style)).id
            start = int(model.tex_adr[texture])
            pixels = render_texture(look).ravel()
            model.tex_data[start : start + pixels.size] = pixels
