"""Reads `eval_info.json` of lerobot-eval. Source: lerobot 0.6.1, `lerobot/scripts/lerobot_eval.py`.

Non-obvious behaviour:
- The file has one entry per suite and task (`per_task`), each with one success per episode, in order. It has neither
  seeds nor the number of environments that ran side by side, on which it depends which initial state an episode had.
- Its own means are counted again: a file that contradicts itself is refused.
"""

import json
import math
from pathlib import Path
from typing import Any

import msgspec

from simeval.core.errors import ConfigError
from simeval.core.files import read_regular
from simeval.core.texts import all_well_formed, shown
from simeval.exchange.imported import Foreign, ForeignEpisode

NAME = "lerobot-eval"


class _Metrics(msgspec.Struct):
    successes: list[bool]
    sum_rewards: list[float] = []


class _Task(msgspec.Struct):
    task_group: str
    task_id: int
    metrics: _Metrics


class _Group(msgspec.Struct):
    n_episodes: int
    pc_success: float


class _Info(msgspec.Struct):
    per_task: list[_Task]
    per_group: dict[str, _Group]
    overall: _Group


def read_lerobot_eval(file: Path) -> Foreign:
    """The episodes of an `eval_info.json`.

    Raises:
        ConfigError: the file cannot be read, is not one, or contradicts itself.
    """
    info = _read(file)
    _require_own_means(file, info)
    episodes = [
        ForeignEpisode(task.task_group, task.task_id, number, success)
        for task in info.per_task
        for number, success in enumerate(task.metrics.successes)
    ]
    if not episodes:
        raise ConfigError(f"{file}: has no episodes")
    tasks = [(task.task_group, task.task_id) for task in info.per_task]
    twice = next((task for task in tasks if tasks.count(task) > 1), None)
    if twice:
        raise ConfigError(f"{file}: has task {twice[1]} of {shown(twice[0], 60)} twice")
    return Foreign(NAME, "", tuple(episodes))


def _read(file: Path) -> _Info:
    try:
        value: Any = json.loads(read_regular(file))  # lerobot writes NaN, which only this reader accepts
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{file}: not JSON ({shown(error, 80)})") from None
    if isinstance(value, dict) and "per_task" not in value and "aggregated" in value:
        raise ConfigError(f"{file}: of a lerobot before 0.4, which does not say the task; evaluate with a newer one")
    try:
        return msgspec.convert(all_well_formed(value), _Info)
    except (msgspec.ValidationError, RecursionError) as error:
        raise ConfigError(f"{file}: not an eval_info.json of lerobot-eval ({shown(error, 120)})") from None


def _require_own_means(file: Path, info: _Info) -> None:
    stated = [("overall", info.overall, info.per_task)]
    stated += [(name, g, [t for t in info.per_task if t.task_group == name]) for name, g in info.per_group.items()]
    for name, group, tasks in stated:
        outcomes = [success for task in tasks for success in task.metrics.successes]
        percent = 100 * sum(outcomes) / len(outcomes) if outcomes else math.nan
        if len(outcomes) != group.n_episodes or (
            outcomes and not math.isclose(percent, group.pc_success, abs_tol=1e-6)
        ):
            raise ConfigError(
                f"{file}: contradicts itself: {shown(name, 60)} has {group.n_episodes} episodes with "
                f"{group.pc_success:.4g} % success, its tasks {len(outcomes)} with {percent:.4g} %"
            )
