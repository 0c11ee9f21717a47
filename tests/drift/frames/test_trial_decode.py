"""Videos are decoded in another process first."""

import shutil
from pathlib import Path

import dataset_fixture
import pytest

from simeval.core.errors import ConfigError
from simeval.drift.frames import trial_decode
from simeval.drift.frames.from_dataset import DatasetFrames
from simeval.policies.base import PolicySpec

POLICY = PolicySpec("somebody's", 8, ("agentview", "wrist"))
CRASHING = """
import json, os, signal, sys
for path, times in json.load(sys.stdin):
    print(path, flush=True)
    if "image2" in path:
        os.kill(os.getpid(), signal.SIGSEGV)
"""


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("videos") / "DATASET"
    return dataset_fixture.write(folder, dataset_fixture.gray(["fold it", "open it"], size=64), video=True)


def opened(folder: Path) -> DatasetFrames:
    return DatasetFrames.open(str(folder), policy=POLICY, max_frames=4)


def test_a_video_that_crashes_the_decoder_is_one_line(videos, monkeypatch):
    monkeypatch.setattr(trial_decode, "_PROGRAM", CRASHING)
    with pytest.raises(ConfigError, match=r"image2/.*mp4 is damaged: it crashes the video decoder"):
        opened(videos)


def test_a_decoder_that_hangs_is_one_line(videos, monkeypatch):
    monkeypatch.setattr(trial_decode, "_PROGRAM", "import time; time.sleep(60)")
    monkeypatch.setattr(trial_decode, "LIMIT", 0.5)
    with pytest.raises(ConfigError, match=r"take more than 0\.5 s to decode"):
        opened(videos)


def test_every_frame_that_is_read_is_tried(videos, monkeypatch):
    tried = {}
    monkeypatch.setattr("simeval.drift.frames.lerobot_dataset.try_videos", lambda frames, name: tried.update(frames))
    frames = opened(videos).frames()
    assert {path.parts[-3] for path in tried} == {"observation.images.image", "observation.images.image2"}
    assert [len(times) for times in tried.values()] == [len(frames)] * 2
    assert all(path.is_file() for path in tried)


def test_an_error_that_the_decoder_reports_is_named_by_the_reading(videos, tmp_path):
    copy = Path(shutil.copytree(videos, tmp_path / "DATASET"))
    for path in copy.rglob("*.mp4"):
        path.write_bytes(b"\0" * 100)
    with pytest.raises(ConfigError, match="its episodes cannot be read, is it complete"):
        opened(copy)


def test_a_file_that_did_crash_it_is_one_line(videos, tmp_path):
    """Its bytes are from the chaos suite; PyAV 15.1 dies of them."""
    copy = Path(shutil.copytree(videos, tmp_path / "DATASET"))
    for path in (copy / "videos" / "observation.images.image").rglob("*.mp4"):
        shutil.copy(Path(__file__).parent / "data" / "damaged.mp4", path)
    with pytest.raises(ConfigError, match=r"crashes the video decoder|its episodes cannot be read"):
        opened(copy)
