"""robosuite's arm as LIBERO drives it, without what it computes twice."""

from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

SKIP_POS_VEL = mujoco.mjtStage.mjSTAGE_VEL


class Arm:
    """robosuite's operational-space controller and gripper, driven without its redundant simulator calls."""

    def __init__(self, env: Any, model: Any, data: Any) -> None:
        self._env, self._model, self._data = env, model, data
        robot = env.robots[0]
        self.site = int(model.site(robot.gripper.important_sites["grip_site"]).id)
        self.hand = int(model.body(robot.robot_model.eef_name).id)
        self.fingers = list(robot._ref_gripper_joint_pos_indexes)
        self._low, self._high = robot.torque_limits
        self._actuators = list(robot._ref_joint_actuator_indexes)

    def forget(self) -> None:
        """Open-loop gripper command as after loading; a soft reset of robosuite's would remember the last episode."""
        gripper = self._env.robots[0].gripper
        gripper.current_action = np.zeros(gripper.dof)

    def actuate(self, action: NDArray[np.float64], *, new_goal: bool) -> None:
        """Write the controls for one substep. The simulator must have been forwarded from the present state."""
        robot = self._env.robots[0]
        controller = robot.controller
        # Not after a reset: stock LIBERO computes the first goal from the pose before the initial state was set.
        if controller.new_update:
            mujoco.mj_forwardSkip(self._model, self._data, SKIP_POS_VEL, 1)
            self._read_into(controller)
        if new_goal:
            controller.set_goal(action[:6])
        torques = controller.run_controller()
        robot.grip_action(gripper=robot.gripper, gripper_action=action[6:])
        self._data.ctrl[self._actuators] = np.clip(torques, self._low, self._high)

    def _read_into(self, controller: Any) -> None:
        """Robosuite's `Controller.update` with the same arithmetic, minus its own `mj_forward`."""
        model, data, columns = self._model, self._data, controller.qvel_index
        jac_pos, jac_rot = np.zeros((3, model.nv)), np.zeros((3, model.nv))
        mujoco.mj_jacSite(model, data, jac_pos, jac_rot, self.site)
        controller.ee_pos = np.array(data.site_xpos[self.site])
        controller.ee_ori_mat = np.array(data.site_xmat[self.site].reshape(3, 3))
        controller.ee_pos_vel = np.dot(jac_pos, data.qvel)
        controller.ee_ori_vel = np.dot(jac_rot, data.qvel)
        controller.joint_pos = np.array(data.qpos[controller.qpos_index])
        controller.joint_vel = np.array(data.qvel[columns])
        controller.J_pos = np.array(jac_pos[:, columns])
        controller.J_ori = np.array(jac_rot[:, columns])
        controller.J_full = np.vstack([controller.J_pos, controller.J_ori])
        mass = np.empty((model.nv, model.nv))
        mujoco.mj_fullM(model, mass, data.qM)
        controller.mass_matrix = mass[columns, :][:, columns]
        controller.new_update = False
