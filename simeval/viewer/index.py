"""The episodes of a run as arrays: a few numbers of each, and where its row is in the file."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import msgspec
import numpy as np
from numpy.typing import NDArray

from simeval.core.errors import ConfigError
from simeval.core.files import open_regular
from simeval.core.gc_pause import uncollected
from simeval.core.types import CLEAN, EpisodeResult, Outcome, Reached, Row, condition_part
from simeval.store.decode import BriefRow, read_placed
from simeval.store.own_rows import OwnRows

if TYPE_CHECKING:
    import pandas as pd

OUTCOMES: tuple[str, ...] = get_args(Outcome)
REACHED: tuple[str, ...] = get_args(Reached)
SUCCESS, FAILURE = OUTCOMES.index("success"), OUTCOMES.index("failure")
UNKNOWN = -1
_KEY = ("suite", "task", "init_state", "repeat", "condition")
_COLUMNS: Mapping[str, Any] = {
    "suite": np.int16, "task": np.int32, "init_state": np.int32, "repeat": np.int32, "condition": np.int32,
    "outcome": np.int8, "steps": np.int32, "first_success": np.int32, "reached": np.int8, "flags": np.int16,
    "offset": np.int64, "digest": "S16", "start": "S16",
}  # fmt: skip

Stamp = tuple[int, int, int]
_UNSEEN: Stamp = (UNKNOWN, 0, 0)
Ints = NDArray[np.signedinteger[Any]]


@dataclass(frozen=True, eq=False)
class Rows:
    """The latest attempt of every episode, in plan order. All arrays have one number per episode.

    Attributes:
        suites, conditions: names that the codes in `suite` and `condition` stand for.
        flag_sets: the flags that the codes in `flags` stand for.
        columns: by name of the column its numbers; `offset` is where the row begins in the file (bytes),
            `first_success` is `UNKNOWN` without success, `digest` is that of the states, `start` that of the first
            of them, as ASCII.
        version: how often rows were read, and the bytes of the file: other rows have another one.
    """

    suites: tuple[str, ...]
    conditions: tuple[str, ...]
    flag_sets: tuple[tuple[str, ...], ...]
    columns: Mapping[str, Ints]
    version: tuple[int, int]

    def __len__(self) -> int:
        return len(self.columns["suite"])

    @cached_property
    def twin(self) -> Ints:
        """Position of each episode's unperturbed twin; `UNKNOWN` where it has none, and for `none` itself."""
        keys = np.stack([self.columns[name] for name in _KEY[:-1]])
        is_clean = self.columns["condition"] == self._clean
        # Equal pairs are neighbours, because the rows are sorted by pair and then by condition.
        starts = np.ones(len(self), bool)
        starts[1:] = (keys[:, 1:] != keys[:, :-1]).any(axis=0)
        pair = np.cumsum(starts) - 1
        of_pair = np.full(int(pair[-1]) + 1 if len(self) else 0, UNKNOWN, np.int64)
        of_pair[pair[is_clean]] = np.flatnonzero(is_clean)
        found: Ints = np.where(is_clean, UNKNOWN, of_pair[pair])
        return found

    @cached_property
    def clean_outcome(self) -> Ints:
        """Outcome of each episode's twin; `UNKNOWN` where it has none."""
        if not len(self):
            return self.twin
        outcome: Ints = np.where(self.twin == UNKNOWN, UNKNOWN, self.columns["outcome"][self.twin])
        return outcome

    @cached_property
    def flip(self) -> Ints:
        """1 where the perturbation turned a success into a failure, -1 the other way round, else 0."""
        before, after = self.clean_outcome, self.columns["outcome"]
        harmed, helped = (before == SUCCESS) & (after == FAILURE), (before == FAILURE) & (after == SUCCESS)
        changed: Ints = harmed.astype(np.int8) - helped.astype(np.int8)
        return changed

    @property
    def _clean(self) -> int:
        return self.conditions.index(CLEAN) if CLEAN in self.conditions else UNKNOWN

    def digest(self, position: int) -> str:
        """Digest of the states of an episode; empty without states."""
        return bytes(self.columns["digest"][position]).decode("ascii", "replace")

    def id(self, position: int) -> str:
        """Id of an episode."""
        suite, task, init, repeat, condition = (int(self.columns[name][position]) for name in _KEY)
        part = condition_part(self.conditions[condition])
        return f"{self.suites[suite]}/{task}/init{init:02d}/{part}/r{repeat}"

    def pair_id(self, position: int) -> str:
        """Id of the pair of an episode."""
        suite, task, init, repeat = (int(self.columns[name][position]) for name in _KEY[:-1])
        return f"{self.suites[suite]}/{task}/init{init:02d}/r{repeat}"

    def find(self, id_: str) -> int | None:
        """Position of an episode; `None` if there is none of this id."""
        words = id_.split("/")
        if len(words) != 5 or words[0] not in self.suites:
            return None
        names = [condition_part(name) for name in self.conditions]
        numbers = (words[1], words[2].removeprefix("init"), words[4].removeprefix("r"))
        if words[3] not in names or not all(text.isascii() and text.isdigit() and len(text) < 10 for text in numbers):
            return None
        key = (self.suites.index(words[0]), *map(int, numbers), names.index(words[3]))
        there = np.logical_and.reduce([self.columns[name] == value for name, value in zip(_KEY, key, strict=True)])
        found = [int(position) for position in np.flatnonzero(there) if self.id(int(position)) == id_]
        return found[0] if found else None

    def table(self) -> "pd.DataFrame":
        """The columns that `simeval.analysis.success` reads, in its types."""
        import pandas as pd

        columns = self.columns
        parts = np.asarray([condition_part(name) for name in self.conditions], object)
        suites = np.asarray(self.suites, object)[columns["suite"]]
        numbers = zip(suites, columns["task"].tolist(), columns["init_state"].tolist(), strict=True)
        heads = [f"{suite}/{task}/init{init:02d}/" for suite, task, init in numbers]
        ends = [f"r{repeat}" for repeat in columns["repeat"].tolist()]
        middles = parts[columns["condition"]]
        first = columns["first_success"].astype(float)
        return pd.DataFrame({
            "id": pd.Series([f"{a}{b}/{c}" for a, b, c in zip(heads, middles, ends, strict=True)], dtype="str"),
            "pair_id": pd.Series([a + c for a, c in zip(heads, ends, strict=True)], dtype="str"),
            "suite": pd.Categorical.from_codes(columns["suite"], list(self.suites)),
            "task": columns["task"],
            "init_state": columns["init_state"],
            "repeat": columns["repeat"],
            "condition": pd.Categorical.from_codes(columns["condition"], list(self.conditions)),
            "outcome": pd.Series(np.asarray(OUTCOMES, object)[columns["outcome"]], dtype="str"),
            "steps": columns["steps"],
            "first_success": np.where(first < 0, np.nan, first),
            "reached": pd.Series(np.asarray(REACHED, object)[columns["reached"]], dtype="str"),
            "start_digest": pd.Series(columns["start"].astype("U16"), dtype="str"),
        })  # fmt: skip


class RunIndex:
    """Reads the rows of a run as they are appended. Safe to use from several threads.

    Attributes:
        path: the file of the rows.
    """

    def __init__(self, path: Path, manifest: Mapping[str, Any], absent: frozenset[str]) -> None:
        """Nothing is read yet.

        Args:
            path: the file of the rows, which may not exist.
            manifest: of the run.
            absent: suites that this process does not know.
        """
        self.path, self._manifest = path, manifest
        self._absent, self._lock, self._reads = absent, threading.Lock(), 0
        self._forget()

    def _forget(self) -> None:
        suites, conditions = self._manifest["config"]["suite"], self._manifest["conditions"]
        self._own = OwnRows(self.path, self._manifest)
        self._suites = {name: code for code, name in enumerate(suites)}
        self._conditions = {name: code for code, name in enumerate(conditions)}
        self._flags: dict[tuple[str, ...], int] = {(): 0}
        self._parts: list[dict[str, Ints]] = []
        self._lines, self._offset, self._seen = 0, 0, _UNSEEN
        self._rows = self._sorted()

    def stamp(self) -> Stamp:
        """File, size (bytes) and time of the last change (ns) by now: as long as they stay, so do the rows."""
        try:
            status = self.path.stat()
        except OSError:
            return UNKNOWN, 0, 0
        return status.st_ino, status.st_size, status.st_mtime_ns

    def rows(self) -> Rows:
        """The episodes with a row by now.

        Raises:
            ConfigError: a line is not a row, or one of another run, or the file cannot be read.
        """
        with self._lock:
            inode, size, changed = stamp = self.stamp()
            in_place = size == self._seen[1] and changed != self._seen[2]  # a run only appends, people also edit
            if inode != self._seen[0] or size < self._offset or in_place:
                self._forget()
            self._seen = stamp
            if size > self._offset:
                self._read()
                self._seen = stamp
            return self._rows

    def _read(self) -> None:
        resumed = self._offset > 0
        try:
            self._append()
        except ConfigError:
            self._forget()
            if not resumed:
                raise
            self._append()  # the file may have been cut and written again since: then it is read from its start

    def _append(self) -> None:
        before = self._offset
        blocks = read_placed(
            self.path, BriefRow, absent=self._absent, offset=self._offset, first=self._lines + 1
        )  # fmt: skip
        with uncollected():
            for block, rows in blocks:
                self._own.require(rows)
                ends = np.flatnonzero(np.frombuffer(block.data, np.uint8) == ord("\n"))
                starts = np.concatenate(([0], ends[:-1] + 1)) + self._offset
                self._parts.append(self._columns(rows, starts))
                self._offset += len(block.data)
                self._lines += block.count
        if self._offset > before:
            self._rows = self._sorted()

    def _columns(self, rows: Sequence[BriefRow], starts: NDArray[np.int64]) -> dict[str, Ints]:
        specs = [row.spec for row in rows]
        values = {
            "suite": [self._suites.setdefault(spec.suite, len(self._suites)) for spec in specs],
            "condition": [self._conditions.setdefault(spec.condition, len(self._conditions)) for spec in specs],
            "outcome": [OUTCOMES.index(row.outcome) for row in rows],
            "steps": [row.steps for row in rows],
            "first_success": [UNKNOWN if row.first_success is None else row.first_success for row in rows],
            "reached": [REACHED.index(row.reached) for row in rows],
            "flags": [self._flags.setdefault(row.flags, len(self._flags)) for row in rows],
            "offset": starts,
            "digest": [row.state_digest.encode() for row in rows],
            "start": [row.start_digest.encode() for row in rows],
        } | {name: [getattr(spec, name) for spec in specs] for name in ("task", "init_state", "repeat")}
        try:
            return {name: np.asarray(values[name], kind) for name, kind in _COLUMNS.items()}
        except OverflowError:
            raise ConfigError(f"{self.path}: a number of an episode is too large to be shown") from None

    def _sorted(self) -> Rows:
        self._reads += 1
        columns = {
            name: np.concatenate([part[name] for part in self._parts]) if self._parts else np.zeros(0, kind)
            for name, kind in _COLUMNS.items()
        }
        self._parts = [columns] if self._parts else []
        order = np.lexsort([columns[name] for name in reversed(_KEY)])  # stable: a later attempt comes later
        ordered = {name: column[order] for name, column in columns.items()}
        last = np.ones(len(order), bool)
        if len(order):
            last[:-1] = np.logical_or.reduce([ordered[name][1:] != ordered[name][:-1] for name in _KEY])
        latest = {name: column[last] for name, column in ordered.items()}
        return Rows(
            tuple(self._suites), tuple(self._conditions), tuple(self._flags), latest, (self._reads, self._offset)
        )

    def result(self, rows: Rows, position: int) -> EpisodeResult:
        """The whole row of an episode.

        Raises:
            ConfigError: it is not there any more, or the file cannot be read.
        """
        try:
            with open_regular(self.path) as file:
                file.seek(int(rows.columns["offset"][position]))
                row = msgspec.json.decode(file.readline(), type=Row)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            row = None
        if row is None or row.spec.id != rows.id(position):
            raise ConfigError(f"{self.path}: was replaced while it was read; load the page again")
        return row.result()
