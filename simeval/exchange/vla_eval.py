"""Reads `recording-*.sqlite` of vla-eval. Source: `vla_eval/recording.py` of vla-eval 0.4 to 0.8.

Non-obvious behaviour:
- An episode that broke has status `error`; vla-eval counts it as a failure, simeval as no evidence.
- A shard that is started again writes its episodes again under new keys; the last attempt counts.
- The file is opened for reading only. Rows that a running evaluation has still in its `-wal` file need that file.
"""

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from envs.suites import is_suite, tasks
from simeval.core.errors import ConfigError
from simeval.core.files import open_regular
from simeval.core.texts import all_well_formed, shown
from simeval.exchange.imported import Foreign, ForeignEpisode

NAME = "vla-eval"
_HEADER = b"SQLite format 3\0"
_STATUS = {"success": True, "fail": False, "error": None}
_QUERY = """
SELECT eval_id, task_name, episode_id, status, steps, context, failure_reason, failure_detail
FROM episode_results ORDER BY rowid
"""


def read_vla_eval(file: Path) -> Foreign:
    """The episodes of a recording.

    Raises:
        ConfigError: the file cannot be read, is not one, or has several evaluations of a suite.
    """
    try:
        with open_regular(file) as opened:
            header = opened.read(len(_HEADER))
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror or error}") from None
    if header != _HEADER:
        raise ConfigError(f"{file}: not a recording of vla-eval (not SQLite); it is named recording-*.sqlite")
    try:
        connection = sqlite3.connect(f"file:{quote(str(file.absolute()))}?mode=ro", uri=True)
        try:
            connection.execute("PRAGMA trusted_schema = OFF")  # the file may be a stranger's
            versions = [_version(row[0]) for row in connection.execute("SELECT metadata FROM eval_metadata")]
            rows = connection.execute(_QUERY).fetchall()
            unfinished = _is_unfinished(connection)
        finally:
            connection.close()
    except (sqlite3.Error, ValueError, OverflowError) as error:
        raise ConfigError(f"{file}: not a recording of vla-eval ({shown(error, 120)})") from None
    foreign = _foreign(file, sorted(set(filter(None, versions))), rows)
    if unfinished:
        return replace(foreign, notes=(*foreign.notes, "the evaluation is unfinished: a shard is missing"))
    return foreign


def _is_unfinished(connection: sqlite3.Connection) -> bool:
    """Whether a shard is missing; versions before 0.8 do not record shards."""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'eval_shards'").fetchone():
        return False
    query = "SELECT MAX(num_shards) > COUNT(*) OR MIN(complete) = 0 FROM eval_shards GROUP BY eval_id"
    return any(row[0] for row in connection.execute(query))


def _version(metadata: Any) -> str:
    value = json.loads(metadata)
    return str(value.get("harness_version") or "") if isinstance(value, dict) else ""


def _foreign(file: Path, versions: list[str], rows: list[Any]) -> Foreign:
    latest: dict[tuple[str, int, int], ForeignEpisode] = {}
    evaluations: dict[str, str] = {}
    for evaluation, episode in _episodes(file, rows):
        other = evaluations.setdefault(episode.suite, evaluation)
        if other != evaluation:
            names = f"{shown(other, 60)}, {shown(evaluation, 60)}"
            raise ConfigError(
                f"{file}: has two evaluations of {shown(episode.suite, 60)} ({names}); record each to a file of its own"
            )
        latest[episode.suite, episode.task, episode.number] = episode
    if not latest:
        raise ConfigError(f"{file}: has no episodes")
    notes = []
    if again := len(rows) - len(latest):
        notes.append(f"{again} episodes were recorded again; the last attempt counts")
    if broken := sum(episode.success is None for episode in latest.values()):
        notes.append(f"{broken} episodes broke: vla-eval counts them as failures, here they are errors")
    return Foreign(NAME, "+".join(versions), tuple(latest[key] for key in sorted(latest)), tuple(notes))


def _episodes(file: Path, rows: list[Any]) -> Iterator[tuple[str, ForeignEpisode]]:
    for number, row in enumerate(rows, 1):
        evaluation, name, episode, status, steps, context, reason, detail = all_well_formed(list(row))
        try:
            about = json.loads(context) if context else {}
            suite, task = about["suite"], about["task_id"]
            success = _STATUS[status]
        except (ValueError, TypeError, KeyError) as error:
            raise ConfigError(
                f"{file}: episode {number} lacks its suite, task or status ({type(error).__name__} {shown(error, 60)})"
            ) from None
        whole = isinstance(task, int) and isinstance(episode, int) and task >= 0 and episode >= 0
        if not whole or not isinstance(suite, str) or not isinstance(name, str) or not isinstance(steps, int | None):
            raise ConfigError(f"{file}: episode {number} is damaged")
        if steps is not None and steps < 0:
            raise ConfigError(f"{file}: episode {number} has {steps} steps")
        if is_suite(suite) and task < len(tasks(suite)) and tasks(suite)[task].instruction != name:
            raise ConfigError(
                f"{file}: task {task} of {suite} is '{shown(name, 80)}' there, here "
                f"'{tasks(suite)[task].instruction}': tasks are numbered otherwise, so nothing can be compared"
            )
        broken = "" if success is not None else f"{reason or 'error'}: {detail or ''}".strip(": ")
        # 0 steps are those of an episode that broke; others do not end before their first step.
        yield str(evaluation), ForeignEpisode(suite, task, episode, success, steps or None, name, broken)
