"""The handle of physics perturbations in LIBERO's scenes: that of any MuJoCo scene, plus robosuite's arm."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.base import EnvError
from envs.libero.names import SceneIndex
from envs.sim.physics import MujocoPhysics

SETTLING = 250
"""Physics steps of 2 ms: the ten idle control steps of LIBERO's protocol."""


class DistractorsRequired(EnvError):  # noqa: N818  (a request, which a reset grants)
    """An intervention needs distractors, which the plain scene does not have."""


class LiberoPhysics(MujocoPhysics):
    """A LIBERO simulation that perturbations can change."""

    def __init__(self, env: Any, model: Any, data: Any, index: SceneIndex) -> None:
        """Wrap a simulation.

        Args:
            env: LIBERO's own environment object.
            model: its `mujoco.MjModel`.
            data: its `mujoco.MjData`.
            index: the model's objects and fixtures by name.
        """
        self._env = env
        arm = list(env.robots[0]._ref_joint_vel_indexes)
        super().__init__(
            model, data, index.all, list(index.bodies), index.task_objects, index.owner, SETTLING,
            held=arm, reserve=index.distractors, workspace_center=index.workspace_center,
        )  # fmt: skip

    @property
    def distractors(self) -> tuple[str, ...]:
        """Names of the distractors.

        Raises:
            DistractorsRequired: this is the plain scene.
        """
        if not super().distractors:
            raise DistractorsRequired("an object can only be brought into a LIBERO scene while it is reset")
        return super().distractors

    @property
    def robot_qpos(self) -> NDArray[np.float64]:
        """The arm's joint positions (rad), a copy."""
        return np.array(self.data.qpos[self._env.robots[0]._ref_joint_pos_indexes], np.float64)

    def set_robot(self, q: NDArray[np.float64]) -> None:
        """Set the arm's joint positions, at rest. The controller's posture and goal follow, or it would pull back."""
        robot = self._env.robots[0]
        self.data.qpos[robot._ref_joint_pos_indexes] = q
        self.data.qvel[robot._ref_joint_vel_indexes] = 0
        self.forward()
        robot.controller.update_initial_joints(np.asarray(q, np.float64))
        robot.controller.reset_goal()
