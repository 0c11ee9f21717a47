"""Texts from elsewhere, made fit to be stored and to be shown.

Non-obvious behaviour:
- Python's strings may hold half of a surrogate pair (names of files that are no UTF-8, broken JSON). No encoder writes
  one and no decoder of ours reads one, so it is replaced by U+FFFD before anything is stored.
- What a terminal would obey (escape sequences, C0 and C1 controls, marks that turn the direction of writing) is spelled
  out where text is shown, never where it is stored.
"""

import re
from typing import Any

_SURROGATE = re.compile("[\ud800-\udfff]")
_COLORS = re.compile(r"\x1b\[[0-9;:?]*[ -/]*[@-~]")
"""Control sequences as ECMA-48 (5.4) writes them; those that end with m are colours."""
_OBEYED = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
"""Control and format characters, the bidirectional ones among them. Source: Unicode categories Cc, Cf, Zl, Zp, Cs."""


def well_formed(text: str) -> str:
    """The text, with U+FFFD for every half of a surrogate pair that stands alone."""
    if not _SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def all_well_formed(value: Any) -> Any:
    """A JSON-ready value whose texts and keys are all `well_formed`."""
    if isinstance(value, str):
        return well_formed(value)
    if isinstance(value, dict):
        return {all_well_formed(key): all_well_formed(part) for key, part in value.items()}
    return [all_well_formed(part) for part in value] if isinstance(value, list | tuple) else value


def uncolored(text: str) -> str:
    """The text without the colours that a library gave it."""
    return _COLORS.sub("", text)


def escaped(text: str) -> str:
    r"""The text on one line, with whatever a terminal would obey spelled out: ESC as `\x1b`."""
    return _OBEYED.sub(lambda found: _spelled(found[0]), text)


def shown(value: object, most: int = 80) -> str:
    """A value from elsewhere as part of a message: one line, escaped, and cut in its middle if it is long.

    Args:
        value: anything; its `str` is shown.
        most: characters at most.
    """
    text = str(value)
    if len(text) > most:
        kept = most - 3
        text = f"{text[: kept - kept // 3]}...{text[len(text) - kept // 3 :]}"
    return escaped(text)


def _spelled(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
