"""One audit from request to folder: which frames, which conditions, which policy; then measure what is missing."""

import contextlib
import datetime
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perturbations.spec import Condition, SpecError, parse_sweep
from simeval.config import paths
from simeval.config.audit import MAX_FRAMES, AuditConfig
from simeval.config.evaluation import EvalConfig, from_mapping
from simeval.config.preflight import require_numerics, require_rendering
from simeval.core import kernels, plugins, provenance
from simeval.core.drift_row import DriftRow, Key
from simeval.core.errors import ConfigError
from simeval.core.files import require_inside
from simeval.core.plugins import Plugin
from simeval.drift.frames.base import FrameSource
from simeval.drift.frames.from_run import RunFrames
from simeval.drift.frames.render_pool import renderer_for, usual_workers
from simeval.drift.measure import AttentionRecord, Measurement, keys, measure
from simeval.drift.progress import AuditOutline, AuditProgress, Silent
from simeval.drift.representation import Vectors
from simeval.drift.summary import summarise
from simeval.drift.vectors import SetDrift, VectorWriter, read_vectors, set_drift
from simeval.policies import bundled
from simeval.policies.base import Policy, PolicySpec
from simeval.policies.registry import GPU_BATCH, PolicyChoice, has_gpu, load_policy, validate_choice
from simeval.policies.representations import representing
from simeval.runner.session import ONE_THREAD
from simeval.stats.drift import GRIPPER, ActionScale
from simeval.store.assets import assets_of
from simeval.store.audit import SCHEMA_VERSION, Audit, AuditWriter, notes_of
from simeval.store.manifest import gl_renderer
from simeval.store.run import Run, require_writable

if TYPE_CHECKING:
    pass

OnGaze = Callable[[Path, str, DriftRow, AttentionRecord, AttentionRecord], None]
"""(audit folder, policy, row, clean, perturbed): gets what a policy looked at, once per condition."""

NO_UNIT = (1.0,) * GRIPPER
"""Where a policy does not know the spread of its training actions, drift stays in the units of the actions."""


@dataclass(frozen=True)
class _AuditRequest:
    """What is audited, before anything slow.

    Attributes:
        config: the request.
        run: whose episodes give the frames, if any.
        origin: the configuration of that run; the defaults without one.
        choice: the policy.
        own: axes of the user's own.
        conditions: those asked for, without `none`.
        seeds: roots of the random streams.
        folder: where the audit lies.
    """

    config: AuditConfig
    run: Run | None
    origin: EvalConfig
    choice: PolicyChoice
    own: tuple[Plugin, ...]
    conditions: tuple[Condition, ...]
    seeds: tuple[int, ...]
    folder: Path


@dataclass(frozen=True)
class _Frames:
    """Where frames are from, and what a manifest says about them."""

    source: FrameSource
    close: Callable[[], None]
    notes: tuple[str, ...]
    scenes: str


def audit(config: AuditConfig, progress: AuditProgress | None = None, on_gaze: OnGaze | None = None) -> Audit:
    """Measure what is not measured yet of an audit, and return it.

    Args:
        config: what to measure; an equal configuration with the same `out` resumes.
        progress: told how it goes.
        on_gaze: gets what a policy looked at, where representations are measured.

    Raises:
        ConfigError: the request cannot be carried out, or the repeat control drifted. What was measured is kept.
        OSError: the disk is full; what was measured before is on it.
    """
    subject = _subject(config)
    require_numerics(config.numerics or subject.origin.numerics)
    require_writable(subject.folder)
    if subject.run is not None:
        require_rendering()
    os.environ.update(ONE_THREAD)
    policy = load_policy(subject.choice)
    require_vision_policy(policy, representation=config.representation)
    frames = _frames(config, subject, policy.spec)
    shown = tuple(c for c in subject.conditions if not frames.source.unsupported_reason(c))
    left_out = [(str(c), why) for c in subject.conditions if (why := frames.source.unsupported_reason(c))]
    if not shown:
        raise ConfigError(f"--perturb: nothing can be seen on these frames; {'; '.join(why for _, why in left_out)}")
    std, sigma_source = _unit(policy.spec)
    wanted = Measurement(
        conditions=shown,
        seeds=subject.seeds,
        scale=ActionScale(std, policy.spec.n_action_steps),
        batch_size=subject.choice.batch_size,
        representation=config.representation,
    )
    identity = _identity(subject, frames.source, wanted, policy.spec)
    mixed = kernels.audit_note(subject.run.manifest["identity"], identity) if subject.run else None
    about = {
        "identity": identity,
        "sigma_source": sigma_source,
        "left_out": [{"condition": condition, "reason": reason} for condition, reason in left_out],
        "notes": [*frames.notes, *([mixed] if mixed else [])],
        "scenes": frames.scenes,
    }
    return _carry_out(subject, frames, policy, wanted, about, progress or Silent(), on_gaze)


def require_vision_policy(policy: Policy, *, representation: bool = False) -> None:
    """Refuse policies whose predictions cannot be audited.

    Raises:
        ConfigError: it is one.
    """
    if policy.spec.privileged:
        raise ConfigError(
            f"--policy {policy.spec.name}: it is given the simulator's state and sees no pictures, so there is nothing "
            "to audit"
        )
    if representation:
        representing(policy)


def _carry_out(
    subject: _AuditRequest,
    frames: _Frames,
    policy: Policy,
    wanted: Measurement,
    about: Mapping[str, Any],
    progress: AuditProgress,
    on_gaze: OnGaze | None,
) -> Audit:
    listed = frames.source.frames()
    all_keys = keys(listed, wanted)
    manifest = _manifest(about, len(listed), len(all_keys), subject.config)
    with AuditWriter(subject.folder, manifest, all_keys) as writer, _vectors(subject.folder, wanted) as keep:
        workers = _workers(subject, len(all_keys) - len(writer.done))
        progress.start(_outlook(subject, about, wanted, len(listed), len(all_keys), len(writer.done), workers))
        try:
            with renderer_for(frames.source, subject.own, workers) as draw:
                for found in measure(frames.source, policy, wanted, done=writer.done, draw=draw):
                    keep([(one.row.key, one.vectors) for one in found if one.vectors is not None])
                    for one in found:
                        if one.gazes is not None and on_gaze is not None:
                            on_gaze(subject.folder, policy.spec.name, one.row, *one.gazes)
                    writer.write([one.row for one in found])
                    progress.advance(len(found))
        finally:
            progress.stop()
            frames.close()
        rows = Audit.load(subject.folder).rows
        writer.finish(_facts(rows, set_drift(rows, read_vectors(subject.folder)) if wanted.representation else ()))
    return Audit.load(subject.folder)


@contextlib.contextmanager
def _vectors(folder: Path, wanted: Measurement) -> Iterator[Callable[[Sequence[tuple[Key, Vectors]]], None]]:
    """Where the vectors of rows go."""
    if not wanted.representation:
        yield lambda vectors: None
        return
    with VectorWriter(folder) as writer:
        yield writer.append


def _facts(rows: Sequence[DriftRow], sets: Sequence[SetDrift]) -> dict[str, Any]:
    """What came of an audit, JSON-ready."""
    found = summarise(rows)
    return {
        "drift_floor": found.floor,
        "repeat_control": {"views": found.repeats, "largest_drift": 0.0},  # any other has stopped the audit
        "reproduces_rollout": {"equal": found.reproduced, "compared": found.compared},
        "representation": [{"condition": one.condition, "n": one.n, "distances": dict(one.distances)} for one in sets],
    }


def _subject(config: AuditConfig) -> _AuditRequest:
    run = Run.load(config.run) if config.run is not None else None
    stored = paths.located(run.manifest) if run else {}
    if run and config.policy is None:
        paths.require_policy_folder(run.folder, run.manifest, stored)
    origin = from_mapping(stored) if run else EvalConfig(policy=bundled.NAME)
    own = plugins.named_again(run.folder, run.manifest, config.plugin) if run else plugins.read(config.plugin)
    plugins.load(own)
    asked = config.perturb or (tuple(run.manifest["conditions"]) if run else ())
    conditions = _conditions(asked)
    if not conditions:
        raise ConfigError(f"--perturb: name at least one condition; {'the run has none' if run else 'there is no run'}")
    choice = _choice(config, origin)
    validate_choice(choice, tuple(r.spec for r in run.results) if run else ())
    default = Path(run.folder) / "audit" if run else Path("results") / f"audit-{Path(str(config.dataset)).name}"
    if run and not config.out:
        require_inside(run.folder, "audit")
    seeds = config.seed_numbers or (origin.seed,)
    return _AuditRequest(
        config, run, origin, choice, own, conditions, seeds, Path(config.out) if config.out else default
    )


def _conditions(texts: Sequence[str]) -> tuple[Condition, ...]:
    try:
        found = [condition for text in texts for condition in parse_sweep(text)]
    except SpecError as error:
        raise ConfigError(f"--perturb: {error}") from None
    return tuple(dict.fromkeys(condition for condition in found if not condition.is_clean))


def _choice(config: AuditConfig, origin: EvalConfig) -> PolicyChoice:
    """The run's own policy as the run had it, as far as nothing else is asked for."""
    name = config.policy or origin.policy_name
    same = paths.absolute("policy", name, None) == origin.policy_name
    device = config.device or origin.device
    steps = config.n_action_steps or (origin.n_action_steps if same else None)
    choice = PolicyChoice(name, device, steps, dtype=config.dtype or (origin.dtype if same else None))
    usual = GPU_BATCH if not choice.scripted and has_gpu(device) else 1
    return replace(choice, batch_size=config.batch_size or origin.batch_size or usual)


def _frames(config: AuditConfig, subject: _AuditRequest, policy: PolicySpec) -> _Frames:
    if subject.run is not None:
        found = RunFrames.open(
            subject.run,
            assets_of(subject.run),
            policy=policy,
            kind=config.frames,
            per_episode=config.per_episode,
            max_frames=config.max_frames,
        )
        return _Frames(found, found.close, found.notes, str(subject.run.manifest["assets"]))
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
    return _Frames(frames, lambda: None, (), f"dataset {frames.identity['dataset']}")


def _unit(policy: PolicySpec) -> tuple[tuple[float, ...], str]:
    """The unit of drift, and where it is from."""
    if policy.action_std is None:
        return NO_UNIT, "1 per dimension: the policy does not know the spread of its training actions"
    return policy.action_std, "standard deviations of the training actions, from the checkpoint"


def _identity(
    subject: _AuditRequest, source: FrameSource, wanted: Measurement, policy: PolicySpec
) -> Mapping[str, Any]:
    """What an audit that is resumed must agree on."""
    identity = {
        "frames": dict(source.identity),
        "policy": {"name": policy.name, "n_action_steps": policy.n_action_steps, **dict(policy.fingerprint)},
        "action_std": list(wanted.scale.std),
        "conditions": list(map(str, wanted.conditions)),
        "seeds": list(wanted.seeds),
        "representation": wanted.representation,
        "versions": provenance.versions(learned_policy=bool(policy.fingerprint)),
        "opengl": gl_renderer() if policy.cameras and subject.run else None,
        "numerics": kernels.of_simulation(),
    }
    if subject.own:
        identity["plugins"] = plugins.digests(subject.own)
    return identity


def _manifest(about: Mapping[str, Any], frames: int, rows: int, config: AuditConfig) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "simeval": provenance.version("simeval"),
        "git": provenance.git_commit(),
        "frames": frames,
        "rows": rows,
        **about,
        "config": config.to_dict(),
        "started_in": paths.here(),
        "host": provenance.host(),
        "complete": False,
    }


def _workers(subject: _AuditRequest, views: int) -> int:
    """How many workers draw what is left."""
    if not views or subject.run is None:
        return 0
    if subject.config.workers is not None or subject.origin.suite == ("toy",):
        return subject.config.workers or 0
    return usual_workers(views, gpu=not subject.choice.scripted and has_gpu(subject.choice.device))


def _outlook(
    subject: _AuditRequest,
    about: Mapping[str, Any],
    wanted: Measurement,
    frames: int,
    rows: int,
    done: int,
    workers: int,
) -> AuditOutline:
    drawn = f", drawn by {workers} worker{'s' * (workers > 1)}" if workers else ""
    seeds = f"{len(wanted.seeds)} seeds" if len(wanted.seeds) > 1 else "1 seed"
    text = (
        f"{subject.choice.name}: {frames} frames x {len(wanted.conditions)} conditions x {seeds}, with clean view, "
        f"repeat control and noise floor {wanted.predictions(frames)} predictions{drawn} -> {subject.folder}"
    )
    return AuditOutline(text, notes_of(about), rows, done)
