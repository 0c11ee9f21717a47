"""Names in terminal tables: they break between their parts, and no character of them is lost."""

import io

import pytest
from rich.console import Console
from rich.text import Text

from simeval.analysis.compare import Comparison, SuiteChange
from simeval.report.terminal.compare import render_comparison
from simeval.report.terminal.names import Name
from simeval.report.terminal.tables import plain_table
from simeval.stats.change import Gain, RunChange
from simeval.stats.intervals import Interval
from simeval.stats.retention import Retention


def folded(text: str, width: int) -> list[str]:
    return [line.plain for line in Name(text).wrap(Console(), width, justify="left")]


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("instruction:counterfactual", 14, ["instruction:", "counterfactual"]),
        ("instruction:counterfactual", 26, ["instruction:counterfactual"]),
        ("light:0.4+noise:0.3+blur:2", 16, ["light:0.4+", "noise:0.3+blur:2"]),
        ("drift of the action", 12, ["drift of the", "action"]),
        ("noise:-0.3", 6, ["noise:", "-0.3"]),
        ("smolvla_libero-finetuned", 10, ["smolvla_", "libero-", "finetuned"]),
        ("counterfactual", 8, ["counterf", "actual"]),
        ("  flow-0", 8, ["  flow-0"]),
        ("mean over\nconditions", 20, ["mean over", "conditions"]),
        ("", 5, [""]),
    ],
)
def test_a_name_breaks_between_its_parts(text, width, lines):
    assert [line.rstrip() for line in folded(text, width)] == lines


@pytest.mark.parametrize("width", range(1, 30))
def test_no_character_is_lost(width):
    text = "instruction:lang:de+light:0.4+libero_object"
    assert "".join(line.rstrip() for line in folded(text, width)) == text
    assert max(map(len, folded(text, width))) <= width


def test_the_names_of_a_table_fold_and_keep_their_style():
    table = plain_table("toy", "condition", roomy=False)
    table.add_column("gain", justify="right", no_wrap=True)
    table.add_row(Text("instruction:counterfactual", style="bold"), "0.0 [-11.2, 11.2]")
    console = Console(width=32, file=io.StringIO(), force_terminal=True, color_system="standard")
    console.print(table)
    printed = console.file.getvalue()
    assert "\x1b[1minstruction:" in printed
    assert "counterfactual" in printed
    assert "0.0 [-11.2, 11.2]" in printed


def test_long_names_and_reasons_of_a_comparison_fit_80_columns():
    """At 80 columns a reason that stood on one line took the space of the numbers, which were cut."""
    name = "instruction:counterfactual"
    clean = Gain(
        "none",
        100,
        100,
        a=0.9,
        b=0.8,
        gain=-0.1,
        interval=Interval(-0.2, 0.0, 0.95, "Bonett-Price"),
        p=0.04,
        p_holm=0.04,
    )
    lost = Gain(name, 0, 0, reason="no episode that both runs have")
    kept = Retention(name, 0, 0, reason="a policy never succeeded when unperturbed")
    change = RunChange((clean, lost), (lost,), lost, (kept,), None)
    comparison = Comparison("a", "b", "toy", (SuiteChange("toy", change, (lost,)),))
    console = Console(width=80, file=io.StringIO())
    console.print(render_comparison(comparison))
    printed = console.file.getvalue()
    assert "…" not in printed
    assert "unterfactual" not in printed.replace("counterfactual", "")
    assert "-10.0 [-20.0, 0.0]" in printed
    assert max(map(len, printed.splitlines())) <= 80
