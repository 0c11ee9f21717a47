"""The memory of a scene that processes share: it reads the same, what one writes is its own, and it is given back."""

import gc
import mmap
from pathlib import Path

import mujoco
import numpy as np
import pytest

from envs.sim import shared_model
from envs.sim.shared_model import LEAST, share

XML = """
<mujoco>
  <asset>
    <texture name="a" type="2d" builtin="gradient" rgb1="1 0 0" rgb2="0 0 1" width="3000" height="3000"/>
    <texture name="b" type="2d" builtin="checker" rgb1="0 1 0" rgb2="0 0 1" width="3000" height="3000"/>
  </asset>
  <worldbody><geom type="plane" size="1 1 1"/><body pos="0 0 1"><freejoint/><geom size=".1"/></body></worldbody>
</mujoco>
"""


@pytest.fixture(scope="module")
def binary(tmp_path_factory):
    path = tmp_path_factory.mktemp("scene") / "scene.mjb"
    mujoco.mj_saveModel(mujoco.MjModel.from_xml_string(XML), str(path))
    return path


@pytest.fixture
def path(tmp_path, can_share):
    return tmp_path / "scene.pages"


def load(binary):
    return mujoco.MjModel.from_binary_path(str(binary))


def content(model):
    buffer = np.empty(mujoco.mj_sizeModel(model), np.uint8)
    mujoco.mj_saveModel(model, None, buffer)
    return buffer.tobytes()


def mapped(path):
    return sum(str(path) in line for line in Path("/proc/self/maps").read_text().splitlines())


def test_a_shared_model_reads_the_same_and_moves_the_same(binary, path):
    alone, first, second = load(binary), load(binary), load(binary)
    assert alone.nbuffer > LEAST
    assert share(first, path, binary)
    written = path.stat().st_mtime_ns, path.stat().st_ino
    assert share(second, path, binary)
    assert path.stat().st_ino == written[1], "written once"
    assert mapped(path) == 2
    assert content(alone) == content(first) == content(second)
    ends = []
    for model in (alone, first, second):
        data = mujoco.MjData(model)
        for _ in range(300):
            mujoco.mj_step(model, data)
        ends.append(data.qpos.tobytes())
    assert len(set(ends)) == 1


def test_what_one_writes_no_other_sees(binary, path):
    first, second = load(binary), load(binary)
    assert share(first, path, binary)
    assert share(second, path, binary)
    before = path.read_bytes()
    first.tex_data[:] = 7
    first.geom_size[1] = 0.3
    assert (first.tex_data == 7).all()
    assert content(second) == content(load(binary))
    assert path.read_bytes() == before


def test_the_memory_is_given_back(binary, path):
    model = load(binary)
    assert share(model, path, binary)
    assert mapped(path) == 1
    del model
    gc.collect()
    assert mapped(path) == 0


def test_a_file_that_is_deleted_or_replaced_stays_as_it_was(binary, path):
    model = load(binary)
    assert share(model, path, binary)
    path.unlink()
    path.write_bytes(bytes(path.parent.stat().st_size))
    assert content(model) == content(load(binary))


@pytest.mark.parametrize("length", [0, 5000])
def test_a_file_that_is_too_short_is_written_again(binary, path, length):
    assert share(load(binary), path, binary)
    whole = path.read_bytes()
    path.write_bytes(whole[:length])
    model = load(binary)
    assert share(model, path, binary)
    assert content(model) == content(load(binary))
    assert path.read_bytes() == whole


def test_other_bytes_are_told_for_the_model_may_be_what_is_damaged(binary, path):
    assert share(load(binary), path, binary)
    path.write_bytes(path.read_bytes()[:-1] + b"\x55")
    model = load(binary)
    with pytest.raises(ValueError, match="not the arrays of this model"):
        share(model, path, binary)
    assert not path.exists()
    assert content(model) == content(load(binary))


def test_the_two_files_are_compared_once_in_a_process_and_again_when_one_is_another(binary, path, monkeypatch):
    compared, holds = [], shared_model._holds
    monkeypatch.setattr(shared_model, "_holds", lambda *given: compared.append(1) or holds(*given))
    for _ in range(3):
        assert share(load(binary), path, binary)
    assert len(compared) == 1
    path.write_bytes(path.read_bytes())
    assert share(load(binary), path, binary)
    assert len(compared) == 2


def test_the_kernels_own_file_system_is_found():
    assert shared_model._file_system(Path("/proc/self")) == "proc"


def test_the_file_system_of_a_folder_with_a_blank_in_its_name_is_found(monkeypatch):
    mounts = "/dev/a / ext4 rw 0 0\nserver:/x /mnt/lab\\040data nfs4 rw 0 0\n /mnt/none fuse rw 0 0\n"
    monkeypatch.setattr(Path, "read_text", lambda _: mounts)
    places = {"/mnt": "ext4", "/mnt/lab data/cache": "nfs4", "/mnt/lab": "ext4", "/mnt/none/x": "fuse"}
    assert {place: shared_model._file_system(Path(place)) for place in places} == places


@pytest.mark.parametrize(
    ("name", "value"),
    [("_is_own_block", lambda *_: False), ("_file_system", lambda *_: "nfs4"), ("LEAST", 10**9)],
)
def test_where_it_cannot_be_shared_nothing_changes(binary, path, monkeypatch, name, value):
    monkeypatch.setattr(shared_model, name, value)
    model = load(binary)
    assert not share(model, path, binary)
    assert not path.exists()
    assert content(model) == content(load(binary))


def test_a_folder_that_cannot_be_written_is_no_error(binary, path):
    model = load(binary)
    assert not share(model, path.parent / "gone" / "scene.pages", binary)
    assert content(model) == content(load(binary))


def test_only_a_block_of_its_own_is_taken_for_one():
    small, large = np.ones(1000, np.uint8), np.ones(50_000_000, np.uint8)
    assert not shared_model._is_own_block(small.ctypes.data, small.size)
    assert not shared_model._is_own_block(large.ctypes.data + 4096, large.size - 4096), "inside a block"
    assert not shared_model._is_own_block(large.ctypes.data, 1000), "much longer than the model"
    with mmap.mmap(-1, 1 << 20) as pages:
        start = np.frombuffer(pages, np.uint8).ctypes.data
        assert start % mmap.PAGESIZE == 0
        assert not shared_model._is_own_block(start, 1 << 20), "nothing before it may be read"
