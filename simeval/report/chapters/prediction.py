"""The chapter about prediction: conditions left out of the fit, the drift budget, screening."""

from collections.abc import Iterator, Mapping
from functools import partial

from simeval.report.blocks import ArtifactCollector, Block, Chapter, Table, Text, columns
from simeval.report.figures.prediction import paint_prediction, paint_screening
from simeval.report.figures.style import MarkerStyle
from simeval.report.format import NOTHING, decimal
from simeval.report.text import number
from simeval.stats.correlation import Correlation
from simeval.stats.study import Point


def prediction_chapter(
    found: Correlation, used: tuple[Point, ...], looks: Mapping[str, MarkerStyle], desk: ArtifactCollector
) -> Chapter:
    """What drift says about conditions that were not rolled out."""
    return Chapter("What drift predicts", (*_prediction(found, used, looks, desk), *_screening(found, used, desk)))


def _prediction(
    found: Correlation, used: tuple[Point, ...], looks: Mapping[str, MarkerStyle], desk: ArtifactCollector
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
    for loco in found.loco:
        band = NOTHING
        if loco.band is not None:
            level = "largest seen" if loco.band.level is None else f"{100 * loco.band.level:.0f} %"
            band = f"{decimal(loco.band.half_width)} ({level})"
        numbers = (decimal(loco.mae), decimal(loco.mae_naive), number(loco.skill), number(loco.q2), band, loco.reason)
        rows.append((f"one {loco.scheme}", loco.method or NOTHING, str(loco.k), *numbers))
    csv = desk.numbers("loco", found.loco), desk.numbers("held_out", _named(found, used))
    note = (
        "Skill 0 or less: drift adds nothing to the mean of the other conditions. Whole families are the honest figure."
    )
    yield Table("Leave-one-out prediction", columns(*heads, words=["method", "note"]), tuple(rows), csv[0], note)
    if found.loco[0].held_out:
        bins = desk.numbers("calibration", found.loco[0].calibration)
        caption = (
            "Left: every condition, predicted from the others (named: those missed by more than half the band). Right: "
            "task x condition cells grouped by predicted success, with Wilson's 95 % interval."
        )
        paint = partial(paint_prediction, found.loco[0], used, looks)
        yield desk.figure("prediction", "Predicted against observed success", paint, caption, (csv[1], bins))
    heads = ("success kept", "that is", "drift", "stay below", "upper limit", "note")
    rows = [
        (
            *(f"{decimal(row.retained)} % of clean", decimal(row.rate), number(row.drift, 3)),
            *(number(row.low, 3), number(row.high, 3), row.reason),
        )
        for row in found.budgets
    ]
    note = "Stay below: the lower 90 % limit over resampled conditions."
    csv_file = desk.numbers("budgets", found.budgets)
    yield Table("Drift budget", columns(*heads, words=["note"]), tuple(rows), csv_file, note)


def _named(found: Correlation, used: tuple[Point, ...]) -> list[dict[str, object]]:
    return [
        {
            "scheme": loco.scheme,
            "condition": used[row.condition].condition,
            "family": used[row.condition].axis_family,
            "predicted": row.predicted,
            "observed": row.observed,
            "residual": row.residual,
        }
        for loco in found.loco
        for row in loco.held_out
    ]


def _screening(found: Correlation, used: tuple[Point, ...], desk: ArtifactCollector) -> Iterator[Block]:
    if not found.screening:
        return
    csv = desk.numbers("screening", found.screening)
    if found.screening[0].caught is None:
        yield Text("No condition is harmful beyond the margin, so there is nothing to screen for.", "note")
    elif len(found.screening) > 1:
        caption = (
            "Rolling out only the conditions with most drift: share of the harmful ones caught, and the worst missed."
        )
        paint = partial(paint_screening, found.screening)
        yield desk.figure("screening", "Screening by drift", paint, caption, (csv,))
    rows = tuple(
        (f"{row.rolled_out} most drifting", decimal(row.skipped), decimal(row.caught), decimal(row.worst_missed))
        for row in found.screening
    )
    heads = columns("roll out", "skipped %", "harmful caught %", "largest drop missed, points")
    yield Table("Screening", heads, rows, csv, folded=True)
    if found.top is not None:
        predicted, worst = used[found.top.predicted], used[found.top.worst]
        if found.top.agree:
            yield Text(f"The condition with most drift, `{predicted.condition}`, is also the one that costs most.")
        else:
            yield Text(
                f"Most drift: `{predicted.condition}`; largest drop: `{worst.condition}`. Believing drift would have "
                f"missed {decimal(found.top.regret)} points."
            )
