"""The bundled policy's network: lerobot's SmolVLA classes with small dimensions, built without any download.

It is small because images have 128 px instead of 512, the vision tower and the language model have a few layers, and
the tokenizer's vocabulary is LIBERO's. Everything else (layout, attention, flow matching, pipelines) is lerobot's
SmolVLA, unmodified.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lerobot.configs import FeatureType, PolicyFeature
from lerobot.policies.smolvla.configuration_smolvla import SmolVLAConfig
from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy
from lerobot.policies.smolvla.processor_smolvla import make_smolvla_pre_post_processors
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    PreTrainedTokenizerFast,
    SmolVLMConfig,
    SmolVLMImageProcessor,
    SmolVLMProcessor,
    SmolVLMVideoProcessor,
)

from envs.base import ACTION_SIZE, STATE_SIZE
from envs.libero.catalog import LIBERO_SUITES
from envs.suites import tasks
from simeval.policies.bundled.layout import CHUNK, EDGE, EXECUTED

IMAGE_KEYS = {"agentview": "observation.images.image", "wrist": "observation.images.image2"}
PATCH = 16


@dataclass(frozen=True)
class Shape:
    """The dimensions of a SmolVLA.

    Attributes:
        text: width of the language model.
        text_inside: width of its feed-forward layers.
        text_layers: number of its layers.
        heads: number of its attention heads for queries, and for keys and values.
        vision, vision_inside, vision_layers: the same for the vision tower.
        vision_head: width of a head of the vision tower.
        activation: activation of the vision tower, by its name in transformers.
        edge: side of the images inside the network (px).
        scale: patches per side that the connector merges into one token.
        vocabulary: largest number of tokens.
        table: rows of the token table; `None` for one per token.
    """

    text: int
    text_inside: int
    vision: int
    vision_inside: int
    vision_layers: int
    scale: int
    vocabulary: int
    text_layers: int = 4
    heads: tuple[int, int] = (4, 2)
    vision_head: int = 32
    activation: str = "relu"
    edge: int = EDGE
    table: int | None = None


BUNDLED = Shape(text=192, text_inside=384, vision=128, vision_inside=256, vision_layers=4, scale=2, vocabulary=1024)
"""8 x 8 patches are merged into 16 tokens per camera."""

_SPECIALS = {
    "image_token": "<image>",
    "fake_image_token": "<fake_token_around_image>",
    "global_image_token": "<global-img>",
    "end_of_utterance_token": "<end_of_utterance>",
}
"""A dict, because SmolVLA reads two of them as attributes of the tokenizer."""


def _tokenizer(vocabulary: int) -> PreTrainedTokenizerFast:
    """Byte-level BPE, which encodes any text; in a large vocabulary every word of LIBERO's instructions is a token."""
    words = sorted({word for suite in LIBERO_SUITES for task in tasks(suite) for word in task.instruction.split()})
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>", *_SPECIALS.values()],
        show_progress=False,
    )
    tokenizer.train_from_iterator([f"{word} {word} {word}" for word in words], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<|im_start|>",
        eos_token="<end_of_utterance>",
        pad_token="<|im_end|>",
        unk_token="<|endoftext|>",
        extra_special_tokens=_SPECIALS,
    )


def _save_vlm(out: Path, shape: Shape) -> None:
    """Write the files that lerobot reads of a vision-language model: its configuration and its tokenizer."""
    tokenizer = _tokenizer(shape.vocabulary)
    text = {
        "model_type": "llama",
        "vocab_size": shape.table or len(tokenizer),
        "hidden_size": shape.text,
        "intermediate_size": shape.text_inside,
        "num_hidden_layers": shape.text_layers,
        "num_attention_heads": shape.heads[0],
        "num_key_value_heads": shape.heads[1],
        "head_dim": shape.text // shape.heads[0],
        "max_position_embeddings": 8192,
        "attention_bias": False,
        "tie_word_embeddings": False,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    vision = {
        "hidden_size": shape.vision,
        "intermediate_size": shape.vision_inside,
        "num_hidden_layers": shape.vision_layers,
        "num_attention_heads": shape.vision // shape.vision_head,
        "image_size": shape.edge,
        "patch_size": PATCH,
        "hidden_act": shape.activation,
    }
    SmolVLMConfig(
        vision_config=vision,
        text_config=text,
        scale_factor=shape.scale,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=False,
    ).save_pretrained(out)
    size = {"longest_edge": shape.edge}
    # SmolVLA never calls these processors, but transformers must be able to build them.
    SmolVLMProcessor(
        image_processor=SmolVLMImageProcessor(size=size, max_image_size=size, do_image_splitting=False),
        tokenizer=tokenizer,
        video_processor=SmolVLMVideoProcessor(
            size=size, max_image_size=size, video_sampling={"max_frames": 8, "fps": 1, "video_size": size}
        ),
        image_seq_len=(shape.edge // PATCH // shape.scale) ** 2,
    ).save_pretrained(out)


def build(vlm: Path, *, shape: Shape = BUNDLED, seed: int = 0, **settings: Any) -> SmolVLAPolicy:
    """Make a policy with random weights, and write the language model's configuration and tokenizer into `vlm`.

    Args:
        vlm: folder for these files.
        shape: dimensions of the network.
        seed: seed of the weights.
        settings: fields of `SmolVLAConfig` that differ from the bundled policy's.
    """
    vlm.mkdir(parents=True, exist_ok=True)
    _save_vlm(vlm, shape)
    visual = PolicyFeature(type=FeatureType.VISUAL, shape=(3, 256, 256))
    values = {
        "input_features": dict.fromkeys(IMAGE_KEYS.values(), visual)
        | {"observation.state": PolicyFeature(type=FeatureType.STATE, shape=(STATE_SIZE,))},
        "output_features": {"action": PolicyFeature(type=FeatureType.ACTION, shape=(ACTION_SIZE,))},
        "vlm_model_name": str(vlm.resolve()),
        "load_vlm_weights": False,
        "freeze_vision_encoder": False,
        "train_expert_only": False,
        "resize_imgs_with_padding": (shape.edge, shape.edge),
        "max_state_dim": STATE_SIZE,
        "max_action_dim": ACTION_SIZE,
        "num_vlm_layers": shape.text_layers,
        "expert_width_multiplier": 0.75,
        "chunk_size": CHUNK,
        "n_action_steps": EXECUTED,
        "num_steps": 6,
        "device": "cpu",
        "push_to_hub": False,
    }
    torch.manual_seed(seed)
    return SmolVLAPolicy(SmolVLAConfig(**(values | settings)))


def save(policy: SmolVLAPolicy, out: Path, stats: Mapping[str, Mapping[str, Any]]) -> None:
    """Write a checkpoint as lerobot does; the folder can be moved.

    Args:
        policy: the policy.
        out: an existing folder that contains the language model's files in `vlm`.
        stats: `mean` and `std` of `observation.state` and `action` in the training data.
    """
    tensors = {
        key: {name: torch.as_tensor(values, dtype=torch.float32) for name, values in entry.items()}
        for key, entry in stats.items()
    }
    preprocessor, postprocessor = make_smolvla_pre_post_processors(policy.config, dataset_stats=tensors)
    for part in (policy, preprocessor, postprocessor):
        part.save_pretrained(out)
    config_file, steps_file = out / "config.json", out / "policy_preprocessor.json"
    config = json.loads(config_file.read_text())
    config["vlm_model_name"] = "vlm"
    config_file.write_text(json.dumps(config, indent=4) + "\n")
    pipeline = json.loads(steps_file.read_text())
    for step in pipeline["steps"]:
        if step.get("registry_name") == "tokenizer_processor":
            step["config"]["tokenizer_name"] = "vlm"
    steps_file.write_text(json.dumps(pipeline, indent=4) + "\n")
