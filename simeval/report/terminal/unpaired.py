"""Terminal table of a comparison whose episodes cannot be paired."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from simeval.analysis.unpaired import METHOD, UnpairedComparison
from simeval.report.format import decimal, with_interval
from simeval.report.terminal.tables import ROOMY, plain_table

_METHODS = (
    "success: equal-weight means over the common tasks; 95 % interval of the difference by {}, for independent sides, "
    "not adjusted for the number of rows; no p."
)


def print_unpaired(console: Console, comparison: UnpairedComparison) -> None:
    """Print the comparison of run B with run A."""
    console.print(Text(f"A: {comparison.a}; {comparison.assets_a}"))
    console.print(Text(f"B: {comparison.b}; {comparison.assets_b}"))
    console.print(_table(comparison, roomy=console.width >= ROOMY))
    for note in comparison.notes:
        console.print(Text(f"note: {note}"), soft_wrap=True)
    console.print(Text(_METHODS.format(METHOD)))


def _table(comparison: UnpairedComparison, *, roomy: bool) -> Table:
    table = plain_table("success, not paired", "suite", "condition", roomy=roomy)
    for header in ("tasks", "n A", "n B", "A %", "B %", "B - A, points\n[95 % CI]", ""):
        table.add_column(header, justify="right", no_wrap=True)
    for rate in comparison.rates:
        table.add_row(
            Text(rate.suite),
            Text(rate.condition),
            str(rate.tasks),
            str(rate.n_a),
            str(rate.n_b),
            decimal(rate.a),
            decimal(rate.b),
            with_interval(rate.gain, rate.interval),
            rate.direction if rate.direction != "no difference shown" else "",
        )
    return table
