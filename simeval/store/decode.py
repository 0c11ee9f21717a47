"""The lines of an episodes file, checked and decoded as what they are declared to be.

Non-obvious behaviour:
- What a row must have is what `EpisodeResult.from_row` asks for, in types that a decoder makes five times as fast.
- A torn last line (killed while writing, disk full) is skipped.
- Rows of older versions have no checksum; their names are compared with their specification whoever reads them.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import msgspec

from envs.suites import SUITES, tasks
from simeval.core.checksums import Block, read_sealed
from simeval.core.errors import ConfigError
from simeval.core.texts import all_well_formed, shown
from simeval.core.types import EpisodeResult, EpisodeSpec, Outcome, RealizedStrength, condition_part


class RowHeader(msgspec.Struct, gc=False):
    """What makes a line an episode, and all that a resumed run has to know of it."""

    id: str
    outcome: Outcome


def _at_least(lowest: int) -> Any:
    return Annotated[int, msgspec.Meta(ge=lowest)]


def _declared(kind: type, *more: tuple[str, type]) -> Any:
    """What a line holds of a dataclass, and its parts of theirs."""
    hints, needed, others = get_type_hints(kind), list(more), []
    for field in fields(kind):
        what = hints[field.name]
        if kind is EpisodeSpec and what is int:
            what = _at_least(1 if field.name in ("max_steps", "resolution") else 0)
        if is_dataclass(what) and isinstance(what, type):
            needed.append((field.name, _declared(what)))
        elif what == RealizedStrength | None:
            needed.append((field.name, _declared(RealizedStrength) | None))
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

Claimed = msgspec.defstruct(
    "Claimed", [("id", str), ("pair_id", str), ("spec", _declared(EpisodeSpec)), ("outcome", Outcome)], gc=False
)
"""As `Told`, with what its names follow from."""

_decoders = {kind: msgspec.json.Decoder(kind) for kind in (RowHeader, Claimed, Row)}
_REMEDY = "delete the line, and the same command runs its episode again"


def read_blocks(path: Path, kind: Any) -> Iterator[list[Any]]:
    """The rows of an episodes file in order, many at a time; none if there is no file.

    Args:
        path: the file.
        kind: `Row`, or `Told` for two of its fields in a fraction of the time.

    Raises:
        ConfigError: a line in the middle is not a row, is damaged, or contradicts itself; the file cannot be read.
    """
    for block in read_sealed(path, _REMEDY):
        # What has a checksum was written by us, so that two of its fields are enough to know.
        wanted = Claimed if kind is RowHeader and block.bare else kind
        try:
            if block.bare and not block.data.isascii():
                block.data.decode()  # the decoder does not look at what it skips
            rows = _decoders[wanted].decode_lines(block.data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            rows = []
        if len(rows) != block.count:  # a line may also be empty
            rows = [_decoded(path, number, line, wanted) for number, line in _numbered(block)]
        if block.bare:
            _refuse_contradictions(path, block.first, rows)
        if kind is Row:
            _refuse_unknown(path, block.first, rows)
        yield rows


def _numbered(block: Block) -> Iterator[tuple[int, bytes]]:
    return enumerate(block.data[:-1].split(b"\n"), block.first)


def _decoded(path: Path, number: int, line: bytes, kind: Any) -> Any:
    """A line by itself.

    Raises:
        ConfigError: it is no row; says which line, and why.
    """
    line = _mended(line)
    try:
        line.decode()
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: line {number} is not an episode: it is not UTF-8; {_REMEDY}") from None
    for wanted in (RowHeader, kind):
        try:
            row = _decoders[wanted].decode(line)
        except RecursionError:
            raise ConfigError(f"{path}: line {number} is not an episode: it is nested too deeply; {_REMEDY}") from None
        except msgspec.MsgspecError as error:
            reason = "is not an episode" if wanted is RowHeader else f"is not one of our episodes: {shown(error, 200)}"
            raise ConfigError(f"{path}: line {number} {reason}; {_REMEDY}") from None
    return row


def _mended(line: bytes) -> bytes:
    """A row that an older version wrote with half of a surrogate pair in a text, which no decoder takes."""
    if b"\\ud" not in line.lower():
        return line
    try:
        return json.dumps(all_well_formed(json.loads(line))).encode()
    except (ValueError, RecursionError):
        return line


def _refuse_contradictions(path: Path, first: int, rows: Sequence[Any]) -> None:
    """A row's names follow from its specification.

    Raises:
        ConfigError: those of a row do not.
    """
    names, pairs = _names([row.spec for row in rows])
    if names == [row.id for row in rows] and pairs == [row.pair_id for row in rows]:
        return
    for number, (row, name, pair) in enumerate(zip(rows, names, pairs, strict=True), first):
        for said, follows in ((row.id, name), (row.pair_id, pair)):
            if said != follows:
                raise ConfigError(
                    f"{path}: line {number} is damaged: it is named '{shown(said, 120)}', but is of "
                    f"'{shown(follows, 120)}'; {_REMEDY}"
                )


def _refuse_unknown(path: Path, first: int, rows: Sequence[Any]) -> None:
    """A row is of a task that there is.

    Raises:
        ConfigError: it is not.
    """
    for suite, task in {(row.spec.suite, row.spec.task) for row in rows}:
        known = len(tasks(suite)) if suite in SUITES else None
        if known is not None and 0 <= task < known:
            continue
        number = next(n for n, row in enumerate(rows, first) if (row.spec.suite, row.spec.task) == (suite, task))
        what = f"there is no suite '{shown(suite)}'" if known is None else f"{suite} has no task {task}"
        raise ConfigError(f"{path}: line {number} is not one of our episodes: {what}; {_REMEDY}")


def _names(specs: Sequence[Any]) -> tuple[list[str], list[str]]:
    """`EpisodeSpec.id` and `.pair_id` of many, in a fraction of the time."""
    part = {condition: condition_part(condition) for condition in {spec.condition for spec in specs}}
    heads = [f"{spec.suite}/{spec.task}/init{spec.init_state:02d}/" for spec in specs]
    names = [f"{head}{part[spec.condition]}/r{spec.repeat}" for head, spec in zip(heads, specs, strict=True)]
    return names, [f"{head}r{spec.repeat}" for head, spec in zip(heads, specs, strict=True)]
