"""The composition root: what each verb of the command line does, callable from Python."""

import contextlib
import datetime
import functools
import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envs import numerics
from envs.assets import is_bundled
from envs.base import EnvError
from simeval.config import paths
from simeval.config.evaluation import PLANNED, EvalConfig, from_mapping, within
from simeval.config.plan import Plan, duration, estimated_seconds, make_plan
from simeval.core import plugins, provenance
from simeval.core.errors import ConfigError
from simeval.core.files import refuse_link_out, write_image
from simeval.core.limits import refuse_little_address_space
from simeval.core.types import EpisodeResult
from simeval.policies.registry import PolicyChoice, check_policy, load_policy, smaller_batch
from simeval.runner.progress import Progress, Silent
from simeval.runner.ray_runner import RayRunner, Runner, SerialRunner, has_gpu, use_actor
from simeval.runner.session import process_environment, ray_session
from simeval.runner.worker import WorkerFacts, WorkerSetup
from simeval.store.run import (
    MANIFEST,
    SCHEMA_VERSION,
    Run,
    RunWriter,
    is_finished,
    read_manifest,
    refuse_other,
    refuse_unwritable,
)

if TYPE_CHECKING:
    from rich.console import Console

    from simeval.config.audit import AuditConfig
    from simeval.drift.progress import AuditProgress
    from simeval.store.audit import Audit

GPU_BATCH = 8
"""Fixed batch on a GPU: independent of the number of workers, so that their number changes no row."""

IMAGE_FILES = (".png", ".jpg", ".jpeg")
"""What a preview may be written as."""

MAX_STEP = 10_000
"""Control steps before a preview: more than any protocol's limit; each takes time."""

_log = logging.getLogger("simeval")


def evaluate(config: EvalConfig, progress: Progress | None = None, *, grow: bool = False) -> Run:
    """Run what is not finished yet of a configuration's episodes, and return the run.

    Args:
        config: what to run; an equal configuration with the same `out` resumes.
        progress: told about every episode.
        grow: the run in `out` may have fewer episodes than `config` asks for; see `simeval.config.extend`.

    Raises:
        ConfigError: the request cannot be carried out; nothing was started.
        OSError: the disk is full; what was finished before is on it.
    """
    refuse_other_numerics(config.numerics)
    plan = make_plan(config)
    choice = policy_choice(config)
    folder = run_folder(config, plan)
    check_policy(choice, plan.episodes)
    if not grow and _is_complete(folder, config, plan):
        return Run.load(folder)
    refuse_little_address_space(config.worker_count)
    for name in ("traces", "videos"):
        refuse_link_out(folder, name)
    assets = find_assets(config)
    refuse_undrawable(choice)
    progress = progress or Silent()
    with _runner(config, choice, assets) as runner:
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


def refuse_other_numerics(wanted: str) -> None:
    """A process cannot change its numerics: its libraries have chosen their kernels.

    Raises:
        ConfigError: they are not the wanted ones.
    """
    if numerics.mode() != wanted:
        raise ConfigError(
            f"--numerics {wanted}: this process runs with {numerics.mode()} numerics; "
            f"set {numerics.VARIABLE}={wanted} before Python starts"
        )


def policy_choice(config: EvalConfig) -> PolicyChoice:
    """Which policy a configuration asks for, and how it is to run."""
    choice = PolicyChoice(config.policy_name, config.device, config.n_action_steps, dtype=config.dtype)
    usual = GPU_BATCH if not choice.scripted and has_gpu(config.device) else 1
    return replace(choice, batch_size=config.batch_size or usual)


def run_folder(config: EvalConfig, plan: Plan) -> Path:
    """Where a run lies: `out`, or a name that the same request always gets."""
    if config.out:
        return Path(config.out)
    policy = Path(config.policy_name).name
    others = {key: value for key, value in config.result_fields().items() if key not in PLANNED}
    identity = provenance.digest({"plan": plan.digest, **others})
    return Path("results") / f"{'+'.join(config.suite)}-{policy}-{identity[:8]}"


def refuse_undrawable(choice: PolicyChoice | None = None) -> None:
    """Find out before anything starts whether this machine can draw what has to be drawn.

    Args:
        choice: the policy, which may need no images; `None` if images are drawn in any case.

    Raises:
        ConfigError: it cannot; says what is in the way.
    """
    from envs.sim.opengl import check_drawing, select_backend

    try:
        if choice and choice.scripted and not load_policy(choice).spec.cameras:
            select_backend()  # MuJoCo itself wants a backend that exists
        else:
            check_drawing()
    except EnvError as error:
        raise ConfigError(str(error)) from None


def find_assets(config: EvalConfig) -> Path | None:
    """LIBERO's asset folder, or `None` if only toy suites are asked for.

    Raises:
        ConfigError: it cannot be found.
    """
    if config.suite == ("toy",):
        return None
    from envs.libero.files import resolve_assets

    try:
        return resolve_assets(config.assets_choice)
    except EnvError as error:
        raise ConfigError(str(error)) from None


def assets_of(run: Run) -> Path | None:
    """The asset folder that a run's scenes were built from, or `None` if it has only toy suites.

    Raises:
        ConfigError: it cannot be found, or what is found are other scenes.
    """
    assets = find_assets(from_mapping(paths.located(run.manifest)))
    if assets and provenance.folder_digest(assets) != run.manifest["identity"]["settings"]["assets"]:
        raise ConfigError(f"{run.folder}: was made with other scenes ({run.manifest['assets']}) than those in {assets}")
    return assets


def make_manifest(config: EvalConfig, plan: Plan, facts: WorkerFacts, assets: Path | None) -> dict[str, Any]:
    """What a run is. `identity` is what a resumed run must agree on; the rest explains it to people."""
    policy = facts.policy
    learned = bool(policy.fingerprint)
    identity: dict[str, Any] = {
        "plan": plan.digest,
        "settings": config.result_fields() | {"assets": provenance.folder_digest(assets) if assets else None},
        "policy": {"name": policy.name, "n_action_steps": policy.n_action_steps, **dict(policy.fingerprint)},
        "versions": provenance.versions(learned_policy=learned),
        "opengl": _gl_renderer() if policy.cameras else None,
        "numerics": dict(facts.kernels),
    }
    if config.plugin:
        identity["plugins"] = _plugin_digests(config)
    return {
        "schema_version": SCHEMA_VERSION,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "simeval": provenance.version("simeval"),
        "git": provenance.git_commit(),
        "episodes": len(plan.episodes),
        "conditions": list(plan.conditions),
        "notes": list(plan.notes),
        "assets": assets_label(config, assets),
        "config": config.to_dict(),
        "started_in": paths.here(),
        "identity": identity,
        "host": provenance.host(),
    }


def _plugin_digests(config: EvalConfig) -> dict[str, str]:
    return plugins.digests(plugins.read(config.plugin))


def _gl_renderer() -> str:
    try:
        return provenance.gl_renderer()
    except EnvError as error:
        raise ConfigError(str(error)) from None


def assets_label(config: EvalConfig, assets: Path | None) -> str:
    """What the scenes are made of, in words, for every table and report."""
    if assets is None:
        return "toy scenes: not LIBERO results"
    if is_bundled(assets):
        return f"bundled scenes ({provenance.folder_digest(assets)}), protocol {config.protocol}: not LIBERO results"
    label = f"LIBERO scenes, official assets ({provenance.folder_digest(assets)}"
    stand_ins = assets / "STAND-INS.txt"
    if stand_ins.exists():
        replaced = sum("/" in line for line in stand_ins.read_text().splitlines())
        label += f", {replaced} of them plain stand-ins: looks differ"
    return f"{label}), protocol {config.protocol}"


def config_of(folder: Path, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The configuration of a stored run, as YAML-ready values with `out` pointing at it, for `--resume`.

    What would run code is not taken from it: neither plugins, nor the address of a cluster, which runs what it likes.

    Args:
        folder: the run.
        given: what the person says again, by names of settings: plugins, a cluster, where folders are now.

    Raises:
        ConfigError: there is no run, a plugin of its is not named, or its checkpoint is not there.
    """
    said = {name: value for name, value in (given or {}).items() if value}
    manifest, named, cluster = read_manifest(folder), list(said.get("plugin", ())), said.get("ray_address")
    plugins.named_again(folder, manifest, named)
    stored = paths.located(manifest) | {name: said[name] for name in paths.PLACES if name in said}
    if "policy" not in said:
        paths.refuse_lost(folder, manifest, stored)
    before = stored.get("ray_address")
    if before is not None and cluster is None:
        _log.warning("simeval: this run was on a cluster (%s) and goes on here; --ray-address joins one", before)
    return {**stored, "plugin": named, "ray_address": cluster, "out": str(folder)}


def _summary(plan: Plan, config: EvalConfig) -> str:
    conditions = f"{len(plan.conditions)} conditions" if len(plan.conditions) > 1 else "1 condition"
    size = f"{'+'.join(config.suite)}, {config.policy_name}: {len(plan.episodes)} episodes, {conditions}"
    if config.ray_address and config.workers is None:
        return f"{size}, a worker per CPU of the cluster"
    workers = f"{config.worker_count} workers" if config.worker_count else "this process"
    return f"{size}, {workers}, at most about {duration(estimated_seconds(plan, config))} without inference"


def _is_complete(folder: Path, config: EvalConfig, plan: Plan) -> bool:
    """Whether this very request has been run to its end, so that nothing needs to be loaded to say so.

    Raises:
        ConfigError: the folder cannot be written or holds a different run, as far as can be told so early.
    """
    refuse_unwritable(folder)
    if not (folder / MANIFEST).exists():
        return False
    manifest = read_manifest(folder)
    stored = {key: manifest["identity"][key] for key in ("plan", "settings")}
    settings = config.result_fields() | {"assets": stored["settings"]["assets"]}
    stored |= {"plugins": manifest["identity"].get("plugins", {})}
    wanted = {"plan": plan.digest, "settings": settings, "plugins": _plugin_digests(config)}
    stored = paths.agreed(stored, manifest.get("started_in"), wanted)
    before = stored["settings"].get("policy")
    if before != config.policy_name and paths.may_have_moved(before, config.policy_name):
        return False
    refuse_other(folder, stored, wanted)
    if paths.located(manifest)["assets"] != paths.whole("assets", config.assets, None):
        return False
    return is_finished(folder, plan.episodes)


@contextlib.contextmanager
def _runner(config: EvalConfig, choice: PolicyChoice, assets: Path | None) -> Iterator[Runner]:
    own = plugins.read(config.plugin)
    setup = WorkerSetup(choice, assets, config.traces, own, config.episode_timeout)
    if config.worker_count == 0:
        if config.inference == "actor":
            raise ConfigError("--inference actor: needs --workers of at least 1")
        yield SerialRunner(setup)
        return
    cluster = config.ray_address is not None
    workers = config.workers if cluster else config.worker_count
    with ray_session(config.ray_address, config.worker_count):
        if use_actor(choice, config.inference):
            from simeval.policies import server

            # Ray counts CUDA devices only.
            gpus = 1.0 if choice.device in ("auto", "cuda") and has_gpu(choice.device) else 0.0
            policy = server.start(
                functools.partial(load_policy, choice),
                batch_size=choice.batch_size,
                num_gpus=gpus,
                environment=process_environment() if cluster else None,
            )
            setup = replace(setup, policy=policy)
        yield RayRunner(setup, workers, cluster=cluster)


def write_preview(config: EvalConfig, *, size: int, out: Path, step: int = 0) -> Path:
    """Draw what a policy would see of one task into a PNG file: a row per set of scenes, or what perturbations do.

    Args:
        config: one suite, task and initial state; `perturb` for a sheet of perturbations in one set of scenes (the
            bundled ones by default), none for a row of each set that is here.
        size: side of a picture (px).
        out: where to.
        step: control steps that the robot has held still, for perturbations over time.

    Raises:
        ConfigError: no such task, initial state or perturbation, or its scenes cannot be had.
    """
    from envs.libero.files import resolve_assets
    from envs.sim.opengl import check_drawing

    plan, (suite,), assets = make_plan(config), config.suite, config.assets
    first = plan.episodes[0]
    if out.suffix.lower() not in IMAGE_FILES:
        raise ConfigError(f"--out {out}: name a file that ends in {', '.join(IMAGE_FILES)}")
    within("--size", size, 64, 1024)
    within("--step", step, 0, MAX_STEP)
    folders: list[Path] = []
    try:
        check_drawing()
        if suite != "toy":
            folders = [resolve_assets(assets or "bundled")]
            if assets is None and not config.perturb:
                with contextlib.suppress(EnvError):
                    folders.append(resolve_assets("cached"))
        from simeval.media.preview import condition_sheet, contact_sheet

        if config.perturb:
            episodes = [replace(spec, resolution=size) for spec in plan.episodes]
            sheet = condition_sheet(episodes, assets=folders[0] if folders else None, step=step)
        else:
            sheet = contact_sheet(suite, first.task, init_state=first.init_state, assets=folders, size=size)
    except EnvError as error:
        raise ConfigError(str(error)) from None
    try:
        write_image(out, sheet, out.suffix.lower())
    except OSError as error:
        raise ConfigError(f"--out {out}: {error.strerror or error}") from None
    return out


def audit(config: "AuditConfig", progress: "AuditProgress | None" = None) -> "Audit":
    """Measure offline drift on frames; an equal configuration with the same `out` resumes.

    Raises:
        ConfigError: the request cannot be carried out, or the repeat control drifted. What was measured is kept.
        OSError: the disk is full; what was measured before is on it.
    """
    from simeval.drift.session import audit as carry_out

    return carry_out(config, progress)


def audit_numerics(config: "AuditConfig") -> str:
    """Numerics of an audit: those asked for, else those of its run.

    Raises:
        ConfigError: its run is none.
    """
    if config.numerics or config.run is None:
        return config.numerics or numerics.PORTABLE
    return from_mapping(read_manifest(Path(config.run))["config"]).numerics


def summarise_audit(done: "Audit") -> dict[str, Any]:
    """The table of an audit, JSON-ready, with what it is about."""
    from simeval.drift.session import summary

    return summary(done)


def print_audit(console: "Console", done: "Audit") -> None:
    """Print the table of an audit."""
    from simeval.drift.session import print_table

    print_table(console, done)
