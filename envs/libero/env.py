"""LIBERO's tasks, bit-exact and with lazy rendering.

One `LiberoEnv` is one task. Observations and dynamics are byte-identical to stock LIBERO with a hard reset and cameras
that always render; the tests compare the two. The scene is compiled once, a reset takes tens of milliseconds, and a
camera is rendered only on demand. `libero.world.World` implements the mechanics.

Non-obvious behaviour:
- A reset repeats what stock LIBERO does at the first `reset()` of a new environment. (Stock LIBERO is not consistent:
  each further hard reset adds another copy of its open/close samplers, which share a random generator with the fixture
  poses.)
- There are two scenes per task: LIBERO's own, and the same scene with distractors in reserve. Additional bodies change
  the last bits of every motion. So the second scene is built and used only for an episode whose intervention needs a
  distractor. Its states are longer, by which `set_state` tells them apart.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from envs.base import (
    CAMERAS,
    EnvError,
    Goal,
    Intervention,
    Observation,
    Privileged,
    ResetSpec,
    Scene,
    SensorSnapshot,
    StepResult,
    check_actions,
)
from envs.libero.files import init_states
from envs.libero.motion import MotionReader
from envs.libero.physics import DistractorsRequired
from envs.libero.world import World
from envs.motion import Motion, Series
from envs.tasks import Task

IDLE_ACTION = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -1.0)
"""Action while the scene settles: no motion, gripper open. Source: OpenVLA and lerobot."""

JOINT_SPREAD = 0.02
"""Standard deviation of the arm's joints in the published initial states (rad), measured."""

_JOINTS = 7


class LiberoEnv:
    """A task of LIBERO; see `envs.base.Env` for the contract.

    Attributes:
        world: the scene in use.
    """

    def __init__(self, task: Task, resolution: int, assets: Path) -> None:
        """Build the scene (seconds).

        Args:
            task: a task of one of LIBERO's suites.
            resolution: side of the camera images (px).
            assets: LIBERO's asset folder, see `libero.files.resolve_assets`.

        Raises:
            EnvError: the scene cannot be built from these assets.
        """
        assert task.init_states is not None, "a task of LIBERO has initial states"
        self.task, self.resolution, self.renders = task, resolution, 0
        self.goals: tuple[Goal, ...] = (task.goal,)
        self.tracked: tuple[Goal, ...] = ()
        self._init_states = init_states(task.init_states)
        self._assets = assets
        self._plain = self.world = self._world()
        self._reserve: World | None = None
        self._steps, self._env_seed = 0, 0
        self._readers: dict[World, MotionReader] = {}

    def _world(self, like: World | None = None) -> World:
        """Build the plain scene, or from it the scene with distractors in reserve."""
        return World(self.task, self._assets, like)

    def _with_reserve(self) -> World:
        """Return the scene with distractors in reserve; build it at the first call."""
        if self._reserve is None:
            self._reserve = self._world(self._plain)
        return self._reserve

    @property
    def approached(self) -> str | None:
        """See `Env.approached`."""
        return self.world.grasp.approached

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
        """Reset to any initial state, for instance one from `sample_init_state`."""
        if not self._begin(self._plain, state, env_seed, before_settling):
            self._begin(self._with_reserve(), state, env_seed, before_settling)
        self.goals = self.tracked = ()
        self.step(np.tile(np.asarray(IDLE_ACTION, np.float32), (settle_steps, 1)))
        self.goals = (self.task.goal,)
        self.world.grasp.reset()
        self._steps = 0

    def _begin(
        self, world: World, state: NDArray[np.float64], env_seed: int, before_settling: Intervention | None
    ) -> bool:
        """Start an episode in a scene; false if the intervention needs distractors that this scene does not have."""
        self.world, self._env_seed = world, env_seed
        world.begin(state, env_seed)
        try:
            if before_settling is not None:
                world.intervene(before_settling)
        except DistractorsRequired:
            return False
        return True

    def sample_init_state(self, seed: int) -> NDArray[np.float64]:
        """Sample a new initial state with LIBERO's placement samplers, as the published states were made.

        The samplers always start the robot in the same pose; the published states scatter it (`JOINT_SPREAD`).
        """
        self.world, self._env_seed = self._plain, seed
        self.world.load(seed)
        state = self.state()
        state[1 : 1 + _JOINTS] += np.random.default_rng(seed).normal(0, JOINT_SPREAD, _JOINTS)
        return state

    def intervene(self, change: Intervention) -> None:
        """See `Env.intervene`.

        Raises:
            EnvError: the intervention needs distractors, which only a reset can make available.
        """
        self.world.intervene(change)

    def observe(self, cameras: Sequence[str] = CAMERAS) -> Observation:
        """See `Env.observe`."""
        self.renders += len(cameras)
        images = {name: self.world.frame(name, self.resolution) for name in cameras}
        return Observation(images, self.world.proprioception(), self._steps)

    def step(self, actions: NDArray[np.float32]) -> StepResult:
        """See `Env.step`."""
        check_actions(actions)
        states: list[NDArray[np.float64]] = []
        reached: tuple[bool, ...] = tuple(False for _ in self.goals)
        hits: dict[Goal, int] = {}
        for action in np.asarray(actions, np.float64):
            self._control_step(action)
            states.append(self.state())
            hits |= {goal: len(states) for goal in self.tracked if goal not in hits and self.world.holds(goal)}
            reached = tuple(self.world.holds(goal) for goal in self.goals)
            if any(reached):
                break
        rows = np.asarray(states, np.float64).reshape(len(states), len(self.state()))
        return StepResult(len(states), reached, rows, tuple(hits.get(goal) for goal in self.tracked))

    def _control_step(self, action: NDArray[np.float64]) -> None:
        self.world.control_step(action, self._steps + 1)
        self._steps += 1
        if action[6] > 0:
            self.world.grasp.closing()

    def state(self) -> NDArray[np.float64]:
        """See `Env.state`."""
        return self.world.state()

    def set_state(self, state: NDArray[np.float64]) -> None:
        """See `Env.set_state`. Switches between the two scenes if the state belongs to the other one.

        Raises:
            EnvError: the state belongs to neither scene.
        """
        longer = len(state) > len(self._plain.state())
        worlds = (self._plain, self._with_reserve()) if longer else (self._plain,)
        target = next((world for world in worlds if len(world.state()) == len(state)), None)
        if target is None:
            sizes = " or ".join(str(len(world.state())) for world in worlds)
            raise EnvError(f"a state of {self.task.name} has {sizes} numbers, not {len(state)}")
        if target is not self.world:
            # Fixture poses are not part of a state.
            self.world = target
            target.load(self._env_seed)
        target.set_state(state)

    def snapshot(self) -> SensorSnapshot:
        """See `Env.snapshot`."""
        return self.world.snapshot(self._steps)

    def restore_view(self, snapshot: SensorSnapshot) -> None:
        """See `Env.restore_view`."""
        self.world.restore_view(snapshot)
        self._steps = snapshot.step

    def render(self, camera: str, size: int) -> NDArray[np.uint8]:
        """See `Env.render`."""
        self.renders += 1
        return self.world.render(camera, size)

    def privileged(self, goal: Goal) -> Privileged:
        """See `Env.privileged`."""
        return self.world.privileged(goal, self._steps)

    def hand_path(self, states: Sequence[Series]) -> Series:
        """See `envs.motion.TellsMotion`."""
        self.set_state(states[0])
        return self._reader().hand_path(states)

    def motion(self, states: Sequence[Series], steps: NDArray[np.int64], goal: Goal) -> Motion:
        """See `envs.motion.TellsMotion`."""
        self.set_state(states[0])
        return self._reader().motion(states, steps, goal)

    def _reader(self) -> MotionReader:
        if self.world not in self._readers:
            self._readers[self.world] = MotionReader(self.world)
        return self._readers[self.world]

    def scene(self) -> Scene:
        """See `Env.scene`."""
        return self.world.scene()

    def masks(self, camera: str, names: Sequence[str], *, alone: bool = False) -> dict[str, NDArray[np.bool_]]:
        """See `Env.masks`."""
        return self.world.masks(camera, names, self.resolution, alone=alone)

    def close(self) -> None:
        """See `Env.close`."""
        for world in (self._plain, self._reserve):
            if world is not None:
                world.close()
