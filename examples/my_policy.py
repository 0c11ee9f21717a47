"""A policy of your own.

    simeval run --suite toy --tasks 0 --policy examples/my_policy.py --perturb noise:0.3
    python examples/my_policy.py

The first plays it in every worker, the second checks that it keeps the rules.
"""

from collections.abc import Sequence

from simeval.policies.base import ActionChunk, PolicyInput, PolicySpec  # before NumPy, for the same numbers everywhere

# isort: split
import numpy as np


class Wanderer:
    """Moves in one direction per chunk, whatever it sees."""

    # In the fingerprint stands what the output depends on: for a network, a hash of its weights.
    spec = PolicySpec("wanderer", n_action_steps=10, cameras=("agentview",), fingerprint=(("version", 1),))

    def act(self, inputs: Sequence[PolicyInput]) -> list[ActionChunk]:
        """One chunk per input, `float32[10, 7]`: x, y, z, three rotations, gripper (-1 opens), each in [-1, 1].

        The answer depends on the input alone. Images are `request.observation.images["agentview"]`, `uint8[H, W, 3]`.
        """
        actions = [np.random.default_rng(request.noise_seed).uniform(-1, 1, 7) for request in inputs]
        return [np.tile(action.astype(np.float32), (10, 1)) for action in actions]


def make() -> Wanderer:
    """What `--policy FILE.py` calls; it may take device, n_action_steps, batch_size and dtype."""
    return Wanderer()


if __name__ == "__main__":
    from simeval.testing import check_policy

    check_policy(make())
    print("keeps the rules")
