"""Renders a known image and prints a summary of it as JSON; a separate process, since a driver may crash or hang.

`python -m simeval.doctor.picture pattern` renders boxes on a checkered floor: OpenGL alone. `scene` renders both
cameras of a task in the bundled scenes: the whole chain.
"""

import json
import sys
import time
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.base import CAMERAS, ResetOptions
from simeval.doctor.findings import SAID_WHY

GRID = 4
"""An image is summarised by the mean colours of GRID x GRID fields, in which driver-dependent edges hardly count."""

SIDE = 128  # px

PATTERN = """
<mujoco>
  <visual><quality offsamples="0"/><headlight ambient=".3 .3 .3" diffuse=".3 .3 .3"/></visual>
  <asset>
    <texture name="check" type="2d" builtin="checker" rgb1=".1 .1 .1" rgb2=".9 .9 .9" width="64" height="64"/>
    <material name="check" texture="check" texrepeat="2 2"/>
  </asset>
  <worldbody>
    <light pos="-1 -1 3" dir=".3 .3 -1" diffuse=".6 .6 .6" castshadow="false"/>
    <camera name="eye" pos="0 0 3" fovy="45"/>
    <geom type="plane" size="1.2 1.2 .1" material="check"/>
    <geom type="box" pos="-.6 .6 .2" size=".3 .3 .2" rgba="1 .1 .1 1"/>
    <geom type="box" pos=".6 .6 .2" size=".3 .3 .2" rgba=".1 1 .1 1"/>
    <geom type="sphere" pos="0 -.5 .4" size=".4" rgba=".1 .1 1 1"/>
  </worldbody>
</mujoco>
"""


def summary(image: NDArray[np.uint8]) -> list[int]:
    """Mean colours of the fields of an image `uint8[H, W, 3]`: row by row, red, green, blue, in 0..255."""
    side = image.shape[0] // GRID
    fields = image[: side * GRID, : side * GRID].reshape(GRID, side, GRID, side, 3)
    return [round(float(value)) for value in fields.mean(axis=(1, 3)).ravel()]


def pattern() -> tuple[dict[str, list[int]], float]:
    """The pattern's summary, and the time to render an image (ms).

    Raises:
        Exception: any exception of OpenGL, its driver, or MuJoCo.
    """
    import mujoco

    model = mujoco.MjModel.from_xml_string(PATTERN)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    with mujoco.Renderer(model, SIDE, SIDE) as renderer:
        times = []
        for _ in range(6):
            start = time.perf_counter()
            renderer.update_scene(data, "eye")
            image = renderer.render()
            times.append(time.perf_counter() - start)
    return {"eye": summary(image)}, 1000 * median(times[1:])


def scene() -> tuple[dict[str, list[int]], float]:
    """Summaries of both cameras' first images of libero_spatial's first task, and the time to render both (ms).

    Raises:
        EnvError: the scene cannot be built or rendered.
    """
    from envs.build import make_env
    from envs.libero.files import resolve_assets

    env = make_env("libero_spatial", 0, SIDE, resolve_assets("bundled"))
    try:
        env.reset(ResetOptions())
        times = []
        for _ in range(4):
            start = time.perf_counter()
            images = env.observe().images
            times.append(time.perf_counter() - start)
        return {camera: summary(images[camera]) for camera in CAMERAS}, 1000 * median(times[1:])
    finally:
        env.close()


def main(what: str) -> None:
    """Print the summary; raises what rendering raises."""
    from envs.sim.egl import devices
    from envs.sim.opengl import check_drawing

    backend = check_drawing()
    fields, milliseconds = {"pattern": pattern, "scene": scene}[what]()
    report: dict[str, Any] = {"fields": fields, "milliseconds": milliseconds}
    report |= {"renderer": _renderer(backend), "devices": len(devices())}
    sys.stdout.write(json.dumps(report) + "\n")


def _renderer(backend: str) -> str:
    from simeval.core.provenance import gl_renderer

    return gl_renderer() or backend


if __name__ == "__main__":
    from envs.base import EnvError

    try:
        main(sys.argv[1])
    except EnvError as known:
        sys.stderr.write(f"{known}\n")
        sys.exit(SAID_WHY)
