"""Rollouts of a run as recordings of Rerun, a viewer of robotics data: a file per episode.

    written = write_recordings(run, DatasetOptions(), Path("recordings"))

Non-obvious behaviour:
- A run stores states and actions, no images, so episodes are executed again (`simeval.rollout.rerun`).
- Two timelines: `step`, control steps from 0, and `simulated`, seconds of simulated time.
- Images are JPEG, which loses detail of per-pixel noise; `lossless` stores them as they were, about ten times as large.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from envs.base import EnvError, Observation
from envs.build import EnvCache
from envs.suites import find_suite
from perturbations.base import Infeasible
from simeval.core import plugins
from simeval.core.errors import ConfigError, error_line
from simeval.core.files import whole_file
from simeval.core.types import EpisodeResult
from simeval.exchange.lerobot_dataset import DatasetOptions
from simeval.exchange.rollouts import cameras_of, has_own_state, own_state_note, with_traces
from simeval.rollout.rerun import Rerun
from simeval.rollout.trace import Trace
from simeval.store.run import Run

JPEG_QUALITY = 90
"""Of images; our choice: no artefacts that an eye sees at 256 px."""
_AXES = ("x", "y", "z", "roll", "pitch", "yaw", "gripper")


@dataclass(frozen=True, slots=True)
class Recorded:
    """Finished recordings.

    Attributes:
        folder: where they are.
        files: their names, in plan order.
        notes: what differs from what one might expect, one line each.
        damaged: number of episodes whose trace could not be read.
    """

    folder: Path
    files: tuple[str, ...]
    notes: tuple[str, ...]
    damaged: int = 0


def write_recordings(
    run: Run, options: DatasetOptions, out: Path, started: Callable[[int], Callable[[], None]] | None = None
) -> Recorded:
    """Write a recording of every selected episode; each file is complete or absent.

    Args:
        run: finished or not; its traces are needed.
        options: what is recorded; `fps` is the suite's.
        out: folder of the recordings; files of the same names are replaced.
        started: called with the number of episodes; what it returns is called after each of them.

    Raises:
        ConfigError: Rerun is not installed, nothing is selected, no traces were kept, an option or a plugin does not
            fit the run, or the scenes are not available.
        OSError: they cannot be written.
    """
    from simeval.config.preflight import require_rendering
    from simeval.store.assets import assets_of

    rerun = _rerun()
    plugins.load(plugins.named_again(run.folder, run.manifest, options.plugins))
    chosen, notes = with_traces(run, options.outcome, options.conditions)
    cameras = {suite: cameras_of(suite, options.cameras) for suite in {result.spec.suite for result in chosen}}
    require_rendering()
    scenes, files, damaged, differing = EnvCache(assets_of(run)), list[str](), list[str](), 0
    done = started(len(chosen)) if started else lambda: None
    out.mkdir(parents=True, exist_ok=True)
    try:
        for result in chosen:
            spec = result.spec
            try:
                trace = run.trace(result)
                assert trace is not None
            except ConfigError as error:
                damaged.append(str(error))
                continue
            env = scenes.get(spec.suite, spec.task, options.size or spec.resolution)
            clean, own_state = options.view == "clean", has_own_state(run, spec)
            again = Rerun(env, spec, trace, cameras[spec.suite], clean=clean, own_state=own_state, side=options.size)
            files.append(f"{spec.id.replace('/', '_')}.rrd")
            with whole_file(out / files[-1]) as partial:
                _record(rerun, partial, result, again, lossless=options.lossless)
            differing += again.differs
            done()
    except (EnvError, Infeasible) as error:
        raise ConfigError(f"{run.folder}: {error}") from None
    finally:
        scenes.discard()
    if not files:
        raise ConfigError(f"no trace can be read: {damaged[0]}")
    own = [r.spec.condition for r in chosen if options.view == "policy" and has_own_state(run, r.spec)]
    notes += _notes(own, damaged, differing)
    return Recorded(out, tuple(files), tuple(notes), len(damaged))


def _notes(own: list[str], damaged: list[str], differing: int) -> Iterator[str]:
    """What differs from what one might expect.

    Args:
        own: conditions under which the state is the robot's own.
        damaged: why traces could not be read.
        differing: number of episodes that moved otherwise than stored.
    """
    if own:
        yield own_state_note("state", own)
    if damaged:
        yield f"{len(damaged)} episodes with a damaged trace are left out ({damaged[0]})"
    if differing:
        yield f"{differing} episodes do not move here exactly as they did in the run; stored states are shown"


def _rerun() -> Any:
    try:
        import rerun
    except ImportError as error:
        raise ConfigError(f"--to rrd: needs Rerun ({error_line(error)}); pip install 'simeval[rerun]'") from None
    return rerun


def _record(rerun: Any, path: Path, result: EpisodeResult, again: Rerun, *, lossless: bool) -> None:
    spec, trace = result.spec, again.trace
    recording = rerun.RecordingStream("simeval", recording_id=spec.id)
    recording.save(path)
    text = f"{trace.instruction}\n\n{spec.condition}: {result.outcome} after {result.steps} steps"
    recording.log("instruction", rerun.TextDocument(text), static=True)
    hertz = find_suite(spec.suite).interface.control_hz
    looks = {int(step) for step in trace.chunk_steps}
    for observation in again.observations():
        recording.set_time("step", sequence=observation.step)
        recording.set_time("simulated", duration=observation.step / hertz)
        _log_step(rerun, recording, observation, trace, lossless=lossless)
        recording.log("policy/looked", rerun.Scalars(float(observation.step in looks)))
    recording.disconnect()


def _log_step(rerun: Any, recording: Any, observation: Observation, trace: Trace, *, lossless: bool) -> None:
    for camera, pixels in observation.images.items():
        image = rerun.Image(pixels)
        recording.log(f"camera/{camera}", image if lossless else image.compress(jpeg_quality=JPEG_QUALITY))
    action = trace.actions[observation.step]
    # Actions of other interfaces than LIBERO's have no names.
    axes = _AXES if len(action) == len(_AXES) else tuple(map(str, range(len(action))))
    for name, value in zip(axes, action, strict=True):
        recording.log(f"action/{name}", rerun.Scalars(float(value)))
    for index, value in enumerate(observation.state):
        recording.log(f"state/{index}", rerun.Scalars(float(value)))
