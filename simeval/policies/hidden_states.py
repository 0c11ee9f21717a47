"""Hidden states of every layer of a SmolVLA, read by hooks while it predicts. Verified against lerobot 0.6.1.

Non-obvious behaviour:
- lerobot calls the parts of a layer, not the layer, so a layer has no output to hook. What enters the norm at its start
  is the residual stream after the layer before it; after the last one, what enters the final norm.
- `vlm 0` is what enters the language model: image tokens, words and state before any layer.
- The action expert is read at the first denoising step, as its attention is (`simeval.policies.representations`): there
  its inputs are sampling noise, equal for all policies, and what differs comes from the observation.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import isqrt
from typing import Any, Protocol, cast

import numpy as np

from simeval.core.errors import ConfigError
from simeval.policies.base import ActionChunk, Policy, PolicyInput
from simeval.policies.representations import FeatureReader, Floats, Representation, representing

VISION = "vision"
VLM, EXPERT = "vlm {}", "expert {}"


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """Hidden states of one layer for one input.

    Attributes:
        name: `vision`, or `vlm K` and `expert K` with the number of layers that the states have passed.
        regions: `float32[cameras, h, w, d]`, image tokens by region, laid out as `Representation.attention`; `None` in
            the action expert, which has none.
        actions: `float32[executed actions, d]`; `None` elsewhere.
    """

    name: str
    regions: Floats | None
    actions: Floats | None

    @property
    def pooled(self) -> Floats:
        """Mean over the image tokens, or over the executed actions: `float32[d]`."""
        tokens = self.actions if self.regions is None else self.regions.reshape(-1, self.regions.shape[-1])
        return np.asarray(cast(Floats, tokens).mean(axis=0, dtype=np.float64), np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class HiddenStates:
    """All layers for one input, in order, and its attention."""

    layers: tuple[Layer, ...]
    representation: Representation


class ReadablePolicy(Policy, Protocol):
    """A policy that exposes its hidden states."""

    def hidden_states(self, inputs: Sequence[PolicyInput]) -> list[HiddenStates]:
        """Predict as `act` does, and return the hidden states for each input."""


def readable(policy: Policy) -> ReadablePolicy:
    """Return the policy if it exposes hidden states.

    Raises:
        ConfigError: it does not.
    """
    representing(policy)
    if not hasattr(policy, "hidden_states"):
        raise ConfigError(f"policy '{policy.spec.name}' does not expose hidden states")
    return cast(ReadablePolicy, policy)


class HiddenReader(FeatureReader):
    """Reads all layers of one loaded SmolVLA, with what `FeatureReader` reads."""

    @contextmanager
    def watching(self, batch: Mapping[str, Any]) -> Iterator[None]:
        """Capture the features and hidden states of the prediction for a preprocessed batch inside this context."""
        self._vlm: list[Any] = []
        self._expert: list[Any] = []
        core = self._policy.model.vlm_with_expert
        text = core.get_vlm_model().text_model
        with super().watching(batch), ExitStack() as hooks:
            for layers, norm, kept in (
                (list(text.layers)[: core.num_vlm_layers], text.norm, self._vlm),
                (core.lm_expert.layers, core.lm_expert.norm, self._expert),
            ):
                first = _first(len(layers) + 1, kept)
                for layer in layers:
                    hooks.callback(layer.input_layernorm.register_forward_pre_hook(first).remove)
                hooks.callback(norm.register_forward_pre_hook(first).remove)
            yield

    def hidden_states(self, chunks: Sequence[ActionChunk]) -> list[HiddenStates]:
        """Hidden states of each sample of the batch that was captured last.

        Args:
            chunks: the predictions for these samples.
        """
        found = []
        vlm, expert = ([_array(part) for part in kept] for kept in (self._vlm, self._expert))
        for k, representation in enumerate(self.representations(chunks)):
            cameras, tokens, _ = representation.vision.shape
            side = isqrt(tokens)
            owners = self._owners(tokens, self._word_mask[k], vlm[0].shape[1])
            of_images = [np.flatnonzero(owners == camera) for camera in range(cameras)]
            layers = [Layer(VISION, _grid(representation.vision, side), None)]
            layers += [
                Layer(VLM.format(i), _grid(np.stack([part[k][chosen] for chosen in of_images]), side), None)
                for i, part in enumerate(vlm)
            ]
            layers += [Layer(EXPERT.format(i), None, part[k][: self._executed]) for i, part in enumerate(expert)]
            found.append(HiddenStates(tuple(layers), representation))
        return found


def _first(count: int, kept: list[Any]) -> Any:
    """A hook that keeps what goes in, until `count` inputs are kept: those of the first pass through all layers."""

    def keep(_module: Any, inputs: Any) -> None:
        if len(kept) < count:
            kept.append(inputs[0])

    return keep


def _grid(tokens: Floats, side: int) -> Floats:
    return tokens.reshape(len(tokens), side, side, -1)


def _array(tensor: Any) -> Floats:
    return np.asarray(tensor.detach().float().cpu().numpy())
