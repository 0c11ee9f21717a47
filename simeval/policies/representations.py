"""What a SmolVLA makes of its input on the way to its actions, read while it predicts them.

Verified against lerobot 0.6.1. The network is unmodified: torch's own hooks watch it during an ordinary prediction, so
the chunk is bit by bit the one that `act` returns.

Non-obvious behaviour:
- The words' embeddings are looked up in a table, before any layer: they depend on the instruction alone. What the
  network makes of words and pictures together is the prefix: the language model's hidden states after its last layer.
- Attention is that of the first denoising step. There the actions are still the sampling noise alone, so two views of
  a frame that share their noise ask the same questions, and a difference is one of what they see. Later steps start
  from actions that differ already; and it is the cheapest.
- lerobot computes attention inside a method that keeps the probabilities to itself. They are picked up where it calls
  torch's softmax; no formula of it is repeated here.
- Attention reaches pictures as they are laid out in the network: scaled into a square, with padding left and top.
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
"""The only type of lerobot policy that can be read."""

_MASK = "observation.language.attention_mask"
"""Key of the tokenizer's mask in a preprocessed batch."""

_LANGUAGE, _STATE, _REST, _NOTHING = -1, -2, -3, -4
"""What a token of the prefix belongs to, if not to a camera (0, 1 ...). Nothing: padding, and pictures not there."""

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Representation:
    """What a policy made of one input. The masses of attention add up to 1 with what the special tokens get.

    Attributes:
        chunk: what it predicts, as `act` returns it.
        cameras: entries of `envs.base.CAMERAS`, in the order of the arrays.
        vision: `float32[cameras, tokens, d]`, pictures as the connector hands them to the language model.
        language: `float32[words, d]`, embeddings of the instruction's tokens, padding included.
        language_mask: `bool[words]`, which of them are there.
        prefix: `float32[P, d]`, hidden states of pictures, words and state after the language model's last layer.
        prefix_mask: `bool[P]`, which of them are there.
        attention: `float32[cameras, h, w]`, share of the action expert's attention that each region of a picture gets:
            mean over the executed actions, the heads and the layers that attend to the prefix alone (all layers, if
            none does), at the first denoising step. Regions are laid out as in the square that the network sees.
        attention_language: share that the words get.
        attention_state: share that the state gets.
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
    """A policy that lets itself be read."""

    def represent(self, inputs: Sequence[PolicyInput]) -> list[Representation]:
        """Predict as `act` does, and say what was made of each input on the way.

        Raises:
            ConfigError: this policy cannot be read.
        """


def representing(policy: Policy) -> RepresentingPolicy:
    """The policy, if it can be read.

    Raises:
        ConfigError: it cannot.
    """
    kind = dict(policy.spec.fingerprint).get("type")
    if kind != TYPE or not hasattr(policy, "represent"):
        why = f"only {TYPE} does" if kind != TYPE else "a policy server does not pass them on"
        raise ConfigError(f"policy '{policy.spec.name}' does not expose representations: {why}")
    return cast(RepresentingPolicy, policy)


@dataclass
class _Seen:
    """What the hooks see during one call: tensors of the batch, on the policy's device."""

    pictures: list[Any] = field(default_factory=list)
    words: list[Any] = field(default_factory=list)
    prefix: list[Any] = field(default_factory=list)
    probabilities: list[Any] = field(default_factory=list)
    steps: int = 0


class FeatureReader:
    """Reads one loaded SmolVLA; nothing of it stays on the network after a call."""

    def __init__(self, policy: Any, preprocess: Any, cameras: Mapping[str, str], n_action_steps: int) -> None:
        """What to read.

        Args:
            policy: lerobot's `SmolVLAPolicy`.
            preprocess: its preprocessor.
            cameras: our cameras -> the keys under which the preprocessor gets their pictures.
            n_action_steps: actions of a chunk that are executed.
        """
        self._policy = policy
        self._cameras = {key: camera for camera, key in cameras.items()}
        for step in preprocess.steps:
            new_names = getattr(step, "rename_map", {})
            self._cameras = {new_names.get(key, key): camera for key, camera in self._cameras.items()}
        self._executed = n_action_steps
        self._seen = _Seen()
        self._keys: list[str] = []
        self._words_there: Bools

    @contextmanager
    def watching(self, batch: Mapping[str, Any]) -> Iterator[None]:
        """Watch the prediction that is made of a preprocessed batch inside this context."""
        seen = self._seen = _Seen()
        self._keys = [key for key in self._policy.config.image_features if key in batch]
        self._words_there = batch[_MASK].bool().cpu().numpy()
        flow = self._policy.model
        vlm = flow.vlm_with_expert.get_vlm_model()
        with ExitStack() as hooks, ExitStack() as first_step:

            def start(*_: Any) -> None:
                seen.steps += 1
                if seen.steps == 1:
                    first_step.enter_context(_softmaxes(seen.probabilities))

            for handle in (
                vlm.connector.register_forward_hook(lambda *call: seen.pictures.append(call[-1])),
                vlm.text_model.get_input_embeddings().register_forward_hook(lambda *call: seen.words.append(call[-1])),
                vlm.text_model.norm.register_forward_hook(lambda *call: seen.prefix.append(call[-1])),
                flow.action_in_proj.register_forward_pre_hook(start),
                flow.action_out_proj.register_forward_hook(lambda *_: first_step.close()),
            ):
                hooks.callback(handle.remove)
            yield

    def representations(self, chunks: Sequence[ActionChunk]) -> list[Representation]:
        """What was made of each sample of the batch that was last watched.

        Args:
            chunks: what was predicted for them.
        """
        seen = self._seen
        vision = np.stack([_array(part) for part in seen.pictures[: len(self._keys)]], 1)
        # Special tokens are looked up, too, without a batch dimension.
        language = _array(next(part for part in seen.words if part.ndim == 3))
        prefix = _array(seen.prefix[0])
        side = isqrt(vision.shape[2])
        attention = self._attention(prefix.shape[1])
        found = []
        for k, chunk in enumerate(chunks):
            owners = self._owners(vision.shape[2], self._words_there[k], prefix.shape[1])
            regions = [attention[k][owners == camera] for camera in range(len(self._keys))]
            found.append(
                Representation(
                    chunk=chunk,
                    cameras=tuple(self._cameras[key] for key in self._keys),
                    vision=vision[k],
                    language=language[k],
                    language_mask=self._words_there[k],
                    prefix=prefix[k],
                    prefix_mask=owners != _NOTHING,
                    attention=np.stack(regions).reshape(-1, side, side).astype(np.float32),
                    attention_language=float(attention[k][owners == _LANGUAGE].sum()),
                    attention_state=float(attention[k][owners == _STATE].sum()),
                )
            )
        return found

    def _attention(self, size: int) -> NDArray[np.float64]:
        """Attention to each token of a prefix of that size: `float64[B, P]`."""
        layers = [part for part in self._seen.probabilities if part.shape[-1] == size] or self._seen.probabilities
        means = [part[:, :, : self._executed, :size].double().mean((1, 2)).cpu().numpy() for part in layers]
        return np.asarray(np.mean(means, 0))

    def _owners(self, tokens: int, words_there: Bools, size: int) -> NDArray[np.int64]:
        """Whose each token of the prefix is, in the order of lerobot's `embed_prefix`: `int64[P]`."""
        before, after = ([_REST] * 2, [_REST]) if self._policy.model.add_image_special_tokens else ([], [])
        owners: list[int] = []
        for index in range(len(self._seen.pictures)):
            owners += [*before, *[index if index < len(self._keys) else _NOTHING] * tokens, *after]
        owners += [_LANGUAGE if there else _NOTHING for there in words_there]
        owners.append(_STATE)
        return np.array(owners + [_NOTHING] * (size - len(owners)))


def _array(tensor: Any) -> Floats:
    return np.asarray(tensor.float().cpu().numpy())


def _softmaxes(results: list[Any]) -> Any:
    """A context in which the result of each softmax is kept."""
    from torch.nn import functional
    from torch.overrides import TorchFunctionMode

    class Keep(TorchFunctionMode):  # type: ignore[misc]
        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = function(*args, **(kwargs or {}))
            if function is functional.softmax:
                results.append(result)
            return result

    return Keep()
