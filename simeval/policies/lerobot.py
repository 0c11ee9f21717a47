"""Any lerobot checkpoint as a `Policy`, through lerobot's own classes and its saved pre- and postprocessor.

Verified against lerobot 0.6.1, torch 2.11, transformers 5.5.4.

Non-obvious behaviour:
- Chunks come from `predict_action_chunk` and are postprocessed as a whole. lerobot's action queue is never used, so no
  state is carried from call to call.
- The bits of a sample's output depend on the number of samples in the call (1e-6, and a closed loop amplifies it), but
  not on the other samples or on its position. So every call has exactly `batch_size` samples, filled up with copies of
  the last one; text is padded to its full length, and torch uses one thread. `batch_size` is part of the fingerprint.
- Portable numerics use other kernels on a CPU, with which the bits depend on the sample's position. There the network
  gets one sample per call, whatever `batch_size` is.
- lerobot samples one noise tensor per batch from the global generator. Here each sample has its own noise, sampled on
  the CPU so that it is the same for every device. A trial at load detects policies that refuse or ignore it. If they
  still draw from the global generator, they run one sample at a time with a seeded one (`noise` in the fingerprint:
  explicit, none or global).
- Types with a queue of past observations get the observations of the last control steps in it; see `lerobot_window`.
- Images already have the orientation of the training data, so lerobot's LIBERO step, which rotates them by 180 degrees,
  is not run.
- lerobot truncates long instructions silently; `truncated` reports it.
- On a GPU, parts of the network are CUDA graphs, if that changes no bit; see `lerobot_graphs`.
- Loading sets process-wide switches: one CPU thread, no TF32, no cuDNN autotuning, deterministic algorithms on GPUs.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import batched
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from envs.base import Observation
from envs.interface import LIBERO_INTERFACE, Interface
from simeval.core.errors import ConfigError
from simeval.core.gc_pause import uncollected
from simeval.policies import probe
from simeval.policies.base import ActionChunk, PolicyInput, PolicySpec
from simeval.policies.checkpoint.calls import WINDOWED
from simeval.policies.checkpoint.files import printable
from simeval.policies.checkpoint.harmless import no_foreign_code
from simeval.policies.checkpoint.hub_models import models_sha256
from simeval.policies.checkpoint.image_sizes import require_size
from simeval.policies.checkpoint.read import ACTION_KEY, STATE_KEY, Checkpoint, one_line, read, sha256
from simeval.policies.checkpoint.statistics import Scale
from simeval.policies.hidden_states import HiddenReader, HiddenStates
from simeval.policies.lerobot_build import Parts, build, choose_device, quiet
from simeval.policies.lerobot_graphs import Graphs, fitted
from simeval.policies.lerobot_numerics import generator_states, kernels_in_use, pin
from simeval.policies.lerobot_rtc import can_continue, continuing
from simeval.policies.lerobot_window import observe, split
from simeval.policies.linear import by_onednn
from simeval.policies.representations import FeatureReader, Representation, representing

NoiseMode = Literal["explicit", "none", "global"]
"""Source of the sampling noise: a tensor per input, no noise, or torch's global generator."""


def load(
    checkpoint: str,
    *,
    device: str = "auto",
    n_action_steps: int | None = None,
    batch_size: int = 1,
    dtype: Literal["bfloat16"] | None = None,
    interface: Interface = LIBERO_INTERFACE,
) -> "LerobotPolicy":
    """Load a checkpoint, check it and run it once.

    Args:
        checkpoint: a folder that lerobot saved, or a hub id.
        device: one of `lerobot_build.DEVICES`; `auto` selects the best available one.
        n_action_steps: actions of each chunk to execute; `None` for the checkpoint's number.
        batch_size: samples per call of the network; outputs depend on it. It is halved until the device's memory
            suffices; `spec.fingerprint` has the number in use.
        dtype: dtype of matrix products and convolutions, by torch's autocast; `None` for the checkpoint's dtype.
        interface: of the suites that it is for.

    Raises:
        ConfigError: it cannot be found, does not fit, or cannot run here; one line.
    """
    if batch_size < 1:
        raise ConfigError(f"the policy's batch size is {batch_size}, it must be at least 1")
    contents = read(checkpoint, n_action_steps=n_action_steps, interface=interface)
    with quiet(), uncollected():
        chosen = choose_device(device)
        try:
            return LerobotPolicy(contents, build(contents, chosen), device=chosen, batch_size=batch_size, dtype=dtype)
        except ConfigError as error:
            raise ConfigError(printable(str(error))) from error


class LerobotPolicy:
    """A loaded checkpoint; see the module's docstring. Not thread-safe."""

    spec: PolicySpec
    graphs: Graphs | None
    """Parts of the network as CUDA graphs; `None` without a GPU and for types without denoising steps."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        parts: Parts,
        *,
        device: str,
        batch_size: int,
        dtype: Literal["bfloat16"] | None = None,
    ) -> None:
        self._checkpoint = checkpoint
        self._parts = parts
        self._device = device
        self._dtype = dtype
        self._drew = False
        self.graphs = None
        self._probe_statistics()
        self._noise = self._detect_noise_mode()
        self._batch_size = 1 if self._noise == "global" else self._largest_batch(batch_size)
        self._one_by_one = by_onednn(parts.model, device)
        self.graphs = self._fitted_graphs() if device == "cuda" and self._noise == "explicit" else None
        states, actions = checkpoint.interface.state_size, checkpoint.interface.action_size
        self.spec = PolicySpec(
            name=checkpoint.name,
            n_action_steps=checkpoint.call.n_action_steps,
            cameras=tuple(checkpoint.cameras),
            n_obs_steps=checkpoint.call.n_obs_steps,
            continues=can_continue(parts),
            # EVO1 pads both, and their statistics.
            state_std=_training_std(parts.preprocess, STATE_KEY, states),
            action_std=_training_std(parts.postprocess, ACTION_KEY, actions),
            state_limits=_limits([s for s in checkpoint.scales if s.source == checkpoint.state_key], states),
            action_limits=_limits(_executed(checkpoint), actions),
            image_size=checkpoint.image_size,
            action_size=actions,
            state_size=states,
            fingerprint=self._fingerprint(),
        )

    def act(self, inputs: Sequence[PolicyInput]) -> list[ActionChunk]:
        """Predict a chunk for each input, in order; each `float32[T, action_size]` with the checkpoint's `T`."""
        chunks: list[ActionChunk] = []
        for group, filled in self._batches(inputs):
            chunks.extend(self._predict(filled, self._noise, global_seed=group[0].noise_seed)[: len(group)])
        return chunks

    def represent(self, inputs: Sequence[PolicyInput]) -> list[Representation]:
        """Predict as `act` does, and return the network's internal features for each input; SmolVLA only.

        Raises:
            ConfigError: the policy is of another type.
        """
        representing(self)
        reader = self._reader(FeatureReader)
        return [one for chunks in self._watched(inputs, reader) for one in reader.representations(chunks)]

    def hidden_states(self, inputs: Sequence[PolicyInput]) -> list[HiddenStates]:
        """Predict as `act` does, and return the hidden states of every layer for each input; SmolVLA only.

        Raises:
            ConfigError: the policy is of another type.
        """
        representing(self)
        reader = self._reader(HiddenReader)
        return [one for chunks in self._watched(inputs, reader) for one in reader.hidden_states(chunks)]

    def _reader[R: FeatureReader](self, kind: type[R]) -> R:
        parts, checkpoint = self._parts, self._checkpoint
        return kind(parts.model, parts.preprocess, checkpoint.cameras, checkpoint.call.n_action_steps)

    def _watched(self, inputs: Sequence[PolicyInput], reader: FeatureReader) -> Iterator[list[ActionChunk]]:
        """The predictions of each batch, while the reader has captured it."""
        for group, filled in self._batches(inputs):
            chunks = self._predict(filled, self._noise, global_seed=group[0].noise_seed, reader=reader)
            yield list(chunks[: len(group)])

    def truncated(self, instruction: str) -> bool:
        """Whether the tokenizer's length limit truncates this instruction, so that the policy does not get its end."""
        from lerobot.processor import TokenizerProcessorStep

        pipeline = self._parts.preprocess
        transition = pipeline.to_transition(self._observations([self._blank(instruction)]))
        for step in pipeline.steps:
            if isinstance(step, TokenizerProcessorStep):
                # Earlier steps may have added to the text: a newline, or the state as text.
                tokens = step.input_tokenizer(step.get_task(transition), truncation=False, verbose=False)["input_ids"]
                return bool(len(tokens[0]) > step.max_length)
            transition = step(transition)
        return False

    def _batches(self, inputs: Sequence[PolicyInput]) -> Iterator[tuple[list[PolicyInput], list[PolicyInput]]]:
        """Split inputs into groups; yields each group, and the group filled up to a whole batch."""
        size = 1 if self._one_by_one else self._batch_size
        alone = any(item.rest is not None for item in inputs)
        for group in (list(part) for part in batched(inputs, 1 if alone else size)):
            yield group, group + [group[-1]] * (size - len(group))

    def _predict(
        self, inputs: Sequence[PolicyInput], noise: NoiseMode, *, global_seed: int, reader: FeatureReader | None = None
    ) -> NDArray[np.float32]:
        """Call the network once, observed by the reader: `float32[B, T, action_size]`."""
        import torch

        pin(self._device)
        parts = self._parts
        options = {"noise": self._sampling_noise(inputs)} if noise == "explicit" else {}
        amp: contextlib.AbstractContextManager[Any] = contextlib.nullcontext()
        if self._dtype or parts.config.use_amp:
            amp = torch.autocast(self._device, torch.bfloat16 if self._dtype else None)
        forked = [torch.cuda.current_device()] if self._device == "cuda" else []
        # Some types load a tokenizer or a processor only in their first call.
        rest = continuing(parts, inputs[0], self._device)
        with no_foreign_code(), torch.random.fork_rng(devices=forked), rest as continued, amp:
            # On a CPU `torch.manual_seed` would take a millisecond for GPUs that are not there.
            (torch.default_generator if self._device == "cpu" else torch).manual_seed(global_seed)
            parts.model.reset()
            # Keep the three together: for relative actions, the postprocessor uses the state of the last batch.
            batch, before = self._preprocessed(inputs), generator_states(self._device)
            # Graphs run no hooks and have no gradients, which real-time chunking takes.
            plain = self.graphs.bypassed() if self.graphs and (reader or continued) else contextlib.nullcontext()
            with plain, reader.watching(batch) if reader else contextlib.nullcontext():
                chunks = parts.model.predict_action_chunk(batch, **options, **continued)
            self._drew = not all(map(torch.equal, before, generator_states(self._device)))
            actions = parts.postprocess(chunks)
        if not actions.is_floating_point():
            raise TypeError(f"its actions are of type {actions.dtype}, not real numbers")
        return np.ascontiguousarray(actions.float().cpu().numpy())

    def _preprocessed(self, inputs: Sequence[PolicyInput]) -> Any:
        """The network's input batch. A type with a queue of observations also has them in its queue."""
        parts, checkpoint = self._parts, self._checkpoint
        if checkpoint.type not in WINDOWED:
            return parts.preprocess(self._observations(inputs))
        moments = split(inputs, checkpoint.call.n_obs_steps)
        return observe(parts.model, (parts.preprocess(self._observations(moment)) for moment in moments))

    def _observations(self, inputs: Sequence[PolicyInput]) -> dict[str, Any]:
        """Input batch: images `float32[B, 3, H, W]` in [0, 1], states `float32[B, state_size]`, instructions."""
        import torch

        checkpoint = self._checkpoint
        batch: dict[str, Any] = {"task": [item.instruction for item in inputs]}
        for camera, key in checkpoint.cameras.items():
            sizes = (item.observation.images[camera].shape[:2] for item in inputs)
            require_size(checkpoint.only_size, sizes, name=checkpoint.name)
            images = torch.from_numpy(np.stack([item.observation.images[camera] for item in inputs]))
            batch[key] = images.permute(0, 3, 1, 2).contiguous().to(torch.float32) / 255
        batch[checkpoint.state_key] = torch.from_numpy(np.stack([item.observation.state for item in inputs]))
        return batch

    def _sampling_noise(self, inputs: Sequence[PolicyInput]) -> Any:
        """Standard normal `float32[B, horizon, max_action_dim]`, a function of each input's seed alone."""
        import torch

        config = self._parts.config
        horizon = getattr(config, "horizon", self._checkpoint.call.chunk_size or 1)
        shape = (horizon, getattr(config, "max_action_dim", self._checkpoint.interface.action_size))
        generators = [torch.Generator().manual_seed(item.noise_seed) for item in inputs]
        return torch.stack([torch.randn(shape, generator=generator) for generator in generators]).to(self._device)

    def _probe_statistics(self) -> None:
        """Verify that the loaded pipelines use the checkpoint's statistics of inputs and actions."""
        grey = np.full((*self._checkpoint.image_size, 3), 64, np.uint8)
        state = np.linspace(-0.5, 0.6, self._checkpoint.interface.state_size, dtype=np.float32)
        observation = Observation(dict.fromkeys(self._checkpoint.cameras, grey), state, 0)
        batch = self._observations([PolicyInput(observation, "", "", 0, noise_seed=0)])
        name, parts = self._checkpoint.name, self._parts
        try:
            with no_foreign_code():
                probe.check_inputs(parts.preprocess, batch, self._checkpoint.scales, name=name)
                probe.check_actions(parts.postprocess, self._checkpoint.action_scale, name=name)
        except ConfigError:
            raise
        except Exception as error:
            raise ConfigError(f"policy '{name}' cannot predict: {one_line(error)}") from error

    def _detect_noise_mode(self) -> NoiseMode:
        """Run the policy to find out how to pass noise: it must not draw from the global generator.

        Equal outputs would not suffice: a policy that samples from few choices may choose the same one twice.

        Raises:
            ConfigError: the policy cannot predict a chunk, or its chunk does not fit.
        """
        blank = [self._blank("")]
        modes: tuple[NoiseMode, NoiseMode] = ("explicit", "none")
        for noise in modes:
            # A policy without a `noise` argument, or with another shape of it, may raise anything.
            try:
                self._check_chunk(self._predict(blank, noise, global_seed=0))
            except Exception as error:
                if noise == "explicit":
                    continue
                if isinstance(error, ConfigError):
                    raise
                raise ConfigError(f"policy '{self._checkpoint.name}' cannot predict: {one_line(error)}") from error
            if not self._drew:
                return noise
        return "global"

    def _largest_batch(self, batch_size: int) -> int:
        """The batch size, halved until the device has enough memory."""
        import torch

        while batch_size > 1:
            try:
                self._predict([self._blank("")] * batch_size, self._noise, global_seed=0)
            except torch.OutOfMemoryError:
                batch_size //= 2
                torch.cuda.empty_cache()
            else:
                break
        return batch_size

    def _fitted_graphs(self) -> Graphs | None:
        def predict(seed: int) -> NDArray[np.float32]:
            return self._predict(
                [self._noisy(seed + row) for row in range(self._batch_size)], "explicit", global_seed=0
            )

        return fitted(getattr(self._parts.model, "model", None), predict)

    def _check_chunk(self, chunk: NDArray[np.float32]) -> None:
        required, size = self._checkpoint.call.n_action_steps, self._checkpoint.interface.action_size
        if chunk.ndim != 3 or chunk.shape[2] != size or chunk.shape[1] < required:
            raise ConfigError(
                f"policy '{self._checkpoint.name}' does not fit: it predicts chunks of shape {chunk.shape[1:]}, "
                f"wanted are at least {required} actions of size {size}"
            )
        if not np.isfinite(chunk).all():
            raise ConfigError(
                f"policy '{self._checkpoint.name}' predicts actions that are not finite for a black image; "
                "its weights are damaged"
            )

    def _blank(self, instruction: str) -> PolicyInput:
        image = np.zeros((*self._checkpoint.image_size, 3), np.uint8)
        images = dict.fromkeys(self._checkpoint.cameras, image)
        observation = Observation(images, np.zeros(self._checkpoint.interface.state_size, np.float32), 0)
        past = (observation,) * (self._checkpoint.call.n_obs_steps - 1)
        return PolicyInput(observation, instruction, "", 0, noise_seed=0, past=past)

    def _noisy(self, seed: int) -> PolicyInput:
        """A random input."""
        rng, blank = np.random.default_rng(seed), self._blank("pick up the bowl" if seed % 2 else "open the top drawer")
        images = {name: rng.integers(0, 256, each.shape, np.uint8) for name, each in blank.observation.images.items()}
        state = rng.normal(0, 0.1, blank.observation.state.shape).astype(np.float32)
        return replace(blank, observation=Observation(images, state, 0), noise_seed=seed)

    def _fingerprint(self) -> tuple[tuple[str, Any], ...]:
        from importlib.metadata import version

        config, checkpoint = self._parts.config, self._checkpoint
        dtypes = {str(weight.dtype).removeprefix("torch.") for weight in self._parts.model.parameters()}
        return (
            ("checkpoint", checkpoint.name),
            ("sha256", sha256(checkpoint.folder)),
            *((("base", sha256(checkpoint.adapter.base)),) if checkpoint.adapter else ()),
            *((("hub_models", digest),) if (digest := models_sha256(checkpoint.models)) else ()),
            ("type", checkpoint.type),
            ("chunk_size", checkpoint.call.chunk_size),
            ("n_action_steps", checkpoint.call.n_action_steps),
            *((("n_obs_steps", checkpoint.call.n_obs_steps),) if checkpoint.call.n_obs_steps > 1 else ()),
            ("num_steps", getattr(config, "num_steps", getattr(config, "num_inference_steps", None))),
            ("cameras", ",".join(f"{camera}:{key}" for camera, key in checkpoint.cameras.items())),
            ("batch_size", self._batch_size),
            ("noise", self._noise),
            ("device", self._device),
            ("dtypes", ",".join(sorted(dtypes))),
            *((("autocast", self._dtype),) if self._dtype else ()),
            *((package, version(package)) for package in ("torch", "lerobot", "transformers")),
            *kernels_in_use(self._device, linear_by_onednn=self._one_by_one),
        )


def _training_std(pipeline: Any, key: str, size: int) -> tuple[float, ...] | None:
    """Training standard deviation of a feature, from a saved pipeline that scales it; `None` if it has none."""
    for step in pipeline.steps:
        std = (getattr(step, "stats", None) or {}).get(key, {}).get("std")
        if std is not None:
            return tuple(float(value) for value in std)[:size]
    return None


def _executed(checkpoint: Checkpoint) -> list[Scale]:
    """The scaling of the executed actions; of relative ones only the difference from the state is scaled."""
    scale = checkpoint.action_scale
    return [scale] if scale and not checkpoint.action_steps.added else []


def _limits(scales: Sequence[Scale], size: int) -> tuple[tuple[float, float], ...] | None:
    return next((scale.limits()[:size] for scale in scales), None)
