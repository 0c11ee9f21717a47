"""What a study's report has beside its episodes: the small audit of all policies in one table."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from simeval.analysis.study import StudyResults
from simeval.core.drift_row import FLOOR
from simeval.drift.mini import METRICS
from simeval.drift.mini_study import MiniCell, MiniMember, MiniStudy, mini_study
from simeval.report.blocks import ArtifactCollector, Table, columns
from simeval.report.format import NOTHING
from simeval.store.study import Study

FLOOR_NAME = "another sampling noise"
OPEN = METRICS[:2]
"""Measures whose tables are open; the others open on demand."""
MEASURES = {
    "l2_raw": "first action, gripper included, in action units",
    "drift_exec": "executed steps, in standard deviations of the training actions per dimension",
    "xyz_sum": "summed translation of the executed steps, in action units",
    "gripper_flip": "share of the executed steps with the opposite gripper command",
}


@dataclass(frozen=True, slots=True)
class StudyExtras:
    """What a report shows beside the results of a study."""

    mini: tuple[MiniStudy, ...] = ()


def extras_of(study: Study, results: StudyResults) -> StudyExtras:
    """The extras of the policies that are in the numbers.

    Raises:
        ConfigError: an audit is damaged, or its repeat control drifted.
    """
    left_out = {name for name, _ in results.left_out}
    audits = [
        (one.member, one.audit.rows)
        for one in study.policies
        if one.audit is not None and one.audit.complete and one.member.name not in left_out
    ]
    tables = [
        mini_study(
            suite.suite,
            [
                MiniMember(m.name, m.group, m.seed, tuple(row for row in rows if row.suite in (suite.suite, "")))
                for m, rows in audits
            ],
        )
        for suite in results.suites
    ]
    return StudyExtras(tuple(table for table in tables if table is not None))


def mini_tables(mini: MiniStudy, artifacts: ArtifactCollector) -> Iterator[Table]:
    """The small audit: a row per recipe or policy, a column per condition."""
    csv = artifacts.add_table("mini-audit", (*mini.recipes, *mini.policies))
    several = len({cell.group for cell in mini.recipes}) < len({cell.policy for cell in mini.policies})
    for measure in METRICS:
        note = f"Mean ± deviation over training seeds, of means over {mini.frames} frames: {MEASURES[measure]}."
        if several:
            yield _table(("Small audit", "recipe"), mini.recipes, mini, measure, (csv, note))
    for measure in METRICS:
        note = f"Mean ± deviation over the audit's sampling seeds, {mini.frames} frames: {MEASURES[measure]}."
        names = "Small audit of each policy", "policy"
        yield _table(names, mini.policies, mini, measure, (csv, note), folded=several)


def _table(
    names: tuple[str, str],
    cells: Sequence[MiniCell],
    mini: MiniStudy,
    measure: str,
    below: tuple[str, str],
    *,
    folded: bool = False,
) -> Table:
    found = {(cell.policy or cell.group, cell.condition): cell for cell in cells if cell.measure == measure}
    of = dict.fromkeys(name for name, _ in found)
    rows = tuple((name, *(_text(found.get((name, condition))) for condition in mini.conditions)) for name in of)
    heads = columns(names[1], *(FLOOR_NAME if condition == FLOOR else condition for condition in mini.conditions))
    return Table(f"{names[0]}, {measure}", heads, rows, *below, folded=folded or measure not in OPEN)


def _text(cell: MiniCell | None) -> str:
    if cell is None:
        return NOTHING
    return f"{cell.mean:.3f}" if cell.deviation is None else f"{cell.mean:.3f} ± {cell.deviation:.3f}"
