"""Builds LIBERO's own environment object of a task, quietly and without its renderer."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from envs.assets import is_bundled
from envs.assets.robot import lighten
from envs.base import EnvError
from envs.libero.distractors import add_distractors, distractor_name, distractor_objects
from envs.libero.files import import_libero, silence, use_assets
from envs.libero.recolored import RECOLORED
from envs.sim.compile import robosuite_compiles_aside
from envs.sim.distractors import Distractors, copy_statistics
from envs.sim.loaded_scene import LoadedScene
from envs.sim.share_textures import share_textures
from envs.sim.surface_styles import add_styles, paint_styles
from envs.tasks import Task


@contextlib.contextmanager
def global_seed(seed: int) -> Iterator[None]:
    """Seed NumPy's global generator, which robosuite and LIBERO use, and restore its state afterwards."""
    before = np.random.get_state()  # noqa: NPY002
    np.random.seed(seed)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(before)  # noqa: NPY002


def build_scene(task: Task, assets: Path, plain: Any = None) -> tuple[Any, LoadedScene]:
    """Build LIBERO's environment object of a task, without its renderer.

    Args:
        task: the task.
        assets: LIBERO's asset folder.
        plain: the model of the plain scene (`mujoco.MjModel`), to get the scene with distractors in reserve.

    Returns:
        The environment and its scene.

    Raises:
        EnvError: the scene cannot be built from these assets.
    """
    module = import_libero()
    use_assets(assets)
    try:
        simplify = lighten if is_bundled(assets) else str
        objects = distractor_objects(task) if plain else {}

        def describe(xml: str) -> str:
            return share_textures(add_distractors(add_styles(simplify(xml)), objects))

        def finish(model: Any) -> Distractors:
            paint_styles(model)
            if plain:
                copy_statistics(plain, model)
            return Distractors(model, [distractor_name(kind) for kind in objects])

        with silence(), global_seed(0), robosuite_compiles_aside(describe, finish) as loaded:
            env = module.env_wrapper.ControlEnv(
                bddl_file_name=str(task.bddl), has_offscreen_renderer=False, use_camera_obs=False, hard_reset=False
            ).env
    except FileNotFoundError as error:
        missing = Path(str(error.filename)).stem
        hint = "; pass --assets hub, or a folder with LIBERO's own" if is_bundled(assets) else ""
        if missing in RECOLORED:
            hint = "; pip install simeval[official] and pass --assets official"
        raise EnvError(f"cannot build {task.suite} task {task.index}: {assets} has no {missing}{hint}") from error
    except Exception as error:
        raise EnvError(f"cannot build {task.suite} task {task.index} from {assets}: {error}") from error
    # At its first reset() a stock environment holds these samplers twice: once from building, once from the reset.
    env.object_property_initializers = env.object_property_initializers * 2
    return env, loaded[-1]
