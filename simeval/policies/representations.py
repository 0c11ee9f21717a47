"""Internal features of a SmolVLA, read by hooks while it predicts.

Verified against lerobot 0.6.1. The network is unmodified: torch's hooks observe an ordinary prediction, so the chunk is
bit-identical to that of `act`.

Non-obvious behaviour:
- Word embeddings are looked up in a table before any layer: they depend on the instruction alone. The joint
  representation of words and images is the prefix: the language model's hidden states after its last layer.
- Attention is that of the first denoising step. There the actions are pure sampling noise. Two views of a frame that
  share their noise then have the same queries, and any difference comes from the observation. Later steps start from
  actions that already differ. The first step is also the cheapest.
- lerobot computes attention inside a method that does not return the probabilities. They are captured where it calls
  torch's softmax; no formula is reimplemented here.
- Attention is over images in the network's layout: scaled into a square, with padding on the left and at the top.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from math import isqrt
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from simeval.core.errors import ConfigError
from simeval.policies.base import ActionChunk, Policy, PolicyInput

TYPE = "smolvla"
"""The only supported type of lerobot policy."""

_MASK = "observation.language.attention_mask"
"""Key of the tokenizer's mask in a preprocessed batch."""

_LANGUAGE, _STATE, _REST, _NOTHING = -1, -2, -3, -4
"""Owner of a prefix token that belongs to no camera (0, 1 ...). `_NOTHING`: padding and missing images."""

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Representation:
    """Internal features for one input. The attention masses, together with that of special tokens, add up to 1.

    Attributes:
        chunk: the predicted chunk, as `act` returns it.
        cameras: entries of `envs.base.CAMERAS`, in the order of the arrays.
        vision: `float32[cameras, tokens, d]`, image tokens as the connector passes them to the language model.
        language: `float32[words, d]`, embeddings of the instruction's tokens, padding included.
        language_mask: `bool[words]`, false for padding.
        prefix: `float32[P, d]`, hidden states of images, words and state after the language model's last layer.
        prefix_mask: `bool[P]`, false for padding and missing images.
        attention: `float32[cameras, h, w]`, the action expert's attention mass on each region of an image: mean over
            the executed actions, the heads and the layers that attend to the prefix alone (all layers, if none does),
            at the first denoising step. Regions are laid out as in the square input of the network.
        attention_language: attention mass on the words.
        attention_state: attention mass on the state.
    """

    chunk: ActionChunk
    cameras: tuple[str, ...]
    vision: Floats
    language: Floats
    language_mask: Bools
    prefix: Floats
    prefix_mask: Bools
    attention: Floats
    attention_language: float
    attention_state: float


class RepresentingPolicy(Policy, Protocol):
    """A policy that exposes internal features."""

    def represent(self, inputs: Sequence[PolicyInput]) -> list[Representation]:
        """Predict as `act` does, and return the internal features for each input.

        Raises:
            ConfigError: this policy does not expose them.
        """


def representing(policy: Policy) -> RepresentingPolicy:
    """Return the policy if it exposes internal features.

    Raises:
        ConfigError: it does not.
    """
    kind = dict(policy.spec.fingerprint).get("type")
    if kind != TYPE or not hasattr(policy, "represent"):
        reason = f"only {TYPE} does" if kind != TYPE else "a policy server does not pass them on"
        raise ConfigError(f"policy '{policy.spec.name}' does not expose representations: {reason}")
    return cast(RepresentingPolicy, policy)


@dataclass
class _Captured:
    """Tensors that the hooks capture during one call, on the policy's device."""

    images: list[Any] = field(default_factory=list)
    words: list[Any] = field(default_factory=list)
    prefix: list[Any] = field(default_factory=list)
    probabilities: list[Any] = field(default_factory=list)
    steps: int = 0


class FeatureReader:
    """Reads the internal features of one loaded SmolVLA; all hooks are removed after each call."""

    def __init__(self, policy: Any, preprocess: Any, cameras: Mapping[str, str], n_action_steps: int) -> None:
        """Prepare the reader.

        Args:
            policy: lerobot's `SmolVLAPolicy`.
            preprocess: its preprocessor.
            cameras: camera of the suite -> key of its image in the preprocessor's input.
            n_action_steps: actions of a chunk that are executed.
        """
        self._policy = policy
        self._cameras = {key: camera for camera, key in cameras.items()}
        for step in preprocess.steps:
            new_names = getattr(step, "rename_map", {})
            self._cameras = {new_names.get(key, key): camera for key, camera in self._cameras.items()}
        self._executed = n_action_steps
        self._captured = _Captured()
        self._keys: list[str] = []
        self._word_mask: Bools

    @contextmanager
    def watching(self, batch: Mapping[str, Any]) -> Iterator[None]:
        """Capture the features of the prediction for a preprocessed batch inside this context."""
        captured = self._captured = _Captured()
        self._keys = [key for key in self._policy.config.image_features if key in batch]
        self._word_mask = batch[_MASK].bool().cpu().numpy()
        flow = self._policy.model
        vlm = flow.vlm_with_expert.get_vlm_model()
        with ExitStack() as hooks, ExitStack() as first_step:

            def start(*_: Any) -> None:
                captured.steps += 1
                if captured.steps == 1:
                    first_step.enter_context(_softmaxes(captured.probabilities))

            embeddings = vlm.text_model.get_input_embeddings()
            for handle in (
                vlm.connector.register_forward_hook(lambda *call: captured.images.append(call[-1])),
                embeddings.register_forward_hook(lambda *call: captured.words.append(call[-1])),
                vlm.text_model.norm.register_forward_hook(lambda *call: captured.prefix.append(call[-1])),
                flow.action_in_proj.register_forward_pre_hook(start),
                flow.action_out_proj.register_forward_hook(lambda *_: first_step.close()),
            ):
                hooks.callback(handle.remove)
            yield

    def representations(self, chunks: Sequence[ActionChunk]) -> list[Representation]:
        """Features of each sample of the batch that was captured last.

        Args:
            chunks: the predictions for these samples.
        """
        captured = self._captured
        vision = np.stack([_array(part) for part in captured.images[: len(self._keys)]], 1)
        # Special tokens are embedded too, without a batch dimension.
        language = _array(next(part for part in captured.words if part.ndim == 3))
        prefix = _array(captured.prefix[0])
        side = isqrt(vision.shape[2])
        attention = self._attention(prefix.shape[1])
        features = []
        for k, chunk in enumerate(chunks):
            owners = self._owners(vision.shape[2], self._word_mask[k], prefix.shape[1])
            regions = [attention[k][owners == camera] for camera in range(len(self._keys))]
            features.append(
                Representation(
                    chunk=chunk,
                    cameras=tuple(self._cameras[key] for key in self._keys),
                    vision=vision[k],
                    language=language[k],
                    language_mask=self._word_mask[k],
                    prefix=prefix[k],
                    prefix_mask=owners != _NOTHING,
                    attention=np.stack(regions).reshape(-1, side, side).astype(np.float32),
                    attention_language=float(attention[k][owners == _LANGUAGE].sum()),
                    attention_state=float(attention[k][owners == _STATE].sum()),
                )
            )
        return features

    def _attention(self, size: int) -> NDArray[np.float64]:
        """Attention to each token of a prefix of that size: `float64[B, P]`."""
        captured = self._captured.probabilities
        layers = [part for part in captured if part.shape[-1] == size] or captured
        means = [part[:, :, : self._executed, :size].double().mean((1, 2)).cpu().numpy() for part in layers]
        return np.asarray(np.mean(means, 0))

    def _owners(self, tokens: int, word_mask: Bools, size: int) -> NDArray[np.int64]:
        """The owner of each prefix token, in the order of lerobot's `embed_prefix`: `int64[P]`."""
        before, after = ([_REST] * 2, [_REST]) if self._policy.model.add_image_special_tokens else ([], [])
        owners: list[int] = []
        for index in range(len(self._captured.images)):
            owners += [*before, *[index if index < len(self._keys) else _NOTHING] * tokens, *after]
        owners += [_LANGUAGE if is_word else _NOTHING for is_word in word_mask]
        owners.append(_STATE)
        return np.array(owners + [_NOTHING] * (size - len(owners)))


def _array(tensor: Any) -> Floats:
    return np.asarray(tensor.float().cpu().numpy())


def _softmaxes(results: list[Any]) -> Any:
    """A context in which the result of each softmax is appended to `results`."""
    from torch.nn import functional
    from torch.overrides import TorchFunctionMode

    class Keep(TorchFunctionMode):  # type: ignore[misc]
        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = function(*args, **(kwargs or {}))
            if function is functional.softmax:
                results.append(result)
            return result

    return Keep()
