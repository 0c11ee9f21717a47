"""Arithmetic of robosuite's arm controller that robosuite itself leaves to Python, compiled.

Non-obvious behaviour:
- Every number must equal robosuite's own to the last bit, on every processor. So nothing here may be compiled with
  `fastmath`: without it LLVM keeps the order of sums, and rounds each product before it is added. `envs.numerics` also
  withholds the instructions that would fuse the two.
- No matrix product and nothing of `numpy.linalg` may move here: compiled, these go to SciPy's BLAS instead of NumPy's,
  which rounds differently.
- Arguments are grouped in plain tuples; Numba takes them apart in a fraction of a microsecond.
"""

from typing import Any

import numba


@numba.njit(cache=True)
def read(simulated: tuple[Any, ...], chosen: tuple[Any, ...], readings: tuple[Any, ...]) -> None:
    """Robosuite's `Controller.update` without the velocities of the hand.

    Args:
        simulated: `mjData`'s `qpos`, `qvel`, `qM`, `site_xpos` and `site_xmat`; Jacobians `float64[3, nv]` of position
            and rotation.
        chosen: the hand's site; indices of the arm's `n` joints in `qpos`, in `qvel` and, `[n, n]`, in `qM`.
        readings: written; position `[3]` and orientation `[3, 3]` of the hand, positions and velocities `[n]` of the
            joints, the Jacobian of position and that of rotation `[3, n]`, both in one `[6, n]`, the mass matrix
            `[n, n]`.
    """
    qpos, qvel, masses, site_pos, site_mat, jac_pos, jac_rot = simulated
    site, in_qpos, in_qvel, in_masses = chosen
    hand, orientation, joint_pos, joint_vel, j_pos, j_ori, j_full, mass = readings
    for row in range(3):
        hand[row] = site_pos[site, row]
        for column in range(3):
            orientation[row, column] = site_mat[site, 3 * row + column]
    for joint in range(len(in_qvel)):
        dof = in_qvel[joint]
        joint_pos[joint], joint_vel[joint] = qpos[in_qpos[joint]], qvel[dof]
        for row in range(3):
            j_full[row, joint] = j_pos[row, joint] = jac_pos[row, dof]
            j_full[3 + row, joint] = j_ori[row, joint] = jac_rot[row, dof]
        for row in range(len(in_qvel)):
            mass[row, joint] = masses[in_masses[row, joint]]


@numba.njit(cache=True)
def pull(aims: tuple[Any, ...], hand: Any, velocities: tuple[Any, ...], pulls: tuple[Any, ...]) -> None:
    """The force and torque with which robosuite's `OperationalSpaceController` pulls the hand to its goal.

    Args:
        aims: the goal's position `[3]`, the rotation to its orientation `[3]`, the gains `kp` and `kd` `[6]`.
        hand: its position `[3]`.
        velocities: of its position and rotation, `[3]` each.
        pulls: written; force and torque, `[3]` each.
    """
    goal, turn, kp, kd = aims
    along, about = velocities
    force, torque = pulls
    for axis in range(3):
        force[axis] = (goal[axis] - hand[axis]) * kp[axis] + -along[axis] * kd[axis]
        torque[axis] = turn[axis] * kp[3 + axis] + -about[axis] * kd[3 + axis]


@numba.njit(cache=True)
def drive(torques: tuple[Any, ...], arm: tuple[Any, ...], gripper: tuple[Any, ...], ctrl: Any) -> None:
    """Write the controls: the sum of the arm's torques within its limits, and robosuite's `grip_action` of the Panda.

    Args:
        torques: for the hand `[n]`, against gravity `[nv]`, for the posture `[n]`.
        arm: indices of the joints in `qvel`, their actuators, and the lowest and highest torques, `[n]` each.
        gripper: the fingers' open-loop commands `[2]` from -1 to 1, which change; by how much they close; their
            actuators `[2]`; `mjModel`'s `actuator_ctrlrange`.
        ctrl: written; `mjData`'s `ctrl`.
    """
    reaching, gravity, holding = torques
    in_qvel, actuators, low, high = arm
    for joint in range(len(in_qvel)):
        torque = reaching[joint] + gravity[in_qvel[joint]] + holding[joint]
        # A torque that is not a number stays one, as in NumPy.
        if torque < low[joint]:
            torque = low[joint]
        elif torque > high[joint]:
            torque = high[joint]
        ctrl[actuators[joint]] = torque
    commands, closing, fingers, limits = gripper
    for finger in range(2):
        commands[finger] = min(max(commands[finger] + (closing if finger else -closing), -1.0), 1.0)
        least, most = limits[fingers[finger], 0], limits[fingers[finger], 1]
        ctrl[fingers[finger]] = 0.5 * (most + least) + 0.5 * (most - least) * commands[finger]
