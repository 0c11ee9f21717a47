"""What draws is chosen among what is there, and what cannot draw is said in one line before anything starts."""

import os
import subprocess
import sys

import pytest

from envs.base import EnvError
from envs.sim import opengl
from envs.sim.egl import Device, devices, starts

MESA = (Device(0, nvidia=False),)
REFUSED = """
import mujoco
from envs.sim.opengl import quiet_destructors
quiet_destructors()
try:
    mujoco.Renderer(mujoco.MjModel.from_xml_string("<mujoco/>"), 64, 64)
except RuntimeError as error:
    print(error)
"""


def gpus(count: int, *, mesa: int = 0) -> tuple[Device, ...]:
    return tuple(Device(index, nvidia=index < count) for index in range(count + mesa))


@pytest.mark.parametrize(
    ("environ", "found", "expected"),
    [
        ({}, gpus(4), [0, 1, 2, 3, 0]),
        ({}, gpus(4, mesa=1), [0, 1, 2, 3, 0]),
        ({"MUJOCO_GL": "EGL "}, gpus(2), [0, 1, 0, 1, 0]),
        ({"CUDA_VISIBLE_DEVICES": "2, 5"}, gpus(8), [2, 5, 2, 5, 2]),
        ({"CUDA_VISIBLE_DEVICES": "3"}, gpus(8), [None] * 5),
        ({"CUDA_VISIBLE_DEVICES": ""}, gpus(8), [None] * 5),
        ({"CUDA_VISIBLE_DEVICES": "GPU-8f3e,GPU-91aa"}, gpus(8), [None] * 5),
        ({"MUJOCO_EGL_DEVICE_ID": "1"}, gpus(8), [None] * 5),
        ({"MUJOCO_GL": "osmesa"}, gpus(8), [None] * 5),
        ({}, gpus(1, mesa=1), [None] * 5),
        ({}, (), [None] * 5),
        # CUDA has devices that EGL has not: a container without the graphics capability.
        ({"CUDA_VISIBLE_DEVICES": "0,1"}, MESA, [None] * 5),
        ({"CUDA_VISIBLE_DEVICES": "2,3"}, MESA, [None] * 5),
        ({"CUDA_VISIBLE_DEVICES": "2,3"}, gpus(2), [None] * 5),
        ({"CUDA_VISIBLE_DEVICES": "0,1"}, (Device(0, nvidia=False), Device(1, nvidia=False)), [None] * 5),
    ],
)
def test_the_workers_of_a_node_take_turns_with_the_gpus_that_egl_has(environ, found, expected):
    assert [opengl.device_of(slot, found, environ) for slot in range(5)] == expected


def test_a_device_that_does_not_start_is_left_to_mujoco(monkeypatch):
    monkeypatch.setattr(opengl, "devices", lambda: gpus(2))
    monkeypatch.setattr(opengl, "starts", lambda index: index == 1)
    taken = []
    for slot in range(2):
        environ: dict[str, str] = {}
        opengl.take_device(slot, environ)
        taken.append(environ)
    assert taken == [{}, {"MUJOCO_EGL_DEVICE_ID": "1"}]


def test_egl_is_asked_as_mujoco_asks_it():
    from mujoco.egl import egl_ext

    assert [device.index for device in devices()] == list(range(len(egl_ext.eglQueryDevicesEXT())))
    assert any(starts(device.index) for device in devices())
    assert not starts(len(devices()))


def test_a_renderer_that_cannot_be_made_dies_quietly():
    """MuJoCo's destructors print a traceback of their own below the one line."""
    environ = {**os.environ, "MUJOCO_GL": "egl", "MUJOCO_EGL_DEVICE_ID": "9"}
    done = subprocess.run([sys.executable, "-c", REFUSED], env=environ, capture_output=True, text=True, check=True)
    assert "MUJOCO_EGL_DEVICE_ID" in done.stdout
    assert done.stderr == ""


def test_a_failure_that_nobody_foresaw_is_one_line(monkeypatch):
    def broken(*_args):
        raise RuntimeError("Cannot create\n an EGL context.")

    monkeypatch.setattr("envs.sim.gl_context.SharedRenderer", broken)
    with pytest.raises(
        EnvError, match=r"^no OpenGL context with MUJOCO_GL=egl: Cannot create an EGL context\.; simeval"
    ):
        opengl.make_renderer(None, 64)


def test_mujoco_that_came_first_with_another_backend_is_named():
    """The error of OpenGL itself blames MUJOCO_GL=egl."""
    environ = {name: value for name, value in os.environ.items() if name != "MUJOCO_GL"}
    code = (
        "import mujoco\nfrom envs.goals import EnvError\nfrom envs.sim.opengl import make_renderer\n"
        "try: make_renderer(mujoco.MjModel.from_xml_string('<mujoco/>'), 16)\nexcept EnvError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    assert "imported before simeval had chosen its OpenGL backend, and took glfw; set MUJOCO_GL=" in done.stdout
    assert done.stdout.endswith(" before MuJoCo is imported\n")


def test_robosuite_does_not_have_a_say(tmp_path):
    """It refuses an EGL device whose number is not among CUDA's, which count differently."""
    environ = {**os.environ, "MUJOCO_EGL_DEVICE_ID": "0", "CUDA_VISIBLE_DEVICES": "2,3", "HOME": str(tmp_path)}
    code = (
        "import os; from envs.sim.opengl import select_backend; select_backend()\n"
        "from envs.libero.files import import_libero; import_libero(); print(os.environ['MUJOCO_EGL_DEVICE_ID'])"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout == "0\n"
