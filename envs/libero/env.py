"""LIBERO's tasks, exact and lazy.

One `LiberoEnv` is one task. What a policy sees and what its actions do is byte-identical to stock LIBERO with a hard
reset and cameras that always render; the tests hold the two against each other. The scene is compiled once, a reset
takes tens of milliseconds, and a camera is drawn only when somebody looks. `libero_world.World` holds the mechanics.

Non-obvious behaviour:
- A reset repeats what stock LIBERO does on the first `reset()` of a new environment. (Stock is not consistent with
  itself: each further hard reset adds another copy of its open/close samplers, which draw from the same generator as
  the fixture poses.)
- There are two scenes per task: LIBERO's, and the same with objects in reserve. Further bodies change the last bits of
  every motion, so the second is built, and used, only for an episode whose intervention asks for such an object. Its
  states are longer, by which `set_state` tells them apart.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from envs.base import (
    ACTION_SIZE,
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
)
from envs.libero.files import init_states
from envs.libero.physics import SparesWanted
from envs.libero.world import World
from envs.suites import Task

IDLE_ACTION = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -1.0)
"""What the robot does while the scene settles: nothing, gripper open. Source: OpenVLA and lerobot."""

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
        self._assets = assets
        self._plain = self.world = World(task, assets)
        self._reserve: World | None = None
        self._steps, self._env_seed = 0, 0

    def _with_reserve(self) -> World:
        """The scene with objects in reserve, built when it is first asked for."""
        if self._reserve is None:
            self._reserve = World(self.task, self._assets, like=self._plain)
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
        """Reset to any initial state, for instance one of `draw_init_state`."""
        if not self._begin(self._plain, state, env_seed, before_settling):
            self._begin(self._with_reserve(), state, env_seed, before_settling)
        self.goals = self.tracked = ()
        self.step(np.tile(np.asarray(IDLE_ACTION, np.float32), (settle_steps, 1)))
        self.goals = (self.task.goal,)
        self.world.grasp.forget()
        self._steps = 0

    def _begin(
        self, world: World, state: NDArray[np.float64], env_seed: int, before_settling: Intervention | None
    ) -> bool:
        """Whether that scene has all that the intervention asks for."""
        self.world, self._env_seed = world, env_seed
        world.begin(state, env_seed)
        try:
            if before_settling is not None:
                world.intervene(before_settling)
        except SparesWanted:
            return False
        return True

    def draw_init_state(self, seed: int) -> NDArray[np.float64]:
        """A new initial state by LIBERO's own placement samplers, as the published ones once were drawn.

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
            EnvError: the intervention asks for objects that only a reset can bring into the scene.
        """
        self.world.intervene(change)

    def observe(self, cameras: Sequence[str] = CAMERAS) -> Observation:
        """See `Env.observe`."""
        self.renders += len(cameras)
        images = {name: self.world.frame(name, self.resolution) for name in cameras}
        return Observation(images, self.world.proprioception(), self._steps)

    def step(self, actions: NDArray[np.float32]) -> StepResult:
        """See `Env.step`."""
        states: list[NDArray[np.float64]] = []
        reached: tuple[bool, ...] = tuple(False for _ in self.goals)
        hits: dict[Goal, int] = {}
        for action in np.asarray(actions, np.float64).reshape(-1, ACTION_SIZE):
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
        """See `Env.set_state`. Changes between the two scenes where the state is one of the other's.

        Raises:
            EnvError: it is a state of neither.
        """
        longer = len(state) > len(self._plain.state())
        worlds = (self._plain, self._with_reserve()) if longer else (self._plain,)
        wanted = next((world for world in worlds if len(world.state()) == len(state)), None)
        if wanted is None:
            sizes = " or ".join(str(len(world.state())) for world in worlds)
            raise EnvError(f"a state of {self.task.name} has {sizes} numbers, not {len(state)}")
        if wanted is not self.world:
            # Where the fixtures stand is no part of a state.
            self.world = wanted
            wanted.load(self._env_seed)
        wanted.set_state(state)

    def moment(self) -> SensorSnapshot:
        """See `Env.moment`."""
        return self.world.moment(self._steps)

    def show(self, moment: SensorSnapshot) -> None:
        """See `Env.show`."""
        self.world.show(moment)
        self._steps = moment.step

    def render(self, camera: str, size: int) -> NDArray[np.uint8]:
        """See `Env.render`."""
        self.renders += 1
        return self.world.render(camera, size)

    def privileged(self, goal: Goal) -> Privileged:
        """See `Env.privileged`."""
        return self.world.privileged(goal, self._steps)

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
