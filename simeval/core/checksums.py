"""JSON lines that contain their own checksum: writing them, and reading them in blocks.

A sealed line is a JSON object whose last field, `"crc":"BNFOAIKJC"`, is chosen so that the CRC-32 of the whole line,
its end included, is 0. So is that of any number of sealed lines together: a file of them is checked as fast as it can
be read, without splitting it into lines. By hand: `any(map(zlib.crc32, open(path, "rb")))` is False.

Non-obvious behaviour:
- Lines without a checksum, which older versions wrote, are passed on as they are. So a line with a damaged checksum
  must be distinguished from a line without one: see `_REMAINS`.
- A torn last line (killed while writing, disk full) is skipped.
"""

import itertools
import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

from simeval.core.errors import ConfigError
from simeval.core.files import open_regular
from simeval.core.texts import all_well_formed

_KEY, _END = b',"crc":"', b'"}\n'
_SIZE = 9
"""Letters of a checksum. With eight, which hold as many bits as a CRC-32, some sums cannot be reached."""
_ZERO = ord("@")
"""A letter of a checksum stands for four bits: `@` for 0, `A` for 1, up to `O` for 15."""
_BLOCK = 8 << 20
"""Bytes read at a time: about ten thousand rows. As objects, a million rows at once would take many gigabytes."""
_REMAINS = re.compile(rb'"...": ?"[@-O]{9}"\}\n|crc', re.DOTALL)
"""Matches what remains of a checksum field that was damaged, or written again by another program."""
_TAIL = len(_KEY) + _SIZE + len(_END) + 2


@dataclass(frozen=True, slots=True)
class Block:
    """Whole lines, one after the other.

    Attributes:
        data: the lines, each with its line end.
        first: number of the first line in its file, 1-based.
        count: number of lines.
        bare: whether any of the lines has no checksum.
    """

    data: bytes
    first: int
    count: int
    bare: bool


def sealed_line(value: dict[str, Any]) -> bytes:
    """A JSON-ready object as a line with its checksum; lone surrogates in texts are replaced.

    Raises:
        ValueError: a number is not finite.
    """
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    if "\\ud" in text:
        text = json.dumps(all_well_formed(value), allow_nan=False, separators=(",", ":"))
    body = text[:-1].encode() + _KEY
    return body + _letters(zlib.crc32(body)) + _END


def _letters(before: int) -> bytes:
    """The checksum that makes the CRC-32 of a line 0, from the CRC-32 of the line up to it."""
    target, bits = zlib.crc32(bytes([_ZERO]) * _SIZE + _END, before), 0
    for change, letters in _basis():
        if target ^ change < target:
            target, bits = target ^ change, bits ^ letters
    return bytes(_ZERO | bits >> 4 * place & 15 for place in range(_SIZE))


@cache
def _basis() -> tuple[tuple[int, int], ...]:
    """(change of a line's CRC-32, bits of the letters that cause it), reduced so that all leading bits differ.

    A CRC is linear: flipping a bit of a line changes its CRC in the same way whatever else the line holds.
    """
    plain = bytes([_ZERO]) * _SIZE + _END
    basis: list[tuple[int, int]] = []
    for bit in range(4 * _SIZE):
        changed = bytearray(plain)
        changed[bit // 4] ^= 1 << bit % 4
        change, letters = zlib.crc32(changed) ^ zlib.crc32(plain), 1 << bit
        for other, others in basis:
            if change ^ other < change:
                change, letters = change ^ other, letters ^ others
        if change:
            basis = sorted([*basis, (change, letters)], reverse=True)
    assert len(basis) == 32, "nine letters reach every CRC-32"
    return tuple(basis)


def read_sealed(path: Path, remedy: str, *, offset: int = 0, first: int = 1) -> Iterator[Block]:
    """The lines of a file in blocks; none if there is no file.

    Args:
        path: the file.
        remedy: what to do about a damaged line, for the message.
        offset: where to begin (bytes): at the start of a line.
        first: number of that line, 1-based.

    Raises:
        ConfigError: a line contradicts its checksum, or the file cannot be read; one line, with the line's number.
    """
    if not path.exists():
        return
    rest = b""
    with _opened(path) as file:
        file.seek(offset)
        while read := file.read(_BLOCK):
            whole = read.rfind(b"\n") + 1
            if not whole:
                rest += read
                continue
            data, rest = rest + read[:whole], read[whole:]
            # Sealed lines need neither parsing nor splitting.
            bare = zlib.crc32(data) != 0 and _has_bare_lines(path, data, first, remedy)
            yield Block(data, first, count := data.count(b"\n"), bare)
            first += count


def read_objects(path: Path, what: str, remedy: str) -> Iterator[tuple[int, Any]]:
    """The lines of a file one by one: number, and parsed value without its checksum.

    Args:
        path: the file.
        what: description of a line, for the message.
        remedy: as for `read_sealed`.

    Raises:
        ConfigError: as `read_sealed`, or a line is not JSON.
    """
    for block in read_sealed(path, remedy):
        for number, line in enumerate(block.data[:-1].split(b"\n"), block.first):
            try:
                value = all_well_formed(json.loads(line.decode()))
            except (ValueError, RecursionError) as error:
                reason = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else "it is not JSON"
                raise ConfigError(f"{path}: line {number} is not {what}: {reason}; {remedy}") from None
            if isinstance(value, dict):
                value.pop("crc", None)
            yield number, value


def _opened(path: Path) -> BinaryIO:
    try:
        return open_regular(path)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from None


def _has_bare_lines(path: Path, data: bytes, first: int, remedy: str) -> bool:
    """Whether there are lines without a checksum.

    Raises:
        ConfigError: the checksum of a line is wrong.
    """
    if _KEY not in data:  # far cheaper than checking each line
        return True
    view, bare, start = memoryview(data), False, 0
    for number in itertools.count(first):
        end = data.find(b"\n", start) + 1
        if not end:
            return bare
        if zlib.crc32(view[start:end]):
            if _REMAINS.search(data, max(start, end - _TAIL), end):
                raise ConfigError(f"{path}: line {number} is damaged: its checksum is not that of its text; {remedy}")
            bare = True
        start = end
    return bare
