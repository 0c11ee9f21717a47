"""Named ways to run a benchmark."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Protocol:
    """A named way to run the benchmark. Success rates are comparable only within one protocol.

    Its numbers for a suite are `envs.suites.limits`.

    Attributes:
        name: value of `--protocol`.
        first_env_seed: simulator seed for initial state 0.
        env_seed_step: added to the seed for each further initial state.
        source: where the numbers come from.
    """

    name: str
    first_env_seed: int
    env_seed_step: int
    source: str

    def env_seed(self, init_state: int) -> int:
        """Simulator seed of an initial state. It depends on nothing else, so that the episodes of a pair share it."""
        return self.first_env_seed + self.env_seed_step * init_state


PROTOCOLS: Mapping[str, Protocol] = {
    "openvla": Protocol(
        "openvla",
        first_env_seed=0,
        env_seed_step=0,
        source="OpenVLA's run_libero_eval.py: 256 px, 10 idle steps, environment seed 0",
    ),
    "lerobot": Protocol(
        "lerobot",
        first_env_seed=1000,
        env_seed_step=1,
        source="lerobot-eval 0.6.1: 360 px, 10 idle steps, environment seed 1000 + episode",
    ),
}
