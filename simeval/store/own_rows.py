"""Holds the rows of a run folder against its manifest: rows of another run are not counted as this one's."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from simeval.core.errors import ConfigError
from simeval.core.texts import shown
from simeval.core.types import EpisodeSpec, Row
from simeval.store.decode import NamedRow

_Start = tuple[int, int, int, int]


class OwnRows:
    """Tells rows of a run from those of another one: by seed and plan, and by the start of each pair.

    Rows that were imported are not looked at: their numbers are another evaluator's.
    """

    def __init__(self, path: Path, manifest: Mapping[str, Any]) -> None:
        """No row is seen yet.

        Args:
            path: the episodes file, for messages.
            manifest: of the run.
        """
        self._path, self._imported = path, bool(manifest.get("imported"))
        self._seed = manifest["identity"]["settings"].get("seed")
        layout = manifest.get("layout")  # runs of older versions have none
        self._planned = layout and {
            (suite, task, init_state)
            for suite, cells in layout.items()
            for task in cells["tasks"]
            for init_state in cells["init_states"]
        }
        self._starts: dict[str, _Start] = {}

    def require(self, rows: Sequence[NamedRow | Row]) -> None:
        """Check the next rows of the file.

        Raises:
            ConfigError: a row is of another run. Which policy made a row is not in it, so that cannot be seen.
        """
        if self._imported:
            return
        for row in rows:
            spec = row.spec
            start = (spec.env_seed, spec.max_steps, spec.settle_steps, spec.resolution)
            if self._seed is not None and spec.root_seed != self._seed:
                _refuse(self._path, spec, f"has seed {spec.root_seed}, the run {shown(self._seed)}")
            if self._planned and (spec.suite, spec.task, spec.init_state) not in self._planned:
                _refuse(self._path, spec, "is not in the run's plan")
            if self._starts.setdefault(row.pair_id, start) != start:
                _refuse(self._path, spec, "does not start as its pair does (seed, limits or image size)")


def own_rows(path: Path, manifest: Mapping[str, Any], blocks: Iterable[list[Row]]) -> Iterator[list[Row]]:
    """The same blocks, while their rows are of this run; see `OwnRows`.

    Raises:
        ConfigError: a row is of another run.
    """
    own = OwnRows(path, manifest)
    for rows in blocks:
        own.require(rows)
        yield rows


def _refuse(path: Path, spec: EpisodeSpec, reason: str) -> None:
    raise ConfigError(f"{path}: has a row of another run: {shown(spec.id, 200)} {reason}")
