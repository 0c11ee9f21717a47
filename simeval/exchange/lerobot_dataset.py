"""Rollouts of a run as a LeRobotDataset v3.0, by lerobot's own writer. Verified against lerobot 0.6.1.

    written = write_dataset(run, DatasetOptions(), Path("my_dataset"))

Non-obvious behaviour:
- A run stores states and actions, no images. Episodes are executed again (`simeval.rollout.rerun`), so each takes about
  as long as it took without the policy. There is a frame per control step.
- Images, state and task text are what the policy got, perturbed; `view="clean"` shows the same motion unperturbed.
- `action` is what was executed, after a perturbation of actions: what the images that follow are the result of.
- lerobot's video codecs lose detail, above all per-pixel noise; `lossless` stores PNG, about ten times as large.
- The folder gets its name when it is complete; see `whole_folder`.
"""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from envs.base import CAMERAS, EnvError, Observation
from envs.build import EnvCache
from envs.interface import Interface
from envs.suites import find_suite
from perturbations.base import Infeasible
from perturbations.spec import parse
from simeval.config.options import within
from simeval.core import plugins
from simeval.core.errors import ConfigError, error_line, nearest
from simeval.core.types import EpisodeResult
from simeval.drift.frames.hub import temporary_datasets_cache
from simeval.exchange.rollouts import cameras_of, has_own_state, own_state_note, with_traces
from simeval.exchange.rows import table
from simeval.exchange.whole_folder import whole_folder
from simeval.rollout.rerun import Rerun
from simeval.rollout.trace import Trace
from simeval.store.run import Run, write_json

VIEWS = ("policy", "clean")
KEYS = {"agentview": "observation.images.image", "wrist": "observation.images.image2"}
"""Names of the cameras as in lerobot's LIBERO environment and datasets: checkpoints of these need no rename."""
EPISODES, ABOUT = "meta/simeval_episodes.parquet", "meta/simeval.json"
CRF = 10
"""Constant rate factor of H.264; lerobot's default of 30 with AV1 removes the noise that a policy saw."""
_STATE = ("x", "y", "z", "axis_angle_x", "axis_angle_y", "axis_angle_z", "finger_left", "finger_right")
_ACTION = ("x", "y", "z", "axis_angle_x", "axis_angle_y", "axis_angle_z", "gripper")
_FLAGS = ("next.done", "next.success", "success", "policy_looked")
_TEXTS = ("condition", "perturbation.axis", "perturbation.value")


@dataclass(frozen=True, slots=True)
class DatasetOptions:
    """What goes into the dataset.

    Attributes:
        outcome: `all`, `successes` or `failures`.
        conditions: canonical texts; empty for all.
        cameras: entries of `envs.base.CAMERAS`; empty for all of the suite.
        size: side of an image (px); `None` for that of the run.
        fps: frames per second that the dataset states; `None` for the suite's control rate. Every control step is a
            frame in any case.
        view: `policy` for images and states as the policy got them, `clean` for unperturbed ones.
        lossless: PNG instead of video.
        plugins: files of the run's user-defined axes.
    """

    outcome: str = "all"
    conditions: tuple[str, ...] = ()
    cameras: tuple[str, ...] = ()
    size: int | None = None
    fps: int | None = None
    view: str = "policy"
    lossless: bool = False
    plugins: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for camera in self.cameras:
            if camera not in CAMERAS:
                raise ConfigError(f"--cameras: no '{camera}'{nearest(camera, CAMERAS)}")
        if self.view not in VIEWS:
            raise ConfigError(f"--view: no '{self.view}'{nearest(self.view, VIEWS)}")
        if self.size is not None and (not 64 <= self.size <= 1024 or self.size % 2):
            raise ConfigError(f"--size {self.size}: must be an even number in [64, 1024]")
        if self.fps is not None:
            within("--fps", self.fps, 1, 1000)


@dataclass(frozen=True, slots=True)
class Written:
    """A finished dataset.

    Attributes:
        folder: the dataset.
        episodes, frames: their numbers.
        notes: what differs from what one might expect, one line each.
        damaged: number of episodes whose trace could not be read.
    """

    folder: Path
    episodes: int
    frames: int
    notes: tuple[str, ...]
    damaged: int = 0


@dataclass
class _Export:
    """One export under way.

    Attributes:
        chosen: the episodes to write.
        written: those written so far, in this order.
        damaged: why the trace of each of the others could not be read.
        differing: number of episodes that moved otherwise than stored.
        own_state: conditions under which the state is not what the policy got.
    """

    run: Run
    options: DatasetOptions
    chosen: tuple[EpisodeResult, ...]
    interface: Interface
    cameras: tuple[str, ...]
    assets: Path | None
    written: list[EpisodeResult] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    differing: int = 0
    own_state: list[str] = field(default_factory=list)


def write_dataset(
    run: Run, options: DatasetOptions, out: Path, started: Callable[[int], Callable[[], None]] | None = None
) -> Written:
    """Write a dataset.

    Args:
        run: finished or not; its traces are needed.
        options: what goes into it.
        out: folder of the dataset, which must not exist.
        started: called with the number of episodes; what it returns is called after each of them.

    Raises:
        ConfigError: nothing is selected, no traces were kept, an option or a plugin does not fit the run, the scenes
            are not available, or `out` is there already.
        OSError: it cannot be written.
    """
    from simeval.config.preflight import require_rendering
    from simeval.store.assets import assets_of

    plugins.load(plugins.named_again(run.folder, run.manifest, options.plugins))
    chosen, notes = with_traces(run, options.outcome, options.conditions)
    interface = find_suite(chosen[0].spec.suite).interface
    cameras = cameras_of(chosen[0].spec.suite, options.cameras)
    writer = _lerobot()
    assets = assets_of(run)
    require_rendering()
    export = _Export(run, options, chosen, interface, cameras, assets)
    with whole_folder(out) as partial, _quiet():
        frames = _write(writer, export, partial, out.name, (started or _silent)(len(chosen)))
    return Written(out, len(export.written), frames, (*notes, *_notes(export)), len(export.damaged))


def _silent(episodes: int) -> Callable[[], None]:
    del episodes
    return lambda: None


def _lerobot() -> Any:
    """The class of lerobot that writes datasets.

    Raises:
        ConfigError: a package that it needs is missing.
    """
    try:
        from lerobot.datasets import LeRobotDataset
    except ImportError as error:
        raise ConfigError(
            f"--to lerobot: needs lerobot's dataset packages ({error_line(error)}); pip install 'lerobot[dataset]'"
        ) from None
    return LeRobotDataset


def _notes(export: _Export) -> Iterator[str]:
    if export.damaged:
        yield f"{len(export.damaged)} episodes with a damaged trace are left out ({export.damaged[0]})"
    if export.differing:
        yield (
            f"{export.differing} of {len(export.written)} episodes do not move here exactly as they did in the run; "
            "the stored states are shown"
        )
    if export.own_state:
        yield own_state_note("observation.state", export.own_state)


def _write(kind: Any, export: _Export, folder: Path, name: str, done: Callable[[], None]) -> int:
    run, options = export.run, export.options
    size = options.size or export.chosen[0].spec.resolution
    dataset = kind.create(
        f"simeval/{name}",
        fps=options.fps or export.interface.control_hz,
        features=_features(export, size),
        root=folder,
        use_videos=not options.lossless,
        video_backend="pyav",
        rgb_encoder=None if options.lossless else _encoder(),
    )
    scenes, frames = EnvCache(export.assets), 0
    try:
        for result in export.chosen:
            frames += _add_episode(dataset, export, result, scenes, size)
            done()
        if not export.written:
            raise ConfigError(f"no trace can be read: {export.damaged[0]}")
    finally:
        # Also of a broken export: lerobot's destructor would do it later, in a folder that has been removed.
        dataset.finalize()
        scenes.discard()
    _describe(run, export, folder)
    return frames


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hide the messages of the encoder, and the logs and bars of `datasets`."""
    import av

    av.logging.set_libav_level(av.logging.ERROR)
    try:
        with temporary_datasets_cache():
            yield
    finally:
        av.logging.set_libav_level(av.logging.INFO)  # libav's own default; PyAV cannot tell the present one


def _encoder() -> Any:
    from lerobot.configs import RGBEncoderConfig

    # Without B-frames: lerobot cannot join the videos of episodes that are shorter than their delay.
    return RGBEncoderConfig(vcodec="h264", crf=CRF, preset="veryfast", extra_options={"bf": "0"})


def _features(export: _Export, size: int) -> dict[str, dict[str, Any]]:
    interface, image = export.interface, "image" if export.options.lossless else "video"
    names = (list(_STATE), list(_ACTION)) if interface.is_default else (None, None)
    features: dict[str, dict[str, Any]] = {
        KEYS[camera]: {"dtype": image, "shape": (size, size, 3), "names": ["height", "width", "channels"]}
        for camera in export.cameras
    }
    features["observation.state"] = {"dtype": "float32", "shape": (interface.state_size,), "names": names[0]}
    features["action"] = {"dtype": "float32", "shape": (interface.action_size,), "names": names[1]}
    features["next.reward"] = {"dtype": "float32", "shape": (1,), "names": None}
    features |= {name: {"dtype": "bool", "shape": (1,), "names": None} for name in _FLAGS}
    features |= {name: {"dtype": "string", "shape": (1,), "names": None} for name in _TEXTS}
    features["init_state"] = {"dtype": "int64", "shape": (1,), "names": None}
    return features


def _add_episode(dataset: Any, export: _Export, result: EpisodeResult, scenes: EnvCache, size: int) -> int:
    spec = result.spec
    try:
        trace = export.run.trace(result)
        assert trace is not None
    except ConfigError as error:
        export.damaged.append(str(error))
        return 0
    own_state = has_own_state(export.run, spec)
    if own_state and export.options.view == "policy":
        export.own_state.append(spec.condition)
    try:
        env = scenes.get(spec.suite, spec.task, size)
        clean = export.options.view == "clean"
        rerun = Rerun(env, spec, trace, export.cameras, clean=clean, own_state=own_state, side=size)
        for observation in rerun.observations():
            dataset.add_frame(_frame(result, trace, observation))
    except (EnvError, Infeasible) as error:
        raise ConfigError(f"{spec.id}: {error}") from None
    export.differing += rerun.differs
    dataset.save_episode(parallel_encoding=False)
    export.written.append(result)
    return len(trace.actions)


def _frame(result: EpisodeResult, trace: Trace, observation: Observation) -> dict[str, Any]:
    step, condition = observation.step, parse(result.spec.condition)
    last, success = step == len(trace.actions) - 1, result.outcome == "success"
    flags = dict(zip(_FLAGS, (last, last and success, success, bool(step in trace.chunk_steps)), strict=True))
    value = "+".join(str(term).removeprefix(f"{term.axis}:") for term in condition.terms)
    texts = dict(zip(_TEXTS, (result.spec.condition, "+".join(condition.axes), value), strict=True))
    return {
        **{KEYS[camera]: np.ascontiguousarray(image) for camera, image in observation.images.items()},
        "observation.state": observation.state,
        "action": trace.actions[step],
        "next.reward": np.array([last and success], np.float32),
        **{name: np.array([flag]) for name, flag in flags.items()},
        **texts,
        "init_state": np.array([result.spec.init_state], np.int64),
        "task": trace.instruction,
    }


def _describe(run: Run, export: _Export, folder: Path) -> None:
    """Add what lerobot has no place for: the row of each episode, and where all this comes from."""
    rows = table(run).rows.set_index("id").loc[[r.spec.id for r in export.written]].reset_index()
    rows.insert(0, "episode_index", range(len(rows)))
    rows.to_parquet(folder / EPISODES, index=False)
    about: Mapping[str, Any] = {
        "policy": run.manifest["identity"]["policy"],
        "scenes": run.manifest["assets"],
        "plan": run.manifest["identity"]["plan"],
        "view": export.options.view,
        "differing_episodes": export.differing,
    }
    write_json(folder / ABOUT, json.loads(json.dumps(about)))
