"""Audited drift on the episodes of a run, as the audit in its folder has it; nothing is measured here."""

import threading
from pathlib import Path

import numpy as np

from simeval.analysis.pair_drift import AUDIT, AuditedDrift, audited_drift
from simeval.core.types import CLEAN
from simeval.store.audit import MANIFEST, ROWS
from simeval.viewer.index import Rows
from simeval.viewer.library import StoredRun

_NONE = AuditedDrift()


class DriftReader:
    """Reads audits, and keeps that of each run until its rows or its audit change. For several threads."""

    def __init__(self) -> None:
        """Reads nothing yet."""
        self._lock = threading.Lock()
        self._known: dict[str, tuple[object, AuditedDrift]] = {}

    def get(self, stored: StoredRun, rows: Rows) -> AuditedDrift:
        """The drift on a run's episodes; empty without an audit, with a note if it cannot be used."""
        folder = stored.run.folder / AUDIT
        try:
            stamp = _stamp(folder / MANIFEST), _stamp(folder / ROWS), rows.version, stored.created
        except OSError:
            return _NONE
        with self._lock:
            known = self._known.get(stored.name)
            if known is None or known[0] != stamp:
                known = self._known[stored.name] = stamp, audited_drift(stored.run, _digests(rows))
            return known[1]


def _stamp(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_ino, status.st_mtime_ns, status.st_size


def _digests(rows: Rows) -> dict[str, str]:
    """Digests of the motions of unperturbed episodes, by pair."""
    if CLEAN not in rows.conditions:
        return {}
    clean = np.flatnonzero(rows.columns["condition"] == rows.conditions.index(CLEAN))
    return {rows.pair_id(int(position)): rows.digest(int(position)) for position in clean}
