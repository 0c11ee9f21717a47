"""A compiled scene that is read where the system keeps its file is the scene that MuJoCo reads."""

from concurrent.futures import ThreadPoolExecutor

import mujoco
import numpy as np
import pytest

from envs.sim import model_file, shared_model
from envs.sim.model_file import load_model
from envs.sim.shared_model import LEAST

XML = """
<mujoco>
  <asset><texture name="t" type="2d" builtin="flat" rgb1="1 0 {blue}" width="4096" height="4096"/></asset>
  <worldbody><geom type="plane" size="1 1 1"/><body pos="0 0 1"><freejoint/><geom size=".1"/></body></worldbody>
</mujoco>
"""


def write(folder, name, blue):
    path = folder / f"{name}.mjb"
    mujoco.mj_saveModel(mujoco.MjModel.from_xml_string(XML.format(blue=blue)), str(path))
    assert path.stat().st_size > LEAST
    return path


@pytest.fixture(scope="module")
def binary(tmp_path_factory):
    return write(tmp_path_factory.mktemp("scene"), "scene of ours", 0)


@pytest.fixture(autouse=True)
def local(monkeypatch):
    """Whatever is the disk of the temporary files."""
    monkeypatch.setattr(shared_model, "_file_system", lambda _: "ext4")


@pytest.fixture
def reads(monkeypatch):
    """The names of files that MuJoCo was asked to load."""
    stock, names = mujoco.MjModel.from_binary_path, []

    def load(name):
        names.append(name)
        return stock(name)

    monkeypatch.setattr(mujoco.MjModel, "from_binary_path", load)
    return names


def content(model):
    buffer = np.empty(mujoco.mj_sizeModel(model), np.uint8)
    mujoco.mj_saveModel(model, None, buffer)
    return buffer.tobytes()


def test_the_model_is_the_one_that_mujoco_reads(binary, reads):
    ours = load_model(binary)
    assert reads == [f"simeval:{binary}"]
    assert content(ours) == binary.read_bytes()
    assert content(ours) == content(mujoco.MjModel.from_binary_path(str(binary)))


def test_the_c_types_are_those_of_the_installed_version():
    assert mujoco.__version__ == model_file.MUJOCO, "look at mjplugin.h and mju_user_malloc before you change MUJOCO"


def test_the_file_is_not_needed_any_more(tmp_path):
    path = write(tmp_path, "scene", 0.5)
    before = path.read_bytes()
    model = load_model(path)
    path.write_bytes(b"")
    assert content(model) == before
    model.tex_data[:] = 7
    assert (model.tex_data == 7).all()


def test_threads_that_load_at_once_get_their_own_scene(tmp_path):
    paths = [write(tmp_path, f"scene{number}", number / 4) for number in range(4)]
    expected = [path.read_bytes() for path in paths]
    with ThreadPoolExecutor(4) as pool:
        for found in [pool.map(load_model, paths) for _ in range(3)]:
            assert [content(model) for model in found] == expected


@pytest.mark.parametrize("damage", ["cut", "header"])
def test_a_damaged_file_is_refused(tmp_path, monkeypatch, binary, damage):
    monkeypatch.chdir(tmp_path)  # MuJoCo writes a log where it runs
    path = tmp_path / "scene.mjb"
    stored = binary.read_bytes()
    path.write_bytes(stored[:-4_000_000] if damage == "cut" else b"\0" * 64 + stored[64:])
    with pytest.raises(ValueError, match="failed to load"):
        load_model(path)
    assert content(load_model(binary)) == stored, "the next one is read"


@pytest.mark.parametrize(
    ("module", "name", "value"),
    [(shared_model, "_file_system", lambda _: "nfs4"), (model_file, "MUJOCO", "3.3.0"), (model_file, "LEAST", 10**9)],
)
def test_elsewhere_mujoco_reads_alone(binary, reads, monkeypatch, module, name, value):
    monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(model_file, "_reader", model_file._reader.__wrapped__)
    assert content(load_model(binary)) == binary.read_bytes()
    assert reads == [str(binary)]
