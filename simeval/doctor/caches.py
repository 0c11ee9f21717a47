"""Checks of what a run downloads: LIBERO's meshes, a checkpoint, and whether the hub can be reached."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

from envs.base import EnvError
from envs.interface import LIBERO_INTERFACE, Interface
from envs.libero import official
from envs.libero.files import HUB_ASSETS, Located, local_assets, resolve_assets
from envs.metaworld.catalog import INTERFACE as METAWORLD_INTERFACE
from simeval.core.errors import ConfigError
from simeval.doctor.findings import Finding, failure, note, ok
from simeval.doctor.surroundings import Machine
from simeval.policies import bundled
from simeval.policies.checkpoint.files import FILES
from simeval.policies.checkpoint.read import read_folder
from simeval.policies.names import has_checkpoint
from simeval.policies.registry import choose, validate_choice

PUBLIC_CHECKPOINT = "HuggingFaceVLA/smolvla_libero"
"""The public checkpoint that the recipes name; checked if no other is requested."""

Cached = Callable[[str, str], Path | None]
"""The cached path of a file of a hub repository, if there is one: `(repository, file)`."""


def cached_file(repository: str, file: str) -> Path | None:
    """Look a file up in the hub client's cache, not on the hub."""
    from huggingface_hub import try_to_load_from_cache

    kind = "dataset" if repository == HUB_ASSETS else "model"
    path = try_to_load_from_cache(repository, file, repo_type=kind)
    return Path(path) if isinstance(path, str) else None


def cached_assets() -> Path | None:
    """LIBERO's meshes in the hub client's cache, if it has them."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(HUB_ASSETS, repo_type="dataset", local_files_only=True))
    except (LocalEntryNotFoundError, OSError):
        return None


def check_hub(here: Machine) -> Finding:
    """Whether the Hugging Face hub can be reached."""
    if not here.hub:
        return ok("hub", "the Hugging Face hub answers")
    text = f"the Hugging Face hub is out of reach: {here.hub}"
    return note("hub", f"{text}; what is cached or bundled still runs")


def check_bundled(here: Machine) -> Finding:
    """Whether our own scenes are installed."""
    del here
    try:
        return ok("bundled", f"our own scenes are in {resolve_assets('bundled')}")
    except EnvError as error:
        return failure("bundled", str(error), "install simeval again; the scenes are part of it")


def check_assets(here: Machine, *, needed: bool, in_cache: Callable[[], Path | None] = cached_assets) -> Finding:
    """Whether LIBERO's own meshes are on this machine, or can be downloaded.

    Args:
        here: the machine.
        needed: whether a run will fail without them.
        in_cache: returns their path in the hub client's cache.
    """
    try:
        found = local_assets()
    except EnvError as error:
        if os.environ.get("SIMEVAL_LIBERO_ASSETS"):
            return failure("assets", str(error), "unset SIMEVAL_LIBERO_ASSETS, or point it at LIBERO's assets")
        return failure("assets", str(error), official.INSTALL)
    if found is None and (cached := in_cache()):
        found = Located(cached, "the hub's cache")
    if found:
        return _compared(found)
    fetch = f"{official.INSTALL}; or: hf download --repo-type dataset {HUB_ASSETS}"
    if not here.hub:
        return note("assets", "LIBERO's own meshes are not here yet: the first run with them fetches 317 MB", fetch)
    text = "LIBERO's own meshes are not here, and the hub is out of reach"
    if needed:
        return failure("assets", text, f"{fetch}, where there is a network, and set SIMEVAL_LIBERO_ASSETS to a copy")
    return note("assets", f"{text}: bundled scenes only", official.INSTALL)


def _compared(found: Located) -> Finding:
    differing = official.differing_files(found.folder)
    text = f"LIBERO's own meshes are in {found.folder} ({found.source}), {official.comparison(found.folder)}"
    if differing:
        return note("assets", f"{text}; the first: {differing[0]}", f"for LIBERO's own: {official.INSTALL}")
    return ok("assets", text)


def check_checkpoint(
    here: Machine, policy: str | None, cached: Cached = cached_file, *, convention: str | None = None
) -> Finding:
    """Whether a checkpoint, and the files of the language model that it names, are cached or can be downloaded.

    Args:
        here: the machine.
        policy: a folder or hub id; `None` checks the public one, whose absence is only a note.
        cached: returns the path of a hub file in the cache.
        convention: card of a policy server.
    """
    name = policy or PUBLIC_CHECKPOINT
    if policy is not None and not has_checkpoint(policy):
        return _check_other(policy, convention)
    folder = bundled.POLICIES[name].folder if name in bundled.POLICIES else Path(name).expanduser()
    if folder.is_dir():
        config = folder.resolve() / "config.json"
    elif not re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", name):
        return failure("checkpoint", f"no such folder: {name}", "pass a checkpoint's folder, or a hub id NAME/NAME")
    else:
        if any(cached(name, file) is None for file in FILES):
            return _absent(here, name, needed=policy is not None)
        config = cached(name, "config.json") or folder
    try:
        read_folder(config.parent, name, interface=_interface(config))
    except ConfigError as error:
        return failure("checkpoint", str(error), "a run would say the same; it needs a folder as lerobot saves it")
    model = _language_model(config)
    if model and not (config.parent / "vlm").is_dir() and cached(model, "config.json") is None:
        return _absent(here, model, needed=policy is not None, options=' --exclude "*.safetensors" "onnx/*"')
    return ok("checkpoint", f"{name} is here")


def _interface(config: Path) -> Interface:
    """The suites that a checkpoint may be for, by the size of its actions: Meta-World's, or else LIBERO's."""
    try:
        (size,) = json.loads(config.read_text(encoding="utf-8"))["output_features"]["action"]["shape"]
    except (OSError, ValueError, LookupError, TypeError):
        return LIBERO_INTERFACE
    return METAWORLD_INTERFACE if size == METAWORLD_INTERFACE.action_size else LIBERO_INTERFACE


def _check_other(policy: str, convention: str | None) -> Finding:
    """A policy that is no checkpoint: a server is asked for its metadata and a probe, a file is read."""
    try:
        choice = choose(policy, convention=convention)
        validate_choice(choice, ())
        if choice.kind == "server":
            from simeval.policies.remote import load

            return ok("checkpoint", "; ".join(load.described(load.load(policy, convention=convention))))
    except ConfigError as error:
        return failure("checkpoint", str(error), "a run would say the same")
    return ok("checkpoint", f"{policy}: a policy of kind {choice.kind}")


def _language_model(config: Path) -> str | None:
    """Hub id of the language model that a checkpoint names; loading reads its tokenizer and configuration."""
    try:
        name = json.loads(config.read_text(encoding="utf-8")).get("vlm_model_name")
    except (OSError, ValueError, AttributeError):
        return None
    return name if isinstance(name, str) and not Path(name).is_dir() else None


def _absent(here: Machine, name: str, *, needed: bool, options: str = "") -> Finding:
    fetch = f"hf download {name}{options}"
    if not here.hub:
        return note("checkpoint", f"{name} is not here yet: the first run with it fetches it", fetch)
    text = f"{name} is not here, and the hub is out of reach"
    if needed:
        return failure("checkpoint", text, f"where there is a network: {fetch}; then copy ~/.cache/huggingface")
    return note("checkpoint", f"{text}: scripted and bundled policies only")
