"""One compiled LIBERO scene and everything that is bound to its model: the mechanics of `libero.env.LiberoEnv`.

Non-obvious behaviour:
- The simulator samples fixture poses from NumPy's global generator. It is seeded for the reset and restored afterwards.
- An observation shows the state at the substep at which robosuite's observables sample, not at the end of the control
  step. The `MjData` of that substep is kept and rendered later on demand.
- robosuite evaluates the position and velocity stages three times per substep from an unchanged state. Two of the three
  are skipped, which changes no bit. The constraint solver still runs three times, because its warm start depends on it.
"""

import contextlib
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from envs.base import CONTROL_HZ, EnvError, Goal, Intervention, Pose, Privileged, Scene, SensorSnapshot
from envs.libero.arm import SKIP_POS_VEL, Arm
from envs.libero.build import build_scene, global_seed
from envs.libero.contacts import Contacts
from envs.libero.files import silence
from envs.libero.gripper import Grasp
from envs.libero.names import SceneIndex
from envs.libero.physics import LiberoPhysics
from envs.tasks import Task

_CAMERA_NAMES = {"agentview": "agentview", "wrist": "robot0_eye_in_hand"}
_SUBSTEPS = 25
"""Physics steps of 2 ms per control step of 50 ms. Source: robosuite's SIMULATION_TIMESTEP, LIBERO's control_freq."""

_SENSED = (
    *("qpos", "xpos", "xquat", "xmat", "xipos", "ximat", "xanchor", "xaxis", "subtree_com"),
    *("geom_xpos", "geom_xmat", "site_xpos", "site_xmat", "cam_xpos", "cam_xmat", "light_xpos", "light_xdir"),
)
"""The fields of `MjData` that images and proprioception are computed from."""


class _SensorClock:
    """When an observation samples: the arithmetic of robosuite's `Observable.update`.

    The sums of 0.002 s drift against the period of 0.05 s, so the substep that samples varies.
    """

    _TICK, _PERIOD = 0.002, 1.0 / CONTROL_HZ

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Reset as robosuite's reset and LIBERO's `set_init_state` do; both force a sample."""
        self._elapsed, self._sampled = 0.0, False
        self.tick(force=True)
        self.tick(force=True)

    def tick(self, *, force: bool = False) -> bool:
        """Advance by one substep; true if an observation samples now."""
        self._elapsed += self._TICK
        samples = force or (not self._sampled and self._elapsed <= self._PERIOD)
        self._sampled = self._sampled or samples
        if self._elapsed >= self._PERIOD:
            samples = samples or not self._sampled
            self._elapsed %= self._PERIOD
            self._sampled = False
        return samples


class World:
    """The simulation of one scene.

    Attributes:
        task: the task.
        env: LIBERO's own environment object.
        model, data: its live `mujoco.MjModel` and `mujoco.MjData`.
        seen: `mujoco.MjData` of the substep that the present observation shows.
        cameras: MuJoCo camera id of each entry of `envs.base.CAMERAS`.
        arm: drives the robot.
        distractors: objects in reserve; none in the plain scene.
        index: its objects and fixtures by name.
        grasp: detects the first grasp attempt.
    """

    def __init__(self, task: Task, assets: Path, like: "World | None" = None) -> None:
        """Build the scene (seconds).

        Args:
            task: a task of one of LIBERO's suites.
            assets: LIBERO's asset folder, see `libero.files.resolve_assets`.
            like: the plain scene of the same task and assets, to get the scene with distractors in reserve.

        Raises:
            EnvError: the scene cannot be built from these assets.
        """
        self.task = task
        # Absolute, because robosuite looks for relative paths below its own folder.
        self.env, self._loaded = build_scene(task, assets.resolve(), like.model if like else None)
        self.distractors = self._loaded.distractors
        self.model: Any = self.env.sim.model._model
        self.data: Any = self.env.sim.data._data
        self.env.check_contact = Contacts(self.model, self.data).check
        # Predicates and objects look their joints up by name at each control step; a model's joints stay in place.
        self.env.sim.model.get_joint_qpos_addr = functools.cache(self.env.sim.model.get_joint_qpos_addr)
        self.seen = mujoco.MjData(self.model)
        self._sensed = [(getattr(self.seen, field), getattr(self.data, field)) for field in _SENSED]
        self._scratch = mujoco.MjData(self.model)
        self._renderers = self._loaded.renderers
        self._clock = _SensorClock()
        self.cameras = {ours: int(self.model.camera(theirs).id) for ours, theirs in _CAMERA_NAMES.items()}
        self.arm = Arm(self.env, self.model, self.data)
        self.index = SceneIndex(self.env, self.model, task.goal, self.distractors)
        self._physics = LiberoPhysics(self.env, self.model, self.data, self.index)
        self.grasp = Grasp(self.model, self.data, self.index)

    # -- beginning -----------------------------------------------------------------------------------------------

    def load(self, env_seed: int) -> None:
        """Restore the state after loading the scene: every field and fixture, objects where the samplers put them.

        The order of calls is that of a hard reset; every call affects the last bit.
        """
        with silence(), global_seed(env_seed):
            self._loaded.restore()
            mujoco.mj_resetData(self.model, self.data)
            mujoco.mj_forward(self.model, self.data)  # robosuite, when the simulation is made
            mujoco.mj_forward(self.model, self.data)  # robosuite, when the render context is made
            self.arm.reset()
            self._reset_samplers()
            mujoco.mj_forward(self.model, self.data)
        self.env.visualize(vis_settings=dict.fromkeys(self.env._visualizations, False))

    def _reset_samplers(self) -> None:
        from robosuite.utils.errors import RandomizationError

        # Stock LIBERO tries again until its placement samplers find room, with further numbers of the same generator.
        for _ in range(1000):
            with contextlib.suppress(RandomizationError):
                self.env._reset_internal()
                return
        raise EnvError(f"{self.task.name}: LIBERO's samplers found no placement")

    def begin(self, state: NDArray[np.float64], env_seed: int) -> None:
        """Load the scene and set an initial state, as a hard reset and LIBERO's `set_init_state` do.

        Args:
            state: a state of the plain scene.
            env_seed: seed of the simulator's random numbers.
        """
        self.load(env_seed)
        self.set_state(self.distractors.lengthened(state))
        self._clock.reset()

    def intervene(self, change: Intervention) -> None:
        """See `envs.base.Env.intervene`."""
        change(self._physics)
        mujoco.mj_forward(self.model, self.data)
        self.env._post_process()
        self._keep_frame()

    # -- states --------------------------------------------------------------------------------------------------

    def state(self) -> NDArray[np.float64]:
        """See `envs.base.Env.state`."""
        return np.concatenate(([self.data.time], self.data.qpos, self.data.qvel))

    def set_state(self, state: NDArray[np.float64]) -> None:
        """See `envs.base.Env.set_state`."""
        self.env.sim.set_state_from_flattened(state)
        self.distractors.follow(self.data.qpos)
        mujoco.mj_forward(self.model, self.data)
        self.env._post_process()
        self._keep_frame()

    def holds(self, goal: Goal) -> bool:
        """Whether a goal holds now."""
        return all(self.env._eval_predicate(list(atom)) for atom in goal)

    def privileged(self, goal: Goal, step: int) -> Privileged:
        """See `envs.base.Env.privileged`."""
        data, env = self._present(), self.env
        objects = {name: Pose(data.xpos[i].copy(), data.xquat[i].copy()) for name, i in env.obj_body_id.items()}
        joints = {
            joint: float(data.qpos[env.sim.model.get_joint_qpos_addr(joint)])
            for fixture in env.fixtures_dict.values()
            for joint in fixture.joints
        }
        quat = np.empty(4)
        mujoco.mju_mat2Quat(quat, data.site_xmat[self.arm.site])
        hand = Pose(data.site_xpos[self.arm.site].copy(), quat)
        return Privileged(objects, hand, data.qpos[self.arm.fingers].copy(), joints, goal, step)

    def scene(self) -> Scene:
        """See `envs.base.Env.scene`."""
        present = self.distractors.present(self.data.qpos)
        return self.index.scene(self.cameras, self._loaded.textures, present)

    def _present(self) -> Any:
        """Poses of the present state, computed in a scratch `MjData`: `mj_forward` would change the warm start."""
        self._scratch.qpos[:] = self.data.qpos
        mujoco.mj_kinematics(self.model, self._scratch)
        mujoco.mj_comPos(self.model, self._scratch)
        mujoco.mj_camlight(self.model, self._scratch)
        return self._scratch

    # -- motion --------------------------------------------------------------------------------------------------

    def control_step(self, action: NDArray[np.float64], number: int) -> None:
        """Execute one action, `float64[7]`: the episode's `number`th control step.

        Raises:
            EnvError: the simulation is no longer finite.
        """
        model, data, arm = self.model, self.data, self.arm
        for substep in range(_SUBSTEPS):
            mujoco.mj_forward(model, data)
            arm.apply(action, new_goal=substep == 0)
            mujoco.mj_forwardSkip(model, data, SKIP_POS_VEL, 1)
            mujoco.mj_Euler(model, data)
            if self._clock.tick():
                self._keep_frame()
        # Stock MuJoCo would silently reset a diverged simulation to its start and continue.
        if not (np.isfinite(data.qpos).all() and np.isfinite(data.qvel).all()):
            raise EnvError(f"{self.task.name}: the simulation exploded at control step {number}")
        self.env._post_process()

    def _keep_frame(self) -> None:
        for seen, present in self._sensed:
            seen[:] = present
        # The stove's glow is a model field, which is switched after the sensors have sampled.
        self._seen_sites = self.model.site_rgba.copy()

    def snapshot(self, step: int) -> SensorSnapshot:
        """See `envs.base.Env.snapshot`."""
        arrays = {field: getattr(self.seen, field).copy() for field in _SENSED}
        return SensorSnapshot(arrays | {"sites": self._seen_sites.copy()}, step)

    def restore_view(self, snapshot: SensorSnapshot) -> None:
        """See `envs.base.Env.restore_view`."""
        for field in _SENSED:
            getattr(self.seen, field)[:] = snapshot.arrays[field]
        self._seen_sites = snapshot.arrays["sites"].copy()

    # -- sensing -------------------------------------------------------------------------------------------------

    def frame(self, camera: str, size: int) -> NDArray[np.uint8]:
        """Render the observed substep; OpenGL's image flipped on both axes, as policies were trained on it."""
        present_sites = self.model.site_rgba.copy()
        self.model.site_rgba[:] = self._seen_sites
        mujoco.mj_camlight(self.model, self.seen)
        image = self._renderers.draw(self.seen, self.cameras[camera], size)
        self.model.site_rgba[:] = present_sites
        return np.ascontiguousarray(image[:, ::-1])

    def render(self, camera: str, size: int) -> NDArray[np.uint8]:
        """See `envs.base.Env.render`."""
        image = self._renderers.draw(self._present(), self.cameras[camera], size)
        return np.ascontiguousarray(image[:, ::-1])

    def masks(self, camera: str, names: Sequence[str], size: int, *, alone: bool) -> dict[str, NDArray[np.bool_]]:
        """See `envs.base.Env.masks`; masks of `size` pixels per side."""
        mujoco.mj_camlight(self.model, self.seen)
        masks = {}
        for name in (name for name in names if name in self.index.all):
            geoms, view = self.index.geoms_of(name), self.cameras[camera]
            mask = self._renderers.segment(self.seen, view, size, geoms, alone=alone)
            masks[name] = np.ascontiguousarray(mask[:, ::-1])
        return masks

    def proprioception(self) -> NDArray[np.float32]:
        """See `envs.base.Observation.state`."""
        data, arm = self.seen, self.arm
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

    def close(self) -> None:
        """Free the render contexts, or leave the scene to the next environment; see `envs.sim.loaded_scene`."""
        self._loaded.close()
