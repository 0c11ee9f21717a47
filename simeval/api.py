"""The composition root: `evaluate` and `audit`, the verbs of the command line as Python functions."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envs import numerics
from simeval.config.evaluation import EvalConfig, from_mapping
from simeval.config.layout import is_sequential
from simeval.config.plan import Plan, duration, estimated_seconds, make_plan, most_episodes
from simeval.config.preflight import policy_choice, require_fit, require_numerics, require_rendering, with_policy
from simeval.core.chances import counted
from simeval.core.files import require_inside, require_no_way_out
from simeval.core.limits import require_address_space
from simeval.core.types import EpisodeResult, EpisodeSpec
from simeval.policies.base import Policy
from simeval.policies.registry import PolicyChoice, batch_note, validate_choice
from simeval.runner.build import open_runner
from simeval.runner.progress import Progress, Silent
from simeval.runner.queue import BATCH, SMALL_BATCH, EpisodeQueue
from simeval.store.assets import find_assets
from simeval.store.manifest import make_manifest
from simeval.store.resume import is_complete, require_fingerprint, run_folder
from simeval.store.run import (
    Run,
    RunWriter,
    read_manifest,
)

if TYPE_CHECKING:
    from simeval.config.audit import AuditConfig
    from simeval.config.decisions import RunDecisions
    from simeval.core.drift_row import DriftRow
    from simeval.drift.measure import AttentionRecord
    from simeval.drift.progress import AuditProgress
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
    if not grow and is_complete(folder, config, plan, choice):
        return Run.load(folder)
    require_address_space(config.worker_count)
    require_no_way_out(folder, folder / "traces")
    require_inside(folder, "videos")
    assets = find_assets(config)
    require_rendering(choice)
    progress = progress or Silent()
    with open_runner(config, choice, assets) as runner:
        facts = runner.facts()
        require_fit(facts.policy, config.suite, plan.conditions)
        if note := batch_note(choice, facts.policy):
            _log.warning("simeval: %s", note)
        manifest = make_manifest(config, plan, facts, assets)
        with RunWriter(folder, manifest, grow=grow) as writer:
            done = writer.finished
            earlier = [EpisodeResult(spec, done[spec.id]) for spec in plan.episodes if spec.id in done]
            decisions = _decisions(writer.manifest, earlier)
            progress.start(plan, earlier, f"{_summary(plan, config)} -> {folder}", decisions)
            del earlier

            def is_left(spec: EpisodeSpec) -> bool:
                return spec.id not in done and (decisions is None or decisions.is_open(spec))

            try:
                for batch in runner.run(EpisodeQueue(plan.episodes, is_left, SMALL_BATCH if config.until else BATCH)):
                    writer.write_batch([(output.result, output.trace) for output in batch])
                    for output in batch:
                        if decisions:
                            decisions.record(output.result.spec, output.result.outcome)
                        progress.update(output.result)
            finally:
                progress.stop()
    return Run.load(folder)


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
    workers = counted(config.worker_count, "worker") if config.worker_count else "this process"
    return f"{size}, {workers}, at most about {duration(estimated_seconds(plan, config))} without inference"


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
        ConfigError: its run folder is not a run.
    """
    if config.numerics or config.run is None:
        return config.numerics or numerics.PORTABLE
    return from_mapping(read_manifest(Path(config.run))["config"]).numerics
