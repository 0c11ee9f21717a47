"""Where the episodes of a run failed, as `simeval show RUN --stages` stored it; nothing is computed here."""

import threading

import numpy as np

from simeval.store.stages import STAGES, EpisodeStage, available_stages, stages_path
from simeval.viewer.filters import Stages
from simeval.viewer.index import UNKNOWN, Rows
from simeval.viewer.library import StoredRun

_UNKNOWN = Stages()


class StageReader:
    """Reads stored stages, and keeps those of each run until its rows or its stages change. For several threads."""

    def __init__(self) -> None:
        """Reads nothing yet."""
        self._lock = threading.Lock()
        self._known: dict[str, tuple[object, Stages]] = {}

    def get(self, stored: StoredRun, rows: Rows) -> Stages:
        """The stages of a run's episodes; without names if none are stored, with a note if they cannot be read."""
        try:
            status = stages_path(stored.run.folder).stat()
        except OSError:
            return _UNKNOWN
        stamp = status.st_ino, status.st_mtime_ns, status.st_size, rows.version, stored.created
        with self._lock:
            known = self._known.get(stored.name)
            if known is None or known[0] != stamp:
                known = self._known[stored.name] = stamp, _read(stored, rows)
            return known[1]


def stage_of(stored: StoredRun, rows: Rows, position: int) -> EpisodeStage | None:
    """The stored stage of an episode; `None` if there is none, or if the episode or its twin ran again since."""
    found = available_stages(stored.run.folder)[0].get(rows.id(position))
    return found if found is not None and _belongs(found, rows, position) else None


def _read(stored: StoredRun, rows: Rows) -> Stages:
    entries, note = available_stages(stored.run.folder)
    codes = np.full(len(rows), UNKNOWN, np.int8)
    for position in range(len(rows)) if entries else ():
        entry = entries.get(rows.id(position))
        if entry is not None and entry.stage is not None and _belongs(entry, rows, position):
            codes[position] = STAGES.index(entry.stage)
    return Stages(STAGES, codes, note) if (codes != UNKNOWN).any() else Stages(note=note)


def _belongs(entry: EpisodeStage, rows: Rows, position: int) -> bool:
    twin = int(rows.twin[position])
    return (entry.digest, entry.twin) == (rows.digest(position), "" if twin == UNKNOWN else rows.digest(twin))
