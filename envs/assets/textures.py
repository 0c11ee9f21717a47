"""Tiny images for floors, walls and table tops: the only binary files of the bundled models.

They are encoded without compression, because compressors differ between versions and the pack has to come out the same
byte for byte everywhere.
"""

import math
import struct
import zlib
from collections.abc import Callable, Mapping

type Rgb = tuple[int, int, int]
type Painter = Callable[[float, float], Rgb]


def _png(width: int, height: int, rows: list[bytes]) -> bytes:
    raw = b"".join(b"\0" + row for row in rows)
    stored = [raw[i : i + 65535] for i in range(0, len(raw), 65535)]
    blocks = b"".join(
        struct.pack("<BHH", i == len(stored) - 1, len(part), len(part) ^ 0xFFFF) + part for i, part in enumerate(stored)
    )
    data = b"\x78\x01" + blocks + struct.pack(">I", zlib.adler32(raw))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", data), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + tag + body + struct.pack(">I", zlib.crc32(tag + body)) for tag, body in chunks
    )


def _draw(size: int, painter: Painter) -> bytes:
    rows = [bytes(v for x in range(size) for v in painter(x / size, y / size)) for y in range(size)]
    return _png(size, size, rows)


def _shade(color: Rgb, factor: float) -> Rgb:
    r, g, b = (max(0, min(255, round(value * factor))) for value in color)
    return r, g, b


def _grain(x: float, y: float) -> float:
    """Streaks along y that repeat over the unit square, from -1 to 1."""
    bend = 0.15 * math.sin(2 * math.pi * y)
    waves = ((3, 0.4, 0.3), (7, 1.3, 0.3), (13, 2.1, 0.25), (29, 0.7, 0.15))
    return sum(share * math.sin(2 * math.pi * k * x + phase + k * bend) for k, phase, share in waves)


def _wood(color: Rgb) -> Painter:
    return lambda x, y: _shade(color, 1 + 0.06 * _grain(x, y))


def _tiles(color: Rgb, joint: Rgb, count: int) -> Painter:
    def paint(x: float, y: float) -> Rgb:
        edge = min(x * count % 1, y * count % 1) < 0.03 * count
        # Neighbouring tiles differ a little, or a floor looks like graph paper.
        tone = 1 + 0.04 * math.sin(5.1 * (int(x * count) + 1) * (2 * int(y * count) + 1))
        return joint if edge else _shade(color, tone)

    return paint


def _planks(color: Rgb, joint: Rgb, count: int) -> Painter:
    def paint(x: float, y: float) -> Rgb:
        row = int(y * count)
        along = (x + 0.37 * row) % 1
        if y * count % 1 < 0.05 or along < 0.015:
            return joint
        return _shade(color, 1 + 0.05 * _grain(y, x) + 0.06 * math.sin(7.3 * (row + 1)))

    return paint


def _plaster(color: Rgb) -> Painter:
    def paint(x: float, y: float) -> Rgb:
        waves = math.sin(2 * math.pi * (3 * x + 2 * y)) + math.sin(2 * math.pi * (5 * y - 4 * x) + 1)
        return _shade(color, 1 + 0.01 * waves)

    return paint


TEXTURES: Mapping[str, tuple[int, Painter]] = {
    "light-gray-floor-tile": (64, _planks((168, 160, 150), (205, 203, 200), 4)),
    "gray_ceramic_tile": (64, _tiles((150, 150, 150), (105, 105, 105), 2)),
    "seamless_wood_planks_floor": (64, _planks((140, 104, 72), (86, 62, 42), 4)),
    "light-gray-plaster": (32, _plaster((178, 178, 174))),
    "yellow_linen_wall_texture": (32, _plaster((206, 188, 138))),
    "table_wood": (96, _wood((214, 190, 160))),
    "dark_wood": (96, _wood((96, 66, 48))),
    "desk_wood": (96, _wood((172, 120, 68))),
}
"""File name without ending: side in pixels, and what to paint. LIBERO's code asks for the first five by these names."""


def pictures() -> dict[str, bytes]:
    """Every texture file by its path below the asset folder."""
    return {f"textures/{name}.png": _draw(size, painter) for name, (size, painter) in TEXTURES.items()}
