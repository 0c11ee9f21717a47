"""Every suite as a Gymnasium environment: `gymnasium.make("envs.gymnasium_env:simeval/Task-v0", suite="toy", task=0)`.

Non-obvious behaviour:
- `reset(seed=n)` samples one of the published initial states; `reset(options={"init_state": 7})` selects one.
- Every step renders an observation, because Gymnasium returns one. The evaluation loop renders only on demand.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from envs.base import Env, Observation
from envs.build import make_env
from envs.protocols import PROTOCOLS
from envs.suites import find_suite, limits, tasks

GymObservation = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class _Reset:
    init_state: int
    env_seed: int
    settle_steps: int


class TaskEnv(gymnasium.Env[GymObservation, NDArray[np.float32]]):
    """One task. Observations: an image per camera (`uint8[H, W, 3]`) and `state` (`float32[n]`); reward 1 on success.

    In LIBERO the cameras are `agentview` and `wrist`, and n is 8.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}  # noqa: RUF012  Gymnasium's own declaration

    def __init__(
        self, suite: str = "toy", task: int = 0, protocol: str = "openvla", assets: str | None = None,
        render_mode: str | None = None,
    ) -> None:  # fmt: skip
        """Build the scene.

        Args:
            suite: name of a suite.
            task: index of the task.
            protocol: an entry of `protocols.PROTOCOLS`.
            assets: LIBERO's asset folder, see `libero.files.resolve_assets`; not used by suites that need none.
            render_mode: `rgb_array` or `None`.

        Raises:
            EnvError: the scene cannot be built.
        """
        self._protocol, self._limits = PROTOCOLS[protocol], limits(protocol, suite)
        self._init_states, folder = find_suite(suite).init_states, None
        if find_suite(suite).needs_assets:
            from envs.libero.files import resolve_assets

            folder = resolve_assets(assets)
        self.env: Env = make_env(suite, task, self._limits.resolution, folder)
        self.instruction = tasks(suite)[task].instruction
        self.render_mode = render_mode
        interface = find_suite(suite).interface
        self._cameras = interface.cameras
        image = gymnasium.spaces.Box(0, 255, (self._limits.resolution, self._limits.resolution, 3), np.uint8)
        state = gymnasium.spaces.Box(-np.inf, np.inf, (interface.state_size,), np.float32)
        self.observation_space: Any = gymnasium.spaces.Dict({**dict.fromkeys(interface.cameras, image), "state": state})
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (interface.action_size,), np.float32)

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[GymObservation, dict[str, Any]]:
        """See `gymnasium.Env.reset`; the module's docstring says how an initial state is chosen."""
        super().reset(seed=seed)
        sampled = int(self.np_random.integers(self._init_states))
        init_state = int((options or {}).get("init_state", sampled))
        self.env.reset(_Reset(init_state, self._protocol.env_seed(init_state), self._limits.settle_steps))
        return _gym(self.env.observe(self._cameras)), {"instruction": self.instruction, "init_state": init_state}

    def step(self, action: NDArray[np.float32]) -> tuple[GymObservation, float, bool, bool, dict[str, Any]]:
        """One control step of 50 ms; see `gymnasium.Env.step`."""
        reached = any(self.env.step(np.asarray(action, np.float32)[None]).reached)
        observation = self.env.observe(self._cameras)
        truncated = not reached and observation.step >= self._limits.max_steps
        return _gym(observation), float(reached), reached, truncated, {"is_success": reached}

    def render(self) -> NDArray[np.uint8] | None:
        """Render the present agent view if `render_mode` is `rgb_array`."""
        return self.env.render("agentview", self._limits.resolution) if self.render_mode == "rgb_array" else None

    def close(self) -> None:
        """Free the simulation."""
        self.env.close()


def _gym(observation: Observation) -> GymObservation:
    return {**observation.images, "state": observation.state}


gymnasium.register("simeval/Task-v0", entry_point="envs.gymnasium_env:TaskEnv")
