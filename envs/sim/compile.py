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
from envs.sim.distractors import Distractors
from envs.sim.loaded_scene import LoadedScene, take

_COMPILE = (
    "import sys, mujoco\n"
    "model = mujoco.MjModel.from_xml_string(sys.stdin.buffer.read().decode())\n"
    "mujoco.mj_saveModel(model, sys.argv[1])\n"
)


def load_scene(xml: str, finish: Callable[[Any], Distractors]) -> LoadedScene:
    """The scene of an MJCF description: left by a closed environment, from the cache, or compiled.

    Args:
        xml: the description.
        finish: changes the compiled model, and returns its distractors. It is not called for a scene that was left.

    Raises:
        ValueError: MuJoCo rejects the description.
    """
    name = scene_cache.digest(xml)
    scene = take(name)
    if scene is None:
        model = compile_in_subprocess(xml, name)
        scene = LoadedScene(name, model, finish(model))
    return scene


def compile_in_subprocess(xml: str, name: str | None = None) -> Any:
    """Compile an MJCF description to a `mujoco.MjModel`, bit-identical to compilation in this process.

    Args:
        xml: the description.
        name: its `scene_cache.digest`, if known.

    Raises:
        ValueError: MuJoCo rejects the description.
    """
    name = name or scene_cache.digest(xml)
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
    rewrite: Callable[[str], str], finish: Callable[[Any], Distractors]
) -> Iterator[list[LoadedScene]]:
    """Make robosuite load its models by `load_scene` while it builds an environment.

    Args:
        rewrite: changes a scene's description before it is compiled.
        finish: see `load_scene`; robosuite gets the model afterwards.

    Yields a list that receives each scene, with the model as it is before robosuite places the fixtures in it.
    """
    from robosuite.environments import base

    stock = base.MjSim
    loaded: list[LoadedScene] = []

    class Sim(stock):  # type: ignore[misc, valid-type]  # robosuite has no types
        @classmethod
        def from_xml_string(cls, xml: str) -> Any:
            loaded.append(load_scene(rewrite(xml), finish))
            return stock(loaded[-1].model)

    base.MjSim = Sim
    try:
        yield loaded
    finally:
        base.MjSim = stock
