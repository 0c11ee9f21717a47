"""Results of other evaluators as run folders that `simeval show` and `simeval compare` accept.

Non-obvious behaviour:
- Initial states, step limits, settling and seeds are those of the other evaluator, and its files do not prove which
  they were: lerobot-eval's do not name an initial state; vla-eval's name one, not how the scene settled there. So rows
  number the episodes of a task, nothing more: no imported episode is ever paired with another.
  `Run.imported_from` says so to every reader, and `simeval.analysis.unpaired` compares rates instead.
- Numbers that a row must have and the other file does not say are placeholders, listed as `imported.unknown` in the
  manifest; exports leave these columns out.
"""

import datetime
import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from envs.suites import find_suite, is_suite, tasks
from simeval.config.evaluation import EvalConfig
from simeval.core import provenance
from simeval.core.errors import ConfigError
from simeval.core.files import read_regular
from simeval.core.texts import shown
from simeval.core.types import CLEAN, EpisodeResult, EpisodeSpec
from simeval.store.run import SCHEMA_VERSION, SUITE, Run, RunWriter, outcomes, require_writable

PLACEHOLDERS = (
    *("init_state", "root_seed", "env_seed", "settle_steps", "resolution", "max_steps", "state_digest"),
    *("seconds_reset", "seconds_physics", "seconds_render", "seconds_perturb", "seconds_inference"),
    *("control_steps", "renders", "policy_calls", "frames", "perturbed_frames", "approached", "hits", "visible"),
)
"""Columns that no other evaluator's file settles."""

MOST_TASKS = 1_000_000
"""Of a suite that simeval does not know; more are a damaged file."""


@dataclass(frozen=True, slots=True)
class ForeignEpisode:
    """One episode of another evaluator.

    Attributes:
        suite: its name there.
        task: index of the task in the suite.
        number: index of the episode among those of its task.
        success: whether it succeeded; `None` if it broke.
        steps: control steps; `None` if unknown.
        instruction: the text the policy was given; empty if unknown.
        error: the reason if it broke; else empty.
    """

    suite: str
    task: int
    number: int
    success: bool | None
    steps: int | None = None
    instruction: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class Foreign:
    """All that a file of another evaluator says.

    Attributes:
        evaluator: its name, for instance `lerobot-eval`.
        version: its version; empty if unknown.
        episodes: at least one.
        notes: remarks, one line each.
    """

    evaluator: str
    version: str
    episodes: tuple[ForeignEpisode, ...]
    notes: tuple[str, ...] = ()


def write_imported(file: Path, foreign: Foreign, *, policy: str | None, out: Path | None) -> Run:
    """Write a run folder; the same file again changes nothing.

    Args:
        file: where the results are from.
        foreign: what it says.
        policy: name of the policy; by default that of the file's folder.
        out: the run folder; by default one in `results`.

    Raises:
        ConfigError: a task does not exist, or the folder cannot be written or holds another run.
        OSError: it cannot be written.
    """
    _require_known_tasks(file, foreign.episodes)
    digest = hashlib.sha256(read_regular(file)).hexdigest()
    name = policy or file.absolute().parent.name or foreign.evaluator
    suites = list(dict.fromkeys(episode.suite for episode in foreign.episodes))
    folder = out or Path("results") / f"imported-{_plain('+'.join(suites))}-{_plain(name)}-{digest[:8]}"
    require_writable(folder)
    manifest = _manifest(file, foreign, suites, name, digest)
    with RunWriter(folder, manifest) as writer:
        there = outcomes(folder)
        results = [_result(episode, foreign.evaluator) for episode in foreign.episodes]
        writer.write_batch([(result, None) for result in results if result.spec.id not in there])
    return Run.load(folder)


def _require_known_tasks(file: Path, episodes: Sequence[ForeignEpisode]) -> None:
    """Check tasks of suites that simeval has: those of other suites are numbers only."""
    for suite, task in dict.fromkeys((episode.suite, episode.task) for episode in episodes):
        if not suite.strip():
            raise ConfigError(f"{file}: has a suite without a name")
        if not 0 <= task < (len(tasks(suite)) if is_suite(suite) else MOST_TASKS):
            raise ConfigError(f"{file}: {shown(suite, 60)} has no task {shown(str(task), 40)}")


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.+-]+", "_", name)[:60]


def _result(episode: ForeignEpisode, evaluator: str) -> EpisodeResult:
    spec = EpisodeSpec(
        episode.suite, episode.task, init_state=episode.number, condition=CLEAN, repeat=0, root_seed=0, env_seed=0,
        max_steps=1, settle_steps=0, resolution=1,
    )  # fmt: skip
    if episode.success is None:
        text = shown(" ".join(f"{evaluator}: {episode.error}".split()), 500)
        return EpisodeResult(spec, "error", episode.steps or 0, error_phase="worker", error_text=text)
    return EpisodeResult(
        spec,
        "success" if episode.success else "failure",
        steps=episode.steps or 0,
        first_success=episode.steps if episode.success else None,
        reached="original" if episode.success else "neither",
        instruction=episode.instruction,
    )


def _most_episodes(episodes: Sequence[ForeignEpisode], suite: str) -> int:
    return max(Counter(episode.task for episode in episodes if episode.suite == suite).values())


def _manifest(file: Path, foreign: Foreign, suites: Sequence[str], policy: str, digest: str) -> dict[str, Any]:
    known = [suite for suite in suites if is_suite(suite)]
    repeats = [suite for suite in known if _most_episodes(foreign.episodes, suite) > find_suite(suite).init_states]
    config = EvalConfig(suite=tuple(known) or ("toy",), policy="zero").to_dict()
    made = f"{foreign.evaluator} {foreign.version}".strip()
    steps = any(episode.steps for episode in foreign.episodes)
    unknown = [*PLACEHOLDERS, *(() if steps else ("steps", "first_success", "first_hit"))]
    identity: dict[str, Any] = {
        "plan": f"imported:{digest}",
        "settings": {"suite": list(suites), "policy": policy, "assets": None},
        "policy": {"name": policy, "n_action_steps": 1},
        "versions": {foreign.evaluator: foreign.version or "unknown"}
        | {f"{SUITE}{suite}": made for suite in suites if suite not in known},
        "opengl": None,
    }
    return {
        "schema_version": SCHEMA_VERSION,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "simeval": provenance.version("simeval"),
        "git": None,
        "episodes": len(foreign.episodes),
        "conditions": [CLEAN],
        "notes": [
            f"imported from {made}: nothing proves that its episodes began as others did, so none is paired",
            *foreign.notes,
            *(
                f"tasks of {suite} have more episodes than the {find_suite(suite).init_states} initial states, so some "
                "began alike; the intervals take them for different ones and are too narrow"
                for suite in repeats
            ),
        ],
        "assets": f"evaluated by {made}: scenes, step limits and seeds are its own",
        "config": config | {"suite": list(suites), "policy": policy},
        "identity": identity,
        "host": {},
        "imported": {"from": foreign.evaluator, "file": file.name, "sha256": digest, "unknown": unknown},
    }
