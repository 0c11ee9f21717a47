"""Demonstrations on the training device, through the checkpoint's own preprocessor."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from examples.finetune.demos import CAMERAS, Demonstrations
from examples.finetune.network import Inputs, Network
from examples.finetune.views import permitted_views
from simeval.core.errors import ConfigError

_TOKENS = "observation.language.tokens"
_MASK = "observation.language.attention_mask"


@dataclass(frozen=True, eq=False)
class Samples:
    """B samples, of which the first R are regularised, and one noisy chunk for each of K draws.

    Attributes:
        clean: what was seen and asked, B samples.
        conflicting: another instruction for the first R; `None` if nobody asks.
        changed: permitted views of the first R; `None` if nobody asks.
        actions: `float32[B, T, d]`, scaled.
        valid: `bool[B, T]`.
        noise: `float32[K, B, T, d]`.
        time: `float32[K, B]` in (0, 1].
    """

    clean: Inputs
    conflicting: Inputs | None
    changed: Inputs | None
    actions: Tensor
    valid: Tensor
    noise: Tensor
    time: Tensor


class Frames:
    """All frames on the device; the scaling and the tokens are those of the checkpoint's preprocessor, done once."""

    def __init__(self, demonstrations: Demonstrations, network: Network, views: NDArray[np.uint8] | None) -> None:
        """Scale, tokenise and move the frames.

        Args:
            demonstrations: the demonstrations.
            network: the network.
            views: a permitted view of each frame, from `views_of`, if the recipe or a measurement needs them.

        Raises:
            ConfigError: the demonstrated chunks are shorter than the policy's.
        """
        if demonstrations.actions.shape[1] < network.chunk:
            raise ConfigError(
                f"policy '{network.checkpoint.name}' predicts {network.chunk} actions, and the demonstrations have "
                f"{demonstrations.actions.shape[1]} from each frame on; write them again: --chunk {network.chunk}"
            )
        self._demonstrations, self._network = demonstrations, network
        device, texts = network.device, demonstrations.texts
        state_key = network.checkpoint.state_key
        scaled = network.preprocess(
            {
                state_key: torch.from_numpy(demonstrations.states),
                "action": torch.from_numpy(demonstrations.actions[:, : network.chunk]),
                "task": [texts[index] for index in demonstrations.instructions],
            }
        )
        # Once more for the table of all instructions: some are only asked for in conflict with others.
        table = network.preprocess(
            {state_key: torch.zeros(len(texts), demonstrations.states.shape[1]), "task": list(texts)}
        )
        self._state = network.policy.prepare_state(scaled).float()
        self._actions = scaled["action"].float()
        used = table[_MASK].bool().any(0)  # texts are padded to the tokenizer's limit, which costs twice the time
        self._tokens, self._mask = table[_TOKENS][:, used], table[_MASK].bool()[:, used]
        self._valid = torch.from_numpy(demonstrations.valid[:, : network.chunk]).to(device)
        self._images = self._pixels(demonstrations.images)
        self._views = None if views is None else self._pixels(views)

    def _pixels(self, images: NDArray[np.uint8]) -> Tensor:
        """The images of the cameras that the network takes, on its device."""
        taken = [CAMERAS.index(camera) for camera in self._network.cameras]
        chosen = images if taken == list(range(len(CAMERAS))) else images[:, taken]
        return torch.from_numpy(chosen).to(self._network.device)

    def sample(
        self, chosen: NDArray[np.int64], rng: np.random.Generator, *, draws: int, regularised: int, conflicts: bool
    ) -> Samples:
        """Samples of chosen frames; everything random comes from `rng`.

        Args:
            chosen: numbers of the frames, B.
            rng: the generator.
            draws: noisy chunks per sample, K.
            regularised: how many of the samples get other instructions and views, R.
            conflicts: whether other instructions are asked for; views are given whenever this object has them.
        """
        size, device = (draws, len(chosen), *self._actions.shape[1:]), self._network.device
        noise = torch.from_numpy(rng.standard_normal(size, np.float32)).to(device)
        # SmolVLA's times: Beta(1.5, 1) by its inverse distribution function, scaled away from zero.
        time = (rng.random(size[:2]) ** (1 / 1.5) * 0.999 + 0.001).astype(np.float32)
        index = torch.from_numpy(chosen).to(device)
        few = chosen[:regularised]
        words = self._demonstrations.instructions[chosen]
        others = np.array([self._conflict(frame, rng) for frame in few], np.int64) if conflicts else None
        return Samples(
            self._inputs(self._images, index, words),
            None if others is None else self._inputs(self._images, index[:regularised], others),
            None if self._views is None else self._inputs(self._views, index[:regularised], words[:regularised]),
            self._actions[index],
            self._valid[index],
            noise,
            torch.from_numpy(time).to(device),
        )

    def _conflict(self, frame: int, rng: np.random.Generator) -> int:
        """An instruction for another goal of the frame's scene; of any scene, if it has no other goal."""
        possible = np.flatnonzero(self._demonstrations.conflicts[frame])
        if not len(possible):
            wanted = self._demonstrations.instructions[frame]
            possible = np.flatnonzero(np.arange(len(self._demonstrations.texts)) != wanted)
        return int(rng.choice(possible))

    def _inputs(self, images: Tensor, index: Tensor, words: NDArray[np.int64]) -> Inputs:
        text = torch.from_numpy(words).to(self._network.device)
        pixels = images[index].permute(0, 1, 4, 2, 3).float() / 255
        return Inputs(pixels, self._tokens[text], self._mask[text], self._state[index])


def views_of(demonstrations: Demonstrations) -> NDArray[np.uint8]:
    """A permitted view of each frame: `uint8[n, cameras, E, E, 3]`; a millisecond per frame."""
    return permitted_views(demonstrations.images, CAMERAS)


def stacked(parts: list[Inputs]) -> Inputs:
    """Several inputs as one batch."""
    return Inputs(*(torch.cat([getattr(part, name) for part in parts]) for name in Inputs.__dataclass_fields__))
