"""robosuite's arm controller as LIBERO uses it, without its redundant computations.

Non-obvious behaviour:
- Every number must equal robosuite's own to the last bit. So sums and products are evaluated in robosuite's order, and
  the arguments of its compiled functions keep its memory layout: BLAS rounds differently for other layouts.
- The controller's arrays are overwritten in every substep. robosuite copies what it keeps of them.
"""

from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

SKIP_POS_VEL = mujoco.mjtStage.mjSTAGE_VEL

_STEP = 0.01
"""Change of the gripper command per substep. Source: robosuite's PandaGripper.speed."""


class Arm:
    """robosuite's operational-space controller and gripper, driven without its redundant simulator calls."""

    def __init__(self, env: Any, model: Any, data: Any) -> None:
        from robosuite.controllers import osc

        controller = env.robots[0].controller
        # `_torques` implements this setting only.
        assert controller.uncoupling, "LIBERO's controller treats position and orientation apart"
        assert controller.interpolator_pos is controller.interpolator_ori is None, "LIBERO's controller does not smooth"
        self._env, self._model, self._data = env, model, data
        self._functions = (osc.orientation_error, osc.opspace_matrices, osc.nullspace_torques)
        robot = env.robots[0]
        self.site = int(model.site(robot.gripper.important_sites["grip_site"]).id)
        self.hand = int(model.body(robot.robot_model.eef_name).id)
        self.fingers = list(robot._ref_gripper_joint_pos_indexes)
        self._low, self._high = robot.torque_limits
        self._actuators = np.asarray(robot._ref_joint_actuator_indexes)
        self._grippers = [int(model.actuator(name).id) for name in robot.gripper.actuators]
        columns = list(map(int, controller.qvel_index))
        self._qpos, self._qvel = np.asarray(controller.qpos_index), np.asarray(columns)
        self._mass_indices = _sparse_mass_indices(model, columns)
        n_joints = len(columns)
        self._jac_pos, self._jac_rot = np.zeros((3, model.nv)), np.zeros((3, model.nv))
        self._j_pos, self._j_ori = np.empty((3, n_joints), order="F"), np.empty((3, n_joints), order="F")
        self._j_full, self._mass = np.empty((6, n_joints), order="F"), np.empty((n_joints, n_joints), order="F")

    def reset(self) -> None:
        """Reset the open-loop gripper command; robosuite's soft reset would keep that of the last episode."""
        gripper = self._env.robots[0].gripper
        gripper.current_action = np.zeros(gripper.dof)

    def apply(self, action: NDArray[np.float64], *, new_goal: bool) -> None:
        """Write the controls for one substep; call `mj_forward` on the present state first."""
        robot = self._env.robots[0]
        controller = robot.controller
        # False right after a reset: stock LIBERO computes the first goal from the pose before the initial state is set.
        if controller.new_update:
            mujoco.mj_forwardSkip(self._model, self._data, SKIP_POS_VEL, 1)
            self._read_into(controller)
        if new_goal:
            controller.set_goal(action[:6])
        torques = self._torques(controller)
        self._grip(robot.gripper, float(action[6]))
        self._data.ctrl[self._actuators] = np.minimum(np.maximum(torques, self._low), self._high)

    def _read_into(self, controller: Any) -> None:
        """Robosuite's `Controller.update` with the same arithmetic, minus its own `mj_forward`."""
        data, columns, jac_pos, jac_rot = self._data, self._qvel, self._jac_pos, self._jac_rot
        mujoco.mj_jacSite(self._model, data, jac_pos, jac_rot, self.site)
        qvel = data.qvel
        controller.ee_pos = data.site_xpos[self.site].copy()
        controller.ee_ori_mat = data.site_xmat[self.site].reshape(3, 3).copy()
        controller.ee_pos_vel = np.dot(jac_pos, qvel)
        controller.ee_ori_vel = np.dot(jac_rot, qvel)
        controller.joint_pos = data.qpos[self._qpos]
        controller.joint_vel = qvel[columns]
        full = self._j_full
        full[:3] = self._j_pos[:] = jac_pos[:, columns]
        full[3:] = self._j_ori[:] = jac_rot[:, columns]
        controller.J_pos, controller.J_ori, controller.J_full = self._j_pos, self._j_ori, full
        data.qM.take(self._mass_indices, out=self._mass.T, mode="clip")
        controller.mass_matrix = self._mass
        controller.new_update = False

    def _torques(self, controller: Any) -> NDArray[np.float64]:
        """Robosuite's `OperationalSpaceController.run_controller` in LIBERO's configuration."""
        orientation_error, opspace_matrices, nullspace_torques = self._functions
        kp, kd, mass, full = controller.kp, controller.kd, controller.mass_matrix, controller.J_full
        turn = orientation_error(np.array(controller.goal_ori), controller.ee_ori_mat)
        force = (controller.goal_pos - controller.ee_pos) * kp[:3] + -controller.ee_pos_vel * kd[:3]
        torque = turn * kp[3:6] + -controller.ee_ori_vel * kd[3:6]
        _, along, about, nullspace = opspace_matrices(mass, full, controller.J_pos, controller.J_ori)
        wrench = np.concatenate((np.dot(along, force), np.dot(about, torque)))
        torques: NDArray[np.float64] = np.dot(full.T, wrench) + self._data.qfrc_bias[self._qvel]
        torques += nullspace_torques(
            mass, nullspace, controller.initial_joint, controller.joint_pos, controller.joint_vel
        )
        controller.torques, controller.new_update = torques, True
        return torques

    def _grip(self, gripper: Any, command: float) -> None:
        """Robosuite's `grip_action` for the Panda gripper."""
        sign = (command > 0) - (command < 0)
        ctrl, limits = self._data.ctrl, self._model.actuator_ctrlrange
        before = gripper.current_action
        after = np.empty(2)
        for finger, direction in ((0, -1.0), (1, 1.0)):
            moved = float(before[finger % len(before)]) + direction * _STEP * sign
            after[finger] = clipped = min(max(moved, -1.0), 1.0)
            actuator = self._grippers[finger]
            low, high = limits[actuator].tolist()
            ctrl[actuator] = 0.5 * (high + low) + 0.5 * (high - low) * clipped
        gripper.current_action = after


def _sparse_mass_indices(model: Any, columns: list[int]) -> NDArray[np.intp]:
    """Indices into `mjData.qM` of the mass matrix of a chain of joints: `intp[n, n]`, as `mj_fullM` unpacks it."""
    indices = np.empty((len(columns), len(columns)), np.intp)
    for row, dof in enumerate(columns):
        address, ancestor = int(model.dof_Madr[dof]), dof
        while ancestor >= 0:
            if ancestor in columns:
                column = columns.index(ancestor)
                indices[row, column] = indices[column, row] = address
            address, ancestor = address + 1, int(model.dof_parentid[ancestor])
    return indices
