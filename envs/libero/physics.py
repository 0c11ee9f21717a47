"""The handle of physics perturbations in LIBERO's scenes: that of any scene, with robosuite's arm."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.base import EnvError
from envs.libero.names import SceneIndex
from envs.sim.physics import MujocoPhysics

SETTLING = 250
"""Physics steps of 2 ms: the ten idle control steps of LIBERO's protocol."""


class SparesWanted(EnvError):  # noqa: N818  (a request, which a reset grants)
    """An intervention asks for the objects in reserve, which the plain scene does not have."""


class LiberoPhysics(MujocoPhysics):
    """A LIBERO simulation, open to changes."""

    def __init__(self, env: Any, model: Any, data: Any, things: SceneIndex) -> None:
        """Wrap a simulation.

        Args:
            env: LIBERO's own environment object.
            model: its `mujoco.MjModel`.
            data: its `mujoco.MjData`.
            things: the model's things by name.
        """
        self._env = env
        arm = list(env.robots[0]._ref_joint_vel_indexes)
        super().__init__(
            model, data, things.all, list(things.bodies), things.task_objects, things.owner, SETTLING,
            held=arm, reserve=things.spares, pivot=things.pivot,
        )  # fmt: skip

    @property
    def spares(self) -> tuple[str, ...]:
        """Names of the objects in reserve.

        Raises:
            SparesWanted: this is the plain scene.
        """
        if not super().spares:
            raise SparesWanted("an object can only be brought into a LIBERO scene while it is reset")
        return super().spares

    @property
    def robot_qpos(self) -> NDArray[np.float64]:
        """The arm's joint positions (rad), a copy."""
        return np.array(self.data.qpos[self._env.robots[0]._ref_joint_pos_indexes], np.float64)

    def set_robot(self, q: NDArray[np.float64]) -> None:
        """Put the arm there, at rest. The controller's posture and goal move along, or it would pull the arm back."""
        robot = self._env.robots[0]
        self.data.qpos[robot._ref_joint_pos_indexes] = q
        self.data.qvel[robot._ref_joint_vel_indexes] = 0
        self.forward()
        robot.controller.update_initial_joints(np.asarray(q, np.float64))
        robot.controller.reset_goal()
