"""Videos: files that play in a browser and show what the policy saw, with text on them."""

import dataclasses
import json
import re
import subprocess
from pathlib import Path

import imageio.v2 as imageio
import imageio_ffmpeg
import numpy as np
import pytest
from helpers import call, refusal, toy_config

from simeval.api import evaluate
from simeval.config.evaluation import EvalConfig
from simeval.core.errors import ConfigError
from simeval.media.video import HOLD, Selection, _caption, _caption_height, nothing_to_show, render_videos, with_traces
from simeval.policies.scripted import SeekerPolicy
from simeval.store.run import Run, trace_path

SIZE = 96
"""Of an image (px). What is above it is the caption."""


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    """Six episodes: `none` succeeds, without instruction all fail, noise changes the picture."""
    conditions = ("noise:0.3", "instruction:empty")
    return evaluate(toy_config(tmp_path_factory.mktemp("video") / "run", tasks="0", perturb=conditions))


@pytest.fixture
def videos(run):
    """Renders with options; returns the files."""

    def render(*words: object) -> list[Path]:
        called = call("video", run.folder, "--size", SIZE, *words)
        assert (called.code, called.err) == (0, "")
        return [Path(line) for line in called.out.splitlines()]

    return render


def steps(run: Run, id_: str) -> int:
    return next(result.steps for result in run.results if result.spec.id == id_)


def frames(path: Path) -> np.ndarray:
    return np.stack(list(imageio.mimread(path, memtest=False)))


@pytest.mark.parametrize(
    ("camera", "width"), [(["--camera", "agentview"], SIZE), (["--camera", "wrist"], SIZE), ([], 2 * SIZE)]
)
def test_a_video_plays_in_a_browser_and_has_a_frame_per_step(run, videos, camera, width):
    id_ = "toy/0/init00/none/r0"
    (path,) = videos("--episode", id_, *camera)
    assert path.parent == run.folder / "videos"
    said = subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-i", str(path)], capture_output=True, text=True, check=False
    ).stderr
    stream = next(line for line in said.splitlines() if "Video:" in line)
    assert "h264" in stream
    assert "yuv420p" in stream
    size = re.search(rf"\b{width}x(\d+)\b", stream)
    assert re.search(r"\b20 fps\b", stream)
    pictures = frames(path)
    assert pictures.shape == (steps(run, id_) + 1 + HOLD, int(size[1]), width, 3)
    height = int(size[1]) - SIZE
    assert 3 * 16 < height < 8 * 18, "three paragraphs, some of two lines or more"
    bar, scene = pictures[:, : height - 4], pictures[:, height + 4 :]
    assert (bar.reshape(len(bar), -1).max(1) > 150).all(), "there is text on every frame"
    assert np.median(bar) < 60, "on a dark bar"
    assert scene[0].std() > 20
    assert abs(scene[0].astype(int) - scene[-1]).mean() > 0.5, "it moves"
    assert not list(path.parent.glob("*.part*"))


def test_the_pictures_are_those_that_the_policy_saw(tmp_path):
    """At the size of the run, up to what H.264 loses: the noise of the very frames, and the order of the cameras."""
    from dataclasses import replace

    from envs.base import CAMERAS

    class Watching:
        spec = replace(SeekerPolicy.spec, name="watching", cameras=CAMERAS)

        def __init__(self):
            self.seen = []

        def act(self, inputs):
            self.seen += [item.observation for item in inputs]
            return SeekerPolicy().act(inputs)

    policy = Watching()
    conditions = ("occlusion:0.2@agentview+light:0.4",)
    wanted = toy_config(tmp_path / "run", tasks="0", init_states="0", perturb=conditions, policy=None)
    done = evaluate(wanted, policy=policy)
    perturbed = done.results[1]
    called = call("video", done.folder, "--episode", perturbed.spec.id, "--size", 128)
    assert called.code == 0
    pictures = frames(Path(called.out.strip()))[:, -128:]
    seen = policy.seen[-perturbed.counts.policy_calls :]
    assert len(seen) >= 3
    for observation in seen:
        expected = np.concatenate([observation.images[camera] for camera in CAMERAS], axis=1).astype(float)
        assert abs(pictures[observation.step] - expected).mean() < 6
    still, other = pictures[seen[0].step], np.roll(pictures[seen[0].step], 128, axis=1)
    assert abs(still.astype(int) - other).mean() > 12, "the bound above would not let a mistake pass"


def test_comparing_shows_both_arms_side_by_side_until_the_longer_one_ends(run, videos):
    id_ = "toy/0/init01/instruction=empty/r0"
    (path,) = videos("--episode", id_, "--compare", "--camera", "agentview")
    pictures = frames(path)
    longest = max(steps(run, id_), steps(run, "toy/0/init01/none/r0"))
    assert (len(pictures), pictures.shape[2]) == (longest + 1 + HOLD, 2 * SIZE)
    assert pictures.shape[1] % 2 == 0, "and one height, though the instructions are of different lengths"
    clean, lost = pictures[:, -SIZE:, :SIZE].astype(int), pictures[:, -SIZE:, SIZE:].astype(int)
    apart = (abs(clean - lost).max(-1) > 60).mean((1, 2))
    assert apart[0] == 0, "both begin alike"
    assert apart[-1] > 0.01, "and end with the tip in different places"


def test_a_perturbation_shows_on_its_own_side_only(run, videos):
    (path,) = videos("--episode", "toy/0/init00/noise=0.3/r0", "--compare", "--camera", "agentview")
    first = frames(path)[0, -SIZE:].astype(float)

    def roughness(picture):
        return abs(np.diff(picture, axis=1)).mean()

    assert roughness(first[:, SIZE:]) > 3 * roughness(first[:, :SIZE])


@pytest.mark.parametrize("size", [128, 256, 512])
def test_the_caption_is_equally_high_at_every_step_and_shows_all_of_the_instruction(run, size):
    """It has as many lines as it needs: German is longer than English."""
    result, selection = run.results[0], Selection(size=size, camera="wrist")
    trace = dataclasses.replace(run.trace(result), instruction="stell die weiße Tasse auf den Teller " * 2)
    height = _caption_height(trace, result, selection)
    strips = [_caption(trace, result, step, selection, height) for step in range(len(trace.states))]
    assert {strip.shape for strip in strips} == {(height, size, 3)}
    other = dataclasses.replace(trace, instruction=trace.instruction[:-2] + "m")
    assert not np.array_equal(strips[0], _caption(other, result, 0, selection, height)), "its last letter is shown"
    if size >= 256:
        assert height < size / 2


@pytest.mark.parametrize("which", ["failures", "flips"])
def test_selections_render_what_they_say(run, videos, which):
    clean = {r.spec.pair_id: r.outcome for r in run.results if r.spec.condition == "none"}
    tests = {"failures": lambda r: r.outcome == "failure", "flips": lambda r: r.outcome != clean[r.spec.pair_id]}
    expected = [result.spec.id.replace("/", "_") for result in run.results if tests[which](result)]
    assert 1 <= len(expected) < 6
    assert [path.stem for path in videos(f"--{which}", "--camera", "wrist")] == expected
    assert len(videos(f"--{which}", "--camera", "wrist", "--limit", 1)) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--size", "63"], "--size 63: must be an even number in [64, 1024]"),
        (["--size", "65"], "--size 65: must be an even number"),
        (["--size", "2048"], "--size 2048: must be an even number"),
        (["--camera", "wirst"], "--camera: no 'wirst'; did you mean 'wrist'?"),
        (["--limit", "0"], "--limit 0: must be in [1, 1000000]"),
        (["--episode", "toy/0/init00/nome/r0"], "did you mean 'toy/0/init00/none/r0'?"),
        (["--failure"], "No such option: --failure"),
    ],
)
def test_bad_options_are_refused_in_one_line(run, words, said):
    assert said in refusal("video", run.folder, *words)


def test_what_cannot_be_shown_is_refused_in_one_line(tmp_path):
    assert "no run here" in refusal("video", tmp_path)
    done = evaluate(toy_config(tmp_path / "run", tasks="0", init_states="0", perturb=(), traces="none"))
    assert "no traces were kept for these episodes; run with --traces all" in refusal("video", done.folder)
    assert "no finished episode is among the failures" in refusal("video", done.folder, "--failures")
    assert nothing_to_show("all") == "no episode has finished"
    kept = evaluate(toy_config(tmp_path / "kept", tasks="0", init_states="0", perturb=()))
    trace_path(kept.folder, kept.results[0].spec).write_bytes(b"garbage")
    assert "not a trace" in refusal("video", kept.folder)


def test_a_run_renders_videos_when_it_is_told_to(tmp_path):
    words = ["run", "--suite", "toy", "--tasks", "0", "--init-states", "0", "--perturb", "instruction:empty"]
    called = call(*words, "--workers", "0", "--video", "flips", "--out", tmp_path / "run")
    assert (called.code, called.err) == (0, "")
    (path,) = (tmp_path / "run" / "videos").iterdir()
    assert f"video: {path}" in called.out
    assert json.loads((tmp_path / "run" / "manifest.json").read_text())["config"]["video"] == "flips"


def test_a_run_with_nothing_to_show_says_so_and_succeeds(tmp_path):
    options = ("--suite", "toy", "--tasks", "0", "--init-states", "0", "--policy", "zero", "--workers", "0")
    done = call("run", *options, "--video", "flips", "--out", str(tmp_path / "run"))
    assert done.code == 0
    assert "video: no finished episode is among the flips" in done.out


def test_a_named_episode_can_be_asked_whether_it_flipped(run):
    flipped = {result.spec.id for result in with_traces(run, Selection(outcome="flips"))}
    assert flipped
    for id_ in flipped:
        assert [r.spec.id for r in with_traces(run, Selection(outcome="flips", episode=id_))] == [id_]


def test_other_scenes_than_those_of_the_run_are_refused(tmp_path):
    one = EvalConfig(suite=("libero_spatial",), tasks="0", init_states="0", workers=0, out=str(tmp_path / "run"))
    folder = evaluate(one).folder
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["identity"]["settings"]["assets"] = "0" * 16
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ConfigError, match="was made with other scenes"):
        list(render_videos(Run.load(folder), Selection()))
