"""A policy of your own, played through simeval's evaluation loop, episode by episode.

    python examples/my_policy.py

`--policy` takes the name of a bundled or scripted policy, or a checkpoint that lerobot can load, but not a class. So
this calls the loop itself, in this process: there are no workers, no run folder, no tables and no videos.
"""

from collections.abc import Sequence

from simeval import EvalConfig, make_plan  # before NumPy, for the same numbers on every processor

# isort: split
import numpy as np

from envs.build import make_env
from simeval.policies.base import ActionChunk, PolicyInput, PolicySpec
from simeval.rollout.loop import run_episode
from simeval.rollout.trace import TraceRecorder


class Wanderer:
    """Moves in one direction per chunk, whatever it sees."""

    spec = PolicySpec("wanderer", n_action_steps=10, cameras=("agentview",))

    def act(self, inputs: Sequence[PolicyInput]) -> list[ActionChunk]:
        """One chunk per input, `float32[10, 7]`: x, y, z, three rotations, gripper, each in [-1, 1].

        The answer depends on the input alone. Images are `request.observation.images["agentview"]`, `uint8[H, W, 3]`.
        """
        actions = [np.random.default_rng(request.noise_seed).uniform(-1, 1, 7) for request in inputs]
        return [np.tile(action.astype(np.float32), (10, 1)) for action in actions]


if __name__ == "__main__":
    plan = make_plan(EvalConfig(suite=("toy",), tasks="0", init_states="0-1", perturb=("noise:0.3",)))
    env = make_env("toy", 0, plan.episodes[0].resolution, None)
    for spec in plan.episodes:
        result = run_episode(spec, env, Wanderer(), TraceRecorder())
        print(f"{spec.id}: {result.outcome} after {result.counts.control_steps} control steps")
    env.close()
