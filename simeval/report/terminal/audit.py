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
from simeval.report.text import few_episodes
from simeval.store.audit import SCHEMA_VERSION, Audit


def print_audit(console: Console, summary: AuditSummary, title: str, notes: Sequence[str]) -> None:
    """Print the results of an audit.

    Args:
        console: destination.
        summary: summary of the audit.
        title: policy and frames, one line.
        notes: remarks on the numbers, one line each.
    """
    console.print(render_audit(summary, title, notes, roomy=console.width >= ROOMY))


def render_audit(summary: AuditSummary, title: str, notes: Sequence[str], *, roomy: bool = False) -> Group:
    """One row per condition, the noise floor last, then the remarks."""
    table = plain_table(title, "condition", roomy=roomy)
    for header in (
        "views",
        "drift\n[95 % CI]",
        "over\nfloor",
        "largest",
        "gripper\nflips, %",
        "image\nchange",
    ):
        table.add_column(header, justify="right", no_wrap=True)
    for row in summary.conditions:
        _add(table, row)
    repeats = f"repeat control: {summary.repeats} clean views were predicted twice, and none drifted."
    parts: list[RenderableType] = [table, Text(), Text(repeats)]
    if summary.compared:
        parts.append(Text(f"reproduces the rollout's chunks: {summary.reproduced} of {summary.compared}, bit for bit."))
    infeasible = [row for row in summary.conditions if row.infeasible]
    parts += [Text(f"{row.condition}: infeasible on {row.infeasible} frames, which are left out") for row in infeasible]
    parts += [Text(line) for line in few_episodes([(row.condition, row.drift) for row in summary.conditions])]
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


def summarise_audit(audit: Audit) -> dict[str, Any]:
    """The table of an audit, JSON-ready, with policy and frames."""
    about = {"schema_version": SCHEMA_VERSION, "policy": audit.policy, "frames": audit.manifest["frames"]}
    return {
        **about,
        "kind": audit.frames_description,
        "n_action_steps": audit.n_action_steps,
        "sigma_source": audit.sigma_source,
        "left_out": [asdict(item) for item in audit.left_out],
        "notes": list(audit.manifest["notes"]),
        **asdict(summarise(audit.rows)),
    }


def print_audit_table(console: Console, audit: Audit) -> None:
    """Print the table of an audit, and its folder."""
    title = f"{audit.policy}, {audit.manifest['frames']} {audit.frames_description}"
    unit = f"drift: mean over the {audit.n_action_steps} executed steps, per dimension; unit: {audit.sigma_source}."
    print_audit(console, summarise(audit.rows), title, [*audit.notes, unit, str(audit.manifest["scenes"])])
    console.print(f"audit folder: {audit.folder}", soft_wrap=True, highlight=False, markup=False, emoji=False)
