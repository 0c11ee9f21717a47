"""Which font has a character: DejaVu Sans, else an installed one; a character that no font has becomes its escape.

Non-obvious behaviour:
- A font renders a box (`.notdef`) for a character that it lacks, and reports nothing. Each character is compared with
  that box.
- Without Raqm, Pillow writes Arabic from left to right in unconnected letters. Scripts that need it then count as
  missing.
"""

import functools
import itertools
import unicodedata
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import platformdirs
from PIL import ImageFont, features

FONT_PACKAGE = "fonts-wqy-microhei"
"""Debian package with Chinese, Japanese and Korean (5 MB)."""
SHAPING_PACKAGE = "libfribidi0"
"""Debian package that Pillow's Raqm loads."""

PREFERRED = ("notosanscjk", "sourcehansans", "wqy-microhei", "droidsansfallback", "notosans", "dejavusans")
"""Starts of file names, best first: sans-serif fonts that are legible when small."""
STYLED = ("bold", "italic", "oblique", "light", "thin", "black", "mono", "condensed")
"""Parts of file names of fonts that are used only if no regular one has a character."""
MAX_FONTS = 500
"""Each is opened for a character that none has, about 1 ms each (our choice)."""

UNWRITTEN = ("Cc", "Cs", "Cn", "Co")
"""Unicode's categories of control characters, surrogates, and characters without a meaning: no font is missing."""

_missing: set[str] = set()
"""Characters that could not be rendered since `forget_missing`."""


def printable(text: str) -> str:
    r"""The text as it can be rendered: composed, in one line, with `\u628a` for a character that no font has."""
    composed = unicodedata.normalize("NFC", text)
    return "".join(map(_rendered, composed))


def forget_missing() -> None:
    """Let `missing_note` begin anew."""
    _missing.clear()


def missing_note() -> str:
    """One line on the characters that could not be rendered, and the package with a font; empty if there are none."""
    if not _missing:
        return ""
    shown = " ".join(_escape(character) for character in sorted(_missing)[:5])
    more = f" and {len(_missing) - 5} more" if len(_missing) > 5 else ""
    if any(map(_needs_shaping, _missing)) and not _shaping():
        remedy = f"the system package {SHAPING_PACKAGE}"
    elif any(unicodedata.east_asian_width(character) in "WF" for character in _missing):
        remedy = f"the system package {FONT_PACKAGE}"
    else:
        remedy = "a font of their script, for instance the system package fonts-noto-core"
    return f"captions show {shown}{more} as escapes: no installed font has them; {remedy} makes them readable"


def runs(text: str) -> Iterator[tuple[Path, str]]:
    """Parts of a printable text with one font each, in order. Spaces, marks and signs stay with what precedes them."""
    fonts: list[Path] = []
    for character in text:
        stays = fonts and not character.isalnum() and _has(fonts[-1], character)
        fonts.append(fonts[-1] if stays else _font_of(character) or _base())
    for file, group in itertools.groupby(zip(fonts, text, strict=True), key=lambda pair: pair[0]):
        yield file, "".join(character for _, character in group)


@functools.lru_cache(maxsize=MAX_FONTS)
def open_font(file: Path, size: int) -> ImageFont.FreeTypeFont:
    """A font at a size (px per em).

    Raises:
        OSError: it cannot be read, or has no such size.
    """
    return ImageFont.truetype(str(file), size)


def _rendered(character: str) -> str:
    if character.isspace():
        return " "
    if " " < character <= "~" or _font_of(character):
        return character
    if unicodedata.category(character) not in UNWRITTEN:
        _missing.add(character)
    return _escape(character)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()


@functools.cache
def _font_of(character: str) -> Path | None:
    if unicodedata.category(character) in UNWRITTEN or (_needs_shaping(character) and not _shaping()):
        return None
    return next((file for file in (_base(), *_installed()) if _has(file, character)), None)


@functools.cache
def _has(file: Path, character: str) -> bool:
    """Whether a font has a character: it renders something else than the font's box."""
    try:
        return character == " " or _glyph(file, character) != _glyph(file, "\uffff")
    except OSError:  # damaged, or bitmaps of another size
        return False


@functools.lru_cache(maxsize=MAX_FONTS)
def _glyph(file: Path, character: str) -> tuple[bytes, float]:
    # The basic layout, because Raqm would put a dotted circle below a mark that stands alone.
    font = _unshaped(file)
    return bytes(font.getmask(character)), font.getlength(character)


@functools.lru_cache(maxsize=MAX_FONTS)
def _unshaped(file: Path) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(file), 16, layout_engine=ImageFont.Layout.BASIC)


def _needs_shaping(character: str) -> bool:
    """Whether a script is written from right to left or joins its letters."""
    return unicodedata.bidirectional(character) in ("R", "AL") or "\u0900" <= character <= "\u109f"


@functools.cache
def _shaping() -> bool:
    return bool(features.check("raqm"))


@functools.cache
def _base() -> Path:
    """Matplotlib's DejaVu Sans: Latin, Greek, Cyrillic, Arabic and Hebrew, alike on every machine."""
    spec = find_spec("matplotlib")  # found, not imported
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"


@functools.cache
def _installed() -> tuple[Path, ...]:
    """Fonts of the user and the system, the most suitable first."""
    folders = [Path(folder) / "fonts" for folder in platformdirs.PlatformDirs(multipath=True).iter_data_dirs()]
    files = {file for folder in folders for file in folder.rglob("*") if file.suffix in (".ttf", ".ttc", ".otf")}
    return tuple(sorted(files, key=_suitability)[:MAX_FONTS])


def _suitability(file: Path) -> tuple[bool, int, str]:
    name = file.stem.lower()
    rank = next((k for k, start in enumerate(PREFERRED) if name.startswith(start)), len(PREFERRED))
    return any(part in name for part in STYLED), rank, str(file)
