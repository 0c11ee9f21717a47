"""A small random SmolVLA checkpoint, built offline with lerobot's own classes: `python tests/tiny_smolvla.py OUT`.

About 1.5 million parameters, 6 MB. The same seed gives the same bytes. The folder may be moved: its two references to
the language model's files (`vlm_model_name`, `tokenizer_name`) are the relative name `vlm`.
"""

import json
import sys
from pathlib import Path

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

EDGE = 128  # picture side inside the model; must be the vision tower's image size
PATCH = 16
SCALE = 4  # (EDGE / PATCH) must be divisible by it: pixel shuffle

# SmolVLAPolicy reads two of these as attributes of the tokenizer, which only the dict form creates.
SPECIALS = {
    "image_token": "<image>",
    "fake_image_token": "<fake_token_around_image>",
    "global_image_token": "<global-img>",
    "end_of_utterance_token": "<end_of_utterance>",
}

# Order of magnitude of the HuggingFaceVLA/libero dataset.
STATS = {
    "observation.state": {
        "mean": [-0.05, 0.03, 0.75, 2.97, -0.2, -0.13, 0.027, -0.027],
        "std": [0.10, 0.15, 0.38, 0.35, 0.9, 0.33, 0.014, 0.014],
    },
    "action": {
        "mean": [0.06, 0.09, -0.09, 0.0, 0.0, 0.0, 0.0],
        "std": [0.33, 0.37, 0.46, 0.04, 0.06, 0.08, 1.0],
    },
}

# The words of LIBERO's instructions; a fixed list, so that the weights do not depend on LIBERO being installed.
WORDS = """alphabet and at back basket bbq between black book both bottle bottom bowl box butter cabinet
caddy center cheese chocolate close compartment cookie cream drawer dressing from front frying in inside it
juice ketchup left microwave middle milk moka mug next of off on open orange pan pick place plate pot pots
pudding push put rack ramekin red right salad sauce shelf soup stack stove table the them to tomato top tray
turn under up white wine wooden yellow"""


def _tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE: any UTF-8 instruction encodes."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=768,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>", *SPECIALS.values()],
        show_progress=False,
    )
    tokenizer.train_from_iterator([f"{word} {word} {word}" for word in WORDS.split()], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<|im_start|>",
        eos_token="<end_of_utterance>",
        pad_token="<|im_end|>",
        unk_token="<|endoftext|>",
        extra_special_tokens=SPECIALS,
    )


def _save_vlm(out: Path) -> None:
    """The files that lerobot reads of a vision-language model whose weights it does not load."""
    tokenizer = _tokenizer()
    text = {
        "model_type": "llama",
        "vocab_size": len(tokenizer),
        "hidden_size": 128,
        "intermediate_size": 256,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 32,
        "max_position_embeddings": 8192,
        "attention_bias": False,
        "tie_word_embeddings": False,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    vision = {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": EDGE,
        "patch_size": PATCH,
    }
    SmolVLMConfig(
        vision_config=vision,
        text_config=text,
        scale_factor=SCALE,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=False,
    ).save_pretrained(out)
    size = {"longest_edge": EDGE}
    # SmolVLA never calls these processors, but transformers must be able to build them.
    SmolVLMProcessor(
        image_processor=SmolVLMImageProcessor(size=size, max_image_size=size, do_image_splitting=False),
        tokenizer=tokenizer,
        video_processor=SmolVLMVideoProcessor(
            size=size, max_image_size=size, video_sampling={"max_frames": 8, "fps": 1, "video_size": size}
        ),
        image_seq_len=(EDGE // PATCH // SCALE) ** 2,
    ).save_pretrained(out)


def _config(vlm: Path, **overrides) -> SmolVLAConfig:
    visual = PolicyFeature(type=FeatureType.VISUAL, shape=(3, 256, 256))
    values = {
        "input_features": {
            "observation.images.image": visual,
            "observation.images.image2": visual,
            "observation.state": PolicyFeature(type=FeatureType.STATE, shape=(8,)),
        },
        "output_features": {"action": PolicyFeature(type=FeatureType.ACTION, shape=(7,))},
        "vlm_model_name": str(vlm),
        "load_vlm_weights": False,
        "resize_imgs_with_padding": (EDGE, EDGE),
        "num_vlm_layers": 4,
        "expert_width_multiplier": 0.75,
        "chunk_size": 50,
        "n_action_steps": 10,
        "num_steps": 10,
        "device": "cpu",
        "push_to_hub": False,
    }
    return SmolVLAConfig(**{**values, **overrides})


def _amplify(policy: SmolVLAPolicy, gain: float = 1.5) -> None:
    """Make random weights listen: with transformers' default scale the chunk is almost the noise itself."""
    core = policy.model.vlm_with_expert
    with torch.no_grad():
        for name, weight in core.named_parameters():
            if weight.ndim >= 2 and "embed" not in name:
                weight.normal_(0.0, gain / weight[0].numel() ** 0.5)
        core.get_vlm_model().text_model.embed_tokens.weight.normal_(0.0, 1.0 / 8)


def _name_vlm_relatively(out: Path) -> None:
    config_file, steps_file = out / "config.json", out / "policy_preprocessor.json"
    config = json.loads(config_file.read_text())
    config["vlm_model_name"] = "vlm"
    config_file.write_text(json.dumps(config, indent=4))
    pipeline = json.loads(steps_file.read_text())
    for step in pipeline["steps"]:
        if step.get("registry_name") == "tokenizer_processor":
            step["config"]["tokenizer_name"] = "vlm"
    steps_file.write_text(json.dumps(pipeline, indent=4))


def build(out: Path, *, seed: int = 0, **overrides) -> Path:
    """Write the checkpoint into a folder; `overrides` are fields of `SmolVLAConfig`."""
    vlm = out / "vlm"
    vlm.mkdir(parents=True, exist_ok=True)
    _save_vlm(vlm)
    torch.manual_seed(seed)
    policy = SmolVLAPolicy(_config(vlm.resolve(), **overrides))
    _amplify(policy)
    stats = {key: {name: torch.tensor(values) for name, values in entry.items()} for key, entry in STATS.items()}
    preprocessor, postprocessor = make_smolvla_pre_post_processors(policy.config, dataset_stats=stats)
    for part in (policy, preprocessor, postprocessor):
        part.save_pretrained(out)
    _name_vlm_relatively(out)
    return out


if __name__ == "__main__":
    print(build(Path(sys.argv[1])))
