"""Finds, checks and reads a LeRobotDataset (v3.0) on disk or on the hub.

Verified against lerobot 0.6.1, datasets 4.8.5, av 15.1.

Non-obvious behaviour:
- A folder is only read: lerobot would create a missing one, and request missing files from the hub.
- Videos are always decoded by PyAV: other decoders convert colours slightly differently.
- Only the files of the chosen episodes are downloaded, but one file holds many episodes.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.base import CAMERAS, STATE_SIZE
from simeval.core.errors import ConfigError, nearest
from simeval.core.files import read_regular
from simeval.core.texts import shown as show
from simeval.drift.frames.dataset_parts import refuse_incomplete, refuse_missing_frames
from simeval.drift.frames.hub import VERSION, download, locate, offline, temporary_datasets_cache
from simeval.drift.frames.trial_decode import try_videos
from simeval.policies.checkpoint.cameras import camera_of
from simeval.policies.checkpoint.read import STATE_KEY, one_line

STATE_KEYS = (STATE_KEY, "state")
"""Names of the robot's state, the preferred one first. Source: lerobot's and openpi's conversions of LIBERO."""

_INFO = Path("meta/info.json")


@dataclass(frozen=True, slots=True)
class Layout:
    """How a dataset names and stores its images.

    Attributes:
        camera_keys: the dataset's key for each of simeval's cameras, where the name does not identify it.
        upside_down: images are stored as OpenGL renders them, rotated by 180 degrees, as in LIBERO's own HDF5 files.
            Datasets that lerobot's and openpi's policies were trained on are upright.
    """

    camera_keys: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    upside_down: bool = False

    def __post_init__(self) -> None:
        for camera in self.camera_keys:
            if camera not in CAMERAS:
                raise ConfigError(f"--camera-keys: no camera '{camera}'{nearest(camera, CAMERAS)}")

    @staticmethod
    def parse(camera_keys: str | None, *, upside_down: bool = False) -> "Layout":
        """Read `agentview=KEY,wrist=KEY`.

        Raises:
            ConfigError: the text has another form.
        """
        pairs = [part.strip().partition("=") for part in (camera_keys or "").split(",") if part.strip()]
        for camera, _, key in pairs:
            if not (camera and key):
                raise ConfigError(f"--camera-keys '{str(camera_keys)[:80]}': write agentview=KEY,wrist=KEY")
        return Layout({camera.strip(): key.strip() for camera, _, key in pairs}, upside_down)


@dataclass(frozen=True, slots=True)
class Dataset:
    """A suitable dataset; only its description was read.

    Attributes:
        name: hub id or folder name.
        folder: of its files; of the downloaded ones for a hub dataset.
        commit: the hub's revision; `None` for a folder.
        cameras: its key for each required camera.
        state_key: its key for the robot's state.
        upside_down: see `Layout`.
        lengths: number of frames of each episode.
        instructions: the instructions of each episode.
    """

    name: str
    folder: Path
    commit: str | None
    cameras: Mapping[str, str]
    state_key: str
    upside_down: bool
    lengths: Mapping[int, int]
    instructions: Mapping[int, tuple[str, ...]]


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """One frame as it is stored.

    Attributes:
        episode: index of the episode.
        index: number of the frame in it.
        images: `uint8[H, W, 3]` by camera, upright RGB.
        state: `float32[8]`.
        instruction: the task given to the robot.
    """

    episode: int
    index: int
    images: Mapping[str, NDArray[np.uint8]]
    state: NDArray[np.float32]
    instruction: str


def find(name: str, cameras: Sequence[str], layout: Layout, *, revision: str | None = None) -> Dataset:
    """Find a dataset and check that it has the policy's inputs.

    Args:
        name: a folder, or a hub id such as `HuggingFaceVLA/libero`.
        cameras: required entries of `envs.base.CAMERAS`.
        layout: how it stores them.
        revision: branch, tag or commit of a hub dataset; `None` for the tag `v3.0`, else the main branch.

    Raises:
        ConfigError: there is none, it has another version, or it is incomplete; one line.
    """
    folder, shown, commit = locate(name, revision)
    info = _read_info(folder, shown)
    features = _features(info, shown)
    if commit is None:
        refuse_incomplete(folder, shown, features)
    keys = _match_cameras(features, cameras, layout, shown)
    state_key = next((key for key in STATE_KEYS if key in features), None)
    size = list(features[state_key]["shape"]) if state_key else None
    if state_key is None or size != [STATE_SIZE]:
        problem = f"its {state_key} has the shape {size}" if state_key else f"it has no {STATE_KEY}"
        raise ConfigError(
            f"dataset '{shown}': {problem}; a policy needs {STATE_SIZE} numbers: position, axis-angle, 2 fingers"
        )
    lengths, instructions = _episodes(folder, shown)
    return Dataset(shown, folder, commit, keys, state_key, layout.upside_down, lengths, instructions)


def read(dataset: Dataset, chosen: Sequence[tuple[int, int]]) -> tuple[Snapshot, ...]:
    """Read frames, given as (episode, number in it), in that order.

    Raises:
        ConfigError: a file is missing or broken, or an image is not RGB; one line.
    """
    from lerobot.datasets import LeRobotDataset

    episodes = sorted({episode for episode, _ in chosen})
    if dataset.commit is not None:
        _download(dataset, episodes)
    refuse_missing_frames(dataset.folder, dataset.name, {episode: dataset.lengths[episode] for episode in episodes})
    first, position = {}, 0
    for episode in episodes:
        first[episode] = position
        position += dataset.lengths[episode]
    # Decoders and parsers of foreign files may raise anything; the user needs one line.
    try:
        with temporary_datasets_cache(), offline():
            source = LeRobotDataset(
                "local/dataset",
                root=dataset.folder,
                episodes=episodes,
                video_backend="pyav",
                return_uint8=True,
            )
            try_videos(_video_frames(source.meta, chosen), name=dataset.name)
            # lerobot takes the row of meta/tasks.parquet at that place, whatever index the row has.
            texts = {int(number): str(text) for text, number in source.meta.tasks["task_index"].items()}
            return tuple(
                _snapshot(dataset, source[first[episode] + index], episode, index, texts) for episode, index in chosen
            )
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(
            f"dataset '{dataset.name}': its episodes cannot be read, is it complete? {one_line(error)}"
        ) from error


def _video_frames(meta: Any, chosen: Sequence[tuple[int, int]]) -> dict[Path, list[float]]:
    """The timestamps (s) that lerobot decodes for some frames, by video file; also those of unused cameras."""
    frames: dict[Path, list[float]] = {}
    for episode, index in chosen:
        for key in meta.video_keys:
            start = float(meta.episodes[episode][f"videos/{key}/from_timestamp"])
            frames.setdefault(meta.root / meta.get_video_file_path(episode, key), []).append(start + index / meta.fps)
    return frames


def _snapshot(
    dataset: Dataset, item: Mapping[str, Any], episode: int, index: int, texts: Mapping[int, str]
) -> Snapshot:
    if (int(item["episode_index"]), int(item["frame_index"])) != (episode, index):
        raise ConfigError(f"dataset '{dataset.name}': its files do not hold the episodes that its meta/ describes")
    images = {camera: _upright_image(dataset, item[key], key) for camera, key in dataset.cameras.items()}
    state = np.asarray(item[dataset.state_key], np.float32)
    if not np.isfinite(state).all():
        raise ConfigError(f"dataset '{dataset.name}': the state of episode {episode}, frame {index} is not finite")
    instruction, known = texts.get(int(item["task_index"]), ""), dataset.instructions[episode]
    if known and instruction not in known:
        said = f"says '{show(instruction)}'" if instruction else "is none of meta/tasks.parquet"
        raise ConfigError(
            f"dataset '{dataset.name}': the task_index {int(item['task_index'])} of episode {episode}, frame {index} "
            f"{said}, and meta/episodes says '{show(' / '.join(known), 200)}'"
        )
    return Snapshot(episode, index, images, state, instruction)


def _upright_image(dataset: Dataset, stored: Any, key: str) -> NDArray[np.uint8]:
    """`uint8[H, W, 3]` from lerobot's `[3, H, W]`, which is float in [0, 1] for images and uint8 for videos."""
    pixels = np.asarray(stored)
    if pixels.ndim != 3 or pixels.shape[0] != 3:
        raise ConfigError(f"dataset '{dataset.name}': {key} holds images of shape {pixels.shape}, not RGB")
    if pixels.dtype != np.uint8:
        pixels = np.rint(pixels * 255).astype(np.uint8)
    upright = pixels.transpose(1, 2, 0)
    return np.ascontiguousarray(upright[::-1, ::-1] if dataset.upside_down else upright)


def _read_info(folder: Path, name: str) -> Mapping[str, Any]:
    try:
        info = json.loads(read_regular(folder / _INFO).decode())
    except FileNotFoundError:
        raise ConfigError(f"dataset '{name}' is no LeRobotDataset: it has no {_INFO}") from None
    except RecursionError:
        raise ConfigError(f"dataset '{name}': {_INFO} is nested too deeply") from None
    except UnicodeDecodeError:
        raise ConfigError(f"dataset '{name}': {_INFO} is not UTF-8") from None
    except ConfigError as error:
        raise ConfigError(f"dataset '{name}': {error}") from None
    except ValueError as error:
        raise ConfigError(f"dataset '{name}': {_INFO} is not JSON: {show(error, 100)}") from error
    except OSError as error:
        raise ConfigError(f"dataset '{name}': {_INFO} cannot be read: {error.strerror or error}") from error
    if not isinstance(info, dict):
        raise ConfigError(f"dataset '{name}': {_INFO} is no JSON object")
    version = info.get("codebase_version")
    if version != VERSION:
        raise ConfigError(
            f"dataset '{name}' has the format {show(version, 40)}, only {VERSION} can be read; "
            "lerobot.scripts.convert_dataset_v21_to_v30 converts it"
        )
    return info


def _features(info: Mapping[str, Any], name: str) -> Mapping[str, Mapping[str, Any]]:
    """Features of the frames, by key.

    Raises:
        ConfigError: the description has another structure.
    """
    features = info.get("features")
    if not isinstance(features, dict) or not features:
        raise ConfigError(f"dataset '{name}': {_INFO} has no features: it needs a mapping of key to dtype and shape")
    for key, feature in features.items():
        shape = feature.get("shape") if isinstance(feature, dict) else None
        if not isinstance(shape, list) or not isinstance(feature.get("dtype"), str):
            raise ConfigError(f"dataset '{name}': {_INFO}: the feature '{show(key)}' has no dtype or no shape")
    return features


def _match_cameras(features: Mapping[str, Any], cameras: Sequence[str], layout: Layout, name: str) -> Mapping[str, str]:
    image_keys = [key for key, feature in features.items() if feature.get("dtype") in ("image", "video")]
    listed = f"it has the images {', '.join(image_keys)}" if image_keys else "it has no images"
    matched: dict[str, str] = {}
    for camera, key in layout.camera_keys.items():
        if key not in image_keys:
            raise ConfigError(f"dataset '{name}': --camera-keys {camera}={key}: {listed}")
    for camera in cameras:
        if camera in layout.camera_keys:
            matched[camera] = layout.camera_keys[camera]
            continue
        matches = [key for key in image_keys if camera_of(key) == camera]
        if len(matches) != 1:
            what = "none is" if not matches else f"{' and '.join(matches)} could be"
            raise ConfigError(
                f"dataset '{name}': {listed}, {what} the policy's camera '{camera}'; pass --camera-keys {camera}=KEY"
            )
        matched[camera] = matches[0]
    return matched


def _episodes(folder: Path, name: str) -> tuple[dict[int, int], dict[int, tuple[str, ...]]]:
    """Length and instructions of every episode."""
    from lerobot.datasets import LeRobotDatasetMetadata

    try:
        with temporary_datasets_cache(), offline():
            rows = LeRobotDatasetMetadata("local/dataset", root=folder).episodes
            columns = rows.select_columns(["episode_index", "length", "tasks"])[:] if rows is not None else {}
    except Exception as error:
        raise ConfigError(f"dataset '{name}': its meta/ cannot be read: {one_line(error)}") from error
    numbers = [int(number) for number in columns.get("episode_index", ())]
    if not numbers:
        raise ConfigError(f"dataset '{name}' has no episodes")
    lengths = dict(zip(numbers, map(int, columns["length"]), strict=True))
    texts = [tuple(map(str, several)) for several in columns["tasks"]]
    return lengths, dict(zip(numbers, texts, strict=True))


def _download(dataset: Dataset, episodes: Sequence[int]) -> None:
    """Download the files of some episodes next to the description."""
    from lerobot.datasets import LeRobotDatasetMetadata

    with temporary_datasets_cache(), offline():
        meta = LeRobotDatasetMetadata("local/dataset", root=dataset.folder)
        files = {str(meta.get_data_file_path(episode)) for episode in episodes}
        # lerobot requires all videos of an episode, also those of unused cameras.
        files |= {str(meta.get_video_file_path(episode, key)) for episode in episodes for key in meta.video_keys}
    assert dataset.commit is not None
    download(dataset.name, dataset.commit, sorted(files))
