"""Rows of a run as one table: a row per episode, spec and result side by side.

Non-obvious behaviour:
- Rows become typed columns a block at a time: as dictionaries or objects a million of them take many gigabytes.
- Rows are taken apart by position where their fields are those of this version, in its order; any other row goes the
  long way through `EpisodeResult`, which knows what older versions left out.
"""

import itertools
import json
import operator
from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from simeval.garbage import uncollected
from simeval.types import Counts, EpisodeResult, EpisodeSpec, Magnitude, Timings

if TYPE_CHECKING:
    import pandas as pd

_BLOCK = 20_000
"""Rows that are Python objects at a time."""


def _names(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


_SPEC, _TIMINGS, _COUNTS, _MAGNITUDE = map(_names, (EpisodeSpec, Timings, Counts, Magnitude))
_NESTED = ("spec", "timings", "counts", "magnitude")
_RESULT = _names(EpisodeResult)
_ROW = ("id", "pair_id", *_RESULT)
_PLAIN = tuple(name for name in _RESULT if name not in _NESTED)
_HITS, _VISIBLE, _FLAGS = (_PLAIN.index(name) for name in ("hits", "visible", "flags"))
_plain = operator.itemgetter(*_PLAIN)
_NOTHING = (None,) * len(_MAGNITUDE)

COLUMNS = ("id", "pair_id", *_SPEC, *(f"seconds_{name}" for name in _TIMINGS), *_COUNTS, *_MAGNITUDE, *_PLAIN)
OPTIONAL = ("first_success", "first_hit", *_MAGNITUDE)
"""Numbers that not every episode has."""
_TEXTS = ("id", "pair_id", *(name for name in _PLAIN if name not in ("steps", "first_success", "first_hit")))
_KINDS: dict[str, Any] = dict.fromkeys(OPTIONAL, float) | dict.fromkeys(_TEXTS, "str")
"""Else the type of a column would depend on whether any, some or all of these episodes have one."""


def flat_frame(
    rows: Iterable[dict[str, Any]],
    *,
    suites: Sequence[str],
    conditions: Sequence[str],
    columns: Sequence[str] = COLUMNS,
) -> "pd.DataFrame":
    """One row per episode, the latest attempt, in plan order.

    Args:
        rows: as `EpisodeResult.row` makes them.
        suites: in the order of the plan.
        conditions: in the order of the plan.
        columns: of `COLUMNS`, those that are wanted, with `id` and the spec's: each one takes time.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: a row is not one of ours.
    """
    import pandas as pd

    kinds = _KINDS | {"suite": pd.CategoricalDtype(list(suites)), "condition": pd.CategoricalDtype(list(conditions))}
    kinds = {name: kind for name, kind in kinds.items() if name in columns}
    wanted = operator.itemgetter(*map(COLUMNS.index, columns))
    blocks = []
    with uncollected():
        for block in itertools.batched(map(wanted, map(_values, rows)), _BLOCK):
            blocks.append(pd.DataFrame.from_records(list(block), columns=columns).astype(kinds))
    if not blocks:
        return pd.DataFrame(columns=list(columns)).astype(kinds)
    frame = pd.concat(blocks, ignore_index=True)
    del blocks
    frame = frame[~frame["id"].duplicated(keep="last")]
    return frame.sort_values(["suite", "task", "init_state", "repeat", "condition"], ignore_index=True)


def _values(row: dict[str, Any]) -> tuple[Any, ...]:
    spec, timings, counts, magnitude = row["spec"], row["timings"], row["counts"], row["magnitude"]
    if not (
        tuple(row) == _ROW
        and tuple(spec) == _SPEC
        and tuple(timings) == _TIMINGS
        and tuple(counts) == _COUNTS
        and (magnitude is None or tuple(magnitude) == _MAGNITUDE)
    ):
        return _values(EpisodeResult.from_row(row).row())
    plain = list(_plain(row))
    for index in (_HITS, _VISIBLE):
        plain[index] = _cell(plain[index])
    plain[_FLAGS] = " ".join(plain[_FLAGS])
    measured = _NOTHING if magnitude is None else magnitude.values()
    return (row["id"], row["pair_id"], *spec.values(), *timings.values(), *counts.values(), *measured, *plain)


def _cell(pairs: Sequence[tuple[str, Any]] | None) -> str | None:
    """A small table as the text of one cell, for CSV and Parquet."""
    if pairs is None:
        return None
    return json.dumps(dict(pairs)) if pairs else "{}"
