"""Compiles scenes in a subprocess.

A process that compiles a model keeps MuJoCo's parsed description and its cache of decoded meshes and textures: 450 MB
for a LIBERO scene whose model is 106 MB. So a rollout worker loads the compiled model from disk instead. It may have
been compiled by another worker: tasks of a suite often share a scene.
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
    """Compile an MJCF description to a `mujoco.MjModel`, bit-identical to compilation in this process.

    Raises:
        ValueError: MuJoCo rejects the description.
    """
    name = scene_cache.digest(xml)
    cached = name and scene_cache.find(name)
    if cached:
        return cached
    with tempfile.TemporaryDirectory(prefix="simeval-") as folder:
        binary = Path(folder) / "scene.mjb"
        command = [sys.executable, "-c", _COMPILE, str(binary)]
        done = subprocess.run(command, input=xml.encode(), capture_output=True, check=False)
        if done.returncode != 0:
            raise ValueError(done.stderr.decode(errors="replace").strip().splitlines()[-1])
        if name:
            scene_cache.keep(name, binary)
        kept = name and scene_cache.find(name)
        return kept or mujoco.MjModel.from_binary_path(str(binary))


@contextlib.contextmanager
def robosuite_compiles_aside(
    rewrite: Callable[[str], str] | None = None, finish: Callable[[Any], None] | None = None
) -> Iterator[list[ModelBackup]]:
    """Make robosuite compile its models by `compile_in_subprocess` while it builds an environment.

    Args:
        rewrite: changes a scene's description before it is compiled.
        finish: changes the compiled model before robosuite gets it.

    Yields a list that receives a backup of each compiled model. The backup is made first, because robosuite places the
    fixtures in the model at once.
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
