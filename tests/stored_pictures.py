"""The documentation's images of runs, from runs with traces:

    simeval run --suite libero_spatial --perturb noise:0.05 --init-states 0-1 --out results/quickstart
    simeval run --config configs/correlation.yaml --out results/correlation
    simeval audit results/correlation --representation
    python tests/stored_pictures.py

A strip of a success and a failure, a pair side by side (still and moving), the report's figure of drift against drop.
"""

import simeval  # noqa: I001, F401  before NumPy

import shutil
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from simeval.report.collect import report_data
from simeval.report.page import write_report
from simeval.store.run import Run
from simeval.media.video import Selection, render_videos

ROOT = Path(__file__).resolve().parents[1]
DOCS, RESULTS = ROOT / "docs", ROOT / "results"
SIZE = 240
EVERY, FPS, COLORS = 4, 20, 160
"""Of the GIF: one of so many frames of the video, frames of the video per second, colours."""
PAIR = "libero_spatial/2/init00/occlusion=0.4/r0"


def moments(video: Path, number: int) -> list[NDArray[np.uint8]]:
    """Frames of a video, evenly spread from the first to the last."""
    frames = imageio.imread(video)
    return [frames[index] for index in np.linspace(0, len(frames) - 1, number).round().astype(int)]


def strip(run: Run, which: str) -> NDArray[np.uint8]:
    (video,) = render_videos(run, Selection(which, size=SIZE, limit=1))
    return np.hstack(moments(video, 4))


def animate(run: Run, episode: str, target: Path) -> None:
    """A pair side by side as a GIF that loops, at twice its speed; one palette for all frames keeps it small."""
    (video,) = render_videos(run, Selection(episode=episode, camera="agentview", size=256, compare=True, limit=1))
    frames = imageio.imread(video)[::EVERY]
    palette = Image.fromarray(frames[len(frames) // 2]).quantize(COLORS)
    images = [Image.fromarray(frame).quantize(COLORS, palette=palette, dither=Image.Dither.NONE) for frame in frames]
    times = [EVERY * 1000 // FPS // 2] * (len(images) - 1) + [2000]
    images[0].save(target, save_all=True, append_images=images[1:], duration=times, loop=0, optimize=True)


def main() -> None:
    quickstart, correlation = Run.load(RESULTS / "quickstart"), Run.load(RESULTS / "correlation")
    rows = [strip(quickstart, which) for which in ("successes", "failures")]
    imageio.imwrite(DOCS / "first-run.jpg", np.vstack(rows), quality=85)
    (video,) = render_videos(correlation, Selection(episode=PAIR, size=256, compare=True, limit=1))
    imageio.imwrite(DOCS / "compare.jpg", np.vstack(moments(video, 3)), quality=85)
    animate(correlation, PAIR, DOCS / "first-run.gif")
    page = write_report(report_data([correlation]), correlation.folder / "report")
    (figure,) = page.parent.rglob("*drift*drop*.png")
    shutil.copy(figure, DOCS / "drift-drop.png")


if __name__ == "__main__":
    main()
