"""Tasks of LIBERO-plus: LIBERO's environment with another camera, robot pose or sensor noise.

Language and layout are in the task's text and files, and need nothing here.

What LIBERO-plus's own code gets wrong, and this does not:
- Its robot poses are erased by the initial state, which contains LIBERO's, and remain only as the posture that the
  controller pulls to. Here the arm is put in the pose, at rest, after the initial state, and the controller keeps it.
- Its noise is on the agent view only and from an unseeded generator. Here it is on both cameras, and depends on task,
  initial state, control step and camera alone.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from envs.base import CAMERAS, CONTROL_HZ, Intervention, Observation, ResetSpec, SensorSnapshot
from envs.libero.env import LiberoEnv
from envs.libero.world import World
from envs.libero_plus.names import LIBERO_VIEW, View, variation
from envs.libero_plus.noise import corrupt
from envs.libero_plus.poses import robot_pose
from envs.tasks import Task

PIVOT = np.array([0.0, 0.0, 0.8])
"""What the camera moves about (m). Source: LIBERO-plus, which uses it for every scene, also for those on the floor."""


def moved_camera(
    pos: NDArray[np.float64], quat: NDArray[np.float64], view: View
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A camera's pose in one of LIBERO-plus's views.

    Args:
        pos: `float64[3]`, its position in LIBERO (m).
        quat: `float64[4]`, its orientation, w first.
        view: the view.
    """
    swing = Rotation.from_euler("z", view.orbit, degrees=True) * Rotation.from_euler("y", -view.elevation, degrees=True)
    turn = Rotation.from_euler("y", -view.pitch, degrees=True) * Rotation.from_euler("z", view.yaw, degrees=True)
    moved = PIVOT + view.distance * swing.apply(pos - PIVOT)
    x, y, z, w = (turn * swing * Rotation.from_quat(quat[[1, 2, 3, 0]])).as_quat()
    return moved, np.array([w, x, y, z])


class PlusWorld(World):
    """A scene of LIBERO with the camera and the robot pose of a task of LIBERO-plus."""

    def load(self, env_seed: int) -> None:
        """See `World.load`."""
        super().load(env_seed)
        view, camera = variation(self.task.name).view, self.cameras["agentview"]
        if view != LIBERO_VIEW:
            pose = moved_camera(self.model.cam_pos[camera].copy(), self.model.cam_quat[camera].copy(), view)
            self.model.cam_pos[camera], self.model.cam_quat[camera] = pose

    def begin(self, state: NDArray[np.float64], env_seed: int) -> None:
        """See `World.begin`."""
        super().begin(state, env_seed)
        robot = variation(self.task.name).robot
        if robot:
            self.intervene(lambda physics: physics.set_robot(robot_pose(robot)))


class PlusEnv(LiberoEnv):
    """A task of LIBERO-plus; see `envs.base.Env` for the contract."""

    def __init__(self, task: Task, resolution: int, assets: Path) -> None:
        """Build the scene (seconds); see `LiberoEnv`."""
        super().__init__(task, resolution, assets)
        self._init_states = self._init_states[:1]  # LIBERO's tasks have more, of which LIBERO-plus uses the first
        self._noise = variation(task.name).noise
        self._init_state, self._start = 0, 0.0

    def _world(self, like: World | None = None) -> World:
        return PlusWorld(self.task, self._assets, like)

    def reset(self, spec: ResetSpec, before_settling: Intervention | None = None) -> None:
        """See `Env.reset`."""
        super().reset(spec, before_settling)
        self._init_state = spec.init_state

    def reset_to(
        self,
        state: NDArray[np.float64],
        env_seed: int,
        settle_steps: int,
        before_settling: Intervention | None = None,
    ) -> None:
        """See `LiberoEnv.reset_to`."""
        super().reset_to(state, env_seed, settle_steps, before_settling)
        self._start = float(self.world.data.time)

    def observe(self, cameras: Sequence[str] = CAMERAS) -> Observation:
        """See `Env.observe`."""
        observation = super().observe(cameras)
        if not self._noise:
            return observation
        images = {name: self._noisy(image, name, observation.step) for name, image in observation.images.items()}
        return replace(observation, images=images)

    def render(self, camera: str, size: int) -> NDArray[np.uint8]:
        """See `Env.render`. The noise is that of the observation at the same time of the episode."""
        image = super().render(camera, size)
        step = math.floor((float(self.world.data.time) - self._start) * CONTROL_HZ + 0.5)
        return self._noisy(image, camera, step) if self._noise else image

    def _noisy(self, image: NDArray[np.uint8], camera: str, step: int) -> NDArray[np.uint8]:
        key = f"{self.task.name}/{self._init_state}/{step}/{camera}"
        seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:16])
        return corrupt(image, self._noise, np.random.default_rng(seed))

    def snapshot(self) -> SensorSnapshot:
        """See `Env.snapshot`."""
        snapshot = super().snapshot()
        return replace(snapshot, arrays={**snapshot.arrays, "init_state": np.array([self._init_state], np.float64)})

    def restore_view(self, snapshot: SensorSnapshot) -> None:
        """See `Env.restore_view`."""
        super().restore_view(snapshot)
        self._init_state = int(snapshot.arrays["init_state"][0])
