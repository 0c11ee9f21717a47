"""The chapter about prediction: leave-one-out predictions, the drift budget, screening."""

from collections.abc import Iterator, Mapping
from functools import partial

from simeval.report.blocks import ArtifactCollector, Block, Chapter, Table, Text, columns
from simeval.report.figures.prediction import plot_prediction, plot_screening
from simeval.report.figures.style import MarkerStyle
from simeval.report.format import NOTHING, decimal
from simeval.report.text import format_number
from simeval.stats.correlation import Correlation
from simeval.stats.study import Point


def prediction_chapter(
    correlation: Correlation, used: tuple[Point, ...], styles: Mapping[str, MarkerStyle], artifacts: ArtifactCollector
) -> Chapter:
    """Predictions from drift for conditions that were not rolled out."""
    return Chapter(
        "What drift predicts",
        (*_prediction(correlation, used, styles, artifacts), *_screening(correlation, used, artifacts)),
    )


def _prediction(
    correlation: Correlation, used: tuple[Point, ...], styles: Mapping[str, MarkerStyle], artifacts: ArtifactCollector
) -> Iterator[Block]:
    heads: tuple[str, ...] = (
        "left out",
        "method",
        "K",
        "MAE, points",
        "MAE of the mean",
        "skill",
        "Q²",
        "band, ± points",
        "note",
    )
    rows: list[tuple[str, ...]] = []
    for loco in correlation.loco:
        band = NOTHING
        if loco.band is not None:
            level = "largest seen" if loco.band.level is None else f"{100 * loco.band.level:.0f} %"
            band = f"{decimal(loco.band.half_width)} ({level})"
        numbers = (
            decimal(loco.mae),
            decimal(loco.mae_naive),
            format_number(loco.skill),
            format_number(loco.q2),
            band,
            loco.reason,
        )
        rows.append((f"one {loco.scheme}", loco.method or NOTHING, str(loco.k), *numbers))
    csv = (
        artifacts.add_table("loco", correlation.loco),
        artifacts.add_table("held_out", _held_out_records(correlation, used)),
    )
    note = (
        "Skill 0 or less: drift adds nothing to the mean of the other conditions. Whole families are the honest figure."
    )
    yield Table("Leave-one-out prediction", columns(*heads, words=["method", "note"]), tuple(rows), csv[0], note)
    if correlation.loco[0].held_out:
        bins = artifacts.add_table("calibration", correlation.loco[0].calibration)
        caption = (
            "Left: every condition, predicted from the others (named: those missed by more than half the band). Right: "
            "task x condition cells grouped by predicted success, with Wilson's 95 % interval."
        )
        plot = partial(plot_prediction, correlation.loco[0], used, styles)
        yield artifacts.add_figure("prediction", "Predicted against observed success", plot, caption, (csv[1], bins))
    heads = ("success kept", "that is", "drift", "stay below", "upper limit", "note")
    rows = [
        (
            *(f"{decimal(row.retained)} % of clean", decimal(row.rate), format_number(row.drift, 3)),
            *(format_number(row.low, 3), format_number(row.high, 3), row.reason),
        )
        for row in correlation.budgets
    ]
    note = "Stay below: lower limit of the 90 % interval for other perturbations like these, a jackknife over families."
    csv_file = artifacts.add_table("budgets", correlation.budgets)
    yield Table("Drift budget", columns(*heads, words=["note"]), tuple(rows), csv_file, note)


def _held_out_records(correlation: Correlation, used: tuple[Point, ...]) -> list[dict[str, object]]:
    return [
        {
            "scheme": loco.scheme,
            "condition": used[row.condition].condition,
            "family": used[row.condition].axis_family,
            "predicted": row.predicted,
            "observed": row.observed,
            "residual": row.residual,
        }
        for loco in correlation.loco
        for row in loco.held_out
    ]


def _screening(correlation: Correlation, used: tuple[Point, ...], artifacts: ArtifactCollector) -> Iterator[Block]:
    if not correlation.screening:
        return
    csv = artifacts.add_table("screening", correlation.screening)
    if correlation.screening[0].caught is None:
        yield Text("No condition is harmful beyond the margin, so there is nothing to screen for.", "note")
    elif len(correlation.screening) > 1:
        caption = (
            "Rolling out only the conditions with most drift: share of the harmful ones caught, and the worst missed."
        )
        plot = partial(plot_screening, correlation.screening)
        yield artifacts.add_figure("screening", "Screening by drift", plot, caption, (csv,))
    rows = tuple(
        (f"{row.rolled_out} most drifting", decimal(row.skipped), decimal(row.caught), decimal(row.worst_missed))
        for row in correlation.screening
    )
    heads = columns("roll out", "skipped %", "harmful caught %", "largest drop missed, points")
    yield Table("Screening", heads, rows, csv, folded=True)
    if correlation.top is not None:
        predicted, worst = used[correlation.top.predicted], used[correlation.top.worst]
        if correlation.top.agree:
            yield Text(f"The condition with most drift, `{predicted.condition}`, is also the one that costs most.")
        else:
            yield Text(
                f"Most drift: `{predicted.condition}`; largest drop: `{worst.condition}`. Believing drift would have "
                f"missed {decimal(correlation.top.regret)} points."
            )
