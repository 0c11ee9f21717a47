"""Reads a lerobot checkpoint's configuration without torch, so that an impossible request fails at once.

Non-obvious behaviour:
- A hub checkpoint is downloaded once, as a folder; from then on it is treated as a local folder.
- Old checkpoints store their normalisation inside the weights and have no saved processors. They are refused, because
  lerobot would build processors without statistics.
- A checkpoint is untrusted data. `files` and `steps` check what it refers to before lerobot reads it; `statistics`
  checks its scaling.
- If a folder contains the files of its vision-language model in `vlm/`, these are used, whatever path was saved: the
  saved path is where the checkpoint was built, and the folder may have been moved.
- The saved rename map goes from names in the training data to names in the policy. Images are passed under the former,
  so that the saved preprocessor renames them itself.
"""

import contextlib
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from envs.interface import LIBERO_INTERFACE, Interface
from simeval.core.errors import ConfigError
from simeval.policies import bundled
from simeval.policies.checkpoint.actions import ActionSteps, read_action_steps, require_changes
from simeval.policies.checkpoint.adapter import Adapter, read_adapter
from simeval.policies.checkpoint.calls import Call, read_call
from simeval.policies.checkpoint.cameras import match_cameras
from simeval.policies.checkpoint.files import (
    FILES,
    check_complete,
    check_files,
    check_tensors,
    inside,
    printable,
    read_json,
)
from simeval.policies.checkpoint.image_sizes import OnlySize, only_size
from simeval.policies.checkpoint.statistics import Feature, Scale, read_scale
from simeval.policies.checkpoint.steps import Step, check_models, read_steps

STATE_KEY = "observation.state"
ACTION_KEY = "action"

_CONFIG, _WEIGHTS, _BEFORE, _AFTER = FILES
_HASHED = frozenset({".json", ".safetensors", ".txt", ".model", ".jinja", ".tiktoken"})
_FEATURES = frozenset({"features", "rename_map", "stats"})
"""Arguments of steps that contain names of features, not of models."""
_READS_NO_ENV = frozenset({"pi0", "pi05", "pi0_fast", "smolvla"})
"""Types whose network never reads a declared state of the environment, which all of lerobot's Meta-World datasets have
(`observation.environment_state`). Source: `env_state_feature` in lerobot 0.6.1."""
_LARGEST = 4096
"""Side of an image (px) beyond which a saved shape is considered a mistake."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint that fits the suites.

    Attributes:
        name: hub id or folder name.
        folder: its folder.
        type: lerobot's name of the policy class.
        call: the observations that a call takes, and the actions that it predicts and of which some are executed.
        cameras: the observation key of the image, for each of the suites' cameras that it uses.
        unfed, guessed: observation keys of declared images, see `Cameras`.
        image_size: height and width (px) of its training images, those of the first camera.
        only_size: the only size that it takes; `None` if it takes any.
        state_key: the observation key of the state.
        vlm: folder of the language model's files (tokenizer, configuration) inside the checkpoint, if there is one.
        vlm_name: the saved name of the language model, usually a hub id.
        before: the steps of the saved preprocessor.
        after: the steps of the saved postprocessor.
        scales: scaling by the preprocessor, for each input that is scaled.
        action_scale: scaling of the actions by the postprocessor, if they are scaled.
        action_steps: what other saved steps do to the actions.
        adapter: the LoRA adapter, if it is one.
        models: hub ids whose tokenizer, configuration or backbone is read from the hub client's cache.
        interface: of the suites.
    """

    name: str
    folder: Path
    type: str
    call: Call
    cameras: Mapping[str, str]
    unfed: tuple[str, ...]
    guessed: Mapping[str, str]
    image_size: tuple[int, int]
    only_size: OnlySize | None
    state_key: str
    vlm: Path | None
    vlm_name: str | None
    before: tuple[Step, ...]
    after: tuple[Step, ...]
    scales: tuple[Scale, ...]
    action_scale: Scale | None
    action_steps: ActionSteps
    adapter: Adapter | None
    models: tuple[str, ...]
    interface: Interface


def read(checkpoint: str, *, n_action_steps: int | None = None, interface: Interface = LIBERO_INTERFACE) -> Checkpoint:
    """Find a checkpoint and check that it can be evaluated.

    Args:
        checkpoint: a folder that lerobot saved, or a hub id such as `HuggingFaceVLA/smolvla_libero`.
        n_action_steps: overrides the saved number.
        interface: of the suites that it has to fit.

    Raises:
        ConfigError: it cannot be found or read, or it does not fit the suites; one line.
    """
    folder, name = _locate(checkpoint)
    return read_folder(folder, name, n_action_steps=n_action_steps, interface=interface)


def read_folder(
    folder: Path, name: str, *, n_action_steps: int | None = None, interface: Interface = LIBERO_INTERFACE
) -> Checkpoint:
    """Check the checkpoint in a folder; see `read`.

    Args:
        folder: its resolved folder.
        name: name of the checkpoint, for messages and tables.
        n_action_steps: overrides the saved number.
        interface: of the suites that it has to fit.

    Raises:
        ConfigError: it cannot be read, or it does not fit the suites; one line.
    """
    try:
        check_complete(folder, name)
        check_files(folder, name)
        return _checked(folder, name, n_action_steps, interface)
    except ConfigError as error:
        raise ConfigError(printable(str(error))) from None
    except OSError as error:
        raise ConfigError(f"policy '{name}': its files cannot be read: {one_line(error)}") from error
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise ConfigError(
            printable(f"policy '{name}': its JSON files are not laid out as lerobot writes them: {error!r}")
        ) from error


def _checked(folder: Path, name: str, n_action_steps: int | None, interface: Interface) -> Checkpoint:
    config = read_json(folder / _CONFIG, name)
    if not isinstance(config.get("type"), str):
        raise ConfigError(f"policy '{name}': config.json does not say which type of policy it is")
    before, after = (read_steps(read_json(folder / file, name), file, folder, name) for file in (_BEFORE, _AFTER))
    adapter = read_adapter(folder, config, name)
    folders = (folder, adapter.base) if adapter else (folder,)
    vlm = next((path for place in folders if (path := _carried_vlm(place, config.get("vlm_model_name")))), None)
    models = _hub_models(config, (before, after), folder, name=name, carried=vlm is not None)
    if adapter is None:
        check_tensors(folder / _WEIGHTS, name)
    call = read_call(config, name, n_action_steps)
    sources = _rename_sources(before)
    features: Mapping[str, Any] = config.get("input_features") or {}
    _check_sizes(features, config.get("output_features") or {}, name, interface)
    _check_kinds(features, config["type"], name)
    images = {key: feature for key, feature in features.items() if feature["type"] == "VISUAL"}
    cameras = match_cameras(images, sources, config, name, interface.cameras)
    fed = {key for key in images if sources.get(key, key) in cameras.keys.values()}
    sizes = {key: (feature["shape"][1], feature["shape"][2]) for key, feature in images.items() if key in fed}
    scales, action_scale = _read_scales(config, cameras.keys, (before, after), folder, name=name)
    action_steps = read_action_steps(config, before, after, interface.action_size)
    if interface.is_default:
        state_scale = next((scale for scale in scales if scale.key == STATE_KEY), None)
        require_changes(action_steps, action_scale, state_scale, name)
    return Checkpoint(
        name=name,
        folder=folder,
        type=config["type"],
        call=call,
        cameras=cameras.keys,
        unfed=cameras.unfed,
        guessed=cameras.guessed,
        image_size=next(iter(sizes.values()), (256, 256)),
        only_size=only_size(sizes, sources, config, before, name),
        state_key=sources.get(STATE_KEY, STATE_KEY),
        vlm=vlm,
        vlm_name=config.get("vlm_model_name"),
        before=before,
        after=after,
        scales=scales,
        action_scale=action_scale,
        action_steps=action_steps,
        adapter=adapter,
        models=models,
        interface=interface,
    )


def _hub_models(
    config: Mapping[str, Any],
    pipelines: tuple[tuple[Step, ...], tuple[Step, ...]],
    folder: Path,
    *,
    name: str,
    carried: bool,
) -> tuple[str, ...]:
    """The hub models that are read at load; only models of lerobot's own policies are allowed, see `check_models`."""
    models = check_models(config, _CONFIG, folder, name=name, replaced=("vlm_model_name",) if carried else ())
    for file, steps in zip((_BEFORE, _AFTER), pipelines, strict=True):
        for step in steps:
            replaced = ("tokenizer_name",) if carried and step.name == "tokenizer_processor" else ()
            arguments = {key: value for key, value in step.config.items() if key not in _FEATURES}
            models |= check_models(arguments, file, folder, name=name, replaced=replaced)
    return tuple(sorted(models))


def _read_scales(
    config: Mapping[str, Any],
    cameras: Mapping[str, str],
    steps: tuple[tuple[Step, ...], tuple[Step, ...]],
    folder: Path,
    *,
    name: str,
) -> tuple[tuple[Scale, ...], Scale | None]:
    """Read the scaling of each input and of the actions.

    Raises:
        ConfigError: a scaling is invalid, see `statistics.read_scale`.
    """
    modes: Mapping[str, str] = config.get("normalization_mapping") or {}
    renamed = {old: new for new, old in _rename_sources(steps[0]).items()}
    values = [(renamed.get(key, key), key, "VISUAL") for key in cameras.values()]
    if STATE_KEY in (config.get("input_features") or {}):
        values.append((STATE_KEY, _rename_sources(steps[0]).get(STATE_KEY, STATE_KEY), "STATE"))
    default = "IDENTITY" if modes else None
    features = [Feature(key, source, kind, modes.get(kind, default)) for key, source, kind in values]
    scales = [read_scale(feature, steps[0], _BEFORE, folder, name=name) for feature in features]
    action = Feature(ACTION_KEY, ACTION_KEY, "ACTION", modes.get("ACTION", default))
    return tuple(scale for scale in scales if scale), read_scale(action, steps[1], _AFTER, folder, name=name)


def sha256(folder: Path) -> str:
    """Digest of all files of a checkpoint that its outputs depend on; independent of the folder's location."""
    total = hashlib.sha256()
    for file in sorted(folder.rglob("*")):
        inside = file.relative_to(folder)
        # Hidden folders hold the hub client's bookkeeping, with time stamps.
        if file.suffix not in _HASHED or not file.is_file() or any(part.startswith(".") for part in inside.parts):
            continue
        with file.open("rb") as stream:
            total.update(f"{inside.as_posix()}:{hashlib.file_digest(stream, 'sha256').hexdigest()}\n".encode())
    return total.hexdigest()


@contextlib.contextmanager
def hub_or_cache() -> Iterator[None]:
    """Use only the hub client's cache if the hub cannot be reached; otherwise it would retry every file for 20 s."""
    import httpx
    from huggingface_hub import constants, get_session

    before = constants.HF_HUB_OFFLINE
    try:
        get_session().head(constants.ENDPOINT, timeout=5)
    except (httpx.HTTPError, OSError):
        constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def one_line(error: BaseException) -> str:
    """The text of an error as one line of at most 300 characters."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else f"{text[:299]}…"


def _locate(checkpoint: str) -> tuple[Path, str]:
    """Folder and name of a checkpoint; downloads a hub checkpoint.

    Raises:
        ConfigError: no such folder, or the hub does not have it or cannot be reached.
    """
    if checkpoint in bundled.POLICIES:
        return bundled.POLICIES[checkpoint].folder, checkpoint
    folder = Path(checkpoint).expanduser()
    if checkpoint and folder.is_dir():
        return folder.resolve(), _name(folder.resolve())
    if folder.is_file():
        packed = folder.suffix in (".zip", ".tar", ".gz", ".tgz")
        remedy = "unpack it" if packed else f"pass its folder: {folder.parent}"
        raise ConfigError(f"policy '{checkpoint}' is a file, not a folder that lerobot saved; {remedy}")
    if not re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", checkpoint):
        raise ConfigError(f"policy '{checkpoint}': no such folder (a hub id would be NAME/NAME)")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        patterns = [f"*{suffix}" for suffix in _HASHED]
        return Path(snapshot_download(checkpoint, allow_patterns=patterns, etag_timeout=5)), checkpoint
    except LocalEntryNotFoundError as error:
        raise ConfigError(
            f"policy '{checkpoint}': no such folder here, and the Hugging Face hub cannot be reached; "
            "pass the folder of a downloaded checkpoint"
        ) from error
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise ConfigError(f"policy '{checkpoint}': no such folder, and not on the hub: {one_line(error)}") from error


def _name(folder: Path) -> str:
    # lerobot's training writes RUN/checkpoints/STEP/pretrained_model: the last part is not informative.
    if folder.name == "pretrained_model" and folder.parent.parent.name == "checkpoints":
        return f"{folder.parents[2].name}/{folder.parent.name}"
    return folder.name


def _rename_sources(before: tuple[Step, ...]) -> dict[str, str]:
    """Name in the policy -> name in the training data, from the saved rename map."""
    sources: dict[str, str] = {}
    for step in before:
        if step.name == "rename_observations_processor":
            sources |= {new: old for old, new in step.config.get("rename_map", {}).items()}
    return sources


def _check_sizes(inputs: Mapping[str, Any], outputs: Mapping[str, Any], name: str, interface: Interface) -> None:
    states, actions = interface.state_size, interface.action_size
    expected = {
        "state": (inputs.get(STATE_KEY, {"shape": [states]})["shape"], states),
        "action": (outputs.get(ACTION_KEY, {"shape": []})["shape"], actions),
    }
    for what, (shape, size) in expected.items():
        if list(shape) != [size]:
            text = "x".join(map(str, shape)) or "none"
            raise ConfigError(f"policy '{name}' does not fit: its {what} has size {text}, the suites' has {size}")
    for key, feature in inputs.items():
        shape = feature["shape"]
        image = len(shape) == 3 and shape[0] == 3 and all(1 <= side <= _LARGEST for side in shape[1:])
        if feature["type"] == "VISUAL" and not image:
            text = "x".join(map(str, shape))
            raise ConfigError(f"policy '{name}' does not fit: {key} has shape {text}, the suites' images are 3xHxW")


def _check_kinds(inputs: Mapping[str, Any], kind: str, name: str) -> None:
    sees = any(feature["type"] == "VISUAL" for feature in inputs.values())
    known = ("VISUAL", "ENV") if sees and kind in _READS_NO_ENV else ("VISUAL",)
    others = [key for key, feature in inputs.items() if feature["type"] not in known and key != STATE_KEY]
    if others:
        raise ConfigError(f"policy '{name}' does not fit: it wants {', '.join(others)}, which no suite offers")


def _carried_vlm(folder: Path, saved: str | None) -> Path | None:
    """The folder with the language model's files inside the checkpoint's: the saved path, or `vlm`."""
    candidates = (inside(folder, place) for place in (saved, "vlm") if place)
    return next((path for path in candidates if path is not None and path.is_dir()), None)
