"""What a study's report has beside its episodes: the small audit of all policies, and what was found inside them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from simeval.analysis.study import StudyResults
from simeval.config.study import REPRESENTATION
from simeval.core.drift_row import FLOOR
from simeval.drift.mini import METRICS
from simeval.drift.mini_study import MiniCell, MiniMember, MiniStudy, mini_study
from simeval.probing.results import FILE, Representations, read_results
from simeval.probing.rivals import RivalStudy, rival_study
from simeval.report.blocks import ArtifactCollector, Block, BulletList, Table, columns
from simeval.report.figures.layers import ScatterPanel, plot_scatter
from simeval.report.format import NOTHING, p_value
from simeval.report.text import format_with_ci
from simeval.store.study import Study

FLOOR_NAME = "another sampling noise"
RIVALS = (
    "Spearman's ρ after ranking within, positive where more of the predictor goes with more loss. over policies: under "
    "each condition, against the start's success minus the policy's. over conditions: of each policy, against its "
    "clean success minus that under the condition. 95 % intervals leave out whole recipes (or axes), p exchanges them, "
    "adjusted by Holm over the predictors of a question. Few recipes cannot tell, however large ρ is."
)
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
    """What a report shows beside the results of a study.

    Attributes:
        mini: the small audit, by suite.
        representation: what `simeval represent` found in the study; `None` if it was not asked.
        rivals: whether that predicts the loss of success, by suite.
        sheets: images of the attention.
    """

    mini: tuple[MiniStudy, ...] = ()
    representation: Representations | None = None
    rivals: tuple[RivalStudy, ...] = ()
    sheets: tuple[Path, ...] = ()


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
    mini = tuple(table for table in tables if table is not None)
    inside = study.folder / REPRESENTATION
    if not (inside / FILE).is_file():
        return StudyExtras(mini)
    found = read_results(inside)
    rivals = [rival_study(found, suite) for suite in results.suites]
    sheets = tuple(sorted((inside / "attention").glob("*.png")))
    return StudyExtras(mini, found, tuple(one for one in rivals if one is not None), sheets)


def rival_blocks(study: RivalStudy, artifacts: ArtifactCollector) -> Iterator[Block]:
    """Whether what is kept predicts the loss of success, beside drift: a table, a figure and the points."""
    csv = artifacts.add_table("rivals", study.rivals)
    points = artifacts.add_table("rival-points", study.points)
    rows = tuple(
        (
            *(row.question, row.predictor, format_with_ci(row.rho, row.interval), p_value(row.p_holm)),
            *(str(row.units), str(row.families), str(row.within), row.says, row.reason),
        )
        for row in study.rivals
    )
    heads = columns(
        *("question", "predictor", "ρ [95 % CI]", "p, adjusted", "units", "families", "within", "says", "note"),
        words=["predictor", "says", "note"],
    )
    yield Table("What predicts the loss of success?", heads, rows, csv, f"{RIVALS} Layer: {study.layer}.")
    panels = [
        ScatterPanel(title, tuple(_scattered(study, field)))
        for title, field in (("skill of the probes lost to the start", "probes_lost"), ("drift of the action", "drift"))
    ]
    shown = [panel for panel in panels if panel.points]
    if shown:
        yield artifacts.add_figure(
            "rivals", "Loss of success against skill of the probes lost, and against drift",
            partial(plot_scatter, shown, "success lost to the start, points"),
            "A point per policy and condition, a colour per recipe. The table ranks within conditions.", (points,),
        )  # fmt: skip
    if study.left_out:
        yield BulletList(tuple(f"{name}: {reason}" for name, reason in study.left_out))


def _scattered(study: RivalStudy, field: str) -> Iterator[tuple[str, float, float]]:
    for point in study.points:
        x = getattr(point, field)
        if x is not None and point.loss is not None:
            yield point.group, x, point.loss


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
