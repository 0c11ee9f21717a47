"""The chapters about drift against drop, of one policy on one suite."""

from collections.abc import Iterator, Mapping
from functools import partial

from simeval.analysis.correlate import StudyResult
from simeval.report.blocks import ArtifactCollector, Block, BulletList, Chapter, Table, Text, columns
from simeval.report.chapters.prediction import prediction_chapter
from simeval.report.figures.drift import plot_scatter, plot_tasks
from simeval.report.figures.forest import Mark, Panel, Row, plot_forest
from simeval.report.figures.style import INK, MarkerStyle
from simeval.report.format import NOTHING, decimal, p_value, with_interval
from simeval.report.text import (
    few_episodes,
    figure_caption_lines,
    format_ci,
    format_number,
    format_with_ci,
    level_row,
    missing_reasons,
    verdict_sentence,
)
from simeval.stats.correlation import Correlation
from simeval.stats.study import Point
from simeval.stats.verdict import ALPHA, SATURATED, USEFUL, USELESS

PLAIN = MarkerStyle(INK, "o")
LEVELS = {"spearman": "Spearman ρ (primary)", "kendall": "Kendall τ-b", "pearson": "Pearson r", "mmrv": "MMRV, points"}


def drift_chapters(
    result: StudyResult, styles: Mapping[str, MarkerStyle], artifacts: ArtifactCollector
) -> Iterator[Chapter]:
    """All chapters about one study."""
    correlation = result.correlation
    used = tuple(point for point in correlation.points if not point.excluded)
    suite_artifacts = artifacts.scoped(result.suite)
    blocks = (
        *_drift(result, used, styles, suite_artifacts),
        *_levels(correlation, suite_artifacts),
        *_within(result, used, styles, suite_artifacts),
    )
    yield Chapter(f"Drift against drop on {result.suite}", blocks)
    yield Chapter("Per episode", tuple(_episodes(correlation, suite_artifacts)))
    yield Chapter("Rival predictors", tuple(_rivals(correlation, suite_artifacts)))
    yield prediction_chapter(correlation, used, styles, suite_artifacts)
    yield Chapter(
        "Conditions outside the correlation",
        (*_changed(correlation, suite_artifacts), *_left_out(correlation, suite_artifacts)),
    )
    yield Chapter("Verdict and what to know before believing it", tuple(_verdict(result)))


def _drift(
    result: StudyResult, used: tuple[Point, ...], styles: Mapping[str, MarkerStyle], artifacts: ArtifactCollector
) -> Iterator[Block]:
    correlation = result.correlation
    steps = "unknown" if result.n_action_steps is None else str(result.n_action_steps)
    yield Text(
        f"Drift is {correlation.predictor}, on {result.frames}; unit: {result.sigma}; "
        f"executed steps per chunk: {steps}."
    )
    csv = artifacts.add_table("points", correlation.points), artifacts.add_table("monotone", _steps(correlation))
    hollow = _with_both(point for point in correlation.points if point.excluded and point.validity == "kept")
    if _with_both(used) or hollow:
        caption = (
            "Mean drift and paired drop of every condition whose meaning is kept, with 95 % intervals both ways "
            "(jackknife over episodes; Bonett and Price). Colour and marker: family; text: strength."
        )
        if hollow:
            caption += " Hollow: not counted (identity values, missing pairs)."
        alt = f"Drift against drop on {result.suite}. {' '.join(figure_caption_lines(correlation))}"
        plot = partial(plot_scatter, correlation, hollow, styles, figure_caption_lines(correlation))
        yield artifacts.add_figure("drift_drop", alt, plot, caption, csv)
    else:
        yield Text("No condition has both a drift and a drop, so there is nothing to plot.", "note")
    heads = (
        "condition",
        "family",
        "pairs",
        "drift [95 % CI]",
        "drift / floor",
        "drop, points [95 % CI]",
        "drop / clean",
    )
    rows = tuple(
        (
            *(point.condition, point.axis_family, str(point.pairs)),
            format_with_ci(point.drift.mean, point.drift.interval, 3),
            format_number(point.drift.over_floor, 1),
            with_interval(point.drop, point.drop_interval),
            format_number(point.relative_drop),
        )
        for point in used
    )
    yield Table("Points of the correlation", columns(*heads, words=["family"]), rows, csv[0], folded=True)
    few = few_episodes([(point.condition, point.drift) for point in used])
    if few:
        yield BulletList(tuple(f"Drift of {line}." for line in few))


def _with_both(points: "Iterator[Point] | tuple[Point, ...]") -> tuple[Point, ...]:
    return tuple(point for point in points if point.drift.mean is not None and point.drop is not None)


def _steps(correlation: Correlation) -> tuple[dict[str, float], ...]:
    return tuple(
        {"drift": place, "success_rate": rate}
        for place, rate in zip(correlation.monotone.drift, correlation.monotone.rate, strict=True)
    )


def _levels(correlation: Correlation, artifacts: ArtifactCollector) -> Iterator[Block]:
    rows = [level_row(LEVELS[row.association.stat], row) for row in correlation.between]
    means = correlation.between_families
    rows.append(
        (
            "Spearman ρ of the families' means",
            *(format_number(means.value), format_ci(means.ci_conditions), NOTHING, p_value(means.p), str(means.k)),
            NOTHING if means.loo_min is None else f"{format_number(means.loo_min)} to {format_number(means.loo_max)}",
        )
    )
    heads = (
        *("statistic", "value", "95 %, other perturbations", "95 %, same perturbations, run again"),
        *("p", "K", "one condition left out"),
    )
    note = (
        "Other perturbations: the interval for other kinds like these, a jackknife over families. Same perturbations, "
        "run again: where a repeat with as many other episodes would be. p: whole families permuted, so it is small "
        f"only if kinds are ordered. {_ranges(correlation)} "
        f"Noise ceiling r_max = {format_number(correlation.ceiling.ceiling)}; without the noise of the drops, "
        f"ρ / r_max = {format_number(correlation.noise_free)}."
    )
    csv = artifacts.add_table("between", correlation.between)
    yield Table("Between conditions", columns(*heads), tuple(rows), csv, note)
    if correlation.dose:
        yield _dose(correlation, artifacts)


def _ranges(correlation: Correlation) -> str:
    drift, drop = correlation.drift_range, correlation.drop_range
    if drift is None or drop is None:
        return "No condition entered."
    return (
        f"Ranges seen: drift {format_number(drift.low, 3)} to {format_number(drift.high, 3)}, "
        f"drop {decimal(drop.low)} to {decimal(drop.high)} points."
    )


def _dose(correlation: Correlation, artifacts: ArtifactCollector) -> Table:
    rows = tuple(
        (
            dose.axis_family,
            str(dose.conditions),
            *map(format_number, (dose.severity_drift, dose.severity_drop, dose.drift_drop)),
        )
        for dose in correlation.dose
    )
    heads = ("family", "strengths", "τ strength, drift", "τ strength, drop", "τ drift, drop")
    note = "Kendall's τ inside each family of at least three strengths; - where a side does not vary."
    return Table("Dose response", columns(*heads), rows, artifacts.add_table("dose", correlation.dose), note)


def _within(
    result: StudyResult, used: tuple[Point, ...], styles: Mapping[str, MarkerStyle], artifacts: ArtifactCollector
) -> Iterator[Block]:
    inside = result.correlation.within_task
    if inside is None:
        yield Text("Drift was measured on frames that belong to no pair, so nothing is said within tasks.", "note")
        return
    if inside.rho is None:
        yield Text(f"Within tasks: {inside.reason}.", "note")
    else:
        share = NOTHING if inside.share_positive is None else f"{100 * inside.share_positive:.0f} %"
        yield Text(
            "Within tasks, after ranking inside each: "
            f"Spearman ρ = {format_with_ci(inside.rho, inside.ci_conditions)}, "
            f"p {p_value(inside.p)}; τ is above 0 in {share} of the {inside.tasks_used} tasks in which drift and drop "
            "vary."
        )
    csv = artifacts.add_table("task_order", inside.tasks), artifacts.add_table("task_points", result.tasks)
    if result.tasks and used:
        families = {point.condition: point.axis_family for point in used}
        points = [point for point in result.tasks if point.condition in families]
        plot = partial(plot_tasks, points, inside.tasks, families, styles)
        caption = "Drift against drop inside each task; ρ is the task's own rank correlation."
        yield artifacts.add_figure("tasks", f"Drift against drop by task on {result.suite}", plot, caption, csv)


def _episodes(correlation: Correlation, artifacts: ArtifactCollector) -> Iterator[Block]:
    yield Text(
        "Pairs whose unperturbed episode succeeded: does more drift mean a flip to failure? .5 says nothing. To rank "
        "conditions is not to predict episodes: only the strictest row compares like with like, so only it has a "
        "p-value."
    )
    rows = tuple(
        (
            row.stratum,
            format_with_ci(row.value, row.interval),
            p_value(row.p),
            *(str(row.n_flip), str(row.n_keep), str(row.strata), row.reason),
        )
        for row in correlation.aurocs
    )
    heads = ("compared", "AUROC [95 % CI]", "p", "flipped", "kept", "strata", "note")
    csv = artifacts.add_table("auroc", correlation.aurocs)
    yield Table("AUROC of drift for the flip", columns(*heads, words=["note"]), rows, csv)
    slope = correlation.flip_slope
    if slope.slope is None:
        yield Text(f"Slope of flips: - ({slope.reason}).", "note")
    else:
        yield Text(
            f"logit P(flip) rises by {format_with_ci(slope.slope, slope.interval)} per unit of log(1 + drift), "
            "errors clustered by initial state."
        )


def _rivals(correlation: Correlation, artifacts: ArtifactCollector) -> Iterator[Block]:
    csv = artifacts.add_table("ranking", correlation.ranking)
    plotted = [row for row in correlation.ranking if row.association.value is not None]
    if len(plotted) > 1:
        rows = [
            Row(row.name, (Mark(row.association.value, row.association.ci_conditions, PLAIN, filled=row.primary),))
            for row in plotted
        ]
        panel = Panel("Spearman ρ with the drop, 95 % CI, other perturbations", 0.0, "", -0.1, 1.0, points=False)
        caption = (
            "Predictors of the drop, best first. Filled: the primary one, fixed beforehand; the others are exploratory."
        )
        yield artifacts.add_figure("rivals", "Predictors ranked", partial(plot_forest, rows, [panel]), caption, (csv,))
    exploratory = sum(row.p_holm is not None for row in correlation.ranking)
    heads = (
        "predictor",
        "role",
        "ρ [95 % CI]",
        "p",
        f"p, adjusted for {exploratory} comparisons" if exploratory > 1 else "p, adjusted",
        "K",
        "LOCO skill",
        "primary minus this [95 % CI]",
        "note",
    )
    rows_of_text = tuple(
        (
            *(row.name, "primary" if row.primary else "exploratory"),
            format_with_ci(row.association.value, row.association.ci_conditions),
            *(p_value(row.association.p), p_value(row.p_holm), str(row.association.k), format_number(row.skill)),
            format_with_ci(row.less_than_primary, row.less_interval),
            row.association.reason,
        )
        for row in correlation.ranking
    )
    yield Table("Predictors", columns(*heads, words=["role", "note"]), rows_of_text, csv)
    if len(correlation.ranking) == 1:
        yield Text(
            "Only the primary drift was given; an audit with other variants and representations adds rivals.", "note"
        )


def _changed(correlation: Correlation, artifacts: ArtifactCollector) -> Iterator[Block]:
    if not correlation.changed:
        return
    rows = tuple(
        (
            *(
                row.condition,
                format_number(row.drift, 3),
                format_number(row.over_floor, 1),
                format_number(row.over_kept, 1),
            ),
            *(decimal(row.drop), NOTHING if row.unmoved is None else "no: unmoved" if row.unmoved else "yes"),
        )
        for row in correlation.changed
    )
    heads = ("condition", "drift", "drift / floor", "drift / kept", "drop, points", "action changed")
    note = (
        "Here the instruction asks for something else: a good policy drifts, and no drift is the failure. The "
        "expected sign "
        "is reversed, so these never enter the correlation. Drift / kept: over the median of the conditions that "
        "keep the "
        "meaning."
    )
    csv = artifacts.add_table("changed", correlation.changed)
    yield Table("Meaning changed", columns(*heads, words=["action changed"]), rows, csv, note)


def _left_out(correlation: Correlation, artifacts: ArtifactCollector) -> Iterator[Block]:
    points = [point for point in correlation.points if point.excluded and point.validity != "changed"]
    if not points:
        yield Text("Every other condition entered the correlation.")
        return
    rows = tuple(
        (p.condition, p.axis_family, format_number(p.drift.mean, 3), with_interval(p.drop, p.drop_interval), p.reason)
        for p in points
    )
    heads = columns("condition", "family", "drift", "drop, points [95 % CI]", "reason", words=["family", "reason"])
    yield Table("Left out, and drift cannot see these", heads, rows, artifacts.add_table("left_out", points))


def _verdict(result: StudyResult) -> Iterator[Block]:
    correlation = result.correlation
    yield Text(verdict_sentence(result.suite, correlation), "verdict")
    yield Text(
        f"Rule, fixed beforehand: useful for ranking if the lower limit of ρ is above {USEFUL}, the families' means "
        f"are ordered as well (p below {ALPHA:.2f} or a lower limit above 0) and a left-out family is predicted better "
        "than by the mean; with the first alone it orders strengths of one kind; not predictive if the upper limit is "
        f"below {USELESS}; otherwise undecided."
    )
    saturated = correlation.saturation
    if saturated.saturated <= SATURATED * saturated.cells:  # beyond that a caveat says it
        yield Text(
            f"{saturated.saturated} of {saturated.cells} task x condition cells are saturated: all episodes succeeded, "
            "or none, so they carry no order."
        )
    yield BulletList(correlation.caveats) if correlation.caveats else Text("No rule for a caveat fired.")
    missing = missing_reasons(correlation)
    if missing:
        yield Text("Numbers that the data cannot carry:")
        yield BulletList(missing)
