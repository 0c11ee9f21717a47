"""The composition root: `evaluate`, `threshold`, `worst` and `audit`, verbs of the command line as functions."""

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envs import numerics
from simeval.config.evaluation import EvalConfig, from_mapping
from simeval.config.layout import is_sequential
from simeval.config.plan import Plan, duration, estimated_seconds, make_plan, most_episodes
from simeval.config.preflight import policy_choice, require_fit, require_numerics, require_rendering, with_policy
from simeval.core.files import require_inside, require_no_way_out
from simeval.core.limits import require_address_space
from simeval.core.types import EpisodeResult, EpisodeSpec
from simeval.policies.base import Policy
from simeval.policies.registry import PolicyChoice, batch_note, validate_choice
from simeval.runner.build import open_runner
from simeval.runner.placed import PlacedEpisodes
from simeval.runner.progress import Progress, Silent
from simeval.runner.queue import BATCH, SMALL_BATCH, EpisodeQueue, EpisodeSource
from simeval.runner.serial import Runner
from simeval.store.assets import find_assets
from simeval.store.manifest import make_manifest
from simeval.store.resume import is_complete, placement_of, require_clean_success, require_fingerprint, run_folder
from simeval.store.run import Run, RunWriter, read_manifest, require_own

if TYPE_CHECKING:
    from simeval.config.audit import AuditConfig
    from simeval.config.decisions import RunDecisions
    from simeval.config.represent import RepresentConfig
    from simeval.config.searches import Search
    from simeval.config.threshold import ThresholdConfig
    from simeval.config.worst import WorstConfig
    from simeval.core.drift_row import DriftRow
    from simeval.drift.measure import AttentionRecord
    from simeval.drift.progress import AuditProgress
    from simeval.probing.results import Representations
    from simeval.runner.search_progress import SearchProgress
    from simeval.store.audit import Audit


_log = logging.getLogger("simeval")


def evaluate(
    config: EvalConfig, progress: Progress | None = None, *, grow: bool = False, policy: Policy | None = None
) -> Run:
    """Run those episodes of a configuration that are not finished yet, and return the run.

    Args:
        config: what to run; an equal configuration with the same `out` resumes.
        progress: observes every episode; by default none.
        grow: the run in `out` may have fewer episodes than `config`; see `simeval.config.extend`.
        policy: a policy object, for instance a model in training, instead of the name in `config.policy`. It runs in
            this process, in another thread if there are workers; these are 0 by default. A run is resumed if the
            object's fingerprint is the one that it was made with.

    Raises:
        ConfigError: the request cannot be carried out.
        RunError: Ray has ended; finished episodes are stored.
        OSError: the disk is full; finished episodes are stored.
    """
    request = _request(config, policy)
    if not grow and is_complete(request.folder, request.config, request.plan, request.choice):
        return Run.load(request.folder)
    progress = progress or Silent()
    config, plan = request.config, request.plan
    with _opened(request, grow=grow) as (runner, writer):
        done = writer.finished
        earlier = [EpisodeResult(spec, done[spec.id]) for spec in plan.episodes if spec.id in done]
        decisions = _decisions(writer.manifest, earlier)
        progress.start(plan, earlier, f"{_summary(plan, config)} -> {request.folder}", decisions)
        del earlier

        def is_left(spec: EpisodeSpec) -> bool:
            return spec.id not in done and (decisions is None or decisions.is_open(spec))

        try:
            source = EpisodeQueue(plan.episodes, is_left, SMALL_BATCH if config.until else BATCH)
            for result in _results(runner, source, writer):
                if decisions:
                    decisions.record(result.spec, result.outcome)
                progress.update(result)
        finally:
            progress.stop()
    return Run.load(request.folder)


def is_done(config: EvalConfig) -> bool:
    """Check a request as `evaluate` does before anything starts; whether its episodes have all run.

    Raises:
        ConfigError: the request cannot be carried out, or the folder holds another run.
    """
    request = _request(config, None)
    return is_complete(request.folder, request.config, request.plan, request.choice)


def threshold(
    search: "ThresholdConfig", progress: "SearchProgress | None" = None, *, policy: Policy | None = None
) -> Run:
    """Search for the strengths at which success falls to a level of the clean rate, and return the run.

    Args:
        search: what to search for; an equal one with the same `out` resumes, also with another level, width or budget.
        progress: observes every episode; by default none.
        policy: as for `evaluate`.

    Raises:
        ConfigError: the request cannot be carried out, or no clean episode succeeds.
        RunError: Ray has ended; finished episodes are stored.
        OSError: the disk is full; finished episodes are stored.
    """
    return _search(search, progress, policy)


def worst(search: "WorstConfig", progress: "SearchProgress | None" = None, *, policy: Policy | None = None) -> Run:
    """Search for a condition at which the policy fails most, confirm it on fresh pairs, and return the run.

    Args:
        search: what to search for; an equal one with the same `out` resumes.
        progress: observes every episode; by default none.
        policy: as for `evaluate`.

    Raises:
        ConfigError: the request cannot be carried out, or no clean episode succeeds.
        RunError: Ray has ended; finished episodes are stored.
        OSError: the disk is full; finished episodes are stored.
    """
    return _search(search, progress, policy)


def _search(search: "Search", progress: "SearchProgress | None", policy: Policy | None) -> Run:
    """Run the episodes that a search chooses, until it needs no more."""
    from simeval.config.searches import in_manifest, placing  # not earlier: SciPy takes half a second

    request = _request(search.run, policy)
    search = replace(search, run=request.config)
    placing(search, request.plan)  # refuses before anything starts
    if not is_complete(request.folder, request.config, request.plan, request.choice, search):
        with _opened(request, in_manifest(search)) as (runner, writer):
            placement = placement_of(request.folder, search, request.plan)
            if progress:
                progress.start(placement, request.folder)
            workers = max(1, request.config.worker_count) if request.config.ray_address is None else None
            try:
                for result in _results(runner, PlacedEpisodes(placement, workers), writer):
                    placement.record(result.spec, result.outcome)
                    if progress:
                        progress.update(result)
            finally:
                if progress:
                    progress.stop()
    require_clean_success(placement_of(request.folder, search, request.plan), request.folder)
    return Run.load(request.folder)


@dataclass(frozen=True)
class _Request:
    """A request that has passed all checks that need neither policy nor scene.

    Attributes:
        config: the configuration, with what a policy object changes in it.
        plan: the episodes.
        choice: the policy.
        folder: the run folder, which may hold a run.
    """

    config: EvalConfig
    plan: Plan
    choice: PolicyChoice | Policy
    folder: Path


def _request(config: EvalConfig, policy: Policy | None) -> _Request:
    require_numerics(config.numerics)
    if policy is not None:
        config, policy = with_policy(config, policy)
    plan = make_plan(config)
    choice = policy or policy_choice(config)
    folder = run_folder(config, plan)
    if isinstance(choice, PolicyChoice):
        validate_choice(choice, plan.episodes)
    else:
        require_fingerprint(folder, choice)
    return _Request(config, plan, choice, folder)


@contextlib.contextmanager
def _opened(
    request: _Request, extra: Mapping[str, Any] | None = None, *, grow: bool = False
) -> Iterator[tuple[Runner, RunWriter]]:
    """Start the workers, load the policy and open the run folder.

    Args:
        request: what to run.
        extra: more for the manifest.
        grow: see `evaluate`.
    """
    config, choice, folder = request.config, request.choice, request.folder
    require_address_space(config.worker_count)
    require_no_way_out(folder, folder / "traces")
    require_inside(folder, "videos")
    assets = find_assets(config)
    require_rendering(choice)
    with open_runner(config, choice, assets) as runner:
        facts = runner.facts()
        require_fit(facts.policy, config.suite, request.plan.conditions)
        if note := batch_note(choice, facts.policy):
            _log.warning("simeval: %s", note)
        manifest = make_manifest(config, request.plan, facts, assets) | dict(extra or {})
        with RunWriter(folder, manifest, grow=grow) as writer:
            yield runner, writer


def _results(runner: Runner, source: EpisodeSource, writer: RunWriter) -> Iterator[EpisodeResult]:
    """Run the episodes of a source; each result is on the disk when it is yielded."""
    for batch in runner.run(source):
        writer.write_batch([(output.result, output.trace) for output in batch])
        for output in batch:
            yield output.result


def _decisions(manifest: Mapping[str, Any], earlier: Sequence[EpisodeResult]) -> "RunDecisions | None":
    """What is decided by the episodes that have run; `None` for a run of fixed size."""
    if not is_sequential(manifest):
        return None
    from simeval.config.decisions import follow  # not earlier: SciPy takes half a second

    return follow(manifest, ((result.spec, result.outcome) for result in earlier))


def _summary(plan: Plan, config: EvalConfig) -> str:
    conditions = f"{len(plan.conditions)} conditions" if len(plan.conditions) > 1 else "1 condition"
    most = most_episodes(plan, config)
    episodes = f"{most} episodes" if config.until is None else f"at most {most} episodes"
    size = f"{'+'.join(config.suite)}, {config.policy_name}: {episodes}, {conditions}"
    if config.ray_address and config.workers is None:
        return f"{size}, a worker per CPU of the cluster"
    return f"{size}, {config.workers_text}, at most about {duration(estimated_seconds(plan, config))} without inference"


def represent(
    config: "RepresentConfig", note: Callable[[str], None] = lambda text: None
) -> "tuple[Representations, Path]":
    """Look inside policies on the same frames, and write a page; an equal configuration with the same folder resumes.

    Args:
        config: which policies, on which frames.
        note: is told what is done next.

    Raises:
        ConfigError: the request cannot be carried out; what was finished before is kept.
        OSError: the disk is full; what was finished before is kept.
    """
    from simeval.media.attention_policies import write_sheets
    from simeval.probing.session import read_policies
    from simeval.report.representation.page import write_representation_report

    with read_policies(config, note) as done:
        sheets = write_sheets(config.folder / "attention", done.material.frames, done.material.vectors)
        return done.found, write_representation_report(done.found, config.folder, sheets)


def audit(config: "AuditConfig", progress: "AuditProgress | None" = None) -> "Audit":
    """Measure offline drift on frames; an equal configuration with the same `out` resumes.

    Raises:
        ConfigError: the request cannot be carried out, or the repeat control drifted. Measured rows are kept.
        OSError: the disk is full; rows measured before are stored.
    """
    from simeval.drift.session import audit as measure_drift

    done = measure_drift(config, progress, _draw_attention)
    if config.recipe == "mini":
        from simeval.drift.mini import write_mini
        from simeval.report.figures.mini import write_figures

        write_figures(write_mini(done.rows, done.folder, unit=done.sigma_source), done.folder / "figures")
    return done


def _draw_attention(
    folder: Path, policy: str, row: "DriftRow", clean: "AttentionRecord", perturbed: "AttentionRecord"
) -> None:
    """Write the attention image of a condition, made on the first frame."""
    from simeval.media.attention import write_attention

    name = row.condition.replace(":", "=").replace("/", "~")
    write_attention(folder / "attention" / f"{name}.png", f"{policy}, {row.frame}", clean, perturbed)


def audit_numerics(config: "AuditConfig") -> str:
    """Numerics of an audit: the requested ones, else those of its run.

    Raises:
        ConfigError: its run folder is not a run, or was imported.
    """
    if config.numerics or config.run is None:
        return config.numerics or numerics.PORTABLE
    manifest = read_manifest(Path(config.run))
    require_own(Path(config.run), manifest)
    return from_mapping(manifest["config"]).numerics
