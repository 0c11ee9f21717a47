"""Random streams keyed by identity.

A stream depends on the run's root seed, on the pair and on the purpose of the numbers; never on strength, worker or
order of calls. So all strengths of a perturbation share one noise field, which makes paired comparisons precise.
"""

import zlib
from dataclasses import dataclass

import numpy as np

from simeval.core.types import EpisodeSpec


def _code(text: str) -> int:
    return zlib.crc32(text.encode())


@dataclass(frozen=True, slots=True)
class PairStreams:
    """The random streams that all episodes of one pair use."""

    root: int
    identity: tuple[int, ...]

    @staticmethod
    def of(spec: EpisodeSpec) -> "PairStreams":
        """The streams of an episode; the same for its unperturbed twin."""
        return PairStreams(spec.root_seed, (_code(spec.suite), spec.task, spec.init_state, spec.repeat))

    def _sequence(self, name: str, camera: str, step: int) -> np.random.SeedSequence:
        return np.random.SeedSequence(self.root, spawn_key=(*self.identity, _code(name), _code(camera), step))

    def generator(self, name: str, camera: str = "", step: int = 0) -> np.random.Generator:
        """A fresh generator for one purpose, camera and step (0 for samples that hold for the whole episode)."""
        return np.random.Generator(np.random.Philox(self._sequence(name, camera, step)))

    def policy_seed(self, chunk: int) -> int:
        """Seed of the policy's sampling noise for one action chunk, in [0, 2**63)."""
        return int(self._sequence("policy", "", chunk).generate_state(1, np.uint64)[0] >> np.uint64(1))
