"""Holds the rows of a run folder against its manifest: rows of another run are not counted as this one's."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from simeval.core.errors import ConfigError
from simeval.core.texts import shown
from simeval.core.types import EpisodeSpec, Row

_Start = tuple[int, int, int, int]


def own_rows(path: Path, manifest: Mapping[str, Any], blocks: Iterable[list[Row]]) -> Iterator[list[Row]]:
    """The same blocks, while their rows are of this run: of its seed and its plan, and each pair with one start.

    Args:
        path: the episodes file, for messages.
        manifest: of the run. Rows that were imported are not looked at: their numbers are another evaluator's.
        blocks: its rows.

    Raises:
        ConfigError: a row is of another run. Which policy made a row is not in it, so that cannot be seen.
    """
    if manifest.get("imported"):
        yield from blocks
        return
    seed = manifest["identity"]["settings"].get("seed")
    layout = manifest.get("layout")  # runs of older versions have none
    planned = layout and {
        (suite, task, init_state)
        for suite, cells in layout.items()
        for task in cells["tasks"]
        for init_state in cells["init_states"]
    }
    starts: dict[str, _Start] = {}
    for rows in blocks:
        for row in rows:
            spec = row.spec
            start = (spec.env_seed, spec.max_steps, spec.settle_steps, spec.resolution)
            if seed is not None and spec.root_seed != seed:
                _refuse(path, spec, f"has seed {spec.root_seed}, the run {shown(seed)}")
            if planned and (spec.suite, spec.task, spec.init_state) not in planned:
                _refuse(path, spec, "is not in the run's plan")
            if starts.setdefault(row.pair_id, start) != start:
                _refuse(path, spec, "does not start as its pair does (seed, limits or image size)")
        yield rows


def _refuse(path: Path, spec: EpisodeSpec, reason: str) -> None:
    raise ConfigError(f"{path}: has a row of another run: {shown(spec.id, 200)} {reason}")
