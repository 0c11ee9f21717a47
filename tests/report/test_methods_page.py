"""docs/reference/methods.md names every number of the terminal tables, and has the error rates that are stored."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import inside
import pytest
import worst_worlds
from documented import ROOT, methods
from drift_studies import simulated
from measured import NUMBERS
from reports import named, study_result
from rich.console import Group, RenderableType
from rich.table import Table

from simeval.analysis import success
from simeval.analysis.by_category import CategoryRate
from simeval.analysis.compare import compare
from simeval.analysis.evidence import of_run
from simeval.analysis.gate import EXIT_CODES, Gate, judge
from simeval.analysis.stage_counts import ConditionDivergence, StageCount, StageCounts
from simeval.analysis.thresholds import AxisThreshold, CurvePoint, PlacedStrength, Thresholds
from simeval.analysis.worst import WorstFound, worst
from simeval.core.chances import findable
from simeval.drift.summary import summarise
from simeval.report.format import verdicts
from simeval.report.representation.terminal import render_representation
from simeval.report.terminal.audit import render_audit
from simeval.report.terminal.compare import render_comparison
from simeval.report.terminal.drift import render_study
from simeval.report.terminal.stages import render_stages
from simeval.report.terminal.tables import ANYTIME_METHODS, render_by_task, render_tables
from simeval.report.terminal.thresholds import render_thresholds
from simeval.report.terminal.worst import facts_of, render_worst
from simeval.report.verdict.terminal import render_gate
from simeval.stats.power import sensitivity
from simeval.stats.resampling import Resampling
from simeval.store.audit import Audit
from simeval.store.run import Run

PAGE = (ROOT / methods.PAGE).read_text()
WORDS = " ".join(PAGE.split())
STORED = ROOT / "results" / "correlation"
NO_NUMBER = {"", "condition", "suite", "policy"}


def tables(what: RenderableType) -> Iterator[Table]:
    if isinstance(what, Table):
        yield what
    elif isinstance(what, Group):
        for part in what.renderables:
            yield from tables(part)


def names(what: RenderableType) -> set[str]:
    """Heads of columns; of a table without a head over its first column the labels of its rows too."""
    found = []
    for table in tables(what):
        found += [str(column.header) for column in table.columns]
        if not table.columns[0].header:
            found += [str(cell) for cell in table.columns[0].cells]
    plain = {" ".join(re.sub(r"\b\d+\b(?! %)", "N", name).split()) for name in found}
    return plain - NO_NUMBER


def of_a_run() -> Group:
    episodes = Run.load(STORED).episodes
    many = success.analyse(episodes)
    rate = many.rates[0]
    many = replace(
        many,
        categories=(CategoryRate("libero_plus", "camera", "none", 10, 10, 0, 0.5, rate.interval),),
        overall=(success.OverallRate("none", 2, 0.5, rate.interval),),
    )
    one = success.analyse(episodes[episodes["condition"].isin(["none", many.drops[0].condition])])
    assert many.language
    tabled = [render_tables(part, policy="p", assets="") for part in (many, one)]
    return Group(*tabled, render_by_task(many))


def of_an_audit() -> Group:
    return render_audit(summarise(Audit.load(STORED / "audit").rows), "", ())


def of_a_study() -> Group:
    return render_study("p", study_result(named(simulated(3, families=8, severities=3))))


def of_two_runs() -> Group:
    run, rows = Run.load(STORED), Audit.load(STORED / "audit").rows
    return render_comparison(compare(run, run, (rows, rows), Resampling(n_permutations=9)))


def of_stages() -> Group:
    counts = (StageCount("toy", "none", 4, "wrong object", 4, "red_block", 3),)
    return render_stages(
        StageCounts(counts, (ConditionDivergence("toy", "light:0.4", 4, 2, 7.5, 2, 6.0, 0.4, 0.2),), ())
    )


def of_policies_inside() -> Group:
    return render_representation(inside.world(2, 2, planted="")[0])


def of_searches() -> Group:
    axis = AxisThreshold(
        label="noise", unit="fraction", identity=0.0, stop=1.0, is_ratio=False, is_reached=True, value=0.5, low=0.4,
        high=0.6, width=0.2, beyond=0.0, not_before=0.4, is_settled=False, episodes=1, errors=0,
        placed=(PlacedStrength("noise:0.5", 0.5, 0, 1),), curve=(CurvePoint(0.5, 0.4, 0.3, 0.5),), text="noise 0.5",
    )  # fmt: skip
    threshold = Thresholds("toy", 0.5, 0.15, 9, 10, (axis,))
    return Group(render_thresholds(threshold, policy="p"), render_worst(worst_found(), policy="p"))


@cache
def worst_found() -> WorstFound:
    config = worst_worlds.search(budget=160)
    rows = worst_worlds.table(worst_worlds.played(config)[1])
    found = worst(worst_worlds.manifest_of(config), rows)
    assert found is not None
    return found


def of_a_gate() -> Group:
    verdict, conditions = judge(of_run(success.analyse(Run.load(STORED).episodes)), 0.05, with_pairs=False)
    return render_gate(Gate("run", verdict, 0.05, conditions, "p", "p"))


@pytest.mark.parametrize(
    "render",
    [of_a_run, of_an_audit, of_a_study, of_two_runs, of_stages, of_policies_inside, of_searches, of_a_gate],
)
def test_every_printed_number_is_on_the_page(render):
    found = names(render())
    assert len(found) >= 5
    assert [name for name in sorted(found) if f"`{name}`" not in WORDS] == []


def test_a_number_that_is_new_would_be_missed():
    table = Table()
    table.add_column("regret,\nby 28 tasks")
    assert names(Group(Group(table))) == {"regret, by N tasks"}
    assert "`regret, by N tasks`" not in WORDS


def test_the_sentences_beside_the_tables_are_on_the_page():
    (row,) = [row for row in of_undecided() if row.more_pairs][:1]
    assert "would be found in 8 of 10 such runs" in findable([sensitivity(50, 1)])
    assert "would be found in 8 of 10 such runs" in WORDS
    assert re.search(r"about \d+ more pairs", verdicts((row,), 0.05))
    assert "about N more pairs" in WORDS
    assert "inference: anytime" in ANYTIME_METHODS
    assert "inference: anytime" in WORDS


def of_undecided() -> tuple[success.ConditionDrop, ...]:
    return tuple(row for row in success.drop_table(Run.load(STORED).episodes) if row.verdict == "undecided")


def test_the_words_of_searches_and_of_a_gate_are_on_the_page():
    labels = {label for label, _ in facts_of(worst_found())} - {"worst found"}
    assert {label for label in labels if f"`{label}`" not in WORDS} == set()
    verdicts = set(EXIT_CODES) - {"not comparable", "cannot tell"}
    assert {word for word in verdicts if f'"{word}"' not in WORDS} == set()
    assert "pairs per condition would settle it" in WORDS
    assert re.search(r"beyond \S+, perhaps not reached up to \S+ \(probability", WORDS)


def test_page_and_stored_file_have_the_same_tables():
    content = json.loads((ROOT / "results" / "benchmarks" / "error_rates.json").read_text())
    stored = [table["title"] for table in content["tables"]]
    assert stored == list(NUMBERS)
    heads = [line for line in PAGE.splitlines() if line.endswith("| aimed at | simulated | runs |")]
    assert sorted(heads) == sorted(methods.HEADER.format(title) for title in stored)
    for table in content["tables"]:
        worlds = [row["world"] for row in table["rows"]]
        assert len(set(worlds)) == len(worlds), "a row is found by its world"
        for world, cells in methods.error_rate_rows(table["title"]).items():
            assert f"| {world} | {' | '.join(cells)} |" in PAGE


@pytest.mark.parametrize(
    ("aim", "simulated", "is_missed"),
    [
        ("at least", 0.93, False), ("at least", 0.91, True), ("at least", 1.0, False), ("at most", 0.98, False),
        ("at most", 1.0, True), ("about", 0.98, True), ("about", 0.91, True), ("about", 0.96, False),
    ],
)  # fmt: skip
def test_a_miss_is_more_than_two_standard_errors(aim, simulated, is_missed):
    row = {"aim": aim, "nominal": 0.95, "simulated": simulated, "error": 0.014 if aim != "at most" else 0.02}
    assert methods.missed(row) is is_missed
    assert not methods.missed({**row, "nominal": None})
