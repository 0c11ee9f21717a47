"""robosuite's arm controller as LIBERO uses it, without its redundant computations.

Non-obvious behaviour:
- Every number must equal robosuite's own to the last bit. So sums and products are evaluated in robosuite's order,
  each by the library that robosuite uses for it, and the arguments of its compiled functions keep its memory layout
  (`order="F"`): BLAS rounds differently for other layouts.
- Arrays are made once and overwritten in every substep. Views of `MjData` stay valid as long as it lives.
"""

from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

SKIP_POS_VEL = int(mujoco.mjtStage.mjSTAGE_VEL)

_STEP = 0.01
"""Change of the gripper command per substep. Source: robosuite's PandaGripper.speed."""

_READ = (
    *("ee_pos", "ee_ori_mat", "joint_pos", "joint_vel", "J_pos", "J_ori", "J_full", "mass_matrix"),
    *("ee_pos_vel", "ee_ori_vel"),
)
"""Attributes of robosuite's controller in the order of `arm_kernels.read`'s readings, and the hand's velocities."""


class Arm:
    """robosuite's operational-space controller and gripper, driven without its redundant simulator calls."""

    def __init__(self, env: Any, model: Any, data: Any) -> None:
        from robosuite.controllers import osc

        # Imports Numba, as robosuite does: half a second.
        from envs.libero import arm_kernels

        robot = env.robots[0]
        controller = robot.controller
        # `apply` implements this setting only.
        assert controller.uncoupling, "LIBERO's controller treats position and orientation apart"
        assert controller.interpolator_pos is controller.interpolator_ori is None, "LIBERO's controller does not smooth"
        self._env, self._model, self._data, self._kernels = env, model, data, arm_kernels
        self._functions = (osc.orientation_error, osc.opspace_matrices, osc.nullspace_torques)
        self.site = int(model.site(robot.gripper.important_sites["grip_site"]).id)
        self.hand = int(model.body(robot.robot_model.eef_name).id)
        self.fingers = list(robot._ref_gripper_joint_pos_indexes)
        columns = list(map(int, controller.qvel_index))
        in_qvel, n = np.asarray(columns), len(columns)
        self._chosen = (self.site, np.asarray(controller.qpos_index), in_qvel, _sparse_mass_indices(model, columns))
        self._jacobians = np.zeros((3, model.nv)), np.zeros((3, model.nv))
        self._qvel, self._gravity, self._ctrl = data.qvel, data.qfrc_bias, data.ctrl
        self._simulated = (data.qpos, self._qvel, data.qM, data.site_xpos, data.site_xmat, *self._jacobians)
        matrices = (np.empty((rows, n), order="F") for rows in (3, 3, 6, n))
        self._readings = (np.empty(3), np.empty((3, 3)), np.empty(n), np.empty(n), *matrices)
        self._velocities, self._pulls = (np.empty(3), np.empty(3)), (np.empty(3), np.empty(3))
        self._wrench, self._reaching = np.empty(6), np.empty(n)
        self._reach = self._readings[6].T
        low, high = (np.array(limit, np.float64) for limit in robot.torque_limits)
        self._arm = (in_qvel, np.asarray(robot._ref_joint_actuator_indexes), low, high)
        self._commands = np.zeros(2)
        grippers = np.asarray([int(model.actuator(name).id) for name in robot.gripper.actuators])
        self._gripper = (grippers, model.actuator_ctrlrange)

    def reset(self) -> None:
        """Reset the open-loop gripper command; robosuite's soft reset would keep that of the last episode."""
        self._commands[:] = 0

    def apply(self, action: NDArray[np.float64], *, new_goal: bool) -> None:
        """Write the controls for one substep; call `mj_forward` on the present state first."""
        controller = self._env.robots[0].controller
        # False right after a reset: stock LIBERO computes the first goal from the pose before the initial state is set.
        if controller.new_update:
            mujoco.mj_forwardSkip(self._model, self._data, SKIP_POS_VEL, 1)
            self._read()
        else:
            self._adopt(controller)
        if new_goal:
            # robosuite's `set_goal` starts from these.
            controller.ee_pos, controller.ee_ori_mat, *_ = self._readings
            controller.new_update = False
            controller.set_goal(action[:6])
        reaching, holding = self._torques(controller)
        controller.new_update = True
        command = float(action[6])
        closing = _STEP * ((command > 0) - (command < 0))
        fingers = (self._commands, closing, *self._gripper)
        self._kernels.drive((reaching, self._gravity, holding), self._arm, fingers, self._ctrl)

    def _read(self) -> None:
        """Robosuite's `Controller.update` with the same arithmetic, minus its own `mj_forward`."""
        (jac_pos, jac_rot), (along, about) = self._jacobians, self._velocities
        mujoco.mj_jacSite(self._model, self._data, jac_pos, jac_rot, self.site)
        jac_pos.dot(self._qvel, along)
        jac_rot.dot(self._qvel, about)
        self._kernels.read(self._simulated, self._chosen, self._readings)

    def _adopt(self, controller: Any) -> None:
        """Take over what robosuite's own `Controller.update` has read."""
        for name, mine in zip(_READ, (*self._readings, *self._velocities), strict=True):
            mine[:] = getattr(controller, name)

    def _torques(self, controller: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Robosuite's `run_controller` in LIBERO's setting, without gravity: to reach the goal, to hold the posture."""
        orientation_error, opspace_matrices, nullspace_torques = self._functions
        hand, orientation, joint_pos, joint_vel, j_pos, j_ori, j_full, mass = self._readings
        aims = (controller.goal_pos, orientation_error(controller.goal_ori, orientation), controller.kp, controller.kd)
        self._kernels.pull(aims, hand, self._velocities, self._pulls)
        _, along, about, nullspace = opspace_matrices(mass, j_full, j_pos, j_ori)
        force, torque = self._pulls
        along.dot(force, self._wrench[:3])
        about.dot(torque, self._wrench[3:])
        self._reach.dot(self._wrench, self._reaching)
        return self._reaching, nullspace_torques(mass, nullspace, controller.initial_joint, joint_pos, joint_vel)


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
