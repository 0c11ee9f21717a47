"""Terminal tables of a correlation of offline drift with the loss of success."""

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from simeval.analysis.correlate import StudyResult
from simeval.report.format import NOTHING, decimal, p_value, with_interval
from simeval.report.terminal.tables import ROOMY, plain_table
from simeval.report.text import few_episodes
from simeval.stats.correlation import Correlation
from simeval.stats.intervals import Interval
from simeval.stats.study import Point

METHODS = (
    "other perturbations: 95 % interval for other kinds like these (jackknife over families); same, run again: where a "
    "repeat with as many other episodes would be, AUROC: other initial states; p: whole families permuted, per episode "
    "whole initial states. "
    "Drift: mean over the executed steps, in training standard deviations per dimension."
)


def print_study(console: Console, policy: str, result: StudyResult) -> None:
    """Print drift against drop for one policy on one suite."""
    console.print(render_study(policy, result, roomy=console.width >= ROOMY))


def render_study(policy: str, result: StudyResult, *, roomy: bool = False) -> Group:
    """The verdict, the conditions in the order of their drift, and the statistics behind the verdict."""
    correlation = result.correlation
    included = sorted((p for p in correlation.points if not p.excluded), key=lambda p: -(p.drift.mean or 0.0))
    parts: list[RenderableType] = [
        Text(
            f"{policy} on {result.suite}: drift is {correlation.verdict.word} ({correlation.verdict.reason}).",
            style="bold",
        ),
        Text(),
        _points(f"{result.suite}, drift on {result.frames}", included, roomy=roomy),
        Text(),
        _numbers(correlation, roomy=roomy),
        Text(),
    ]
    parts += [Text(f"note: {caveat}") for caveat in correlation.caveats]
    parts += [Text(f"note: drift of {line}") for line in few_episodes([(p.condition, p.drift) for p in included])]
    parts += [Text(f"left out: {p.condition}: {p.reason}{_costs(p)}") for p in correlation.points if p.excluded]
    return Group(*parts, Text(METHODS))


def _points(title: str, points: list[Point], *, roomy: bool) -> Table:
    table = plain_table(title, "condition", roomy=roomy)
    for header in ("drift\n[95 % CI]", "drop, points\n[95 % CI]", "harmed /\nhelped"):
        table.add_column(header, justify="right", no_wrap=True)
    for point in points:
        drop = with_interval(point.drop, point.drop_interval)
        drift = _number(point.drift.mean, point.drift.interval)
        table.add_row(Text(point.condition), drift, drop, f"{point.harmed} / {point.helped}")
    return table


def _numbers(correlation: Correlation, *, roomy: bool) -> Table:
    table = plain_table("does drift predict the drop?", "", roomy=roomy)
    for header in ("value", "other\nperturbations", "same,\nrun again", "p"):
        table.add_column(header, justify="right", no_wrap=True)
    for measured in correlation.between:
        association = measured.association
        limits = [_limits(interval) for interval in (association.ci_conditions, measured.ci_measurement)]
        table.add_row(
            f"{association.stat}, {association.k} conditions",
            _number(association.value),
            *limits,
            p_value(association.p),
        )
    families = correlation.between_families
    table.add_row("spearman of the families", _number(families.value), _limits(families.ci_conditions), NOTHING,
                  p_value(families.p))  # fmt: skip
    table.add_row("noise ceiling of a correlation", _number(correlation.ceiling.ceiling), NOTHING, NOTHING, NOTHING)
    table.add_row("spearman without that noise", _number(correlation.noise_free), NOTHING, NOTHING, NOTHING)
    for loco in correlation.loco:
        skill = f"skill {loco.skill:z.2f}" if loco.skill is not None else NOTHING
        error = f"{decimal(loco.mae)} points" if loco.mae is not None else NOTHING
        table.add_row(f"error, one {loco.scheme} left out", error, skill, NOTHING, NOTHING)
    if correlation.within_task is not None:
        inner = correlation.within_task
        limits = [_limits(inner.ci_conditions), NOTHING]
        table.add_row(f"spearman within {inner.tasks_used} tasks", _number(inner.rho), *limits, p_value(inner.p))
    for auroc in correlation.aurocs:
        table.add_row(f"AUROC per episode, {auroc.stratum}", _number(auroc.value), NOTHING, _limits(auroc.interval),
                      p_value(auroc.p))  # fmt: skip
    return table


def _costs(point: Point) -> str:
    return "" if point.drop is None else f" (drop {with_interval(point.drop, point.drop_interval)} points)"


def _number(value: float | None, interval: Interval | None = None) -> str:
    if value is None:
        return NOTHING
    return f"{value:z.2f} {_limits(interval)}" if interval else f"{value:z.2f}"


def _limits(interval: Interval | None) -> str:
    return f"[{interval.low:z.2f}, {interval.high:z.2f}]" if interval else NOTHING
