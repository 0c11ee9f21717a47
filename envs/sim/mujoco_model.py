"""Compiles and checks the model of a `MujocoEnv`."""

from typing import Any

import mujoco

from envs.goals import EnvError
from envs.interface import CONTROL_HZ
from envs.tasks import Task


def has_free_joint(model: Any, body: int) -> bool:
    """Whether a body moves freely."""
    first = int(model.body_jntadr[body])
    return first >= 0 and int(model.jnt_type[first]) == int(mujoco.mjtJoint.mjJNT_FREE)


def compiled(text: str, task: Task) -> Any:
    """Compile a scene in MuJoCo's format to a `mujoco.MjModel`.

    Raises:
        EnvError: MuJoCo refuses it.
    """
    try:
        return mujoco.MjModel.from_xml_string(text)
    except ValueError as error:
        raise EnvError(f"the scene of {task.suite} task {task.index}: {' '.join(str(error).split())}") from None


def substeps(model: Any, task: Task, needed: tuple[str, ...]) -> int:
    """Check a model; returns its physics steps per control step.

    Args:
        model: the `mujoco.MjModel`.
        task: its task.
        needed: cameras that it has to have.

    Raises:
        EnvError: it breaks a rule of `MujocoEnv`.
    """
    what = f"the scene of {task.suite} task {task.index}"
    cameras = {model.camera(i).name for i in range(model.ncam)}
    if missing := [name for name in needed if name not in cameras]:
        raise EnvError(f"{what} has no camera '{missing[0]}'")
    if model.na:
        raise EnvError(f"{what} has actuators with an internal state, which no stored state contains")
    if not model.opt.disableflags & int(mujoco.mjtDisableBit.mjDSBL_AUTORESET):
        raise EnvError(f'{what} resets itself when it breaks; put <flag autoreset="disable"/> into its <option>')
    count = round(1 / (CONTROL_HZ * model.opt.timestep))
    if count < 1 or abs(count * model.opt.timestep * CONTROL_HZ - 1) > 1e-9:
        raise EnvError(f"{what} has a time step of {model.opt.timestep:g} s; it must divide {1 / CONTROL_HZ:g} s")
    return int(count)
