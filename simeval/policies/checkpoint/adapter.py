"""LoRA adapters: checkpoints whose weights are a low-rank update of another checkpoint's, the base.

Non-obvious behaviour:
- lerobot saves an adapter through peft, which stores the base's path in `base_model_name_or_path`. The base is searched
  there and in `base/` inside the adapter's folder. It is never downloaded.
- The update is merged into the base's weights once, at load. The result is an ordinary policy.
- peft imports modules and reads caches that an adapter's configuration names. So peft gets a configuration with known
  fields only, and an adapter that needs anything else is refused.
"""

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simeval.core.errors import ConfigError
from simeval.policies.checkpoint.files import ADAPTER, ADAPTER_WEIGHTS, FILES, check_files, check_tensors, read_json

_USED = frozenset(
    {
        *("r", "lora_alpha", "lora_dropout", "bias", "use_rslora", "use_dora", "rank_pattern", "alpha_pattern"),
        *("target_modules", "exclude_modules", "target_parameters", "layers_to_transform", "layers_pattern"),
        *("modules_to_save", "fan_in_fan_out"),
    }
)
"""Fields of peft's `LoraConfig` that define which weights are updated, and how much."""
_WITHOUT_EFFECT = frozenset(
    {
        *("auto_mapping", "base_model_name_or_path", "inference_mode", "megatron_core", "peft_type", "peft_version"),
        *("qalora_group_size", "revision", "task_type", "loftq_config"),
    }
)
"""Fields that describe the training, or have no effect without another field."""
_PLAIN_INITS = (None, True, False, "gaussian")
"""Values of `init_lora_weights` that do not change the base's weights."""


@dataclass(frozen=True, slots=True)
class Adapter:
    """A LoRA adapter.

    Attributes:
        base: the base's folder.
        values: arguments of peft's `LoraConfig`.
    """

    base: Path
    values: Mapping[str, Any]


def read_adapter(folder: Path, config: Mapping[str, Any], name: str) -> Adapter | None:
    """Read the adapter in a checkpoint's folder; `None` if the folder has full weights.

    Args:
        folder: folder of the checkpoint.
        config: configuration of its policy.
        name: name of the checkpoint.

    Raises:
        ConfigError: its base is not on this machine, it is not a LoRA adapter, or peft is not installed.
    """
    if not (folder / ADAPTER).is_file():
        if config.get("use_peft"):
            raise ConfigError(
                f"policy '{name}': config.json says that it is an adapter (use_peft), but it has no {ADAPTER}; "
                "if it is merged, set use_peft to false"
            )
        return None
    if (folder / FILES[1]).is_file() and not config.get("use_peft"):
        raise ConfigError(
            f"policy '{name}' has {ADAPTER} beside {FILES[1]}, and config.json says that it is no adapter (use_peft); "
            f"delete {ADAPTER}, or set use_peft to true"
        )
    values = read_json(folder / ADAPTER, name)
    base_name = values.get("base_model_name_or_path")
    of = f"of {base_name[:200]!r}" if isinstance(base_name, str) and base_name else f"whose {ADAPTER} names no base"
    what = f"policy '{name}' is a {str(values.get('peft_type'))[:20]} adapter {of}"
    if values.get("peft_type") != "LORA":
        raise ConfigError(f"{what}; only LORA adapters are loaded: merge the two (merge_and_unload) and save that")
    base = _base(folder, base_name)
    if base is None:
        absent = ", which is no folder here" if base_name else ""
        raise ConfigError(
            f"{what}{absent}; copy the base to {folder}/base, or merge the two (peft's merge_and_unload) and save that"
        )
    unsupported = sorted(key for key, value in values.items() if value and key not in _USED | _WITHOUT_EFFECT)
    if values.get("init_lora_weights") in _PLAIN_INITS and "init_lora_weights" in unsupported:
        unsupported.remove("init_lora_weights")
    if unsupported:
        raise ConfigError(f"{what}, which also asks for {', '.join(unsupported)}; merge the two and save that")
    check_files(base, f"{name}, base")
    check_tensors(base / "model.safetensors", f"{name}, base")
    check_tensors(folder / ADAPTER_WEIGHTS, name)
    if importlib.util.find_spec("peft") is None:
        raise ConfigError(f"{what}; peft is not installed: pip install 'simeval[peft]', or merge the two and save that")
    return Adapter(base, {key: values[key] for key in sorted(_USED & values.keys())})


def merged(model: Any, adapter: Adapter, folder: Path) -> Any:
    """Merge the adapter into the base's model.

    Raises:
        ValueError: the adapter's tensors do not match the base's.
    """
    from peft import LoraConfig, PeftModel, get_peft_model_state_dict
    from safetensors import safe_open

    config = LoraConfig(**adapter.values, inference_mode=True)
    wrapped = PeftModel.from_pretrained(model, str(folder), config=config, torch_device="cpu")
    with safe_open(folder / ADAPTER_WEIGHTS, framework="numpy") as file:
        saved = set(file.keys())
    placed = set(get_peft_model_state_dict(wrapped))
    if saved != placed:
        unmatched = sorted(saved ^ placed)
        raise ValueError(f"{len(unmatched)} tensors of the adapter do not fit its base ({', '.join(unmatched[:3])})")
    return wrapped.merge_and_unload()


def _base(folder: Path, saved: Any) -> Path | None:
    places = [folder / "base"]
    if isinstance(saved, str) and Path(saved).is_absolute():
        places.append(Path(saved))
    return next((place.resolve() for place in places if (place / "model.safetensors").is_file()), None)
