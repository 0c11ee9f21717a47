"""Checks of rendering: known images rendered by this machine's OpenGL, compared with reference values."""

import json
from collections.abc import Mapping
from typing import Any

from simeval.doctor.findings import SAID_WHY, Finding, failure, note, ok
from simeval.doctor.surroundings import Answer, Machine

TOLERANCE = {"pattern": 8, "scene": 14}
"""Largest difference of a field's mean colour (0..255). Our choice: drivers differ at edges and in how they filter
textures; an upside-down, black or unlit image is off by 50 and more."""

EXPECTED: Mapping[str, Mapping[str, tuple[int, ...]]] = {
    "pattern": {
        "eye": (
            *(116, 30, 30, 208, 147, 147, 33, 95, 33, 107, 189, 107),
            *(211, 148, 148, 83, 39, 39, 171, 218, 171, 33, 95, 33),
            *(31, 31, 31, 122, 122, 212, 30, 30, 103, 204, 204, 204),
            *(190, 190, 190, 34, 34, 121, 120, 120, 195, 22, 22, 22),
        ),
    },
    "scene": {
        "agentview": (
            *(91, 91, 89, 98, 98, 98, 92, 93, 92, 88, 88, 86),
            *(103, 95, 85, 115, 106, 94, 75, 70, 66, 74, 61, 50),
            *(172, 154, 136, 171, 142, 118, 152, 133, 112, 57, 40, 29),
            *(206, 183, 154, 202, 180, 151, 195, 173, 146, 155, 135, 112),
        ),
        "wrist": (
            *(50, 41, 33, 209, 186, 156, 199, 159, 126, 195, 175, 154),
            *(151, 134, 113, 202, 180, 152, 211, 187, 158, 180, 160, 135),
            *(122, 115, 107, 114, 111, 108, 197, 175, 147, 174, 160, 142),
            *(60, 58, 55, 51, 50, 49, 62, 58, 53, 77, 71, 64),
        ),
    },
}
"""Mean colours, see `simeval.doctor.picture`. Source: Mesa's llvmpipe, with which the tests compare with LIBERO."""

LIBRARIES = "sudo apt-get install libegl1 libgl1-mesa-dri libopengl0"
"""Packages for rendering without a screen on Debian and Ubuntu; the same list as `docker/system-packages.txt`."""

_GRAPHICS = "in a container: -e NVIDIA_DRIVER_CAPABILITIES=compute,utility,graphics; else install libnvidia-gl"

_SOFTWARE = ("llvmpipe", "softpipe", "swrast", "osmesa")


def check_opengl(here: Machine) -> Finding:
    """Whether OpenGL renders off screen, correctly, and on the GPU if there is one."""
    report, answer = _render(here, "pattern")
    if report is None:
        if answer.code == SAID_WHY:
            what, _, mend = answer.reason.partition("; ")
            return failure("opengl", what, mend or LIBRARIES)
        if "glGetError" in answer.reason:  # PyOpenGL found EGL, but no OpenGL library
            return failure("opengl", "libOpenGL.so.0 is not installed", LIBRARIES)
        mend = f"{LIBRARIES}; unset MUJOCO_GL" if here.env.get("MUJOCO_GL") else LIBRARIES
        if here.exists("/dev/nvidia0"):
            mend = f"docker run --gpus all -e NVIDIA_DRIVER_CAPABILITIES=compute,utility,graphics ...; else {mend}"
        return failure("opengl", f"OpenGL does not render: {answer.reason}", mend)
    off = distance(report["fields"], EXPECTED["pattern"])
    text = f"{report['renderer']}, {report['milliseconds']:.1f} ms an image"
    if off > TOLERANCE["pattern"]:
        mend = "sudo apt-get install libosmesa6 && export MUJOCO_GL=osmesa; or update the driver"
        return failure("opengl", f"{text}: the test image came out wrong (off by {off} of 255)", mend)
    if here.exists("/dev/nvidia0") and any(name in report["renderer"].lower() for name in _SOFTWARE):
        return note(
            "opengl",
            f"{text}: in software, although there is a GPU",
            _GRAPHICS,
        )
    visible = [name for name in here.env.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    if len(visible) > report.get("devices", len(visible)):
        return note(
            "opengl",
            f"{text}: CUDA_VISIBLE_DEVICES names {len(visible)} devices, EGL has {report['devices']}, "
            "on which all render",
            _GRAPHICS,
        )
    return ok("opengl", text)


def check_scene(here: Machine) -> Finding:
    """Whether a LIBERO task can be built and rendered: task files, initial states, scenes, MuJoCo, OpenGL."""
    report, answer = _render(here, "scene")
    if report is None:
        return failure("scene", f"a bundled scene cannot be rendered: {answer.reason}", "see opengl and versions")
    off = distance(report["fields"], EXPECTED["scene"])
    text = f"libero_spatial 0, both cameras in {report['milliseconds']:.0f} ms"
    if off > TOLERANCE["scene"]:
        return failure("scene", f"{text}: looks other than it should (off by {off} of 255)", "see opengl and versions")
    return ok("scene", text)


def distance(rendered: Mapping[str, Any], expected: Mapping[str, Any]) -> int:
    """Largest difference of a field's colour; 255 if other images were rendered than expected."""
    if rendered.keys() != expected.keys() or any(len(rendered[name]) != len(expected[name]) for name in expected):
        return 255
    pairs = (pair for name in expected for pair in zip(rendered[name], expected[name], strict=True))
    return max(abs(int(one) - int(other)) for one, other in pairs)


def _render(here: Machine, what: str) -> tuple[dict[str, Any] | None, Answer]:
    answer = here.module("simeval.doctor.picture", what, limit=180.0)
    if answer.code != 0:
        return None, answer
    try:
        return json.loads(answer.out.splitlines()[-1]), answer
    except (ValueError, IndexError):
        return None, Answer(answer.code, "", "no image came back")
