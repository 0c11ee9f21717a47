"""Makes texts from outside safe to store and to print.

Non-obvious behaviour:
- Python's strings may hold half of a surrogate pair (file names that are not UTF-8, broken JSON). No encoder writes one
  and none of our decoders reads one, so it is replaced by U+FFFD before text is stored.
- Characters that control a terminal (escape sequences, C0 and C1 controls, marks of writing direction) are escaped
  where text is printed, never where it is stored.
"""

import re
from typing import Any

_SURROGATE = re.compile("[\ud800-\udfff]")
_COLORS = re.compile(r"\x1b\[[0-9;:?]*[ -/]*[@-~]")
"""Control sequences as ECMA-48 (5.4) writes them; those that end with m are colours."""
_CONTROLS = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
"""Control and format characters, the bidirectional ones among them. Source: Unicode categories Cc, Cf, Zl, Zp, Cs."""


def well_formed(text: str) -> str:
    """The text, with U+FFFD for every lone half of a surrogate pair."""
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
    """The text without terminal colours."""
    return _COLORS.sub("", text)


def escaped(text: str) -> str:
    r"""The text on one line, with all control characters escaped: ESC as `\x1b`."""
    return _CONTROLS.sub(lambda match: _escape(match[0]), text)


def shown(value: object, most: int = 80) -> str:
    """A value from outside as part of a message: one line, escaped, and shortened in the middle if it is long.

    Args:
        value: any value; its `str` is used.
        most: maximum number of characters before escaping.
    """
    text = str(value)
    if len(text) > most:
        kept = most - 3
        text = f"{text[: kept - kept // 3]}...{text[len(text) - kept // 3 :]}"
    return escaped(text)


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
