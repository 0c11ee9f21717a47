"""Captions in any script: a font that has the character, or its escape and a note, never a box."""

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from helpers import call

from perturbations.language.pools import LANGUAGES, SUITES, texts
from simeval.media import fonts
from simeval.media.captions import caption
from simeval.media.fonts import missing_note, open_font, printable, runs


@pytest.fixture
def installed(monkeypatch):
    """Sets the fonts that the machine has, and forgets what was missing before."""

    def only(*files):
        monkeypatch.setattr(fonts, "_installed", lambda: files)

    def forget():
        fonts._font_of.cache_clear()
        fonts.forget_missing()

    forget()
    yield only
    forget()


@pytest.fixture
def font_of(tmp_path):
    """Writes a font with some characters, each a block, and a box for the others."""

    def block(low, high):
        pen = TTGlyphPen(None)
        pen.moveTo((100, low))
        for point in ((100, high), (900, high), (900, low)):
            pen.lineTo(point)
        pen.closePath()
        return pen.glyph()

    def write(name, characters):
        names = [".notdef", *(f"glyph{k}" for k in range(len(characters)))]
        builder = FontBuilder(1000, isTTF=True)
        builder.setupGlyphOrder(names)
        builder.setupCharacterMap({ord(c): glyph for c, glyph in zip(characters, names[1:], strict=True)})
        builder.setupGlyf({glyph: block(0, 700 - 100 * k) for k, glyph in enumerate(names)})
        builder.setupHorizontalMetrics(dict.fromkeys(names, (1000, 100)))
        builder.setupHorizontalHeader(ascent=800, descent=-200)
        builder.setupNameTable({"familyName": name, "styleName": "Regular"})
        builder.setupOS2()
        builder.setupPost()
        builder.save(tmp_path / name)
        return tmp_path / name

    return write


@pytest.mark.parametrize(
    "text",
    ["Hebe die Schüssel auf den großen Teller", "le bol à côté du ramequin", "поставь миску", "βάλε το μπολ",
     "ضع الوعاء الأسود على الطبق", "שים את הקערה"],
)  # fmt: skip
def test_the_font_that_comes_along_has_most_alphabets(installed, text):
    installed()
    assert printable(text) == text
    assert [part for _, part in runs(text)] == [text]
    assert missing_note() == ""


def test_every_translation_is_readable_with_the_system_packages(installed):
    """Those in docker/system-packages.txt, which `make` installs."""
    translations = [text for suite in SUITES for task in range(10) for text in texts(suite, task).translations.values()]
    assert len(translations) == 10 * len(SUITES) * len(LANGUAGES)
    assert list(map(printable, translations)) == translations
    assert missing_note() == ""


def test_what_no_font_has_is_shown_as_its_escape(installed):
    """Thai has marks, too: a mark that stands alone must not be taken for a glyph."""
    installed()
    assert printable("把 a ชี") == "\\u628a a \\u0e0a\\u0e35"
    assert np.array_equal(caption(["把"], 200), caption(["\\u628a"], 200))
    assert "\\u628a" in missing_note()
    assert "fonts-wqy-microhei" in missing_note()


def test_invisible_and_broken_characters_are_shown(installed):
    installed()
    assert printable("a\x07b\ud800c\nd\te") == "a\\x07b\\ud800c d e"
    assert missing_note() == "", "no font would help"


def test_composed_letters_are_used_where_they_exist(installed):
    installed()
    assert printable("Schu\u0308ssel") == "Schüssel"


def test_an_installed_font_fills_in_and_the_first_that_has_the_character_is_taken(installed, font_of):
    one, two = font_of("one.ttf", "把碗"), font_of("two.ttf", "碗盘")
    broken = one.with_name("broken.ttf")
    broken.write_bytes(b"not a font")
    installed(broken, one, two)
    assert printable("put 把碗, 盘 x") == "put 把碗, 盘 x"
    usual = "DejaVuSans.ttf"
    parts = list(runs("put 把碗, 盘 x"))
    assert [file.name for file, _ in parts] == [usual, "one.ttf", usual, "two.ttf", usual]
    assert "".join(part for _, part in parts) == "put 把碗, 盘 x"
    assert not np.array_equal(caption(["把"], 200), caption(["碗"], 200))


def test_without_raqm_arabic_is_an_escape_rather_than_written_backwards(installed, monkeypatch):
    installed()
    monkeypatch.setattr(fonts, "_shaping", lambda: False)
    assert printable("ض ü") == "\\u0636 ü"
    assert "libfribidi0" in missing_note()


def test_legible_regular_fonts_come_first(tmp_path, monkeypatch):
    names = [
        "abc/Fancy.ttf",
        "DejaVuSans-Bold.ttf",
        "NotoSansCJK-Regular.ttc",
        "noto/NotoSansThai.ttf",
        "x.txt",
    ]
    for name in names:
        file = tmp_path / "fonts" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"")
    monkeypatch.setattr(fonts.platformdirs.PlatformDirs, "iter_data_dirs", lambda self: iter([str(tmp_path)]))
    found = [file.name for file in fonts._installed.__wrapped__()]
    assert found == ["NotoSansCJK-Regular.ttc", "NotoSansThai.ttf", "Fancy.ttf", "DejaVuSans-Bold.ttf"]


def test_arabic_is_shaped():
    """Joined letters are narrower than the same letters alone."""
    file = next(runs("ض"))[0]
    font = open_font(file, 20)
    assert font.getlength("ببب") < 3 * font.getlength("ب") - 2


def test_a_command_says_which_package_is_missing(installed, tmp_path, monkeypatch):
    """Once, on standard error, and it succeeds."""
    installed()
    monkeypatch.setattr("simeval.media.preview.condition_sheet", lambda *_, **__: caption(["把碗"], 200))
    words = ("--suite", "toy", "--perturb", "noise:0.1", "--out", str(tmp_path / "sheet.png"))
    for _ in range(2):
        called = call("preview", *words)
        assert called.code == 0
        assert called.err.count("note: captions show \\u628a \\u7897 as escapes") == 1
