"""Every line of docs/machines.md, produced on a machine of that kind, or one made to look like it."""

import os
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest
from doctor.test_doctor import LAPTOP, Fake, drawn, look, server
from helpers import refusal

from envs.sim import opengl
from envs.sim.egl import Device
from simeval.core import namesakes
from simeval.doctor.machine import GIB

ROOT = Path(namesakes.__file__).parents[2]
TABLE = dict(re.findall(r"^\| ([a-z0-9-]+) \| .* \| `(.+)` \|$", (ROOT / "docs" / "machines.md").read_text(), re.M))
ONE = (Device(0, nvidia=False),)
FOUR = tuple(Device(index, nvidia=True) for index in range(4))
EGL, OPENGL, OSMESA = {"libEGL.so.1"}, {"libOpenGL.so.0", "libGL.so.1"}, {"libOSMesa.so.8"}
MESA = "egl: llvmpipe"

DRAWING = {
    "osmesa-missing": ({"MUJOCO_GL": "osmesa"}, EGL | OPENGL, ONE),
    "nothing-but-asked": ({"MUJOCO_GL": "osmesa"}, set(), ()),
    "egl-missing": ({"MUJOCO_GL": "egl"}, OSMESA, ()),
    "nothing": ({}, set(), ()),
    "libopengl-missing": ({"MUJOCO_GL": "egl"}, EGL, ONE),
    "nonsense": ({"MUJOCO_GL": "nonsense"}, EGL | OPENGL, ONE),
    "misspelt": ({"MUJOCO_GL": "osmeas"}, EGL | OPENGL, ONE),
    "off": ({"MUJOCO_GL": "off"}, EGL | OPENGL, ONE),
    "no-screen": ({"MUJOCO_GL": "GLFW"}, EGL | OPENGL, ONE),
    "platform": ({"MUJOCO_GL": "egl", "PYOPENGL_PLATFORM": "osmesa"}, EGL | OPENGL, ONE),
    "device-7": ({"MUJOCO_EGL_DEVICE_ID": "7"}, EGL | OPENGL, ONE),
    "device-cuda": ({"MUJOCO_EGL_DEVICE_ID": "1", "CUDA_VISIBLE_DEVICES": "0,1"}, EGL | OPENGL, ONE),
    "device-name": ({"MUJOCO_EGL_DEVICE_ID": "cuda:0"}, EGL | OPENGL, FOUR),
    "no-device": ({}, EGL | OPENGL, ()),
}
READ_ONLY = {"writable": lambda folder: "results" in str(folder)}
DOCTOR = {
    "fewer-devices": (
        "opengl",
        LAPTOP
        | {"env": {"CUDA_VISIBLE_DEVICES": "0,1"}}
        | {"run": Fake(picture_pattern=drawn("pattern", MESA, devices=1))},
    ),
    "no-gpu": ("gpu", LAPTOP),
    "no-gpu-in-container": ("gpu", LAPTOP | {"env": {"SIMEVAL_IMAGE": "gpu"}}),
    "software": ("opengl", {"run": Fake(picture_pattern=drawn("pattern", MESA))}),
    "home-read-only": ("disk", {"env": {"HOME": "HOME"}} | READ_ONLY),
    "results-read-only": ("disk", {"writable": lambda folder: False}),
    "little-memory": ("memory", {"memory": lambda: GIB // 2}),
}


@pytest.fixture
def machine(request, monkeypatch):
    """This machine, with other variables, libraries and devices."""
    environ, libraries, devices = DRAWING[request.param]
    for name in ("MUJOCO_GL", "MUJOCO_EGL_DEVICE_ID", "CUDA_VISIBLE_DEVICES", "PYOPENGL_PLATFORM", "DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(opengl, "loads", libraries.__contains__)
    monkeypatch.setattr(opengl, "devices", lambda: devices)
    return request.param


@pytest.mark.parametrize("machine", DRAWING, indirect=True)
def test_what_cannot_draw_is_said_before_anything_starts(machine, tmp_path):
    run = ("run", "--suite", "toy", "--policy", "seeker", "--out", tmp_path / "run")
    assert refusal(*run) == TABLE[machine]
    assert not (tmp_path / "run").exists()
    assert refusal("preview", "--suite", "toy", "--out", tmp_path / "sheet.png") == TABLE[machine]
    assert not (tmp_path / "sheet.png").exists()


@pytest.mark.parametrize("value", ["osmesa", "nonsense", "off"])
def test_the_doctor_says_the_same(value, tmp_path):
    """In a process of its own, on this machine as it is."""
    environ = {**os.environ, "MUJOCO_GL": value}
    command = [sys.executable, "-m", "simeval.doctor", "--only", "opengl"]
    asked = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    code = "from simeval.cli.app import main; main()"
    words = ["preview", "--suite", "toy", "--out", str(tmp_path / "sheet.png")]
    said = subprocess.run(
        [sys.executable, "-c", code, *words], env=environ, capture_output=True, text=True, check=False
    )
    if value == "osmesa" and said.returncode == 0:
        assert asked.returncode == 0  # it is installed here
        return
    assert (said.returncode, asked.returncode) == (2, 1)
    assert said.stderr.count("\n") == 1
    what, mend = said.stderr.removeprefix("simeval: ").strip().split("; ", 1)
    assert [line.strip() for line in asked.stdout.splitlines()[:2]] == [f"WRONG  opengl      {what}", f"-> {mend}"]


@pytest.mark.parametrize("case", DOCTOR)
def test_what_only_the_doctor_sees(case):
    check, machine = DOCTOR[case]
    assert look(check, server(**machine)).text == TABLE[case]


@pytest.mark.parametrize(
    ("case", "name", "file", "module"),
    [
        ("foreign-envs", "envs", "envs/__init__.py", "base.py"),
        ("foreign-file", "perturbations", "perturbations.py", ""),
    ],
)
def test_another_package_on_the_path(case, name, file, module, tmp_path, monkeypatch):
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.touch()
    if module:
        (path.parent / module).touch()
    other = types.ModuleType(name)
    other.__file__ = str(path)
    monkeypatch.setitem(sys.modules, name, other)
    with pytest.raises(ImportError) as refused:
        namesakes.settle()
    assert str(refused.value).replace(str(ROOT), "HOME").replace(str(tmp_path), "PROJECT") == TABLE[case]


def test_opencv_that_cannot_be_loaded_is_one_line(tmp_path):
    """As the dynamic linker says it, from a module that takes the place of OpenCV's."""
    text = "libGL.so.1: cannot open shared object file: No such file or directory"
    (tmp_path / "cv2.py").write_text(f"raise ImportError({text!r}, name='cv2')")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from simeval.cli.app import main; main()"
    words = ["run", "--suite", "toy", "--policy", "seeker", "--out", str(tmp_path / "run")]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, f"simeval: {TABLE['libgl-missing']}\n")
    assert not (tmp_path / "run").exists()


def test_the_tables_and_the_tests_are_about_the_same_machines():
    assert set(TABLE) == {*DRAWING, *DOCTOR, "foreign-envs", "foreign-file", "libgl-missing"}
    assert len(TABLE) >= 15
