"""The composition root: what each verb of the command line does, callable from Python."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from envs import numerics
from simeval.config.evaluation import EvalConfig, from_mapping
from simeval.config.plan import Plan, duration, estimated_seconds, make_plan
from simeval.config.preflight import policy_choice, refuse_other_numerics, refuse_undrawable
from simeval.core.files import refuse_link_out
from simeval.core.limits import refuse_little_address_space
from simeval.core.types import EpisodeResult
from simeval.policies.registry import (
    check_policy,
    smaller_batch,
)
from simeval.runner.build import open_runner
from simeval.runner.progress import Progress, Silent
from simeval.store.assets import find_assets
from simeval.store.manifest import make_manifest
from simeval.store.resume import is_complete, run_folder
from simeval.store.run import (
    Run,
    RunWriter,
    read_manifest,
)

if TYPE_CHECKING:
    from simeval.config.audit import AuditConfig
    from simeval.core.drift_row import DriftRow
    from simeval.drift.measure import Gaze
    from simeval.drift.progress import AuditProgress
    from simeval.store.audit import Audit


_log = logging.getLogger("simeval")


def evaluate(config: EvalConfig, progress: Progress | None = None, *, grow: bool = False) -> Run:
    """Run what is not finished yet of a configuration's episodes, and return the run.

    Args:
        config: what to run; an equal configuration with the same `out` resumes.
        progress: told about every episode.
        grow: the run in `out` may have fewer episodes than `config` asks for; see `simeval.config.extend`.

    Raises:
        ConfigError: the request cannot be carried out; nothing was started.
        RunError: Ray has ended; what was finished before is on the disk.
        OSError: the disk is full; what was finished before is on it.
    """
    refuse_other_numerics(config.numerics)
    plan = make_plan(config)
    choice = policy_choice(config)
    folder = run_folder(config, plan)
    check_policy(choice, plan.episodes)
    if not grow and is_complete(folder, config, plan):
        return Run.load(folder)
    refuse_little_address_space(config.worker_count)
    for name in ("traces", "videos"):
        refuse_link_out(folder, name)
    assets = find_assets(config)
    refuse_undrawable(choice)
    progress = progress or Silent()
    with open_runner(config, choice, assets) as runner:
        facts = runner.facts()
        if note := smaller_batch(choice, facts.policy):
            _log.warning("simeval: %s", note)
        manifest = make_manifest(config, plan, facts, assets)
        with RunWriter(folder, manifest, grow=grow) as writer:
            done = writer.finished
            earlier = [EpisodeResult(spec, done[spec.id]) for spec in plan.episodes if spec.id in done]
            progress.start(plan, earlier, f"{_summary(plan, config)} -> {folder}")
            del earlier
            try:
                for together in runner.run([spec for spec in plan.episodes if spec.id not in done]):
                    writer.write_together([(finished.result, finished.trace) for finished in together])
                    for finished in together:
                        progress.update(finished.result)
            finally:
                progress.stop()
    return Run.load(folder)


def _summary(plan: Plan, config: EvalConfig) -> str:
    conditions = f"{len(plan.conditions)} conditions" if len(plan.conditions) > 1 else "1 condition"
    size = f"{'+'.join(config.suite)}, {config.policy_name}: {len(plan.episodes)} episodes, {conditions}"
    if config.ray_address and config.workers is None:
        return f"{size}, a worker per CPU of the cluster"
    workers = f"{config.worker_count} workers" if config.worker_count else "this process"
    return f"{size}, {workers}, at most about {duration(estimated_seconds(plan, config))} without inference"


def audit(config: "AuditConfig", progress: "AuditProgress | None" = None) -> "Audit":
    """Measure offline drift on frames; an equal configuration with the same `out` resumes.

    Raises:
        ConfigError: the request cannot be carried out, or the repeat control drifted. What was measured is kept.
        OSError: the disk is full; what was measured before is on it.
    """
    from simeval.drift.session import audit as measure_drift

    done = measure_drift(config, progress, _draw_attention)
    if config.recipe == "mini":
        from simeval.drift.mini import write_mini
        from simeval.report.figures.mini import write_figures

        write_figures(write_mini(done.rows, done.folder, unit=done.sigma_source), done.folder / "figures")
    return done


def _draw_attention(folder: Path, policy: str, row: "DriftRow", clean: "Gaze", perturbed: "Gaze") -> None:
    """One image per condition, of the first frame."""
    from simeval.media.attention import write_attention

    name = row.condition.replace(":", "=").replace("/", "~")
    write_attention(folder / "attention" / f"{name}.png", f"{policy}, {row.frame}", clean, perturbed)


def audit_numerics(config: "AuditConfig") -> str:
    """Numerics of an audit: those asked for, else those of its run.

    Raises:
        ConfigError: its run is none.
    """
    if config.numerics or config.run is None:
        return config.numerics or numerics.PORTABLE
    return from_mapping(read_manifest(Path(config.run))["config"]).numerics
