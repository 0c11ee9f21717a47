"""The toy suite: touch the block of a given colour with the probe of a small gantry.

It needs only MuJoCo and builds in milliseconds. Its tasks still need vision and language: only the instruction says
which block to touch, and only the image shows where it is. It is the template for a suite of your own.

Non-obvious behaviour: the gantry is driven by velocity servos. They have no internal state, so time, positions and
velocities are the whole state; an integrating actuator would add a state that `state` does not contain.
"""

from collections.abc import Sequence

import mujoco
import numpy as np
from numpy.typing import NDArray

from envs.base import STATE_SIZE, Atom, EnvError, Goal, Pose
from envs.motion import GoalPart, Motion, Series
from envs.sim.mujoco_env import MAX_RENDER_SIZE, MujocoEnv
from envs.suite import INIT_STATES
from envs.toy.scene import BLOCK_SIDE, SCENE, TABLE_SIDE, TIP_HOME, TIP_RADIUS, TIP_SPEED
from envs.toy.tasks import TOY_COLORS, toy_tasks

__all__ = [
    "BLOCK_GAP", "BLOCK_REACH", "BLOCK_SIDE", "MAX_RENDER_SIZE", "TABLE_SIDE", "TIP_HOME", "TIP_RADIUS", "TIP_SPEED",
    "TOUCH_DISTANCE", "ToyEnv", "block_poses",
]  # fmt: skip

BLOCK_REACH = 0.19
"""Block centres start within this distance (m) of the table's centre along x and y."""

BLOCK_GAP = 0.085
"""Smallest distance of block centres at the start (m): more than two half diagonals plus the tip between them."""

TOUCH_DISTANCE = 0.001
"""A block counts as touched if the tip is this close (m): pushed blocks slide slightly ahead of the tip."""

_PLACEMENT_SEED = 20240607  # Arbitrary, but part of the suite: another seed gives other initial states.


def block_poses(task: int, init_state: int) -> NDArray[np.float64]:
    """Poses of the blocks in an initial state.

    Args:
        task: index of the task.
        init_state: index of the initial state.

    Returns:
        `float64[4, 3]`: x, y (m) and yaw (rad) of each block, in the order of `TOY_COLORS`.
    """
    sequence = np.random.SeedSequence(_PLACEMENT_SEED, spawn_key=(task, init_state))
    rng = np.random.Generator(np.random.Philox(sequence))
    while True:
        centers = rng.uniform(-BLOCK_REACH, BLOCK_REACH, (len(TOY_COLORS), 2))
        gaps = np.linalg.norm(centers[:, None] - centers[None], axis=-1)
        if gaps[np.triu_indices(len(TOY_COLORS), 1)].min() >= BLOCK_GAP:
            break
    return np.column_stack([centers, rng.uniform(-np.pi / 4, np.pi / 4, len(TOY_COLORS))])


class ToyEnv(MujocoEnv):
    """A task of the toy suite.

    Args:
        task: index of the task.
        resolution: side of the images that `observe` renders (px).

    Raises:
        EnvError: no such task, or images of that size cannot be rendered.
    """

    def __init__(self, task: int, resolution: int) -> None:
        _check_index("task", task, len(toy_tasks()))
        super().__init__(toy_tasks()[task], SCENE, resolution, INIT_STATES)

    def place(self, init_state: int, env_seed: int) -> None:
        """Place the blocks; the tip is at home. `env_seed` has no effect."""
        del env_seed
        for color, (x, y, yaw) in zip(TOY_COLORS, block_poses(self.task.index, init_state), strict=True):
            pose = (x, y, BLOCK_SIDE / 2, np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2))
            self.data.joint(f"{color}_block").qpos = pose

    def apply(self, action: NDArray[np.float32]) -> None:
        """The first three numbers move the tip."""
        self.data.ctrl[:] = np.clip(action[:3].astype(np.float64), -1, 1) * TIP_SPEED

    def holds(self, atom: Atom) -> bool:
        """Whether the tip touches a block.

        Raises:
            EnvError: the atom is not one of this suite.
        """
        if atom[0] != "touch" or atom[1] not in self.task.scenery.names:
            raise EnvError(f"the toy suite cannot tell whether {atom} holds")
        tip, block = (self.model.geom(name).id for name in ("tip", atom[1]))
        return bool(mujoco.mj_geomDistance(self.model, self.data, tip, block, 1.0, None) < TOUCH_DISTANCE)

    def proprioception(self) -> NDArray[np.float32]:
        """The tip's position; the rest is 0."""
        state = np.zeros(STATE_SIZE, np.float32)
        state[:3] = self.data.geom("tip").xpos
        return state

    def hand(self) -> Pose:
        """The tip's pose."""
        return Pose(self.data.geom("tip").xpos.copy(), self.data.body("hand").xquat.copy())

    def hand_path(self, states: Sequence[Series]) -> Series:
        """See `envs.motion.TellsMotion`."""
        path = []
        for state in states:
            self.set_state(state)
            self._sync()
            path.append(self.data.geom("tip").xpos.copy())
        return np.array(path)

    def motion(self, states: Sequence[Series], steps: NDArray[np.int64], goal: Goal) -> Motion:
        """See `envs.motion.TellsMotion`."""
        if other := [atom for atom in goal if atom[0] != "touch"]:
            raise EnvError(f"no stages are defined for the goal '{' '.join(other[0])}'")
        blocks = [f"{color}_block" for color in TOY_COLORS]
        tip, count = int(self.model.geom("tip").id), len(states)
        gaps = {name: np.empty(count) for name in blocks}
        for row, state in enumerate(states):
            self.set_state(state)
            self._sync()
            for name in blocks:
                block = int(self.model.geom(name).id)
                gaps[name][row] = mujoco.mj_geomDistance(self.model, self.data, tip, block, 1.0, None)
        return Motion(
            steps=steps,
            hand=self.hand_path(states),
            positions={},
            gaps=gaps,
            touched={name: gap < TOUCH_DISTANCE for name, gap in gaps.items()},
            held={},
            joints={},
            parts=tuple(GoalPart(atom, self.holds(atom), atom[1]) for atom in goal),
        )

    def reached_object(self) -> str | None:
        """The block that the tip touches."""
        blocks = (f"{color}_block" for color in TOY_COLORS)
        return next((name for name in blocks if self.holds(("touch", name))), None)


def _check_index(what: str, index: int, count: int) -> None:
    if not 0 <= index < count:
        raise EnvError(f"the toy suite has {what} 0 to {count - 1}, not {index}")
