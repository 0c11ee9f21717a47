"""From request to folder: draw frames once, read every policy on them, then compute. The same call resumes.

    OUT/manifest.json   frames/00.npz (clean) 01.npz ...   vectors/POLICY/00.npz ...   representation.json

Non-obvious behaviour:
- A file is written whole or not at all, and one that is there is not made again: what was finished is never lost.
- One policy is in memory at a time; frames are rendered once, for all of them.
"""

import datetime
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from perturbations.condition import Condition
from simeval.config import paths
from simeval.config.evaluation import EvalConfig, from_mapping
from simeval.config.layout import is_search
from simeval.config.plan import parse_conditions
from simeval.config.preflight import require_numerics, require_rendering
from simeval.config.represent import RepresentConfig, split_policy
from simeval.config.suites import interface_of
from simeval.core import kernels, plugins, provenance
from simeval.core.errors import ConfigError
from simeval.core.files import read_regular, require_inside
from simeval.core.lock import locked
from simeval.core.plugins import Plugin
from simeval.core.texts import shown
from simeval.drift.frames.chosen import ChosenFrames, choose_frames
from simeval.drift.frames.from_run import RunFrames
from simeval.policies.base import Policy
from simeval.policies.hidden_states import readable
from simeval.policies.registry import PolicyChoice, choose, load_policy, validate_choice
from simeval.policies.representations import TYPE
from simeval.probing import frame_set, vectors
from simeval.probing.analysis import Material, attention, embeddings, probe_all, similarity, with_layers_of_start
from simeval.probing.frame_set import FrameSet
from simeval.probing.results import SCHEMA_VERSION, Representations, write_results
from simeval.runner.session import ONE_THREAD
from simeval.store.assets import assets_of
from simeval.store.identity import identity_changes
from simeval.store.manifest import policy_identity
from simeval.store.run import Run, require_own, require_writable, write_json
from simeval.store.study import is_study, read_study

MANIFEST = "manifest.json"
PARTS = ("frames", "vectors", "attention", "report")
"""Folders that are written."""
Note = Callable[[str], None]


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """What was found, and the material that it was found in."""

    found: Representations
    material: Material


@dataclass(frozen=True, slots=True)
class _Request:
    config: RepresentConfig
    run: Run
    run_config: EvalConfig
    choices: tuple[tuple[str, PolicyChoice], ...]
    conditions: tuple[Condition, ...]
    plugins: tuple[Plugin, ...]
    left_out: tuple[tuple[str, str], ...]


def read_policies(config: RepresentConfig, note: Note) -> Reading:
    """Read policies on frames of a run, and store what was found.

    Args:
        config: an equal one with the same folder resumes.
        note: is told what is done next.

    Raises:
        ConfigError: the request cannot be carried out; what was finished before is kept.
        OSError: the disk is full; what was finished before is kept.
    """
    request = _build(config)
    require_numerics(config.numerics)
    require_rendering()
    for part in ("", *PARTS):
        require_writable(config.folder / part)
    chosen = choose_frames(
        request.run, kind=config.frames, per_episode=config.per_episode, max_frames=config.max_frames
    )
    seen = [Condition(), *(c for c in request.conditions if not chosen.unsupported_reason(c))]
    _require_same(config.folder, _identity(chosen, seen))
    assets = assets_of(request.run)
    os.environ.update(ONE_THREAD)
    with locked(config.folder, "folder of representations"):
        return _read(request, chosen, assets, seen, note)


def _read(
    request: _Request, chosen: ChosenFrames, assets: Path | None, conditions: Sequence[Condition], note: Note
) -> Reading:
    """Load the policies, one after the other, and read them."""
    config = request.config
    (name, choice), *rest = request.choices
    first = load_policy(choice)
    readable(first)
    source = RunFrames.of(chosen, assets, first.spec)
    left_out = [(str(c), why) for c in request.conditions if (why := source.unsupported_reason(c))]
    _claim(config, _identity(chosen, conditions) | {"cameras": list(first.spec.cameras)})
    try:
        sets, empty = _frames(config.folder, source, conditions, note)
    finally:
        source.close()
    read = []
    for policy_name, policy_choice in ((name, choice), *rest):
        policy = first if policy_name == name else load_policy(policy_choice)
        _require_alike(policy, first)
        read.append((policy_name, _vectors(config.folder, policy_name, policy, sets, note)))
        del policy
    material = Material(tuple(sets), tuple(read), config.seed)
    found = _found(material, request, source, (*request.left_out, *left_out, *empty), note)
    write_results(config.folder, found)
    return Reading(found, material)


def _build(config: RepresentConfig) -> _Request:
    study = is_study(config.source)
    named = [split_policy(text) for text in config.policies]
    left_out: list[tuple[str, str]] = []
    folder = Path(config.source)
    if study:
        members = [member.name for member in read_study(folder).policies]
        runs = {member: Run.load(folder / member) for member in members if (folder / member / "manifest.json").exists()}
        if not runs:
            raise ConfigError(f"{folder}: no policy of this study has begun")
        run = next(iter(runs.values()))
        if not named:
            named, left_out = _of_study(runs)
            if not named:
                raise ConfigError(f"{folder}: no policy of this study exposes its layers: only smolvla does")
    else:
        run = Run.load(folder)
    require_own(run.folder, run.manifest)
    if not named:
        raise ConfigError(f"represent {config.source}: name the checkpoints to look into, the start first")
    if not config.out:
        require_inside(folder, "representation")
    user_plugins = plugins.named_again(run.folder, run.manifest, config.plugin)
    plugins.load(user_plugins)
    if is_search(run.manifest) and not config.perturb:
        raise ConfigError(f"{run.folder}: is a search, which has a condition per trial; name some with --perturb")
    texts = config.perturb or tuple(run.manifest["conditions"])
    conditions = tuple(condition for condition in parse_conditions(texts) if not condition.is_clean)
    run_config = from_mapping(paths.located(run.manifest))
    choices = tuple((name, _choice(checkpoint, config, run_config)) for name, checkpoint in named)
    for _, choice in choices:
        validate_choice(choice, ())
        _require_exposing(choice)
    return _Request(config, run, run_config, choices, conditions, user_plugins, tuple(left_out))


def _of_study(runs: dict[str, Run]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """The checkpoints of a study by name, and why others are left out."""
    found, left_out = [], []
    for name, run in runs.items():
        policy = str(paths.located(run.manifest)["policy"])
        kind = dict(run.manifest["identity"]["policy"]).get("type")
        if kind == "smolvla":
            paths.require_policy(run.folder, run.manifest, paths.located(run.manifest))
            found.append((name, policy))
        else:
            left_out.append((name, "a policy of this kind does not expose its layers: only smolvla does"))
    return found, left_out


def _choice(checkpoint: str, config: RepresentConfig, run_config: EvalConfig) -> PolicyChoice:
    return choose(
        str(paths.absolute("policy", checkpoint, None)),
        device=config.device,
        batch_size=config.batch_size,
        dtype=config.dtype,
        interface=interface_of(run_config.suite),
    )


def exposes_layers(policy: str, config: RepresentConfig, run_config: EvalConfig) -> bool:
    """Whether a policy exposes its layers, as far as can be told without loading it.

    Raises:
        ConfigError: there is no such policy.
    """
    choice = _choice(policy, config, run_config)
    try:
        _require_exposing(choice)
    except ConfigError:
        return False
    return True


def _require_exposing(choice: PolicyChoice) -> None:
    """Check that a policy exposes its layers, as far as its files or its few lines of code tell.

    Raises:
        ConfigError: it does not.
    """
    if choice.kind == "scripted":
        readable(load_policy(choice))
    elif choice.kind in ("bundled", "checkpoint"):
        from simeval.policies.checkpoint.read import read

        checkpoint = read(choice.name, interface=choice.interface)
        if checkpoint.type != TYPE:
            raise ConfigError(
                f"policy '{checkpoint.name}': a {checkpoint.type} does not expose its layers: only {TYPE} does"
            )


def _identity(chosen: ChosenFrames, conditions: Sequence[Condition]) -> dict[str, Any]:
    """What must be equal for frames and vectors to be used again; the policies' cameras are added once one is there."""
    return {
        "frames": dict(chosen.identity),
        "conditions": list(map(str, conditions)),
        "numerics": kernels.of_simulation(),
    }


def _require_same(folder: Path, identity: dict[str, Any]) -> None:
    """Check that a folder holds nothing, or these frames.

    Raises:
        ConfigError: it holds other ones.
    """
    if not (folder / MANIFEST).exists():
        return
    stored = _stored(folder / MANIFEST)["identity"]
    changes = identity_changes({key: stored.get(key) for key in identity}, identity)
    if changes:
        raise ConfigError(f"--out {folder}: holds other frames ({'; '.join(changes[:6])}); choose another --out")


def _claim(config: RepresentConfig, identity: dict[str, Any]) -> None:
    """Write the manifest; one in the folder must be of the same frames, and gets the settings of now.

    Raises:
        ConfigError: the folder holds other frames.
    """
    _require_same(config.folder, identity)
    path = config.folder / MANIFEST
    if path.exists():
        if made_with(config.folder) != config.to_dict():
            write_json(path, _stored(path) | {"config": config.to_dict()})
        return
    created = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    about = {"created": created, "simeval": provenance.version("simeval"), "started_in": paths.here()}
    write_json(path, {"schema_version": SCHEMA_VERSION, **about, "identity": identity, "config": config.to_dict()})


def made_with(folder: Path) -> dict[str, Any]:
    """The settings that a folder was last made with; empty if there are none.

    Raises:
        ConfigError: the manifest is damaged.
    """
    path = folder / MANIFEST
    return dict(_stored(path).get("config") or {}) if path.exists() else {}


def _stored(path: Path) -> dict[str, Any]:
    try:
        stored = json.loads(read_regular(path))
        _ = dict(stored["identity"])
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise ConfigError(
            f"{path}: is damaged ({shown(error, 100)}); choose another --out, or delete the folder"
        ) from None
    return dict(stored)


def _frames(
    folder: Path, source: RunFrames, conditions: Sequence[Condition], note: Note
) -> tuple[list[FrameSet], list[tuple[str, str]]]:
    """The frames under each condition that is possible on one of them, and those that are not."""
    files = [folder / "frames" / f"{number:02d}.npz" for number in range(len(conditions))]
    if all(path.exists() for path in files):
        sets = [frame_set.read(path) for path in files]
    else:
        note(f"{len(source.frames())} frames, {len(conditions)} conditions")
        sets = frame_set.draw(source, conditions, source.root_seed)
        for path, one in zip(files, sets, strict=True):
            frame_set.write(path, one)
    empty = [(one.condition, "cannot be applied to any of these frames") for one in sets if not one.frames]
    return [one for one in sets if one.frames], empty


def _vectors(
    folder: Path, name: str, policy: Policy, sets: Sequence[FrameSet], note: Note
) -> tuple[vectors.Vectors, ...]:
    """What a policy makes of every set of frames; read again if its weights or settings are others."""
    found = []
    reader = readable(policy)
    home = folder / "vectors" / name
    identity = json.dumps(policy_identity(policy.spec), sort_keys=True)
    mark = home / "policy.json"
    if not mark.exists() or mark.read_text() != identity:
        for old in home.glob("*.npz"):
            old.unlink()
        home.mkdir(parents=True, exist_ok=True)
        mark.write_text(identity)
    for number, one in enumerate(sets):
        path = home / f"{number:02d}.npz"
        if path.exists():
            found.append(vectors.read(path))
            continue
        note(f"{name} under {one.condition}")
        read = vectors.read_policy(reader, one)
        vectors.write(path, read)
        found.append(read)
    return tuple(found)


def _require_alike(policy: Policy, first: Policy) -> None:
    """Check that a policy can be read, and sees the same images as the start.

    Raises:
        ConfigError: it cannot, or does not.
    """
    readable(policy)
    for name in ("cameras", "n_obs_steps"):
        mine, other = getattr(policy.spec, name), getattr(first.spec, name)
        if mine != other:
            raise ConfigError(
                f"policy '{policy.spec.name}': its {name} are {mine}, those of '{first.spec.name}' {other}; all "
                "policies must see the same frames"
            )


def _found(
    material: Material, request: _Request, source: RunFrames, left_out: Sequence[tuple[str, str]], note: Note
) -> Representations:
    clean = material.frames[0]
    material, other_layers = with_layers_of_start(material)
    names = tuple(name for name, _ in material.vectors)
    layers = tuple(layer.name for layer in material.vectors[0][1][0].layers)
    probes = probe_all(material, note)
    found = Representations(
        schema_version=SCHEMA_VERSION,
        simeval=str(provenance.version("simeval")),
        start=names[0],
        policies=names,
        suites=tuple(dict.fromkeys(info.suite for info in clean.frames)),
        conditions=tuple(part.condition for part in material.frames),
        layers=layers,
        frames=len(clean.frames),
        states=len({info.cluster for info in clean.frames}),
        source=_source(request, source),
        assets=str(request.run.manifest["assets"]),
        left_out=(*left_out, *other_layers),
        probes=probes.rows,
        retention=probes.kept,
        similarity=tuple(similarity(material)),
        attention=tuple(attention(material)),
        embeddings=(),
    )
    return replace(found, embeddings=tuple(embeddings(material, found.last_layers, note)))


def _source(request: _Request, source: RunFrames) -> str:
    policy = request.run.manifest["identity"]["policy"]["name"]
    what = "first frames" if source.identity["kind"] == "start" else "frames at which it looked"
    return f"clean episodes of {policy}: {what}"
