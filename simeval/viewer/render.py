"""The process that renders: one request a line on standard input, its progress and its end as lines on standard output.

It is a process of its own because OpenGL contexts belong to a thread, a scene takes hundreds of megabytes, and a crash
in a driver must not end the viewer. Scenes are kept from one request to the next.
"""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from envs.base import EnvError
from envs.build import EnvCache
from envs.suites import find_suite
from perturbations.base import Infeasible, SpecError
from simeval.config.preflight import require_rendering
from simeval.core import plugins
from simeval.core.errors import ConfigError, error_line
from simeval.core.files import require_no_way_out, whole_file
from simeval.media.video import encode, stored_images
from simeval.rollout.rerun import Rerun
from simeval.store.assets import assets_of
from simeval.store.run import Run, trace_path
from simeval.viewer.request import LARGE, Answer, Request

KEY_EVERY = 10
"""A jump decodes at most this many frames."""
REPORT_EVERY = 20
"""Frames from one progress line to the next."""
DIFFERS = (
    "the motion could not be repeated exactly here (another machine or MuJoCo), so the stored states are shown; the "
    "images may be one control step apart from what the policy saw"
)


class Studio:
    """Renders requests, one after the other; keeps the scenes of one run."""

    def __init__(self) -> None:
        """Builds nothing yet."""
        self._folder, self._scenes = "", EnvCache(None)

    def render(self, request: Request, report: Callable[[Answer], None]) -> Answer:
        """Make a video.

        Args:
            request: which one.
            report: gets the progress.

        Raises:
            ConfigError: no trace was kept, a plugin was not named, or the scenes are not available.
            EnvError: the scene cannot be built or rendered.
            Infeasible: the condition cannot be applied to this scene.
            OSError: the file cannot be written.
        """
        run, spec = Run.load(request.folder), request.episode.spec
        require_no_way_out(run.folder, trace_path(run.folder, spec))
        trace = run.trace(request.episode)
        if trace is None:
            raise ConfigError(f"{spec.id}: its trace was not kept; run with --traces all")
        self._open(run, request)
        interface = find_suite(spec.suite).interface
        rerun = None
        if request.view == "large":
            images = stored_images(spec, trace, self._scenes, interface.cameras, LARGE)
        else:
            env = self._scenes.get(spec.suite, spec.task, spec.resolution)
            rerun = Rerun(env, spec, trace, interface.cameras, own_state=True)
            images = _policy_images(rerun)
        with whole_file(Path(request.out)) as partial:
            encode(_reported(images, report), partial, interface.control_hz, key_every=KEY_EVERY)
        return Answer(len(trace.states), done=True, note=DIFFERS if rerun and rerun.differs else "")

    def _open(self, run: Run, request: Request) -> None:
        if request.folder == self._folder:
            return
        plugins.load(plugins.named_again(run.folder, run.manifest, request.plugins))
        assets = assets_of(run)
        require_rendering()
        self._scenes.discard()
        self._folder, self._scenes = request.folder, EnvCache(assets)


def _policy_images(rerun: Rerun) -> Iterator[NDArray[np.uint8]]:
    """What the policy would have seen at each step; the last one is held, because none looks after the last action."""
    image = None
    for observation in rerun.observations():
        image = np.concatenate([observation.images[camera] for camera in rerun.cameras], axis=1)
        yield image
    if image is not None:
        yield image


def _reported(images: Iterator[NDArray[np.uint8]], report: Callable[[Answer], None]) -> Iterator[NDArray[np.uint8]]:
    for count, image in enumerate(images):
        if count % REPORT_EVERY == 0:
            report(Answer(count))
        yield image[: len(image) // 2 * 2, : image.shape[1] // 2 * 2]  # H.264 needs even sides


def main() -> None:
    """Answer requests until standard input ends."""
    # Libraries print; what they print must not get between the answers.
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    studio = Studio()

    def tell(answer: Answer) -> None:
        answers.write(msgspec.json.encode(answer) + b"\n")

    for line in sys.stdin.buffer:
        try:
            tell(studio.render(msgspec.json.decode(line, type=Request), tell))
        except (ConfigError, EnvError, SpecError, Infeasible) as error:
            tell(Answer(error=str(error)))
        except Exception as error:  # noqa: BLE001  becomes a line on the page
            tell(Answer(error=error_line(error)))


if __name__ == "__main__":
    main()
