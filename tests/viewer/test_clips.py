"""Videos on demand: what the policy saw, made once, in a bounded cache, and a line where one cannot be made."""

import json
import os
import shutil
import signal
import time
from pathlib import Path

import av
import msgspec
import numpy as np
import pytest
from viewers import open_viewer

from envs.build import make_env
from simeval.rollout.rerun import Rerun
from simeval.store.run import Run
from simeval.viewer import clips as clips_module
from simeval.viewer.clips import Clips
from simeval.viewer.library import Library

ID = "toy/0/init00/noise=0.3/r0"


@pytest.fixture
def folder(results, tmp_path) -> Path:
    shutil.copytree(results / "toy", tmp_path / "results" / "toy")
    return tmp_path / "results"


@pytest.fixture
def clips(tmp_path):
    made = Clips(limit=10**8, folder=tmp_path / "cache")
    yield made
    made.close()


def ready(clips: Clips, folder: Path, id_: str = ID, view: str = "policy", state: str = "ready"):
    """The video, once it is there or cannot be made."""
    stored = Library(folder).get("toy")
    result = next(r for r in Run.load(folder / "toy").results if r.spec.id == id_)
    deadline = time.monotonic() + 120
    while True:
        clip = clips.get(stored, result, view)
        if clip.state in ("ready", "failed"):
            assert clip.state == state, clip
            return clip
        assert time.monotonic() < deadline
        time.sleep(0.1)


def frames(path: Path) -> np.ndarray:
    with av.open(str(path)) as file:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)])


def brightness(image: np.ndarray) -> np.ndarray:
    """Of RGB, as in ITU-R BT.601; videos have the colours of four pixels together."""
    return image @ np.array([0.299, 0.587, 0.114])


def test_the_view_of_the_policy_is_what_it_saw(clips, folder):
    clip = ready(clips, folder)
    assert clip.text == "", "the motion was repeated exactly"
    run = Run.load(folder / "toy")
    result = next(r for r in run.results if r.spec.id == ID)
    shown = frames(clips.path(clip.key))
    env = make_env("toy", 0, result.spec.resolution, None)
    seen = [
        np.concatenate(list(o.images.values()), axis=1)
        for o in Rerun(env, result.spec, run.trace(result), ("agentview", "wrist")).observations()
    ]
    env.close()
    assert len(shown) == result.steps + 1
    for step in (0, 5, len(seen) - 1):
        away = np.abs(brightness(shown[step]) - brightness(seen[step])).mean()
        assert away < 8, "H.264 keeps the noise of the brightness; without any noise it is 33 levels away"
    assert np.abs(brightness(shown[-1]) - brightness(shown[-2])).mean() < 8, "the last look is held"


def test_the_larger_view_has_the_same_steps(clips, folder):
    small, large = ready(clips, folder), ready(clips, folder, view="large")
    assert small.key != large.key
    big = frames(clips.path(large.key))
    assert big.shape[1:] == (512, 1024, 3)
    assert len(big) == len(frames(clips.path(small.key)))


def test_the_renderer_imports_nothing_from_the_working_directory(clips, folder, tmp_path, monkeypatch):
    for name in ("simeval", "envs", "numpy"):
        (tmp_path / "here" / name).mkdir(parents=True)
        (tmp_path / "here" / name / "__init__.py").write_text("raise AssertionError('imported')\n")
    monkeypatch.chdir(tmp_path / "here")
    ready(clips, folder)


def test_a_player_can_jump_everywhere(clips, folder):
    with av.open(str(clips.path(ready(clips, folder).key))) as file:
        packets = [packet for packet in file.demux(video=0) if packet.size]
    keys = [number for number, packet in enumerate(packets) if packet.is_keyframe]
    assert keys[0] == 0
    assert max(np.diff([*keys, len(packets)])) <= 10
    assert [packet.pts for packet in packets] == [packet.dts for packet in packets], "no frame comes before its time"


def test_a_video_is_made_once_and_again_if_its_trace_is_another(clips, folder):
    path = clips.path(ready(clips, folder).key)
    made = path.stat().st_ino
    ready(clips, folder)
    assert path.stat().st_ino == made
    trace = folder / "toy" / "traces" / f"{ID}.npz"
    os.utime(trace, (1, 1))
    assert clips.path(ready(clips, folder).key) != path


def test_the_cache_is_bounded_and_keeps_what_was_used_last(clips, folder, monkeypatch):
    monkeypatch.setattr(clips_module, "FRESH", 0.0)
    ids = [f"toy/{task}/init0{init}/none/r0" for task in (0, 2) for init in (0, 1)]
    first = [ready(clips, folder, id_).key for id_ in ids[:3]]
    sizes = [clips.path(key).stat().st_size for key in first]
    for age, key in zip((3, 1, 2), first, strict=True):
        used = time.time() - 100 * age
        os.utime(clips.folder / f"{key}.mp4", (used, used))
    clips.limit = sum(sizes)
    last = ready(clips, folder, ids[3])
    left = {path.stem for path in clips.folder.glob("*.mp4")}
    assert last.key in left
    assert first[0] not in left, "used longest ago"
    assert sum(path.stat().st_size for path in clips.folder.glob("*.mp4")) <= clips.limit
    assert {path.stem for path in clips.folder.glob("*.json")} == left


def test_why_there_is_no_video_is_a_line(clips, folder):
    (folder / "toy" / "traces" / f"{ID}.npz").unlink()
    assert ready(clips, folder, state="failed").text == f"{ID}: its trace was not kept; run with --traces all"
    other = ID.replace("noise=0.3", "light=0.1")
    manifest = folder / "toy" / "manifest.json"
    content = json.loads(manifest.read_text())
    content["identity"]["plugins"] = {"my_axes.py": "0" * 64}
    manifest.write_text(json.dumps(content))
    assert "was made with the plugin my_axes.py" in ready(clips, folder, other, state="failed").text


def test_scenes_of_another_version_are_a_line(clips, folder):
    """As for a run made with other assets or another MuJoCo: the states do not belong to this scene."""
    run = Run.load(folder / "toy")
    result = next(r for r in run.results if r.spec.id == ID)
    trace = run.trace(result)
    from helpers import exchange_trace

    wider = type(trace)(np.pad(trace.states, ((0, 0), (0, 2))), trace.actions, trace.chunks, trace.chunk_steps, "x")
    exchange_trace(folder / "toy", result.spec, wider)
    assert "a state of this scene has shape" in ready(clips, folder, state="failed").text
    ready(clips, folder, "toy/0/init00/none/r0")  # and the next one is made


def test_a_renderer_that_dies_is_a_line_and_the_next_request_has_another(clips, folder, monkeypatch):
    monkeypatch.setattr(clips_module, "AGAIN", 0.0)
    ready(clips, folder, "toy/2/init00/none/r0")
    first = clips._process.pid
    os.kill(first, signal.SIGKILL)
    ready(clips, folder, "toy/2/init01/none/r0")
    assert clips._process.pid != first


def test_a_request_that_nobody_repeats_is_dropped(folder, tmp_path, monkeypatch):
    clips = Clips(limit=10**8, folder=tmp_path / "cache")
    monkeypatch.setattr(clips_module, "PATIENCE", 0.0)
    monkeypatch.setattr(clips_module, "IDLE", 0.05)
    stored = Library(folder).get("toy")
    for result in Run.load(folder / "toy").results:
        assert clips.get(stored, result, "policy").state == "waiting"
    deadline = time.monotonic() + 20
    while clips._jobs and time.monotonic() < deadline:
        time.sleep(0.05)
    assert clips._jobs == {}
    assert not list((tmp_path / "cache").glob("*.mp4"))
    clips.close()


def test_a_page_asks_for_both_arms_and_plays_parts_of_a_file(folder, tmp_path):
    client = open_viewer(folder, tmp_path / "cache")
    address = f"/clips?run=toy&id={ID}"
    deadline = time.monotonic() + 120
    found = client.get(address).json()["arms"]
    while [arm["state"] for arm in found] != ["ready", "ready"]:
        assert time.monotonic() < deadline, found
        time.sleep(0.2)
        found = client.get(address).json()["arms"]
    assert found[0]["key"] != found[1]["key"]
    whole = client.get(f"/clip/{found[0]['key']}.mp4")
    part = client.get(f"/clip/{found[0]['key']}.mp4", Range="bytes=10-19")
    assert (whole.status_code, whole.headers["content-type"]) == (200, "video/mp4")
    assert (part.status_code, part.content) == (206, whole.content[10:20])
    assert not [path for path in folder.rglob("*") if path.suffix == ".mp4"], "a run folder is only read"


def test_the_requests_have_all_of_a_row(folder):
    from simeval.viewer.request import Request

    for result in Run.load(folder / "toy").results:
        request = Request("folder", result, "policy", "out")
        assert msgspec.json.decode(msgspec.json.encode(request), type=Request) == request
