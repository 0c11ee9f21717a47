"""The lines of an episodes file, decoded as what they are declared to be.

Non-obvious behaviour:
- What a row must have is what `EpisodeResult.from_row` asks for, in types that a decoder makes five times as fast.
- A torn last line (killed while writing, disk full) is skipped.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

import msgspec

from simeval.errors import ConfigError
from simeval.types import EpisodeResult, Magnitude, Outcome

_BLOCK = 10_000
"""Rows that are objects at a time: a million of them take many gigabytes."""


class Told(msgspec.Struct, gc=False):
    """What makes a line an episode, and all that a resumed run has to know of it."""

    id: str
    outcome: Outcome


def _declared(kind: type, *more: tuple[str, type]) -> Any:
    """What a line holds of a dataclass, and its parts of theirs."""
    hints, needed, others = get_type_hints(kind), list(more), []
    for field in fields(kind):
        what = hints[field.name]
        if is_dataclass(what) and isinstance(what, type):
            needed.append((field.name, _declared(what)))
        elif what == Magnitude | None:
            needed.append((field.name, _declared(Magnitude) | None))
        elif field.default is MISSING:
            needed.append((field.name, what))
        else:
            others.append((field.name, what, field.default))
    # A later version may add parts of its own to a row, but not numbers to one of ours.
    return msgspec.defstruct(
        kind.__name__, [*needed, *others], gc=False, forbid_unknown_fields=kind is not EpisodeResult
    )


Row = _declared(EpisodeResult, ("id", str), ("pair_id", str))
"""All of an episode: the fields of `EpisodeResult`, `id` and `pair_id`; its parts have the fields of theirs."""

_decoders = {kind: msgspec.json.Decoder(kind) for kind in (Told, Row)}


def read_blocks(path: Path, kind: Any) -> Iterator[list[Any]]:
    """The rows of an episodes file in order, many at a time; none if there is no file.

    Args:
        path: the file.
        kind: `Row`, or `Told` for two of its fields in a fraction of the time.

    Raises:
        ConfigError: a line in the middle is not a row.
    """
    if not path.exists():
        return
    with path.open("rb") as file:
        whole = (line for line in file if line.endswith(b"\n"))
        for block, lines in enumerate(itertools.batched(whole, _BLOCK)):
            try:
                rows = _decoders[kind].decode_lines(b"".join(lines))
            except msgspec.MsgspecError:
                rows = []
            if len(rows) != len(lines):  # a line may also be empty
                raise _wrong(path, lines, block * _BLOCK, kind)
            yield rows


def _wrong(path: Path, lines: Sequence[bytes], before: int, kind: Any) -> ConfigError:
    """Which line is no row, and why."""
    for number, line in enumerate(lines, before + 1):
        for wanted in (Told, kind):
            try:
                _decoders[wanted].decode(line)
            except msgspec.MsgspecError as error:
                reason = "is not an episode" if wanted is Told else f"is not one of our episodes: {error}"
                return ConfigError(f"{path}: line {number} {reason}")
    raise AssertionError("one by one all lines are rows")
