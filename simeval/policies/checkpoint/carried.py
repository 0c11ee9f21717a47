"""What is missing from the language model's files that a checkpoint carries.

transformers accepts many sets of files, and says of an incomplete one what it would have to fetch or cannot guess. So
this is asked only after it has failed.
"""

import json
from pathlib import Path

_NEEDED = (
    (("config.json",), "model_type"),
    (("tokenizer.json", "tokenizer.model", "vocab.json"), "model"),
    (("tokenizer_config.json",), None),
    (("processor_config.json", "preprocessor_config.json"), None),
)
"""Files, of which one is enough, and the key that the first must have. Source: SmolVLM2's folders on the hub."""


def incomplete(folder: Path) -> str | None:
    """The first file that is missing or no such file, as part of a sentence; `None` if there is none."""
    for names, key in _NEEDED:
        there = next((name for name in names if (folder / name).is_file()), None)
        if there is None:
            return f"its {folder.name}/ has no {names[0]}"
        if there.endswith(".json") and not _is_object(folder / there, key if there == names[0] else None):
            return f"its {folder.name}/{there} is damaged"
    return None


def _is_object(file: Path, key: str | None) -> bool:
    try:
        values = json.loads(file.read_bytes())
    except (ValueError, OSError, RecursionError):
        return False
    return isinstance(values, dict) and (key is None or key in values)
