"""LIBERO's tasks, exact and lazy.

One `LiberoEnv` is one built scene. What a policy sees and what its actions do is byte-identical to stock LIBERO with
a hard reset and cameras that always render; the tests hold the two against each other. The scene is compiled once, a
reset takes tens of milliseconds, and a camera is drawn only when somebody looks.

Non-obvious behaviour:
- A reset repeats what stock LIBERO does on the first `reset()` of a new environment. (Stock is not consistent with
  itself: each further hard reset adds another copy of its open/close samplers, which draw from the same generator as
  the fixture poses.)
- The simulator draws fixture poses from numpy's global generator. It is seeded for the reset and put back afterwards.
- An observation shows the world at the substep at which robosuite's observable clock samples, not at the end of the
  control step. That moment's `MjData` is kept, and drawn later if it is asked for.
- robosuite evaluates position and velocity stages three times per substep from an unchanged state. Two of the three are
  skipped, which changes no bit; the constraint solver still runs three times, because its warm start depends on it.
"""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from envs.base import (
    ACTION_SIZE,
    CAMERAS,
    CONTROL_HZ,
    EnvError,
    Goal,
    Observation,
    Pose,
    Privileged,
    ResetSpec,
    Scene,
    StepResult,
)
from envs.libero_files import init_states, silence
from envs.libero_scene import build_scene, global_seed
from envs.rendering import Renderers
from envs.suites import Task

IDLE_ACTION = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -1.0)
"""What the robot does while the scene settles: nothing, gripper open. Source: OpenVLA and lerobot."""

_CAMERA_NAMES = {"agentview": "agentview", "wrist": "robot0_eye_in_hand"}
_SUBSTEPS = 25
"""Physics steps of 2 ms per control step of 50 ms. Source: robosuite's SIMULATION_TIMESTEP, LIBERO's control_freq."""

_DRAWN = (
    *("qpos", "xpos", "xquat", "xmat", "xipos", "ximat", "xanchor", "xaxis", "subtree_com"),
    *("geom_xpos", "geom_xmat", "site_xpos", "site_xmat", "cam_xpos", "cam_xmat", "light_xpos", "light_xdir"),
)
"""Everything of an `MjData` that a picture or the proprioception is made from."""

_SKIP_POS_VEL = mujoco.mjtStage.mjSTAGE_VEL


class _SensorClock:
    """When an observation samples: robosuite's `Observable.update`, sum for sum.

    The sums of 0.002 s drift against the period of 0.05 s, so the substep is not always the same one.
    """

    _TICK, _PERIOD = 0.002, 1.0 / CONTROL_HZ

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """As after robosuite's reset and LIBERO's `set_init_state`, which both force a sample."""
        self._elapsed, self._sampled = 0.0, False
        self.tick(force=True)
        self.tick(force=True)

    def tick(self, *, force: bool = False) -> bool:
        """Advance by one substep; whether an observation samples now."""
        self._elapsed += self._TICK
        samples = force or (not self._sampled and self._elapsed <= self._PERIOD)
        self._sampled = self._sampled or samples
        if self._elapsed >= self._PERIOD:
            samples = samples or not self._sampled
            self._elapsed %= self._PERIOD
            self._sampled = False
        return samples


class LiberoEnv:
    """A scene of LIBERO; see `envs.base.Env` for the contract."""

    def __init__(self, task: Task, resolution: int, assets: Path) -> None:
        """Build the scene (seconds).

        Args:
            task: a task of one of LIBERO's suites.
            resolution: side of the camera pictures (px).
            assets: LIBERO's asset folder, see `libero_files.resolve_assets`.

        Raises:
            EnvError: the scene cannot be built from these assets.
        """
        assert task.init_states is not None, "a task of LIBERO has initial states"
        self.task, self.resolution, self.renders = task, resolution, 0
        self.goals: tuple[Goal, ...] = (task.goal,)
        self._init_states = init_states(task.init_states)
        # Absolute, because robosuite looks for relative paths below its own folder.
        self._env, self._pristine = build_scene(task, assets.resolve())
        self._model: Any = self._env.sim.model._model
        self._data: Any = self._env.sim.data._data
        self._seen = mujoco.MjData(self._model)
        self._scratch = mujoco.MjData(self._model)
        self._renderers = Renderers(self._model)
        self._clock = _SensorClock()
        self._cameras = {ours: self._id("camera", theirs) for ours, theirs in _CAMERA_NAMES.items()}
        self._arm = _Arm(self._env, self._model, self._data)
        self._steps = 0

    def _id(self, kind: str, name: str) -> int:
        return int(getattr(self._model, kind)(name).id)

    # -- contract ------------------------------------------------------------------------------------------------

    def reset(self, spec: ResetSpec) -> None:
        """See `Env.reset`. The order of calls is that of a hard reset; each one matters to the last bit."""
        if not 0 <= spec.init_state < len(self._init_states):
            raise EnvError(f"init_state {spec.init_state}: {self.task.name} has 0..{len(self._init_states) - 1}")
        env = self._env
        with silence(), global_seed(spec.env_seed):
            self._pristine.restore()
            mujoco.mj_resetData(self._model, self._data)
            mujoco.mj_forward(self._model, self._data)  # robosuite, when the simulation is made
            mujoco.mj_forward(self._model, self._data)  # robosuite, when the render context is made
            self._arm.forget()
            self._reset_samplers()
            mujoco.mj_forward(self._model, self._data)
            env.visualize(vis_settings=dict.fromkeys(env._visualizations, False))
        env.sim.set_state_from_flattened(self._init_states[spec.init_state])
        mujoco.mj_forward(self._model, self._data)
        env._post_process()
        self._clock.reset()
        self._keep_frame()
        self.goals = ()
        self.step(np.tile(np.asarray(IDLE_ACTION, np.float32), (spec.settle_steps, 1)))
        self.goals = (self.task.goal,)
        self._steps = 0

    def _reset_samplers(self) -> None:
        from robosuite.utils.errors import RandomizationError

        # Stock LIBERO tries again until its placement samplers find room; the draws go on from the same generator.
        for _ in range(1000):
            with contextlib.suppress(RandomizationError):
                self._env._reset_internal()
                return
        raise EnvError(f"{self.task.name}: LIBERO's samplers found no placement")

    def observe(self, cameras: Sequence[str] = CAMERAS) -> Observation:
        """See `Env.observe`."""
        return Observation({name: self._frame(name) for name in cameras}, self._proprioception(), self._steps)

    def step(self, actions: NDArray[np.float32]) -> StepResult:
        """See `Env.step`."""
        states: list[NDArray[np.float64]] = []
        reached: tuple[bool, ...] = tuple(False for _ in self.goals)
        for action in np.asarray(actions, np.float64).reshape(-1, ACTION_SIZE):
            self._control_step(action)
            states.append(self.state())
            reached = tuple(self._holds(goal) for goal in self.goals)
            if any(reached):
                break
        return StepResult(len(states), reached, np.asarray(states, np.float64).reshape(len(states), len(self.state())))

    def state(self) -> NDArray[np.float64]:
        """See `Env.state`."""
        return np.concatenate(([self._data.time], self._data.qpos, self._data.qvel))

    def set_state(self, state: NDArray[np.float64]) -> None:
        """See `Env.set_state`."""
        self._env.sim.set_state_from_flattened(state)
        mujoco.mj_forward(self._model, self._data)
        self._env._post_process()
        self._keep_frame()

    def render(self, camera: str, size: int) -> NDArray[np.uint8]:
        """See `Env.render`."""
        self.renders += 1
        picture = self._renderers.draw(self._present(), self._cameras[camera], size)
        return np.ascontiguousarray(picture[:, ::-1])

    def privileged(self, goal: Goal) -> Privileged:
        """See `Env.privileged`."""
        data, env = self._present(), self._env
        objects = {name: Pose(data.xpos[i].copy(), data.xquat[i].copy()) for name, i in env.obj_body_id.items()}
        joints = {
            joint: float(data.qpos[env.sim.model.get_joint_qpos_addr(joint)])
            for fixture in env.fixtures_dict.values()
            for joint in fixture.joints
        }
        quat = np.empty(4)
        mujoco.mju_mat2Quat(quat, data.site_xmat[self._arm.site])
        hand = Pose(data.site_xpos[self._arm.site].copy(), quat)
        return Privileged(objects, hand, data.qpos[self._arm.fingers].copy(), joints, goal, self._steps)

    def scene(self) -> Scene:
        """See `Env.scene`."""
        return Scene(self._model, self._cameras)

    def close(self) -> None:
        """See `Env.close`."""
        self._renderers.close()

    # -- how it works --------------------------------------------------------------------------------------------

    def _control_step(self, action: NDArray[np.float64]) -> None:
        model, data, arm = self._model, self._data, self._arm
        for substep in range(_SUBSTEPS):
            mujoco.mj_forward(model, data)
            arm.actuate(action, new_goal=substep == 0)
            mujoco.mj_forwardSkip(model, data, _SKIP_POS_VEL, 1)
            mujoco.mj_Euler(model, data)
            if self._clock.tick():
                self._keep_frame()
        # Stock MuJoCo would quietly reset an exploded simulation to its start and go on.
        if not (np.isfinite(data.qpos).all() and np.isfinite(data.qvel).all()):
            raise EnvError(f"{self.task.name}: the simulation exploded at control step {self._steps + 1}")
        self._env._post_process()
        self._steps += 1

    def _keep_frame(self) -> None:
        for field in _DRAWN:
            getattr(self._seen, field)[:] = getattr(self._data, field)
        # The stove's glow is a model field that is switched after the sensors have sampled.
        self._seen_sites = self._model.site_rgba.copy()

    def _frame(self, camera: str) -> NDArray[np.uint8]:
        """The kept moment, flipped on both axes as OpenGL shows it: the orientation that policies were trained on."""
        self.renders += 1
        now = self._model.site_rgba.copy()
        self._model.site_rgba[:] = self._seen_sites
        mujoco.mj_camlight(self._model, self._seen)
        picture = self._renderers.draw(self._seen, self._cameras[camera], self.resolution)
        self._model.site_rgba[:] = now
        return np.ascontiguousarray(picture[:, ::-1])

    def _proprioception(self) -> NDArray[np.float32]:
        data, arm = self._seen, self._arm
        w, x, y, z = data.xquat[arm.hand].astype(np.float32)
        # No sign flip to w >= 0: the hand points down, w is near 0, and policies were trained without one.
        sine = np.sqrt(np.maximum(np.float32(1) - w * w, np.float32(0)))
        turn = np.zeros(3, np.float32)
        if sine > 1e-10:
            turn = np.asarray((x, y, z), np.float32) / sine * (np.float32(2) * np.arccos(np.clip(w, -1, 1)))
        state: NDArray[np.float32] = np.concatenate(
            (data.site_xpos[arm.site], turn, data.qpos[arm.fingers]), dtype=np.float32
        )
        return state

    def _present(self) -> Any:
        """Positions of the present state, worked out aside: a forward call would move the solver's warm start."""
        self._scratch.qpos[:] = self._data.qpos
        mujoco.mj_kinematics(self._model, self._scratch)
        mujoco.mj_comPos(self._model, self._scratch)
        mujoco.mj_camlight(self._model, self._scratch)
        return self._scratch

    def _holds(self, goal: Goal) -> bool:
        return all(self._env._eval_predicate(list(atom)) for atom in goal)


class _Arm:
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
            mujoco.mj_forwardSkip(self._model, self._data, _SKIP_POS_VEL, 1)
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
