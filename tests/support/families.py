"""One tiny checkpoint of each policy type of lerobot, with random weights, made with lerobot's own classes.

Networks that cannot be made small by their configuration are shrunk where lerobot constructs their backbone
(`Family.shrunk`), in the test's process only; the layout, the pipelines and the way they are loaded stay lerobot's.
Tokenizers and backbones come from a hub cache that the test makes (`hub_cache`): nothing is downloaded.
"""

import contextlib
import importlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import tiny_smolvla
import torch
from lerobot.configs import FeatureType, PolicyFeature
from lerobot.policies import get_policy_class, make_pre_post_processors
from lerobot.policies.factory import make_policy_config
from lerobot.policies.fastwam.configuration_fastwam import FastWAMConfig
from lerobot.processor import make_default_pre_post_processors
from safetensors.torch import save_file
from transformers import PreTrainedTokenizerFast

from simeval.policies.bundled.architecture import _tokenizer

IMAGES = "observation.images."
EDGE = 128
"""Side of the toy suite's images (px)."""
STATE, ACTION = "observation.state", "action"
COMMIT = "0" * 40
VOCABULARY = 600


@dataclass(frozen=True)
class Family:
    """A policy type and its checkpoint.

    Attributes:
        kind: lerobot's name of the type.
        tried: what was tried, as the table says it.
        make: writes the checkpoint into a folder.
        shrunk: makes lerobot construct small networks while it is entered.
        options: of the command line, besides the usual ones.
    """

    kind: str
    tried: str
    make: Callable[[Path], object]
    shrunk: Callable[[], contextlib.AbstractContextManager] = contextlib.nullcontext
    options: tuple[str, ...] = ()


def inputs(cameras: int = 2, edge: int = EDGE) -> dict[str, PolicyFeature]:
    images = {f"{IMAGES}{name}": PolicyFeature(FeatureType.VISUAL, (3, edge, edge)) for name in ("image", "image2")}
    return {**dict(list(images.items())[:cameras]), STATE: PolicyFeature(FeatureType.STATE, (8,))}


def statistics() -> dict[str, dict[str, torch.Tensor]]:
    sizes = {f"{IMAGES}image": (3, 1, 1), f"{IMAGES}image2": (3, 1, 1), STATE: (8,), ACTION: (7,)}
    kinds = {"mean": 0.1, "std": 0.5, "min": -1.0, "max": 1.0, "q01": -0.9, "q99": 0.9, "q10": -0.6, "q90": 0.6}
    return {key: {kind: torch.full(size, value) for kind, value in kinds.items()} for key, size in sizes.items()}


def save(out: Path, kind: str, *, cameras: int = 2, edge: int = EDGE, **fields: Any) -> Path:
    """Build a policy and its pipelines with lerobot, and save them as its training does."""
    torch.manual_seed(0)
    output = {ACTION: PolicyFeature(FeatureType.ACTION, (7,))}
    config = make_policy_config(
        kind, **{"input_features": inputs(cameras, edge), "output_features": output, "device": "cpu", **fields}
    )
    policy = get_policy_class(kind)(config)
    _listen(policy)
    pipelines = make_pre_post_processors(config, dataset_stats=statistics())
    for part in (policy, *pipelines):
        part.save_pretrained(out)
    return out


def _listen(policy: torch.nn.Module) -> None:
    """Replace weights that start at zero: with those a network is deaf to what the weights scale."""
    with torch.no_grad():
        for weight in policy.parameters():
            if weight.ndim >= 2 and not weight.any():
                weight.normal_(0.0, 1 / weight[0].numel() ** 0.5)


def save_diffusion(out: Path, **fields: Any) -> Path:
    sizes = {"horizon": 16, "n_action_steps": 12, "down_dims": (16, 32), "n_groups": 4, "diffusion_step_embed_dim": 16}
    fields = {"num_inference_steps": 3, "spatial_softmax_num_keypoints": 4, "use_group_norm": True, **sizes, **fields}
    return save(out, "diffusion", cameras=1, pretrained_backbone_weights=None, **fields)


def save_multi_task_dit(out: Path, **fields: Any) -> Path:
    sizes = {"horizon": 16, "n_action_steps": 12, "hidden_dim": 16, "num_layers": 1, "num_heads": 2}
    rest = {
        "timestep_embed_dim": 16,
        "image_crop_shape": None,
        "image_resize_shape": (32, 32),
        "num_inference_steps": 3,
    }
    return save(out, "multi_task_dit", **{**sizes, **rest, **fields})


def save_vqbet(out: Path, **fields: Any) -> Path:
    sizes = {"n_obs_steps": 3, "n_action_pred_token": 2, "action_chunk_size": 4, "crop_shape": None, "gpt_n_layer": 1}
    gpt = {"gpt_input_dim": 16, "gpt_output_dim": 16, "gpt_hidden_dim": 16, "gpt_n_head": 2, "gpt_block_size": 64}
    vae = {"vqvae_n_embed": 4, "vqvae_embedding_dim": 8, "vqvae_enc_hidden_dim": 8, "spatial_softmax_num_keypoints": 4}
    rest = {"pretrained_backbone_weights": None, "use_group_norm": True}
    return save(out, "vqbet", cameras=1, **{**sizes, **gpt, **vae, **rest, **fields})


def save_act(out: Path, **fields: Any) -> Path:
    sizes = {"chunk_size": 16, "n_action_steps": 12, "dim_model": 32, "n_heads": 2, "dim_feedforward": 32}
    rest = {"n_encoder_layers": 1, "use_vae": False, "pretrained_backbone_weights": None}
    return save(out, "act", cameras=1, **{**sizes, **rest, **fields})


TINY = {"width": 16, "depth": 1, "mlp_dim": 16, "num_heads": 2, "num_kv_heads": 1, "head_dim": 8}


@contextlib.contextmanager
def tiny_gemma(kind: str) -> Iterator[None]:
    """Small PaliGemma and Gemma networks where lerobot constructs those of pi0 and its kin."""
    module = importlib.import_module(f"lerobot.policies.{kind}.modeling_{kind}")
    whole, expert = (
        getattr(module, name, None) for name in ("PaliGemmaForConditionalGenerationWithPiGemma", "PiGemmaForCausalLM")
    )

    def small_whole(config: Any) -> Any:
        vision = config.vision_config
        vision.hidden_size, vision.num_hidden_layers, vision.num_attention_heads = 16, 1, 2
        vision.intermediate_size, vision.projection_dim = 16, TINY["width"]
        config.text_config.vocab_size = config._vocab_size = VOCABULARY
        return whole(config=config)

    def small_expert(config: Any) -> Any:
        config.vocab_size = VOCABULARY
        return expert(config=config)

    with contextlib.ExitStack() as stack:
        tiny = module.GemmaConfig(**TINY)
        stack.enter_context(mock.patch.object(module, "get_gemma_config", return_value=tiny))
        stack.enter_context(mock.patch.object(module, "PaliGemmaForConditionalGenerationWithPiGemma", small_whole))
        if expert:
            stack.enter_context(mock.patch.object(module, "PiGemmaForCausalLM", small_expert))
        yield


def save_pi0(out: Path, **fields: Any) -> Path:
    with tiny_gemma("pi0"):
        return save(out, "pi0", **{"num_inference_steps": 2, "chunk_size": 16, "n_action_steps": 12, **fields})


def save_pi05(out: Path, **fields: Any) -> Path:
    with tiny_gemma("pi05"):
        return save(out, "pi05", **{"num_inference_steps": 2, "chunk_size": 16, "n_action_steps": 12, **fields})


def save_xvla(out: Path, **fields: Any) -> Path:
    vision = {"embed_dim": [8, 8], "depths": [1, 1], "num_heads": [2, 2], "num_groups": [2, 2], "patch_size": [7, 3]}
    vision |= {"patch_stride": [4, 2], "patch_padding": [3, 1], "patch_prenorm": [False, True], "projection_dim": 16}
    text = {"vocab_size": VOCABULARY, "d_model": 16, "encoder_layers": 1, "encoder_attention_heads": 2}
    text |= {"decoder_layers": 1, "decoder_attention_heads": 2, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16}
    sizes = {"hidden_size": 16, "depth": 1, "num_heads": 2, "num_domains": 2, "len_soft_prompts": 2}
    rest = {"action_mode": "auto", "num_denoising_steps": 2, "chunk_size": 16, "n_action_steps": 12}
    rest["resize_imgs_with_padding"] = (64, 64)
    florence = {"vision_config": vision, "text_config": text}
    return save(out, "xvla", florence_config=florence, **{**sizes, **rest, **fields})


def save_eo1(out: Path, **fields: Any) -> Path:
    tokens = _tokenizer_with(*QWEN_TOKENS)
    names = {"image_token_id": "<|image_pad|>", "video_token_id": "<|video_pad|>"}
    names |= {"vision_start_token_id": "<|vision_start|>", "vision_end_token_id": "<|vision_end|>"}
    vlm = {
        "model_type": "qwen2_5_vl",
        "text_config": {**SMALL_TEXT, "rope_parameters": {"rope_type": "default", "mrope_section": [2, 1, 1]}},
        "vision_config": {
            "depth": 1,
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_heads": 2,
            "out_hidden_size": 16,
        },
        **{field: tokens.convert_tokens_to_ids(token) for field, token in names.items()},
    }
    sizes = {"chunk_size": 16, "n_action_steps": 12, "num_denoise_steps": 2, "image_max_pixels": 8 * 28 * 28}
    # A path makes lerobot build the backbone from its configuration instead of fetching its weights.
    return save(out, "eo1", vlm_config=vlm, pretrained_path=out, image_min_pixels=28 * 28, **{**sizes, **fields})


def save_evo1(out: Path, **fields: Any) -> Path:
    sizes = {"chunk_size": 16, "n_action_steps": 12, "embed_dim": 16, "hidden_dim": 16, "state_hidden_dim": 16}
    rest = {"num_heads": 2, "num_layers": 1, "num_inference_timesteps": 2, "image_resolution": (56, 56)}
    small = {"vlm_num_layers": 1, "vlm_dtype": "float32", "use_flash_attn": False}
    return save(out, "evo1", **{**sizes, **rest, **small, **fields})


def save_unbuilt(out: Path, kind: str, **fields: Any) -> Path:
    """The configuration and pipelines of a policy, with weights that are none."""
    output = {ACTION: PolicyFeature(FeatureType.ACTION, (7,))}
    config = make_policy_config(
        kind, **{"input_features": inputs(), "output_features": output, "device": "cpu", **fields}
    )
    for part in (config, *make_default_pre_post_processors(config, statistics())):
        part.save_pretrained(out)
    save_file({"none": torch.zeros(1)}, out / "model.safetensors")
    return out


# Hub models that tokenizers and backbones are read from.


def hub_cache(cache: Path) -> Path:
    """Write tiny models into a hub client's cache, under the names that lerobot's policies load."""
    for name, write in HUB_MODELS.items():
        place = cache / f"models--{name.replace('/', '--')}"
        snapshot = place / "snapshots" / COMMIT
        snapshot.mkdir(parents=True)
        write(snapshot)
        (place / "refs").mkdir()
        (place / "refs" / "main").write_text(COMMIT)
    return cache


def _save_tokenizer(out: Path, kind: str = "paligemma") -> None:
    _tokenizer(VOCABULARY).save_pretrained(out)
    (out / "config.json").write_text(json.dumps({"model_type": kind}))


def _save_fast_tokenizer(out: Path) -> None:
    """As lerobot's: a processor whose class is a Python file beside it."""
    _save_tokenizer(out)
    code = {"AutoProcessor": "processing_action_tokenizer.UniversalActionProcessor"}
    for file in ("processor_config.json", "tokenizer_config.json"):
        (out / file).write_text(json.dumps({"auto_map": code}))
    (out / "processing_action_tokenizer.py").write_text("raise SystemExit('this code ran')\n")


QWEN_TOKENS = ("<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>")
SMALL_TEXT = {
    **{"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2},
    **{"num_key_value_heads": 1, "vocab_size": VOCABULARY + 50},
}
CHAT = """{% for message in messages %}<|im_start|>{{ message['role'] }}
{% for part in message['content'] %}{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else
%}{{ part['text'] }}{% endif %}{% endfor %}<|im_end|>
{% endfor %}"""
"""Qwen's, without what EO1 does not use."""


def _tokenizer_with(*tokens: str) -> Any:
    small = _tokenizer(VOCABULARY)
    words = {f"{name}_token": getattr(small, f"{name}_token") for name in ("bos", "eos", "pad", "unk")}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=small.backend_tokenizer, **words)
    tokenizer.add_tokens(list(tokens), special_tokens=True)
    return tokenizer


def _save_qwen(out: Path) -> None:
    from transformers import Qwen2_5_VLProcessor, Qwen2VLImageProcessor, Qwen2VLVideoProcessor

    Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(),
        tokenizer=_tokenizer_with(*QWEN_TOKENS),
        video_processor=Qwen2VLVideoProcessor(),
        chat_template=CHAT,
    ).save_pretrained(out)
    (out / "config.json").write_text(json.dumps({"model_type": "qwen2_5_vl"}))


def _save_internvl(out: Path) -> None:
    from transformers import InternVLConfig, InternVLModel

    torch.manual_seed(2)
    tokenizer = _tokenizer_with("<img>", "</img>", "<IMG_CONTEXT>")
    tokenizer.save_pretrained(out)
    vision = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    vision |= {"image_size": [56, 56], "patch_size": [14, 14]}
    InternVLModel(
        InternVLConfig(
            vision_config=vision,
            text_config={"model_type": "qwen2", **SMALL_TEXT},
            image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"),
            image_seq_length=4,
        )
    ).save_pretrained(out)


def _save_clip(out: Path) -> None:
    from transformers import CLIPConfig, CLIPModel

    torch.manual_seed(1)
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    _save_tokenizer(out)
    vision, text = {**sizes, "image_size": 32, "patch_size": 8}, {**sizes, "vocab_size": VOCABULARY}
    CLIPModel(CLIPConfig(vision_config=vision, text_config=text, projection_dim=16)).save_pretrained(out)


HUB_MODELS: dict[str, Callable[[Path], None]] = {
    "openai/clip-vit-base-patch16": _save_clip,
    "google/paligemma-3b-pt-224": _save_tokenizer,
    "lerobot/fast-action-tokenizer": _save_fast_tokenizer,
    "Qwen/Qwen2.5-VL-3B-Instruct": _save_qwen,
    "OpenGVLab/InternVL3-1B-hf": _save_internvl,
    "facebook/bart-large": lambda out: _save_tokenizer(out, "bart"),
}


def _save_fastwam(out: Path) -> Path:
    tiny = {"hidden_dim": 48, "ffn_dim": 16, "num_heads": 2, "num_layers": 1, "attn_head_dim": 24}
    config = FastWAMConfig()
    video, action = {**config.video_dit_config, **tiny}, {**config.action_dit_config, **tiny}
    features = inputs(edge=224)
    return save_unbuilt(out, "fastwam", video_dit_config=video, action_dit_config=action, input_features=features)


def _save_xvla_as_public(out: Path) -> Path:
    """The action space of the public LIBERO checkpoint: two arms, positions and rotations in six numbers."""
    wide = {ACTION: PolicyFeature(FeatureType.ACTION, (20,))}
    return save_unbuilt(out, "xvla", output_features=wide, action_mode="ee6d")


def _unbuilt(kind: str) -> Callable[[Path], Path]:
    return lambda out: save_unbuilt(out, kind)


BY_CONFIG = "small by its configuration"
SHRUNK = "small Gemma and SigLIP networks in place of its own"
NO_MODEL = "its configuration and pipelines; the hub's models are not here"
ALONE = "its configuration and pipelines"

FAMILIES = (
    Family("smolvla", "a small SmolVLM beside it", tiny_smolvla.build),
    Family("act", BY_CONFIG, save_act),
    Family("diffusion", f"{BY_CONFIG}, DDPM", save_diffusion),
    Family("diffusion", f"{BY_CONFIG}, DDIM", lambda out: save_diffusion(out, noise_scheduler_type="DDIM")),
    Family("diffusion", "more actions than its horizon has", save_diffusion, options=("--n-action-steps", "16")),
    Family("diffusion", "trained on images of 96 px", lambda out: save_diffusion(out, edge=96)),
    Family("multi_task_dit", f"{BY_CONFIG}, a small CLIP", save_multi_task_dit),
    Family("vqbet", BY_CONFIG, save_vqbet),
    Family("pi0", SHRUNK, save_pi0, shrunk=lambda: tiny_gemma("pi0")),
    Family("pi05", SHRUNK, save_pi05, shrunk=lambda: tiny_gemma("pi05")),
    Family("pi0_fast", f"{ALONE}; its action tokenizer is code", _unbuilt("pi0_fast")),
    Family("xvla", f"{BY_CONFIG}, action mode auto", save_xvla),
    Family("xvla", "action mode ee6d, as the public LIBERO checkpoint", _save_xvla_as_public),
    Family("eo1", f"{BY_CONFIG}, a small Qwen2.5-VL", save_eo1),
    Family("evo1", "a small InternVL3 in the hub's cache", save_evo1),
    Family("fastwam", NO_MODEL, _save_fastwam),
    Family("groot", NO_MODEL, _unbuilt("groot")),
    Family("molmoact2", NO_MODEL, _unbuilt("molmoact2")),
    Family("vla_jepa", NO_MODEL, _unbuilt("vla_jepa")),
    Family("wall_x", f"{ALONE}; its packages are not installed", _unbuilt("wall_x")),
    Family("tdmpc", ALONE, lambda out: save_unbuilt(out, "tdmpc", input_features=inputs(cameras=1))),
    Family("lingbot_va", ALONE, _unbuilt("lingbot_va")),
    Family("gaussian_actor", ALONE, _unbuilt("gaussian_actor")),
)
"""Every policy type of lerobot 0.6.1, in the order of the table."""
