"""What a lerobot checkpoint says about itself, read without torch, so that an impossible request fails at once.

Non-obvious behaviour:
- A hub checkpoint is downloaded once, as a folder; from then on it is a local folder like any other.
- Old checkpoints keep their normalisation inside the weights and have no saved processors: they are refused, since
  lerobot would build processors without statistics.
- lerobot leaves actions in normalised units, silently, when the postprocessor has no statistics for them. Refused too.
- A folder that carries the files of its vision-language model in `vlm/` uses these, whatever path was saved: the saved
  path is the place where the checkpoint was built, and the folder may have been moved.
- The saved rename map goes from names of the training data to names of the policy. Pictures are handed over under the
  former, so that the saved preprocessor renames them itself.
"""

import contextlib
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from envs.base import ACTION_SIZE, CAMERAS, STATE_SIZE
from simeval.errors import ConfigError
from simeval.policies import bundled

STATE_KEY = "observation.state"
ACTION_KEY = "action"

_WRIST = re.compile(r"wrist|hand|gripper|^image_?2$|^camera_?2$")
_AGENTVIEW = re.compile(r"agentview|base|front|top|exterior|third|primary|^image$|^image_?1$|^camera_?1$")
"""Camera names seen in LIBERO checkpoints: lerobot's `image`/`image2`, its SmolVLA base's `camera1`/`camera2`, openpi's
`base_0_rgb`/`left_wrist_0_rgb`, the original datasets' `agentview`/`wrist_image`/`eye_in_hand`."""

_FILES = ("config.json", "model.safetensors", "policy_preprocessor.json", "policy_postprocessor.json")
_HASHED = frozenset({".json", ".safetensors", ".txt", ".model", ".jinja"})
_STATEFUL = frozenset({"lingbot_va", "tdmpc", "vqbet"})
"""Types whose chunk depends on earlier calls. Source: their `predict_action_chunk` in lerobot 0.6.1."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint that fits what the suites offer.

    Attributes:
        name: hub id or folder name.
        folder: where its files are.
        type: lerobot's name of the policy class.
        n_action_steps: actions of a chunk that are executed.
        chunk_size: actions of a chunk; `None` where the type calls it otherwise.
        cameras: for each of our cameras that it looks at, the observation key to hand the picture over under.
        picture_size: height and width (px) of the pictures it was trained on.
        state_key: the observation key to hand the state over under.
        vlm: the language model's files that the folder carries (tokenizer, configuration), if it does.
        vlm_name: the saved name of the language model, usually a hub id.
        preprocessor_steps: lerobot's names of the saved preprocessor's steps.
    """

    name: str
    folder: Path
    type: str
    n_action_steps: int
    chunk_size: int | None
    cameras: Mapping[str, str]
    picture_size: tuple[int, int]
    state_key: str
    vlm: Path | None
    vlm_name: str | None
    preprocessor_steps: frozenset[str]


def read(checkpoint: str, *, n_action_steps: int | None = None) -> Checkpoint:
    """Find a checkpoint and check that it can be evaluated.

    Args:
        checkpoint: a folder that lerobot saved, or a hub id such as `HuggingFaceVLA/smolvla_libero`.
        n_action_steps: replaces the saved number.

    Raises:
        ConfigError: it cannot be found or read, or it does not fit the suites; one line.
    """
    folder, name = _locate(checkpoint)
    for file in _FILES:
        if not (folder / file).is_file():
            raise ConfigError(f"policy '{name}' is no complete lerobot checkpoint: it has no {file}")
    try:
        return _checked(folder, name, n_action_steps)
    except (LookupError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"policy '{name}': its JSON files are not laid out as lerobot writes them: {error!r}"
        ) from error


def _checked(folder: Path, name: str, n_action_steps: int | None) -> Checkpoint:
    config, before, after = (_json(folder / file, name) for file in (_FILES[0], *_FILES[2:]))
    if not isinstance(config.get("type"), str):
        raise ConfigError(f"policy '{name}': config.json does not say which type of policy it is")
    _refuse_unsupported(config, name)
    _refuse_unscaled_actions(after, name)
    sources = _rename_sources(before)
    features: Mapping[str, Any] = config.get("input_features") or {}
    _check_sizes(features, config.get("output_features") or {}, name)
    pictures = {key: feature for key, feature in features.items() if feature["type"] == "VISUAL"}
    shapes = [feature["shape"] for feature in pictures.values()]
    chunk_size = config.get("chunk_size")
    steps = n_action_steps if n_action_steps is not None else config.get("n_action_steps", chunk_size or 1)
    if steps < 1 or (chunk_size is not None and steps > chunk_size):
        upper = chunk_size if chunk_size is not None else "its chunk size"
        raise ConfigError(f"policy '{name}': n_action_steps is {steps}, it must be in 1..{upper}")
    return Checkpoint(
        name=name,
        folder=folder,
        type=config["type"],
        n_action_steps=steps,
        chunk_size=chunk_size,
        cameras=_match_cameras(pictures, sources, config.get("empty_cameras", 0), name),
        picture_size=(shapes[0][1], shapes[0][2]) if shapes else (256, 256),
        state_key=sources.get(STATE_KEY, STATE_KEY),
        vlm=_carried_vlm(folder, config.get("vlm_model_name")),
        vlm_name=config.get("vlm_model_name"),
        preprocessor_steps=frozenset(step.get("registry_name", "") for step in before.get("steps", ())),
    )


def sha256(folder: Path) -> str:
    """Digest of everything in a checkpoint folder that its outputs depend on; independent of where the folder is."""
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
    """Use only the hub client's cache if the hub cannot be reached: left alone, it retries every file for 20 s."""
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
    # lerobot's training writes RUN/checkpoints/STEP/pretrained_model: the last part says nothing.
    if folder.name == "pretrained_model" and folder.parent.parent.name == "checkpoints":
        return f"{folder.parents[2].name}/{folder.parent.name}"
    return folder.name


def _json(file: Path, name: str) -> Mapping[str, Any]:
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise ConfigError(f"policy '{name}': {file.name} cannot be read: {one_line(error)}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"policy '{name}': {file.name} is no JSON object")
    return values


def _refuse_unsupported(config: Mapping[str, Any], name: str) -> None:
    kind, history = config["type"], config.get("n_obs_steps", 1)
    if kind in _STATEFUL:
        raise ConfigError(f"policy '{name}' is not supported: '{kind}' carries state from call to call")
    if history > 1:
        raise ConfigError(f"policy '{name}' is not supported: it wants a history of {history} observations")
    if config.get("use_peft"):
        raise ConfigError(f"policy '{name}' is not supported: an adapter without its base; merge the two and save that")


def _refuse_unscaled_actions(postprocessor: Mapping[str, Any], name: str) -> None:
    for step in postprocessor.get("steps", ()):
        if step.get("registry_name") != "unnormalizer_processor":
            continue
        values = step.get("config", {})
        scaled = ACTION_KEY in values.get("features", {}) and step.get("state_file")
        if values.get("norm_map", {}).get("ACTION", "IDENTITY") != "IDENTITY" and not scaled:
            raise ConfigError(f"policy '{name}': its postprocessor has no statistics to scale the actions with")


def _rename_sources(preprocessor: Mapping[str, Any]) -> dict[str, str]:
    """Name of the policy -> name of the training data, from the saved rename map."""
    sources: dict[str, str] = {}
    for step in preprocessor.get("steps", ()):
        if step.get("registry_name") == "rename_observations_processor":
            sources |= {new: old for old, new in step.get("config", {}).get("rename_map", {}).items()}
    return sources


def _check_sizes(inputs: Mapping[str, Any], outputs: Mapping[str, Any], name: str) -> None:
    wanted = {
        "state": (inputs.get(STATE_KEY, {"shape": [STATE_SIZE]})["shape"], STATE_SIZE),
        "action": (outputs.get(ACTION_KEY, {"shape": []})["shape"], ACTION_SIZE),
    }
    for what, (shape, size) in wanted.items():
        if list(shape) != [size]:
            text = "x".join(map(str, shape)) or "none"
            raise ConfigError(f"policy '{name}' does not fit: its {what} has size {text}, the suites' has {size}")
    others = [key for key, feature in inputs.items() if feature["type"] != "VISUAL" and key != STATE_KEY]
    if others:
        raise ConfigError(f"policy '{name}' does not fit: it wants {', '.join(others)}, which no suite offers")


def camera_of(key: str) -> str | None:
    """Which of our cameras an observation key means, judged by its name."""
    word = key.removeprefix("observation.").removeprefix("images.").lower()
    if _WRIST.search(word):
        return "wrist"
    return "agentview" if _AGENTVIEW.search(word) else None


def _match_cameras(
    pictures: Mapping[str, Any], sources: Mapping[str, str], empty_cameras: int, name: str
) -> Mapping[str, str]:
    """Our camera -> the key to hand its picture over under.

    Raises:
        ConfigError: more pictures than `empty_cameras` have no camera of ours.
    """
    matched: dict[str, str] = {}
    unmatched: list[str] = []
    wanted = [key for key in pictures if ".empty_camera_" not in key]
    for key in wanted:
        source = sources.get(key, key)
        camera = camera_of(source) or camera_of(key)
        if camera is None or camera in matched:
            unmatched.append(key)
        else:
            matched[camera] = source
    if len(unmatched) > empty_cameras or (wanted and not matched):
        raise ConfigError(
            f"policy '{name}' does not fit: it wants the cameras {', '.join(wanted)}, the suites offer "
            f"{' and '.join(CAMERAS)}, and nothing tells which would be {', '.join(unmatched)}; "
            "a rename_map in its policy_preprocessor.json can"
        )
    return matched


def _carried_vlm(folder: Path, saved: str | None) -> Path | None:
    names = ["vlm"] if saved is None or Path(saved).is_absolute() else [saved, "vlm"]
    return next((folder / name for name in names if (folder / name).is_dir()), None)
