"""The terminal table of an audit."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from simeval.drift.summary import AuditSummary, ConditionDrift, summarise
from simeval.report.format import NOTHING, decimal
from simeval.report.terminal.tables import ROOMY, plain_table
from simeval.store.audit import SCHEMA_VERSION, Audit


def print_audit(console: Console, found: AuditSummary, title: str, notes: Sequence[str]) -> None:
    """Print what an audit found.

    Args:
        console: where to.
        found: the audit in short.
        title: which policy on which frames, one line.
        notes: what to know about the numbers, a line each.
    """
    console.print(render_audit(found, title, notes, roomy=console.width >= ROOMY))


def render_audit(found: AuditSummary, title: str, notes: Sequence[str], *, roomy: bool = False) -> Group:
    """One row per condition, the noise floor last, and what to know about the numbers."""
    table = plain_table(title, "condition", roomy=roomy)
    for header in (
        "views",
        "drift\n[95 % CI]",
        "over\nfloor",
        "largest",
        "gripper\nflips, %",
        "picture\nchange",
    ):
        table.add_column(header, justify="right", no_wrap=True)
    for row in found.conditions:
        _add(table, row)
    repeats = f"repeat control: {found.repeats} clean views were predicted twice, and none drifted."
    parts: list[RenderableType] = [table, Text(), Text(repeats)]
    if found.compared:
        parts.append(Text(f"reproduces the rollout's chunks: {found.reproduced} of {found.compared}, bit for bit."))
    impossible = [row for row in found.conditions if row.infeasible]
    parts += [Text(f"{row.condition}: infeasible on {row.infeasible} frames, which are left out") for row in impossible]
    parts += [Text(note) for note in notes]
    return Group(*parts)


def _add(table: Table, row: ConditionDrift) -> None:
    drift = row.drift
    mean = _number(drift.mean)
    if drift.interval is not None:
        mean += f" [{_number(drift.interval.low)}, {_number(drift.interval.high)}]"
    table.add_row(
        Text(row.condition),
        str(drift.frames),
        mean,
        NOTHING if drift.over_floor is None else f"{drift.over_floor:.2f}",
        _number(row.largest),
        decimal(row.gripper_flip),
        NOTHING if row.mean_abs is None else f"{row.mean_abs:.1f}",
    )


def _number(value: float | None) -> str:
    return NOTHING if value is None else f"{value:z.3f}"


def summarise_audit(done: Audit) -> dict[str, Any]:
    """The table of an audit, JSON-ready, with what it is about."""
    about = {"schema_version": SCHEMA_VERSION, "policy": done.policy, "frames": done.manifest["frames"]}
    return {
        **about,
        "kind": done.frames_description,
        "n_action_steps": done.n_action_steps,
        "sigma_source": done.sigma_source,
        "left_out": [asdict(item) for item in done.left_out],
        "notes": list(done.manifest["notes"]),
        **asdict(summarise(done.rows)),
    }


def print_audit_table(console: Console, done: Audit) -> None:
    """Print the table of an audit, and where it lies."""
    title = f"{done.policy}, {done.manifest['frames']} {done.frames_description}"
    unit = f"drift: mean over the {done.n_action_steps} executed steps, per dimension; unit: {done.sigma_source}."
    print_audit(console, summarise(done.rows), title, [*done.notes, unit, str(done.manifest["scenes"])])
    console.print(f"audit folder: {done.folder}", soft_wrap=True, highlight=False, markup=False, emoji=False)
