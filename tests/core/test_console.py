"""What is printed in a narrow terminal: nothing is left out and nothing cut."""

from pathlib import Path

import pytest
from helpers import call

from simeval.core.console import NARROWEST, PlainConsole

REFERENCE = Path(__file__).parents[2] / "results" / "reference"


@pytest.mark.parametrize("width", ["20", "50", "79"])
def test_in_a_narrow_terminal_the_tables_are_those_of_80_columns(monkeypatch, width):
    monkeypatch.setenv("COLUMNS", "80")
    expected = call("show", REFERENCE).out
    monkeypatch.setenv("COLUMNS", width)
    assert call("show", REFERENCE).out == expected
    assert "…" not in expected


def test_in_a_wide_terminal_the_whole_width_is_used(monkeypatch):
    monkeypatch.setenv("COLUMNS", "140")
    assert PlainConsole().width == 140
    monkeypatch.setenv("COLUMNS", "79")
    assert PlainConsole().width == NARROWEST == 80
