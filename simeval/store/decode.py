"""Decodes and checks the lines of an episodes file.

Non-obvious behaviour:
- A torn last line (killed while writing, disk full) is skipped.
- Rows of older versions have no checksum, so every reader compares their names with their specification.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from envs.suites import is_suite, tasks
from simeval.core.checksums import Block, read_sealed
from simeval.core.errors import ConfigError
from simeval.core.texts import all_well_formed, shown
from simeval.core.types import EpisodeSpec, Outcome, Reached, Row, condition_part


class RowHeader(msgspec.Struct, gc=False):
    """The two fields of a row that a resumed run needs."""

    id: str
    outcome: Outcome


class NamedRow(RowHeader, gc=False):
    """As `RowHeader`, with the specification that the names follow from."""

    pair_id: str
    spec: EpisodeSpec


class BriefRow(NamedRow, gc=False):
    """As `NamedRow`, with what tells episodes from each other in a list; a third of the time of a whole row."""

    steps: int = 0
    first_success: int | None = None
    reached: Reached = "neither"
    state_digest: str = ""
    flags: tuple[str, ...] = ()
    start_digest: str = ""


_decoders = {kind: msgspec.json.Decoder(kind) for kind in (RowHeader, NamedRow, BriefRow, Row)}
_REMEDY = "delete the line and repeat the command that made the run; it runs this episode again"


def read_blocks(path: Path, kind: Any, *, absent: frozenset[str] = frozenset()) -> Iterator[list[Any]]:
    """The rows of an episodes file in order, in blocks; none if there is no file.

    Args:
        path: the file.
        kind: `Row`, or `RowHeader` for two of its fields in a fraction of the time.
        absent: suites that this process does not know and the run has; their tasks cannot be checked.

    Raises:
        ConfigError: a line in the middle is not a row, is damaged, or contradicts itself; the file cannot be read.
    """
    for _, rows in read_placed(path, kind, absent=absent):
        yield rows


def read_placed(
    path: Path, kind: Any, *, absent: frozenset[str] = frozenset(), offset: int = 0, first: int = 1
) -> Iterator[tuple[Block, list[Any]]]:
    """As `read_blocks`, each block of rows with its lines, also of a part of the file.

    Args:
        path: the file.
        kind: `Row`, `BriefRow` or `RowHeader`.
        absent: as for `read_blocks`.
        offset: where to begin (bytes): at the start of a line.
        first: number of that line, 1-based.

    Raises:
        ConfigError: as `read_blocks`.
    """
    for block in read_sealed(path, _REMEDY, offset=offset, first=first):
        # A row with a checksum was written by simeval, so its names need no comparison with its specification.
        struct = NamedRow if kind is RowHeader and block.bare else kind
        try:
            if block.bare and not block.data.isascii():
                block.data.decode()  # the decoder does not check fields that it skips
            rows = _decoders[struct].decode_lines(block.data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            rows = []
        if len(rows) != block.count:  # a line may also be empty
            rows = [_decoded(path, number, line, struct) for number, line in _numbered(block)]
        if block.bare:
            _require_own_names(path, block.first, rows)
        if kind in (BriefRow, Row):
            _require_known_tasks(path, block.first, rows, absent)
        yield block, rows


def _numbered(block: Block) -> Iterator[tuple[int, bytes]]:
    return enumerate(block.data[:-1].split(b"\n"), block.first)


def _decoded(path: Path, number: int, line: bytes, kind: Any) -> Any:
    """Decode a single line.

    Raises:
        ConfigError: it is not a row; names the line and the reason.
    """
    line = _without_surrogates(line)
    try:
        line.decode()
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: line {number} is not an episode: it is not UTF-8; {_REMEDY}") from None
    for struct in (RowHeader, kind):
        try:
            row = _decoders[struct].decode(line)
        except RecursionError:
            raise ConfigError(f"{path}: line {number} is not an episode: it is nested too deeply; {_REMEDY}") from None
        except msgspec.MsgspecError as error:
            reason = "is not an episode" if struct is RowHeader else f"is not one of our episodes: {shown(error, 200)}"
            raise ConfigError(f"{path}: line {number} {reason}; {_REMEDY}") from None
    return row


def _without_surrogates(line: bytes) -> bytes:
    """Repair a row of an older version that has half of a surrogate pair in a text, which no decoder accepts."""
    if b"\\ud" not in line.lower():
        return line
    try:
        return json.dumps(all_well_formed(json.loads(line))).encode()
    except (ValueError, RecursionError):
        return line


def _require_own_names(path: Path, first: int, rows: Sequence[Any]) -> None:
    """Check that `id` and `pair_id` of rows follow from their specification.

    Raises:
        ConfigError: those of a row do not.
    """
    names, pairs = _names([row.spec for row in rows])
    if names == [row.id for row in rows] and pairs == [row.pair_id for row in rows]:
        return
    for number, (row, name, pair) in enumerate(zip(rows, names, pairs, strict=True), first):
        for stored, expected in ((row.id, name), (row.pair_id, pair)):
            if stored != expected:
                raise ConfigError(
                    f"{path}: line {number} is damaged: it is named '{shown(stored, 120)}', but is of "
                    f"'{shown(expected, 120)}'; {_REMEDY}"
                )


def _require_known_tasks(path: Path, first: int, rows: Sequence[Any], absent: frozenset[str]) -> None:
    """Check that the suite and the task of every row exist.

    Raises:
        ConfigError: those of a row do not.
    """
    for suite, task in {(row.spec.suite, row.spec.task) for row in rows}:
        if suite in absent:
            continue
        count = len(tasks(suite)) if is_suite(suite) else None
        if count is not None and 0 <= task < count:
            continue
        number = next(n for n, row in enumerate(rows, first) if (row.spec.suite, row.spec.task) == (suite, task))
        what = f"there is no suite '{shown(suite)}'" if count is None else f"{suite} has no task {task}"
        raise ConfigError(f"{path}: line {number} is not one of our episodes: {what}; {_REMEDY}")


def _names(specs: Sequence[Any]) -> tuple[list[str], list[str]]:
    """`EpisodeSpec.id` and `.pair_id` of many rows, in a fraction of the time."""
    part = {condition: condition_part(condition) for condition in {spec.condition for spec in specs}}
    heads = [f"{spec.suite}/{spec.task}/init{spec.init_state:02d}/" for spec in specs]
    names = [f"{head}{part[spec.condition]}/r{spec.repeat}" for head, spec in zip(heads, specs, strict=True)]
    return names, [f"{head}r{spec.repeat}" for head, spec in zip(heads, specs, strict=True)]
