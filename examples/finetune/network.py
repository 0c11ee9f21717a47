"""lerobot's SmolVLA for training: loading it, what is trained, its velocities, and saving it as a checkpoint.

Non-obvious behaviour:
- Chunks are predicted on lerobot's own path for inference: the prefix (images, words, state) once into a cache, then
  `denoise_step` on it. SmolVLA's prefix does not attend to the actions, so one prefix serves several noise samples, and
  the velocities are those of `SmolVLAPolicy.forward`; a test compares them.
- What is saved are the files of the starting checkpoint with new weights: processors, tokenizer and configuration stay,
  but that a regression predicts in one denoising step.
"""

import copy
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from examples.finetune.recipes import Recipe
from simeval.core.errors import ConfigError
from simeval.core.files import replace_file
from simeval.policies.checkpoint.read import read
from simeval.policies.lerobot_build import build

LORA_RANK = 16
LORA_TARGETS = r".*\.(q_proj|k_proj|v_proj|o_proj|out_proj|gate_proj|up_proj|down_proj|fc1|fc2)"
"""The linear layers of all three transformers: vision, language, actions."""
LORA_WHOLE = ["state_proj", "action_in_proj", "action_out_proj", "action_time_mlp_in", "action_time_mlp_out"]
"""Small layers that are trained as a whole, as lerobot's own adapters for SmolVLA do."""


@dataclass(frozen=True, eq=False)
class Inputs:
    """What the network gets for B samples.

    Attributes:
        images: `float32[B, cameras, 3, E, E]` in [0, 1], of `Network.cameras`.
        tokens: `int64[B, L]`.
        token_mask: `bool[B, L]`, false for padding.
        state: `float32[B, S]`, scaled and padded.
    """

    images: Tensor
    tokens: Tensor
    token_mask: Tensor
    state: Tensor


@dataclass(frozen=True, eq=False)
class Prefix:
    """Images, words and state, as the action expert reads them.

    Attributes:
        cache: keys and values of every layer.
        present: `bool[B, P]`, false for padding.
        vision: `float[B, cameras * tokens, width]`, the image tokens that the language model got.
    """

    cache: Any
    present: Tensor
    vision: Tensor

    def rows(self, index: Tensor) -> "Prefix":
        """The prefix of some samples, each as often as the index names it. The cache of this one is used up."""
        self.cache.batch_select_indices(index)
        return Prefix(self.cache, self.present[index], self.vision)


class Network:
    """A SmolVLA in training."""

    def __init__(self, start: str, recipe: Recipe, device: str, seed: int) -> None:
        """Load the starting checkpoint and choose what is trained.

        Args:
            start: `bundled` or another name of a bundled policy, a folder, or a hub id that is in the cache.
            recipe: the recipe.
            device: `cuda`, `mps` or `cpu`.
            seed: seed of an adapter's random weights.

        Raises:
            ConfigError: the checkpoint cannot be loaded, or is no SmolVLA; one line.
        """
        self.device, self.checkpoint = device, read(start)
        if self.checkpoint.type != "smolvla":
            raise ConfigError(f"policy '{start}' is of type {self.checkpoint.type}; only smolvla is trained here")
        parts = build(self.checkpoint, self.device)
        self.policy, self.preprocess, self.recipe = parts.model, parts.preprocess, recipe
        self.model = parts.model.model
        self.action_size = parts.config.action_feature.shape[0]
        self.chunk, self.padded_action = parts.config.chunk_size, parts.config.max_action_dim
        if not parts.config.use_cache:
            raise ConfigError(f"policy '{start}' is configured without a cache (use_cache), which training needs")
        self.model.float().requires_grad_()
        vision = self._vlm.vision_model
        self._adapter: Any = None
        self.start_vision = copy.deepcopy((vision, self._vlm.connector)) if recipe.has("align") else None
        if recipe.base == "frozen":
            vision.requires_grad_(requires_grad=False)
        if recipe.base == "lora":
            self._adapter = _with_adapter(self.model, seed)

    @property
    def _vlm(self) -> Any:
        return self.model.vlm_with_expert.get_vlm_model()

    def trained(self) -> dict[str, nn.Parameter]:
        """The weights that are trained, by name."""
        return {name: weight for name, weight in self.model.named_parameters() if weight.requires_grad}

    @property
    def cameras(self) -> tuple[str, ...]:
        """The suites' cameras whose images it takes."""
        return tuple(self.checkpoint.cameras)

    def keys(self) -> tuple[str, ...]:
        """The network's names of the images, one for each of `cameras`."""
        renamed: dict[str, str] = {}
        for step in self.preprocess.steps:
            renamed |= getattr(step, "rename_map", {})
        return tuple(renamed.get(key, key) for key in self.checkpoint.cameras.values())

    def prefix(self, inputs: Inputs) -> Prefix:
        """Read images, words and state once."""
        from lerobot.policies.common.vla_utils import make_att_2d_masks

        model, vision = self.model, []
        hook = self._vlm.connector.register_forward_hook(lambda *call: vision.append(call[2]))
        try:
            images, there = self.policy.prepare_images(dict(zip(self.keys(), inputs.images.unbind(1), strict=True)))
            embedded, present, blocks = model.embed_prefix(
                images, there, inputs.tokens, inputs.token_mask, state=inputs.state
            )
        finally:
            hook.remove()
        _, cache = model.vlm_with_expert.forward(
            attention_mask=make_att_2d_masks(present, blocks),
            position_ids=torch.cumsum(present, dim=1) - 1,
            past_key_values=None,
            inputs_embeds=[embedded, None],
            use_cache=True,
        )
        return Prefix(cache, present, torch.cat(vision[: inputs.images.shape[1]], 1))

    def velocity(self, prefix: Prefix, noisy: Tensor, time: Tensor) -> Tensor:
        """The velocity at noisy chunks.

        Args:
            prefix: of M samples.
            noisy: `float32[M, T, d]`, without padding.
            time: `float32[M]`.

        Returns:
            `float32[M, T, d]`.
        """
        padded = nn.functional.pad(noisy, (0, self.padded_action - noisy.shape[-1]))
        velocity = self.model.denoise_step(
            x_t=padded, prefix_pad_masks=prefix.present, past_key_values=prefix.cache, timestep=time
        )
        return velocity.float()[..., : self.action_size]

    def vision_before(self, images: Tensor) -> Tensor:
        """Image tokens of the starting checkpoint, shaped as `Prefix.vision`; no gradient."""
        assert self.start_vision is not None, "of recipes with align"
        encoder, connector = self.start_vision
        with torch.no_grad():
            prepared, _ = self.policy.prepare_images(dict(zip(self.keys(), images.unbind(1), strict=True)))
            return torch.cat([connector(encoder(pixel_values=one).last_hidden_state) for one in prepared], 1)

    def save(self, folder: Path, dtype: torch.dtype) -> None:
        """Write the checkpoint; `simeval run --policy FOLDER` runs it.

        Args:
            folder: an existing folder.
            dtype: of the saved weights.
        """
        source = self.checkpoint.folder
        for path in _kept(source):
            target = folder / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        config = json.loads((source / "config.json").read_text())
        config["use_peft"] = False  # a LoRA checkpoint that it began with is merged, too
        if self.recipe.is_regression:
            config["num_steps"] = 1
        replace_file(folder / "config.json", (json.dumps(config, indent=4) + "\n").encode())
        # Last: a folder with weights is a finished one.
        replace_file(folder / "model.safetensors", save(self._weights(dtype), {"format": "pt"}))

    def _weights(self, dtype: torch.dtype) -> dict[str, Tensor]:
        model = self.model if self._adapter is None else copy.deepcopy(self._adapter).merge_and_unload()
        state = {f"model.{name}": weight for name, weight in model.state_dict().items()}
        return {
            name: weight.detach().to("cpu", dtype if weight.is_floating_point() else None).contiguous().clone()
            for name, weight in state.items()
        }


def _with_adapter(model: nn.Module, seed: int) -> Any:
    """Put LoRA layers (Hu et al. 2021, arXiv 2106.09685) into a model, in place; returns peft's model around it."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=LORA_RANK, lora_alpha=2 * LORA_RANK, target_modules=LORA_TARGETS, modules_to_save=LORA_WHOLE)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return get_peft_model(model, config)


def _kept(folder: Path) -> Iterator[Path]:
    """The files of a checkpoint that its fine-tuned version keeps."""
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        own = inside.parts[0] == "training" or str(inside) in ("config.json", "adapter_config.json")
        kept = path.suffix in (".json", ".txt", ".model", ".jinja") or "processor" in path.name
        if path.is_file() and kept and not own:
            yield path
