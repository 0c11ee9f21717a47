"""Compile a scene in a process of its own.

MuJoCo keeps the parsed description and a cache of decoded meshes and textures alive in the process that compiled a
model: 450 MB for a scene of LIBERO whose model is 106 MB. A rollout worker loads the finished model instead, if need be
one that was compiled for somebody else: tasks of a suite often have the same scene, with other things to be done in it.
"""

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mujoco

from envs.sim import scene_cache
from envs.sim.pristine import ModelBackup

_COMPILE = (
    "import sys, mujoco\n"
    "model = mujoco.MjModel.from_xml_string(sys.stdin.buffer.read().decode())\n"
    "mujoco.mj_saveModel(model, sys.argv[1])\n"
)


def compile_in_subprocess(xml: str) -> Any:
    """The `mujoco.MjModel` of a description, bit for bit as if it had been compiled here.

    Raises:
        ValueError: MuJoCo rejects the description.
    """
    name = scene_cache.digest(xml)
    kept = name and scene_cache.find(name)
    if kept:
        return kept
    with tempfile.TemporaryDirectory(prefix="simeval-") as folder:
        binary = Path(folder) / "scene.mjb"
        command = [sys.executable, "-c", _COMPILE, str(binary)]
        done = subprocess.run(command, input=xml.encode(), capture_output=True, check=False)
        if done.returncode != 0:
            raise ValueError(done.stderr.decode(errors="replace").strip().splitlines()[-1])
        if name:
            scene_cache.keep(name, binary)
        return mujoco.MjModel.from_binary_path(str(binary))


@contextlib.contextmanager
def robosuite_compiles_aside(
    rewrite: Callable[[str], str] | None = None, finish: Callable[[Any], None] | None = None
) -> Iterator[list[ModelBackup]]:
    """Make robosuite take its models from `compile_in_subprocess` while it builds an environment.

    Args:
        rewrite: what to make of a scene's description before it is compiled.
        finish: what to do to the compiled model before anyone sees it.

    Yields a list that receives the pristine values of each compiled model: robosuite places the fixtures before
    anyone else gets to see the model.
    """
    from robosuite.environments import base

    stock = base.MjSim
    compiled: list[ModelBackup] = []

    class Sim(stock):  # type: ignore[misc, valid-type]  # robosuite has no types
        @classmethod
        def from_xml_string(cls, xml: str) -> Any:
            model = compile_in_subprocess(rewrite(xml) if rewrite else xml)
            if finish:
                finish(model)
            compiled.append(ModelBackup(model))
            return stock(model)

    base.MjSim = Sim
    try:
        yield compiled
    finally:
        base.MjSim = stock
