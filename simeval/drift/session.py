"""One audit from request to folder: choose frames, conditions and policy, then measure the missing rows."""

import contextlib
import datetime
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from envs.interface import ACTION_SIZE, STATE_SIZE
from envs.suites import find_suite
from perturbations.spec import Condition
from simeval.config import paths
from simeval.config.audit import MAX_FRAMES, AuditConfig
from simeval.config.evaluation import EvalConfig, from_mapping
from simeval.config.plan import parse_conditions
from simeval.config.preflight import require_numerics, require_rendering
from simeval.config.suites import interface_of
from simeval.core import kernels, plugins, provenance
from simeval.core.drift_row import DriftRow, Key
from simeval.core.errors import ConfigError
from simeval.core.files import require_inside
from simeval.core.plugins import Plugin
from simeval.drift.frames.base import FrameSource
from simeval.drift.frames.chosen import ChosenFrames, choose_frames
from simeval.drift.frames.from_run import RunFrames
from simeval.drift.frames.render_pool import default_workers, renderer_for
from simeval.drift.measure import AttentionRecord, Measurement, keys, measure
from simeval.drift.progress import AuditOutline, AuditProgress, Silent
from simeval.drift.representation import Vectors
from simeval.drift.summary import summarise
from simeval.drift.vectors import SetDrift, VectorWriter, read_vectors, set_drift
from simeval.policies import bundled
from simeval.policies.base import Policy, PolicySpec
from simeval.policies.registry import PolicyChoice, choose, has_gpu, load_policy, validate_choice
from simeval.policies.representations import representing
from simeval.runner.session import ONE_THREAD
from simeval.stats.drift import GRIPPER, ActionScale
from simeval.store.assets import assets_of
from simeval.store.audit import SCHEMA_VERSION, Audit, AuditWriter, notes_of
from simeval.store.manifest import computes_here, gl_renderer, policy_identity
from simeval.store.run import Run, require_own, require_writable

OnAttention = Callable[[Path, str, DriftRow, AttentionRecord, AttentionRecord], None]
"""(audit folder, policy, row, clean, perturbed): receives attention records, once per condition."""

NO_UNIT = (1.0,) * GRIPPER
"""Without the spread of the training actions, drift stays in action units."""


@dataclass(frozen=True)
class _AuditRequest:
    """A validated request; building it is fast.

    Attributes:
        run: source of the frames, if any.
        run_config: configuration of that run; the defaults without one.
        plugins: user-defined axes.
        conditions: requested conditions, without `none`.
        seeds: roots of the random streams.
        folder: the audit folder.
    """

    config: AuditConfig
    run: Run | None
    run_config: EvalConfig
    choice: PolicyChoice
    plugins: tuple[Plugin, ...]
    conditions: tuple[Condition, ...]
    seeds: tuple[int, ...]
    folder: Path


@dataclass(frozen=True)
class _Frames:
    """The frame source, and its description for the manifest."""

    source: FrameSource
    close: Callable[[], None]
    notes: tuple[str, ...]
    scenes: str


def audit(config: AuditConfig, progress: AuditProgress | None = None, on_attention: OnAttention | None = None) -> Audit:
    """Measure the missing rows of an audit, and return the whole audit.

    Args:
        config: what to measure; an equal configuration with the same `out` resumes.
        progress: progress observer.
        on_attention: receives attention records, where representations are measured.

    Raises:
        ConfigError: the request is impossible, or the repeat control drifted. Rows measured before are kept.
        OSError: the disk is full. Rows measured before are kept.
    """
    request = _build_request(config)
    require_numerics(config.numerics or request.run_config.numerics)
    require_writable(request.folder)
    if request.run is not None:
        require_rendering()
    chosen = _chosen(config, request.run) if request.run is not None else None
    os.environ.update(ONE_THREAD)
    policy = load_policy(request.choice)
    require_vision_policy(policy, representation=config.representation)
    frames = _frames_of(chosen, policy.spec) if chosen else _dataset_frames(config, policy.spec)
    visible = tuple(c for c in request.conditions if not frames.source.unsupported_reason(c))
    left_out = [(str(c), why) for c in request.conditions if (why := frames.source.unsupported_reason(c))]
    if not visible:
        raise ConfigError(f"--perturb: nothing can be seen on these frames; {'; '.join(why for _, why in left_out)}")
    std, sigma_source = _drift_unit(policy.spec)
    measurement = Measurement(
        conditions=visible,
        seeds=request.seeds,
        scale=ActionScale(std, policy.spec.n_action_steps),
        batch_size=request.choice.batch_size,
        representation=config.representation,
    )
    identity = _identity(request, frames.source, measurement, policy.spec)
    kernel_note = kernels.audit_note(request.run.manifest["identity"], identity) if request.run else None
    facts = {
        "identity": identity,
        "sigma_source": sigma_source,
        "left_out": [{"condition": condition, "reason": reason} for condition, reason in left_out],
        "notes": [*frames.notes, *([kernel_note] if kernel_note else [])],
        "scenes": frames.scenes,
    }
    return _measure_missing(request, frames, policy, measurement, facts, progress or Silent(), on_attention)


def require_vision_policy(policy: Policy, *, representation: bool = False) -> None:
    """Refuse policies whose predictions cannot be audited.

    Raises:
        ConfigError: the policy reads the simulator's state, does not repeat its answers, remembers earlier requests, or
            exposes no features although they are needed.
    """
    if policy.spec.privileged:
        raise ConfigError(
            f"--policy {policy.spec.name}: it is given the simulator's state and sees no images, so there is nothing "
            "to audit"
        )
    if (policy.spec.action_size, policy.spec.state_size) != (ACTION_SIZE, STATE_SIZE):
        raise ConfigError(
            f"--policy {policy.spec.name}: its actions have {policy.spec.action_size} numbers and its states "
            f"{policy.spec.state_size}; drift is defined for LIBERO's {ACTION_SIZE} and {STATE_SIZE}"
        )
    if policy.spec.noise_floor:
        raise ConfigError(
            f"--policy {policy.spec.name}: the same request gets other actions (noise floor "
            f"{policy.spec.noise_floor:.3g} action units), so drift would be that noise; serve it with noise seeds, as "
            "simeval serve does"
        )
    if policy.spec.memory:
        raise ConfigError(
            f"--policy {policy.spec.name}: it remembers the earlier requests of an episode (spec.memory), so a single "
            "frame does not determine what it predicts, and there is nothing to audit"
        )
    if representation:
        representing(policy)


def _measure_missing(
    request: _AuditRequest,
    frames: _Frames,
    policy: Policy,
    measurement: Measurement,
    facts: Mapping[str, Any],
    progress: AuditProgress,
    on_attention: OnAttention | None,
) -> Audit:
    all_frames = frames.source.frames()
    planned = keys(all_frames, measurement)
    manifest = _manifest(facts, len(all_frames), len(planned), request.config)
    with (
        AuditWriter(request.folder, manifest, planned) as writer,
        _vectors(request.folder, measurement) as store_vectors,
    ):
        workers = _workers(request, len(planned) - len(writer.done))
        progress.start(_outline(request, facts, measurement, len(all_frames), len(planned), len(writer.done), workers))
        try:
            with renderer_for(frames.source, request.plugins, workers) as renderer:
                for batch in measure(frames.source, policy, measurement, done=writer.done, renderer=renderer):
                    store_vectors([(view.row.key, view.vectors) for view in batch if view.vectors is not None])
                    for view in batch:
                        if view.attention is not None and on_attention is not None:
                            on_attention(request.folder, policy.spec.name, view.row, *view.attention)
                    writer.write([view.row for view in batch])
                    progress.advance(len(batch))
        finally:
            progress.stop()
            frames.close()
        rows = Audit.load(request.folder).rows
        writer.finish(
            _results(rows, set_drift(rows, read_vectors(request.folder)) if measurement.representation else ())
        )
    return Audit.load(request.folder)


@contextlib.contextmanager
def _vectors(folder: Path, measurement: Measurement) -> Iterator[Callable[[Sequence[tuple[Key, Vectors]]], None]]:
    """A function that stores vectors; it does nothing if representations are not measured."""
    if not measurement.representation:
        yield lambda vectors: None
        return
    with VectorWriter(folder) as writer:
        yield writer.append


def _results(rows: Sequence[DriftRow], sets: Sequence[SetDrift]) -> dict[str, Any]:
    """The results of an audit, JSON-ready."""
    summary = summarise(rows)
    return {
        "drift_floor": summary.floor,
        "repeat_control": {"views": summary.repeats, "largest_drift": 0.0},  # any other value has stopped the audit
        "reproduces_rollout": {"equal": summary.reproduced, "compared": summary.compared},
        "representation": [{"condition": one.condition, "n": one.n, "distances": dict(one.distances)} for one in sets],
    }


def _build_request(config: AuditConfig) -> _AuditRequest:
    run = Run.load(config.run) if config.run is not None else None
    if run:
        require_own(run.folder, run.manifest)
    stored = paths.located(run.manifest) if run else {}
    if run and config.policy is None:
        paths.require_policy(run.folder, run.manifest, stored)
    run_config = from_mapping(stored) if run else EvalConfig(policy=bundled.NAME)
    user_plugins = plugins.named_again(run.folder, run.manifest, config.plugin) if run else plugins.read(config.plugin)
    plugins.load(user_plugins)
    texts = config.perturb or (tuple(run.manifest["conditions"]) if run else ())
    conditions = _conditions(texts)
    if not conditions:
        raise ConfigError(f"--perturb: name at least one condition; {'the run has none' if run else 'there is no run'}")
    choice = _choice(config, run_config)
    validate_choice(choice, tuple(r.spec for r in run.results) if run else ())
    default_folder = Path(run.folder) / "audit" if run else Path("results") / f"audit-{Path(str(config.dataset)).name}"
    if run and not config.out:
        require_inside(run.folder, "audit")
    seeds = config.seed_numbers or (run_config.seed,)
    return _AuditRequest(
        config,
        run,
        run_config,
        choice,
        user_plugins,
        conditions,
        seeds,
        Path(config.out) if config.out else default_folder,
    )


def _conditions(texts: Sequence[str]) -> tuple[Condition, ...]:
    return tuple(condition for condition in parse_conditions(texts) if not condition.is_clean)


def _choice(config: AuditConfig, run_config: EvalConfig) -> PolicyChoice:
    """The run's policy with the run's settings, unless the audit's configuration overrides them."""
    name = config.policy or run_config.policy_name
    same_policy = paths.absolute("policy", name, None) == run_config.policy_name
    device = config.device or run_config.device
    steps = config.n_action_steps or (run_config.n_action_steps if same_policy else None)
    return choose(
        name,
        device=device,
        n_action_steps=steps,
        batch_size=config.batch_size or run_config.batch_size,
        dtype=config.dtype or (run_config.dtype if same_policy else None),
        convention=config.convention or (run_config.convention if same_policy else None),
        interface=interface_of(run_config.suite),
    )


def _chosen(config: AuditConfig, run: Run) -> ChosenFrames:
    """The frames of a run, before a policy is loaded in vain.

    Raises:
        ConfigError: it has none, or its scenes cannot be found.
    """
    assets_of(run)
    return choose_frames(run, kind=config.frames, per_episode=config.per_episode, max_frames=config.max_frames)


def _frames_of(chosen: ChosenFrames, policy: PolicySpec) -> _Frames:
    frames = RunFrames.of(chosen, assets_of(chosen.run), policy)
    return _Frames(frames, frames.close, frames.notes, str(chosen.run.manifest["assets"]))


def _dataset_frames(config: AuditConfig, policy: PolicySpec) -> _Frames:
    from simeval.drift.frames.from_dataset import DatasetFrames
    from simeval.drift.frames.lerobot_dataset import Layout

    frames = DatasetFrames.open(
        str(config.dataset),
        policy=policy,
        max_frames=config.max_frames or MAX_FRAMES,
        frame_seed=config.frame_seed,
        episodes=config.episodes,
        revision=config.revision,
        layout=Layout.parse(config.camera_keys, upside_down=config.upside_down),
    )
    return _Frames(frames, lambda: None, frames.notes, f"dataset {frames.identity['dataset']}")


def _drift_unit(policy: PolicySpec) -> tuple[tuple[float, ...], str]:
    """The unit of drift, and its source."""
    if policy.action_std is None:
        return NO_UNIT, "1 per dimension: the policy does not know the spread of its training actions"
    return policy.action_std, "standard deviations of the training actions, from the checkpoint"


def _identity(
    request: _AuditRequest, source: FrameSource, measurement: Measurement, policy: PolicySpec
) -> Mapping[str, Any]:
    """What must be equal to resume an audit."""
    identity = {
        "frames": dict(source.identity),
        "policy": policy_identity(policy),
        "action_std": list(measurement.scale.std),
        "conditions": list(map(str, measurement.conditions)),
        "seeds": list(measurement.seeds),
        "representation": measurement.representation,
        "versions": provenance.versions(learned_policy=computes_here(policy)),
        "opengl": gl_renderer() if policy.cameras and request.run else None,
        "numerics": kernels.of_simulation(),
    }
    if request.plugins:
        identity["plugins"] = plugins.digests(request.plugins)
    return identity


def _manifest(facts: Mapping[str, Any], frames: int, rows: int, config: AuditConfig) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "simeval": provenance.version("simeval"),
        "git": provenance.git_commit(),
        "frames": frames,
        "rows": rows,
        **facts,
        "config": config.to_dict(),
        "started_in": paths.here(),
        "host": provenance.host(),
        "complete": False,
    }


CHEAP_FRAME_SECONDS = 0.005
"""Observations that render this fast (s) are rendered in this process: starting workers would take longer."""


def _cheap_to_render(config: EvalConfig) -> bool:
    return all(find_suite(suite).frame_seconds <= CHEAP_FRAME_SECONDS for suite in config.suite)


def _workers(request: _AuditRequest, views: int) -> int:
    """Number of workers that render the remaining views."""
    if not views or request.run is None:
        return 0
    if request.config.workers is not None or _cheap_to_render(request.run_config):
        return request.config.workers or 0
    return default_workers(views, gpu=request.choice.has_network and has_gpu(request.choice.device))


def _outline(
    request: _AuditRequest,
    facts: Mapping[str, Any],
    measurement: Measurement,
    frames: int,
    rows: int,
    done: int,
    workers: int,
) -> AuditOutline:
    rendering = f", rendered by {workers} worker{'s' * (workers > 1)}" if workers else ""
    seeds = f"{len(measurement.seeds)} seeds" if len(measurement.seeds) > 1 else "1 seed"
    k = len(measurement.conditions)
    text = (
        f"{request.choice.name}: {frames} frames x {k} condition{'s' * (k != 1)} x {seeds}, with clean "
        f"view, repeat control and noise floor {measurement.predictions(frames)} predictions{rendering} "
        f"-> {request.folder}"
    )
    return AuditOutline(text, notes_of(facts), rows, done)
