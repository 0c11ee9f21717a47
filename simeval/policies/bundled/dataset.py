"""Training batches from recorded episodes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from simeval.policies.bundled.demonstrations import stored
from simeval.policies.bundled.layout import CHUNK

Stats = Mapping[str, Mapping[str, Sequence[float]]]
"""`mean` and `std` of `observation.state` and `action`."""

DAGGER_WEIGHT = 3
"""Sampling weight of frames in which the expert corrects a policy: they are few, and the policy needs them most."""
_MIN_STD = 0.02
"""Smallest standard deviation: a nearly constant component would otherwise turn tiny deviations into huge inputs."""


@dataclass(frozen=True)
class Batch:
    """Training samples.

    Attributes:
        images: `float32[B, 2, 3, E, E]` in [-1, 1], agent view and wrist.
        tokens: `int64[B, L]`, the instruction, padded.
        token_mask: `bool[B, L]`.
        state: `float32[B, 8]`, normalised.
        actions: `float32[B, T, 7]`, normalised.
        valid: `float32[B, T]`, 0 where the expert did not act.
        positions: `float32[B, 6]` (dm).
    """

    images: Tensor
    tokens: Tensor
    token_mask: Tensor
    state: Tensor
    actions: Tensor
    valid: Tensor
    positions: Tensor


class Recordings:
    """All frames of a folder of episodes, in memory; `refresh` reads new recordings."""

    def __init__(self, folder: Path) -> None:
        """Args: folder: where `demonstrations.write` stores the episodes."""
        self._folder = folder
        self._known: set[Path] = set()
        self._episodes: list[dict[str, NDArray[Any]]] = []
        self._frames = np.zeros((0, 2), np.int64)
        self.instructions: list[str] = []
        self._words: list[int] = []

    def refresh(self) -> int:
        """Read new episodes; returns their total number."""
        for file in stored(self._folder):
            if file in self._known:
                continue
            with np.load(file) as content:
                episode = dict(content)
            for key in ("actions", "valid"):
                episode[key] = episode[key][:, :CHUNK]
            self._known.add(file)
            text = str(episode["instruction"])
            if text not in self.instructions:
                self.instructions.append(text)
            useful = np.flatnonzero(episode["valid"].sum(1) >= 4)
            if episode["policy_steps"] > 0:
                useful = np.tile(useful, DAGGER_WEIGHT)
            number = np.full(len(useful), len(self._episodes))
            self._frames = np.concatenate((self._frames, np.stack((number, useful), 1)))
            self._episodes.append(episode)
            self._words.append(self.instructions.index(text))
        return len(self._episodes)

    def __len__(self) -> int:
        return len(self._frames)

    def stats(self) -> Stats:
        """Mean and standard deviation over all frames."""
        states = np.concatenate([episode["states"] for episode in self._episodes])
        actions = np.concatenate([episode["actions"][episode["valid"]] for episode in self._episodes])
        return {
            key: {"mean": values.mean(0).tolist(), "std": np.maximum(values.std(0), _MIN_STD).tolist()}
            for key, values in (("observation.state", states), ("action", actions))
        }

    def sample(self, size: int, stats: Stats, tokens: tuple[Tensor, Tensor], rng: np.random.Generator) -> Batch:
        """Sample a random batch.

        Args:
            size: number of samples.
            stats: statistics for normalisation.
            tokens: `int64[n, L]` and `bool[n, L]` for each of `instructions`.
            rng: generator for the frames and the image augmentation.
        """
        chosen = self._frames[rng.integers(len(self._frames), size=size)]
        picked = {
            key: np.stack([self._episodes[number][key][frame] for number, frame in chosen])
            for key in ("images", "states", "actions", "valid", "positions")
        }
        words = torch.tensor([self._words[number] for number, _ in chosen])
        longest = int(tokens[1][words].sum(1).max())
        return Batch(
            images=_augmented(torch.from_numpy(picked["images"]), rng),
            tokens=tokens[0][words, :longest],
            token_mask=tokens[1][words, :longest],
            state=_normalised(picked["states"], stats["observation.state"]),
            actions=_normalised(picked["actions"], stats["action"]),
            valid=torch.from_numpy(picked["valid"]).float(),
            positions=torch.from_numpy(picked["positions"]),
        )


def _normalised(values: NDArray[np.float32], stats: Mapping[str, Sequence[float]]) -> Tensor:
    return (torch.from_numpy(values) - torch.tensor(stats["mean"])) / (torch.tensor(stats["std"]) + 1e-8)


def _augmented(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Convert `uint8[B, 2, E, E, 3]` to network input; half of the samples in slightly other light, a third with noise.

    The augmentation is weak on purpose: training on strong corruptions would hide their effect in an evaluation.
    """
    augmented = images.permute(0, 1, 4, 2, 3).float().div_(127.5).sub_(1)
    size = len(augmented)

    def per_sample(values: NDArray[np.float64]) -> Tensor:
        return torch.from_numpy(values.astype(np.float32))[:, None, None, None, None]

    chosen = rng.random(size) < 0.5
    gain = per_sample(np.where(chosen, rng.uniform(0.85, 1.15, size), 1))
    offset = per_sample(np.where(chosen, rng.uniform(-0.1, 0.1, size), 0))
    augmented = augmented.mul_(gain).add_(offset)
    for index in np.flatnonzero(rng.random(size) < 0.3):
        augmented[index].add_(torch.randn(augmented.shape[1:]), alpha=float(rng.uniform(0, 0.06)))
    return augmented.clamp_(-1, 1)
