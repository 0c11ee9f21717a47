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
    Intervention,
    Observation,
    Pose,
    Privileged,
    ResetSpec,
    Scene,
    StepResult,
)
from envs.libero_arm import SKIP_POS_VEL, Arm
from envs.libero_files import init_states, silence
from envs.libero_grasp import Grasp
from envs.libero_names import Things
from envs.libero_physics import LiberoPhysics
from envs.libero_scene import build_scene, global_seed
from envs.rendering import Renderers
from envs.suites import Task
from envs.textures import ModelTextures

IDLE_ACTION = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -1.0)
"""What the robot does while the scene settles: nothing, gripper open. Source: OpenVLA and lerobot."""

JOINT_SPREAD = 0.02
"""Standard deviation of the arm's joints in the published initial states (rad), measured."""

_JOINTS = 7
_CAMERA_NAMES = {"agentview": "agentview", "wrist": "robot0_eye_in_hand"}
_SUBSTEPS = 25
"""Physics steps of 2 ms per control step of 50 ms. Source: robosuite's SIMULATION_TIMESTEP, LIBERO's control_freq."""

_DRAWN = (
    *("qpos", "xpos", "xquat", "xmat", "xipos", "ximat", "xanchor", "xaxis", "subtree_com"),
    *("geom_xpos", "geom_xmat", "site_xpos", "site_xmat", "cam_xpos", "cam_xmat", "light_xpos", "light_xdir"),
)
"""Everything of an `MjData` that a picture or the proprioception is made from."""


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
        self.tracked: tuple[Goal, ...] = ()
        self._init_states = init_states(task.init_states)
        # Absolute, because robosuite looks for relative paths below its own folder.
        self._env, self._pristine = build_scene(task, assets.resolve())
        self._model: Any = self._env.sim.model._model
        self._data: Any = self._env.sim.data._data
        self._seen = mujoco.MjData(self._model)
        self._scratch = mujoco.MjData(self._model)
        self._textures = ModelTextures(self._model)
        self._renderers = Renderers(self._model, self._textures)
        self._clock = _SensorClock()
        self._cameras = {ours: self._id("camera", theirs) for ours, theirs in _CAMERA_NAMES.items()}
        self._arm = Arm(self._env, self._model, self._data)
        self._things = Things(self._env, self._model, task.goal)
        self._physics = LiberoPhysics(self._env, self._model, self._data, self._things)
        self._grasp = Grasp(self._model, self._data, self._things)
        self._steps = 0

    def _id(self, kind: str, name: str) -> int:
        return int(getattr(self._model, kind)(name).id)

    # -- contract ------------------------------------------------------------------------------------------------

    @property
    def approached(self) -> str | None:
        """See `Env.approached`."""
        return self._grasp.approached

    def reset(self, spec: ResetSpec, before_settling: Intervention | None = None) -> None:
        """See `Env.reset`."""
        if not 0 <= spec.init_state < len(self._init_states):
            raise EnvError(f"init_state {spec.init_state}: {self.task.name} has 0..{len(self._init_states) - 1}")
        self.reset_to(self._init_states[spec.init_state], spec.env_seed, spec.settle_steps, before_settling)

    def reset_to(
        self,
        state: NDArray[np.float64],
        env_seed: int,
        settle_steps: int,
        before_settling: Intervention | None = None,
    ) -> None:
        """Reset to any initial state, for instance one of `draw_init_state`.

        The order of calls is that of a hard reset; each one matters to the last bit.
        """
        self._load(env_seed)
        self._env.visualize(vis_settings=dict.fromkeys(self._env._visualizations, False))
        self._env.sim.set_state_from_flattened(state)
        mujoco.mj_forward(self._model, self._data)
        self._env._post_process()
        self._clock.reset()
        self._keep_frame()
        if before_settling is not None:
            self.intervene(before_settling)
        self.goals = self.tracked = ()
        self.step(np.tile(np.asarray(IDLE_ACTION, np.float32), (settle_steps, 1)))
        self.goals = (self.task.goal,)
        self._grasp.forget()
        self._steps = 0

    def draw_init_state(self, seed: int) -> NDArray[np.float64]:
        """A new initial state by LIBERO's own placement samplers, as the published ones once were drawn.

        The samplers always start the robot in the same pose; the published states scatter it (`JOINT_SPREAD`).
        """
        self._load(seed)
        state = self.state()
        state[1 : 1 + _JOINTS] += np.random.default_rng(seed).normal(0, JOINT_SPREAD, _JOINTS)
        return state

    def _load(self, env_seed: int) -> None:
        """As after loading the scene: every field and fixture in place, objects where the samplers drop them."""
        with silence(), global_seed(env_seed):
            self._pristine.restore()
            self._textures.restore()
            mujoco.mj_resetData(self._model, self._data)
            mujoco.mj_forward(self._model, self._data)  # robosuite, when the simulation is made
            mujoco.mj_forward(self._model, self._data)  # robosuite, when the render context is made
            self._arm.forget()
            self._reset_samplers()
            mujoco.mj_forward(self._model, self._data)

    def intervene(self, change: Intervention) -> None:
        """See `Env.intervene`."""
        change(self._physics)
        mujoco.mj_forward(self._model, self._data)
        self._env._post_process()
        self._keep_frame()

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
        hits: dict[Goal, int] = {}
        for action in np.asarray(actions, np.float64).reshape(-1, ACTION_SIZE):
            self._control_step(action)
            states.append(self.state())
            hits |= {goal: len(states) for goal in self.tracked if goal not in hits and self._holds(goal)}
            reached = tuple(self._holds(goal) for goal in self.goals)
            if any(reached):
                break
        rows = np.asarray(states, np.float64).reshape(len(states), len(self.state()))
        return StepResult(len(states), reached, rows, tuple(hits.get(goal) for goal in self.tracked))

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
        return self._things.scene(self._cameras, self._textures)

    def masks(self, camera: str, names: Sequence[str], *, alone: bool = False) -> dict[str, NDArray[np.bool_]]:
        """See `Env.masks`."""
        mujoco.mj_camlight(self._model, self._seen)
        found = {}
        for name in (name for name in names if name in self._things.all):
            geoms, view = self._things.geoms_of(name), self._cameras[camera]
            mask = self._renderers.segment(self._seen, view, self.resolution, geoms, alone=alone)
            found[name] = np.ascontiguousarray(mask[:, ::-1])
        return found

    def close(self) -> None:
        """See `Env.close`."""
        self._renderers.close()

    # -- how it works --------------------------------------------------------------------------------------------

    def _control_step(self, action: NDArray[np.float64]) -> None:
        model, data, arm = self._model, self._data, self._arm
        for substep in range(_SUBSTEPS):
            mujoco.mj_forward(model, data)
            arm.actuate(action, new_goal=substep == 0)
            mujoco.mj_forwardSkip(model, data, SKIP_POS_VEL, 1)
            mujoco.mj_Euler(model, data)
            if self._clock.tick():
                self._keep_frame()
        # Stock MuJoCo would quietly reset an exploded simulation to its start and go on.
        if not (np.isfinite(data.qpos).all() and np.isfinite(data.qvel).all()):
            raise EnvError(f"{self.task.name}: the simulation exploded at control step {self._steps + 1}")
        self._env._post_process()
        self._steps += 1
        if action[6] > 0:
            self._grasp.closing()

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
