"""Digest of the hub models' files that a checkpoint reads from the hub client's cache, for its fingerprint."""

import hashlib
from pathlib import Path

_MODEL_FILES = (
    *("added_tokens.json", "chat_template.jinja", "chat_template.json", "config.json", "generation_config.json"),
    *("merges.txt", "preprocessor_config.json", "processor_config.json", "special_tokens_map.json", "spiece.model"),
    *("tokenizer.json", "tokenizer.model", "tokenizer_config.json", "video_preprocessor_config.json", "vocab.json"),
)
"""Files that transformers reads of a model besides its weights."""


def models_sha256(models: tuple[str, ...], cache: Path | None = None) -> str | None:
    """Digest of the files of hub models that are read at load, without weights; `None` if there are no models.

    Args:
        models: hub ids.
        cache: the hub client's cache; `None` for the default one.
    """
    from huggingface_hub import try_to_load_from_cache

    total = hashlib.sha256()
    for model in models:
        for file in _MODEL_FILES:
            path = try_to_load_from_cache(model, file, cache_dir=cache)
            if isinstance(path, str):
                total.update(f"{model}/{file}:{hashlib.sha256(Path(path).read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest() if models else None
