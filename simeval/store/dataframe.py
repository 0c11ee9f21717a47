"""Rows of a run as one table: a row per episode, spec and result side by side.

Non-obvious behaviour:
- Rows become typed columns block by block: a million rows as Python objects take many gigabytes.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from simeval.core.gc_pause import uncollected
from simeval.core.types import Counts, EpisodeResult, EpisodeSpec, Execution, RealizedStrength, Timings

if TYPE_CHECKING:
    import pandas as pd


_SPEC, _TIMINGS, _COUNTS, _MAGNITUDE, _EXECUTION = (
    kind.__struct_fields__ for kind in (EpisodeSpec, Timings, Counts, RealizedStrength, Execution)
)
_NESTED = ("spec", "timings", "counts", "magnitude", "execution")
_PLAIN = tuple(name for name in EpisodeResult.__struct_fields__ if name not in _NESTED)

_NUMBERS = ("steps", "first_success", "first_hit")
_SECONDS = tuple(f"seconds_{name}" for name in _TIMINGS)

COLUMNS = ("id", "pair_id", *_SPEC, *_SECONDS, *_COUNTS, *_MAGNITUDE, *_PLAIN, *_EXECUTION)
OPTIONAL = ("first_success", "first_hit", *_MAGNITUDE, *(name for name in _EXECUTION if name != "latencies"))
"""Numeric columns that are empty for some episodes."""
_TEXTS = ("id", "pair_id", "latencies", *(name for name in _PLAIN if name not in _NUMBERS))
_KINDS: dict[str, Any] = dict.fromkeys(OPTIONAL, float) | dict.fromkeys(_TEXTS, "str")
"""Explicit types: inferred ones would depend on whether any, some or all episodes have a value."""


_no_strength = RealizedStrength()


def to_dataframe(
    blocks: Iterable[Sequence[Any]],
    *,
    suites: Sequence[str],
    conditions: Sequence[str],
    columns: Sequence[str] = COLUMNS,
) -> "pd.DataFrame":
    """One row per episode, the latest attempt, in plan order.

    Args:
        blocks: lists of `simeval.core.types.Row`.
        suites: in the order of the plan.
        conditions: in the order of the plan.
        columns: those of `COLUMNS` to build, among them `id` and the spec's; each one takes time.
    """
    import pandas as pd

    kinds = _KINDS | {"suite": pd.CategoricalDtype(list(suites)), "condition": pd.CategoricalDtype(list(conditions))}
    kinds = {name: kind for name, kind in kinds.items() if name in columns}
    frames = []
    with uncollected():
        for rows in blocks:
            values = _columns(rows)
            frames.append(pd.DataFrame({name: values[name]() for name in columns}).astype(kinds))
    if not frames:
        return pd.DataFrame(columns=list(columns)).astype(kinds)
    frame = pd.concat(frames, ignore_index=True)
    del frames
    frame = frame[~frame["id"].duplicated(keep="last")]
    return frame.sort_values(["suite", "task", "init_state", "repeat", "condition"], ignore_index=True)


def _columns(rows: Sequence[Any]) -> dict[str, Callable[[], list[Any]]]:
    """A function per column of `COLUMNS` that returns its values; only requested columns are computed."""
    parts = {
        "spec": [row.spec for row in rows],
        "timings": [row.timings for row in rows],
        "counts": [row.counts for row in rows],
        "magnitude": [_no_strength if row.magnitude is None else row.magnitude for row in rows],
    }
    values = {name: partial(_each, rows, name) for name in ("id", "pair_id", *_PLAIN)}
    values |= {name: partial(_each, parts["spec"], name) for name in _SPEC}
    values |= {f"seconds_{name}": partial(_each, parts["timings"], name) for name in _TIMINGS}
    values |= {name: partial(_each, parts["counts"], name) for name in _COUNTS}
    values |= {name: partial(_each, parts["magnitude"], name) for name in _MAGNITUDE}
    values |= {name: partial(_executions, rows, name) for name in _EXECUTION}
    cells = {name: partial(_cells, rows, name) for name in ("hits", "visible")}
    latencies = partial(_latencies, rows)
    return {**values, **cells, "latencies": latencies, "flags": lambda: [" ".join(row.flags) for row in rows]}


def _each(parts: Sequence[Any], name: str) -> list[Any]:
    return [getattr(part, name) for part in parts]


def _executions(rows: Sequence[Any], name: str) -> list[Any]:
    return [None if row.execution is None else getattr(row.execution, name) for row in rows]


def _latencies(rows: Sequence[Any]) -> list[str | None]:
    return [None if each is None else json.dumps(each) for each in _executions(rows, "latencies")]


def _cells(rows: Sequence[Any], name: str) -> list[str | None]:
    return [_cell(getattr(row, name)) for row in rows]


def _cell(pairs: Sequence[tuple[str, Any]] | None) -> str | None:
    """A small table as the text of one cell, for CSV and Parquet."""
    if pairs is None:
        return None
    return json.dumps(dict(pairs)) if pairs else "{}"
