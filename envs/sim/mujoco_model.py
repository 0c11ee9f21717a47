"""Compiles and checks the model of a `MujocoEnv`."""

from collections.abc import Mapping
from typing import Any

import mujoco

from envs.goals import EnvError
from envs.interface import Interface
from envs.tasks import Task


def has_free_joint(model: Any, body: int) -> bool:
    """Whether a body moves freely."""
    first = int(model.body_jntadr[body])
    return first >= 0 and int(model.jnt_type[first]) == int(mujoco.mjtJoint.mjJNT_FREE)


def owners(model: Any, named: Mapping[str, int]) -> tuple[str, ...]:
    """For each body the name of the object or fixture that it is part of; for others the body's own name.

    Args:
        model: the `mujoco.MjModel`.
        named: body id of each object and fixture.
    """
    names: list[str] = []
    roots = {body: name for name, body in named.items()}
    for body in range(model.nbody):  # MuJoCo numbers parents before children
        parent = int(model.body_parentid[body])
        inherited = names[parent] if body and names[parent] in named else str(model.body(body).name)
        names.append(roots.get(body, inherited))
    return tuple(names)


def compiled(text: str, task: Task) -> Any:
    """Compile a scene in MuJoCo's format to a `mujoco.MjModel`.

    Raises:
        EnvError: MuJoCo refuses it.
    """
    try:
        return mujoco.MjModel.from_xml_string(text)
    except ValueError as error:
        raise EnvError(f"the scene of {task.suite} task {task.index}: {' '.join(str(error).split())}") from None


def substeps(model: Any, task: Task, interface: Interface) -> int:
    """Check a model; returns its physics steps per control step.

    Args:
        model: the `mujoco.MjModel`.
        task: its task.
        interface: its cameras and its control rate.

    Raises:
        EnvError: it breaks a rule of `MujocoEnv`.
    """
    what = f"the scene of {task.suite} task {task.index}"
    cameras = {model.camera(i).name for i in range(model.ncam)}
    if missing := [name for name in interface.cameras if name not in cameras]:
        raise EnvError(f"{what} has no camera '{missing[0]}'")
    if model.na:
        raise EnvError(f"{what} has actuators with an internal state, which no stored state contains")
    if not model.opt.disableflags & int(mujoco.mjtDisableBit.mjDSBL_AUTORESET):
        raise EnvError(f'{what} resets itself when it breaks; put <flag autoreset="disable"/> into its <option>')
    rate = interface.control_hz
    count = round(1 / (rate * model.opt.timestep))
    if count < 1 or abs(count * model.opt.timestep * rate - 1) > 1e-9:
        raise EnvError(f"{what} has a time step of {model.opt.timestep:g} s; it must divide {1 / rate:g} s")
    return int(count)
