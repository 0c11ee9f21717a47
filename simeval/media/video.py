"""Renders stored episodes as MP4: the policy's images with the instruction, the condition and the outcome.

Non-obvious behaviour:
- Episodes are not executed again. Each stored state is rendered, at any size, and the condition's scene and image
  perturbations are applied with the episode's random streams. There is one frame per control step; a policy that
  executes n actions per chunk has observed only one in n of them, which are marked.
- Noise is sampled per pixel, so at another size than the run's it has the same strength but another pattern.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from envs.base import CAMERAS
from envs.build import EnvCache
from envs.suites import find_suite, tasks
from perturbations.spec import parse
from simeval.config.options import within
from simeval.core import plugins
from simeval.core.errors import ConfigError, nearest
from simeval.core.files import require_inside, whole_file
from simeval.core.seeding import PairStreams
from simeval.core.types import CLEAN, EpisodeResult, EpisodeSpec
from simeval.media.captions import SIZES, Image, TextStyle, text_strip
from simeval.rollout.contract import checked_image
from simeval.rollout.observations import initial_masks
from simeval.rollout.trace import Trace
from simeval.store.run import Run, trace_path

MAX_VIDEOS = 1_000_000
SELECTIONS = ("all", "failures", "successes", "flips")
LARGEST_FONT = 26
"""Of captions (px per em)."""
CAPTION_LINES = 8
"""For the instruction, and for the condition; what is longer ends in dots."""
QUALITY = "15"
"""Constant rate factor of H.264, 0 (lossless) to 51: small text stays legible."""
HOLD = 12
"""Number of frames for which the last image stays."""


@dataclasses.dataclass(frozen=True)
class Selection:
    """Which episodes to render, and how.

    Attributes:
        outcome: `all`, `failures`, `successes`, or `flips` (pairs whose outcome the perturbation changed).
        episode: only this id.
        camera: `agentview`, `wrist` or `both`.
        size: side of an image (px); even, because H.264 requires it.
        compare: show the unperturbed twin beside it.
        limit: maximum number of videos.
        plugins: files of the run's user-defined axes.
    """

    outcome: str = "all"
    episode: str | None = None
    camera: str = "both"
    size: int = 512
    compare: bool = False
    limit: int = 20
    plugins: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.outcome not in SELECTIONS:
            raise ConfigError(f"--video: no '{self.outcome}'{nearest(self.outcome, SELECTIONS)}")
        if self.camera not in (*CAMERAS, "both"):
            raise ConfigError(f"--camera: no '{self.camera}'{nearest(self.camera, (*CAMERAS, 'both'))}")
        if not 64 <= self.size <= 1024 or self.size % 2:
            raise ConfigError(f"--size {self.size}: must be an even number in [64, 1024]")
        within("--limit", self.limit, 1, MAX_VIDEOS)

    def cameras(self, suite: str) -> tuple[str, ...]:
        """The cameras of a suite that are shown, left to right.

        Raises:
            ConfigError: it does not have the camera.
        """
        offered = find_suite(suite).interface.cameras
        if self.camera in ("both", *offered):
            return offered if self.camera == "both" else (self.camera,)
        raise ConfigError(f"--camera {self.camera}: {suite} has only {', '.join(offered)}")


def render_videos(run: Run, selection: Selection) -> Iterator[Path]:
    """Render the selected episodes into the run's `videos` folder, and yield each finished file.

    Raises:
        ConfigError: nothing matches, traces were not kept, a plugin is missing, or the scenes are not available.
    """
    from simeval.config.preflight import require_rendering
    from simeval.store.assets import assets_of

    require_inside(run.folder, "videos")
    chosen, user_plugins = with_traces(run, selection), plugins.named_again(run.folder, run.manifest, selection.plugins)
    plugins.load(user_plugins)
    assets = assets_of(run)
    require_rendering()
    # Two arms are rendered frame by frame in turn, and a scene perturbation of one must not appear in the other.
    scenes = [EnvCache(assets) for _ in range(2)]
    twins = {r.spec.pair_id: r for r in run.results if r.spec.condition == CLEAN}
    for result in chosen:
        arms = [result]
        if selection.compare and result.spec.condition != CLEAN and result.spec.pair_id in twins:
            arms = [twins[result.spec.pair_id], result]
        yield _render(run, arms, scenes, selection)


def find_episodes(run: Run, selection: Selection) -> list[EpisodeResult]:
    """The selected episodes, in plan order, with or without a trace.

    Raises:
        ConfigError: the named episode does not exist.
    """
    results = [r for r in run.results if r.outcome in ("success", "failure")]
    clean = {r.spec.pair_id: r.outcome for r in results if r.spec.condition == CLEAN}
    if selection.episode is not None:
        results = [r for r in results if r.spec.id == selection.episode]
        if not results:
            known = [r.spec.id for r in run.results]
            raise ConfigError(
                f"--episode: no finished episode '{selection.episode}'{nearest(selection.episode, known[:500])}"
            )
    tests: dict[str, Callable[[EpisodeResult], bool]] = {
        "all": lambda r: True,
        "failures": lambda r: r.outcome == "failure",
        "successes": lambda r: r.outcome == "success",
        "flips": lambda r: clean.get(r.spec.pair_id, r.outcome) != r.outcome,
    }
    return [r for r in results if tests[selection.outcome](r)]


def nothing_to_show(outcome: str) -> str:
    """The line where no episode of a `Selection.outcome` has finished."""
    return "no episode has finished" if outcome == "all" else f"no finished episode is among the {outcome}"


def with_traces(run: Run, selection: Selection) -> list[EpisodeResult]:
    """The episodes to render, in plan order.

    Raises:
        ConfigError: nothing matches, or no trace was kept.
    """
    chosen = find_episodes(run, selection)
    if not chosen:
        raise ConfigError(f"{run.folder}: {nothing_to_show(selection.outcome)}")
    stored = [r for r in chosen if trace_path(run.folder, r.spec).exists()]
    if not stored:
        raise ConfigError(f"{run.folder}: no traces were kept for these episodes; run with --traces all")
    return stored[: selection.limit]


def _render(run: Run, arms: Sequence[EpisodeResult], scenes: Sequence[EnvCache], selection: Selection) -> Path:
    result = arms[-1]
    traces = [_trace(run, arm) for arm in arms]
    height = max(_caption_height(trace, arm, selection) for trace, arm in zip(traces, arms, strict=True))
    strips = [
        _frames(arm, trace, envs, selection, height)
        for arm, trace, envs in zip(arms, traces, scenes, strict=False)  # the second scene may be idle
    ]
    path = run.folder / "videos" / f"{result.spec.id.replace('/', '_')}{'_compare' if len(arms) > 1 else ''}.mp4"
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as partial:
        encode(_hstack_frames(strips), partial, find_suite(result.spec.suite).interface.control_hz)
    return path


def _hstack_frames(strips: Sequence[Iterator[NDArray[np.uint8]]]) -> Iterator[NDArray[np.uint8]]:
    """The frames of all arms until the longest has ended; the last frames are held for `HOLD` frames."""
    last = [next(strip) for strip in strips]
    held = 0
    while held <= HOLD:
        yield np.concatenate(last, axis=1)
        next_frames = [next(strip, None) for strip in strips]
        held = 0 if any(frame is not None for frame in next_frames) else held + 1
        last = [old if new is None else new for old, new in zip(last, next_frames, strict=True)]


def encode(frames: Iterator[NDArray[np.uint8]], path: Path, rate: int, *, key_every: int | None = None) -> None:
    """Write frames of one size, `uint8[H, W, 3]`, as H.264 that browsers play.

    Args:
        frames: one per control step.
        path: the file.
        rate: frames per second.
        key_every: frames from one that can be shown alone to the next, for a player that jumps; `None` for the
            encoder's choice.

    Raises:
        OSError: the file cannot be written completely.
    """
    import av

    first = next(frames)
    # Without B-frames the first frame has time 0, and a jump decodes no frame that comes later.
    jumps = {"g": str(key_every), "bf": "0"} if key_every else {}
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=rate, options={"crf": QUALITY, **jumps})
        stream.height, stream.width, stream.pix_fmt = *first.shape[:2], "yuv420p"
        for frame in chain([first], frames):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        file.mux(stream.encode(None))


def _trace(run: Run, result: EpisodeResult) -> Trace:
    trace = run.trace(result)
    if trace is None:
        raise ConfigError(f"{result.spec.id}: its trace was not kept; run with --traces all")
    return trace


def _frames(
    result: EpisodeResult, trace: Trace, envs: EnvCache, selection: Selection, height: int
) -> Iterator[NDArray[np.uint8]]:
    """An episode's frames, each below a caption of `height` px."""
    images = stored_images(result.spec, trace, envs, selection.cameras(result.spec.suite), selection.size)
    for step, image in enumerate(images):
        yield np.concatenate([_caption(trace, result, step, selection, height), image])


def stored_images(
    spec: EpisodeSpec, trace: Trace, envs: EnvCache, cameras: tuple[str, ...], size: int
) -> Iterator[NDArray[np.uint8]]:
    """The stored states of an episode with its perturbations of scene and image, cameras side by side.

    Args:
        spec: the episode.
        trace: its trace.
        envs: scenes; that of the episode is in use until the last image.
        cameras: left to right.
        size: side of an image (px).

    Yields:
        `uint8[size, size * len(cameras), 3]` for each of the `T + 1` states.
    """
    env = envs.get(spec.suite, spec.task, spec.resolution)
    streams, condition = PairStreams.of(spec), parse(spec.condition)
    env.reset(spec)
    env.set_state(trace.states[0])  # first, because it may need another model than the clean episode
    condition.apply_scene(env.scene(), streams.generator)
    applied = condition.start(streams.generator)
    applied.masks = initial_masks(env, condition, tasks(spec.suite)[spec.task].goal, cameras)
    for step, state in enumerate(trace.states):
        env.set_state(state)
        clean = {camera: checked_image(env.render(camera, size), camera, size) for camera in cameras}
        perturbed = applied.images(clean, step)
        yield np.concatenate([perturbed[camera] for camera in cameras], axis=1)


def _caption_height(trace: Trace, result: EpisodeResult, selection: Selection) -> int:
    """Height of an episode's captions (px); even, because H.264 requires it."""
    height = len(_caption(trace, result, len(trace.actions), selection))  # the last one has the longest text
    return height + height % 2


def _caption(trace: Trace, result: EpisodeResult, step: int, selection: Selection, height: int = 0) -> Image:
    """The strip above the images at a step: instruction, condition and progress; at least `height` px high."""
    ended = step == len(trace.actions)
    outcome = result.outcome if ended else ""
    color = {"success": (120, 220, 120), "failure": (240, 120, 110)}.get(outcome, (210, 210, 210))
    mark = "*" if step in trace.chunk_steps else ""
    paragraphs = [
        (trace.instruction or "(no instruction)", (255, 255, 255)),
        (result.spec.condition, (210, 210, 210)),
        (f"step {step}{mark}  {outcome}", color),
    ]
    size = min(LARGEST_FONT, max(SIZES[-1], selection.size // 26))
    style = TextStyle((size,), round(1.4 * size), CAPTION_LINES, (24, 24, 24))
    return text_strip(paragraphs, selection.size * len(selection.cameras(result.spec.suite)), style, height=height)
