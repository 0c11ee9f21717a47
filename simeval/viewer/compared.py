"""Two or more runs of the same episodes, as the report compares them."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace

from simeval.analysis.compare import compare
from simeval.analysis.ranks import RankedSuite, rank_runs
from simeval.core.errors import ConfigError
from simeval.report.blocks import ArtifactCollector, Block, Figure, Table
from simeval.report.chapters.compare import comparison_chapter
from simeval.viewer.library import StoredRun, count_lines

MOST_RUNS = 6
MOST_ROWS = 50_000
"""Episodes of all compared runs together: whole tables of larger ones would take more memory than a viewer should."""
_KEPT = 8

_lock = threading.Lock()
"""matplotlib draws for one thread at a time."""
_known: dict[tuple[object, ...], "Compared"] = {}


@dataclass(frozen=True)
class Pair:
    """The chapter of a run against the first one."""

    name: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Compared:
    """A chapter per run after the first; of three or more runs also their ranks, and the policies that these rank."""

    pairs: tuple[Pair, ...]
    ranks: tuple[RankedSuite, ...] = ()
    policies: tuple[str, ...] = ()


def compared(runs: Sequence[StoredRun]) -> Compared:
    """Compare runs.

    Raises:
        ConfigError: these are too few or too many, too large, or not of the same episodes.
    """
    if not 2 <= len(runs) <= MOST_RUNS:
        raise ConfigError(f"compare: choose 2 to {MOST_RUNS} runs, not {len(runs)}")
    rows = sum(count_lines(run.index.path) for run in runs)
    if rows > MOST_ROWS:
        folders = " ".join(str(run.run.folder) for run in runs)
        raise ConfigError(f"these runs have {rows} rows, more than is compared here: simeval compare {folders}")
    key = tuple((run.name, run.created, run.index.stamp()) for run in runs)
    with _lock:
        if key not in _known:
            made = _compare(runs)
            for old in list(_known)[: max(0, len(_known) - _KEPT + 1)]:
                del _known[old]
            _known[key] = made
        return _known[key]


def _compare(runs: Sequence[StoredRun]) -> Compared:
    # Opened anew: a run keeps its tables, and these are not needed afterwards.
    opened = [type(run.run)(run.run.folder, run.run.manifest) for run in runs]
    changes = [compare(opened[0], other) for other in opened[1:]]
    pairs = tuple(
        Pair(run.name, tuple(map(_without_files, comparison_chapter(change, ArtifactCollector()).blocks)))
        for run, change in zip(runs[1:], changes, strict=True)
    )
    if len(runs) == 2:
        return Compared(pairs)
    ranking = rank_runs(opened, changes)
    return Compared(pairs, ranking.suites, ranking.policies)


def _without_files(block: Block) -> Block:
    """The block without the names of CSV files, which a report has beside it."""
    if isinstance(block, Table):
        return replace(block.tidy(), csv="")
    return replace(block, csv=()) if isinstance(block, Figure) else block
