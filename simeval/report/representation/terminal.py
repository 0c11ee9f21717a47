"""What was found inside policies, in the terminal; legible at 80 columns."""

from collections.abc import Iterator

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from simeval.probing.results import NAMED, Representations
from simeval.report.format import NOTHING, decimal, p_value, with_interval
from simeval.report.representation.rows import HELD, KEPT, LOOK, READ, SIMILAR, change_rows, read_rows
from simeval.report.terminal.tables import ROOMY, plain_table
from simeval.stats.intervals import Interval


def print_representation(console: Console, found: Representations) -> None:
    """Print what was found."""
    console.print(render_representation(found, roomy=console.width >= ROOMY))


def render_representation(found: Representations, *, roomy: bool = False) -> Group:
    """What can be read from the last layers, how they compare with the start, and where the policies look."""
    parts: list[RenderableType] = []
    for layer in found.last_layers:
        parts += [_read(found, layer, roomy=roomy), Text()]
    if len(found.policies) > 1:
        parts += [_changes(found, found.last_layers[0], roomy=roomy), Text()]
    parts += [_attention(found, roomy=roomy), Text()]
    parts += [Text(line) for line in (READ, HELD, KEPT, SIMILAR, LOOK)]
    parts += [Text(f"left out: {name}: {reason}") for name, reason in found.left_out]
    frames = f"{found.frames} frames of {found.states} initial states, {found.source}"
    return Group(*parts, Text(frames), Text(found.assets))


def score_text(score: float | None, interval: Interval | None) -> str:
    """A score in per cent, with its interval if it has one."""
    return decimal(score) if interval is None else with_interval(score, interval)


def _read(found: Representations, layer: str, *, roomy: bool) -> Table:
    table = plain_table(f"what can be read from {layer}, clean frames", "policy", roomy=roomy)
    for header in ("score, %\n[95 % CI]", "chance", "p, shuffled", "pixels", "samples"):
        table.add_column(header, justify="right", no_wrap=True)
    last = ""
    for row in read_rows(found, [layer]):
        if row.probe != last:
            table.add_row(Text(row.probe, style="italic"))
            last = row.probe
        values = score_text(row.score, row.interval), decimal(row.chance), p_value(row.p), decimal(row.pixels)
        table.add_row(Text(f"  {row.policy}"), *values, str(row.n))
    return table


def _changes(found: Representations, layer: str, *, roomy: bool) -> Table:
    table = plain_table(f"{layer} beside that of {found.start}", "policy", "condition", roomy=roomy)
    for header in ("kept, all\nprobes", "CKA", "cosine"):
        table.add_column(header, justify="right", no_wrap=True)
    for row in change_rows(found, layer):
        table.add_row(Text(row.policy), Text(row.condition), decimal(row.kept), _two(row.cka), _two(row.cosine))
    return table


def _attention(found: Representations, *, roomy: bool) -> Table:
    table = plain_table("where the action expert looks", "policy", "condition", roomy=roomy)
    for header in ("on named\nobjects, %", "chance, %", "peak, %", "its\nchance, %"):
        table.add_column(header, justify="right", no_wrap=True)
    for policy, condition, cells in attention_cells(found):
        table.add_row(Text(policy), Text(condition), *cells[:4])
    return table


def attention_cells(found: Representations) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Policy, condition, and: share, its chance, hits, their chance, share on other objects, on words, frames."""
    others = {(row.policy, row.condition): row.pointing for row in found.attention if row.of != NAMED}
    for row in found.attention:
        if row.of != NAMED:
            continue
        p, other = row.pointing, others.get((row.policy, row.condition))
        yield (
            row.policy,
            row.condition,
            (
                *(score_text(p.share, p.share_interval), decimal(p.share_chance)),
                *(score_text(p.hits, p.hits_interval), decimal(p.hits_chance)),
                *(decimal(other.share) if other else NOTHING, decimal(row.words), str(p.frames)),
            ),
        )


def _two(value: float | None) -> str:
    return NOTHING if value is None else f"{value:z.3f}"
