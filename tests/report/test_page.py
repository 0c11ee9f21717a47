"""The page as a whole: complete, self-contained, escaped, the same every time, in words where there is no number."""

import csv
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from drift_studies import constant, simulated
from helpers import toy_config
from reports import FEW, episodes_of, named, run_section, simulated_section, with_special

from simeval.analysis.by_category import ALL_SUITES, CategoryRate
from simeval.analysis.compare import Comparison, SuiteChange
from simeval.analysis.over_policies import policy_medians
from simeval.analysis.success import analyse
from simeval.api import evaluate
from simeval.core.errors import ConfigError
from simeval.report.cautions import unfinished
from simeval.report.data import Exclusion, Instruction, PictureLink, ReportData, Section, VideoLink
from simeval.report.export import correlation_record, record
from simeval.report.page import EMBEDDED, write_report
from simeval.stats.change import compare_drift, compare_runs
from simeval.stats.intervals import wilson
from simeval.stats.study import ConditionInfo

NASTY = """<script>alert(1)</script> "q" 'a' & `b` $x_1$ </style><img src=x onerror=alert(2)>"""
TESTS = Path(__file__).parents[1]


class Page(HTMLParser):
    """Elements, text and references of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.words: list[str] = []
        self.headings: list[str] = []
        self.references: list[str] = []
        self.ids: list[str] = []
        self.handlers: list[str] = []
        self._heading = False
        self._style = False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self._heading = tag in ("h1", "h2", "h3")
        self._style = tag == "style"
        values = dict(attrs)
        self.references += [values[key] for key in ("src", "href", "xlink:href") if key in values]
        self.ids += [values["id"]] if "id" in values else []
        self.handlers += [key for key in values if key.startswith("on")]

    def handle_endtag(self, tag):
        self._heading = self._style = False

    def handle_data(self, data):
        if self._heading:
            self.headings.append(data)
        if not self._style:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def study(seed: int = 1, **changes):
    return with_special(named(simulated(seed, families=8, severities=3, **{"tasks": 3, "states": 8, **changes})))


def small(columns: int = 3):
    return named(simulated(3, families=8, severities=3, tasks=2, states=4)).select(np.arange(2, 3 * columns, 3))


def full_report() -> ReportData:
    section = simulated_section(study(), rivals=True)
    section = replace(section, exclusions=(Exclusion("toy", "light:0.9", "infeasible in every pair"),))
    return ReportData("SmolVLA on toy", (section,), generated_by="simeval test", rebuild="simeval report RUN --out OUT")


@pytest.fixture(scope="module")
def full(tmp_path_factory) -> Path:
    return write_report(full_report(), tmp_path_factory.mktemp("full")).parent


def read(folder: Path) -> Page:
    return Page((folder / "report.html").read_text())


def strict(path: Path):
    def refuse(name):
        raise AssertionError(f"{path}: {name}")

    return json.loads(path.read_text(), parse_constant=refuse)


def assert_in_words(page: Page) -> None:
    found = re.findall(r"\b(?:nan|NaN|None|inf|Infinity|undefined)\b", page.text)
    assert found == []


def test_the_chapters_come_in_order(full):
    titles = [
        *("SmolVLA on toy", "Result", "SmolVLA", "Success on toy", "Language following", "Remarks on the episodes"),
        *("Drift against drop on toy", "Per episode", "Rival predictors", "What drift predicts"),
        *("Conditions outside the correlation", "Verdict and what to know before believing it", "Exclusions"),
        *("Methods", "How to rebuild"),
    ]
    assert read(full).headings == titles


def test_the_page_is_complete_and_refers_to_nothing_outside(full):
    page = read(full)
    for reference in page.references:
        if reference.startswith("#"):
            assert reference[1:] in page.ids
        else:
            assert (full / reference).is_file(), reference
    drawn = {path.stem for path in (full / "figures").glob("*.svg")}
    assert drawn == {path.stem for path in (full / "figures").glob("*.png")}
    assert {name.removeprefix("toy-") for name in drawn} == {
        *("success", "severity", "heat", "drift_drop", "tasks", "rivals", "prediction", "screening"),
    }
    assert page.tags.count("svg") == 2 * len(drawn)
    assert len(page.ids) == len(set(page.ids))
    text = (full / "report.html").read_text()
    assert not re.search(r"https?://(?!www\.w3\.org/(2000/svg|1999/xlink))", text)
    assert "script" not in page.tags
    assert_in_words(page)


def test_every_number_is_there_as_csv_and_json(full):
    data = full_report()
    section = data.sections[0]
    (result,) = section.studies
    with (full / "data" / "toy-drops.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["condition"] for row in rows] == [row.condition for row in section.analysis.drops]
    assert [float(row["drop"]) for row in rows] == [row.drop for row in section.analysis.drops]
    assert float(rows[0]["interval_low"]) == section.analysis.drops[0].interval.low
    summary, found = strict(full / "summary.json"), strict(full / "correlation.json")
    assert summary["schema_version"] == found["schema_version"] == 1
    assert summary["policies"][0]["rates"] == record(section.analysis.rates)
    (told,) = found["studies"]
    assert told["between"][0]["value"] == result.correlation.between[0].association.value
    assert told["verdict"]["word"] == result.correlation.verdict.word
    assert len(told["points"]) == 27
    assert [p["condition"] for p in told["points"] if p["excluded"]] == [
        *("noise:0", "instruction:counterfactual", "action.delay:3"),
    ]
    assert not (full / "compare.json").exists()


def test_the_page_says_what_was_found(full):
    page, result = read(full), full_report().sections[0].studies[0]
    rho = result.correlation.between[0].association
    assert f"Drift (drift_exec) against drop on toy: {result.correlation.verdict.word}" in page.text
    assert f"Spearman ρ = {rho.value:.2f}" in page.text
    assert "changes nothing: it lies at (0, 0) by construction" in page.text
    assert "drift cannot see it: offline, the policy is shown the same" in page.text
    assert "good policy drifts, and no drift is the failure" in page.text
    assert "infeasible in every pair" in page.text
    assert "simeval report RUN --out OUT" in page.text


def test_another_process_makes_the_same_bytes(full, tmp_path):
    code = f"""
import sys
sys.path[:0] = [{str(TESTS.parent)!r}, {str(TESTS / "support")!r}, {str(TESTS / "report")!r}]
from pathlib import Path
from test_page import full_report, write_report
write_report(full_report(), Path({str(tmp_path)!r}))
"""
    environment = {**os.environ, "PYTHONHASHSEED": "77", "TZ": "Pacific/Auckland"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    names = sorted(path.relative_to(full) for path in full.rglob("*") if path.is_file())
    assert names == sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file())
    assert [name for name in names if (full / name).read_bytes() != (tmp_path / name).read_bytes()] == []


def test_what_comes_from_data_is_text(tmp_path):
    section = replace(
        simulated_section(small(), name=NASTY),
        instructions=(Instruction("toy", 0, NASTY),),
        provenance=((NASTY, NASTY),),
        assets=NASTY,
        exclusions=(Exclusion(NASTY, NASTY, NASTY),),
        no_study=NASTY,
    )
    conditions = tuple(replace(c, name=f"{c.name}{NASTY}", axis_family=NASTY) for c in section.conditions)
    points = tuple(
        replace(p, condition=f"{p.condition}{NASTY}", axis_family=NASTY) for p in section.studies[0].correlation.points
    )
    found = replace(section.studies[0].correlation, points=points)
    studies = (replace(section.studies[0], correlation=found, frames=NASTY, tasks=()),)
    page = read(
        write_report(ReportData(NASTY, (replace(section, conditions=conditions, studies=studies),)), tmp_path).parent
    )
    assert not {"script", "img"} & set(page.tags)
    assert page.handlers == []
    assert page.tags.count("style") == 1
    assert page.text.count("<script>alert(1)</script>") > 8


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: small(1), "too few conditions: 1, at least 3 are needed"),
        (lambda: small(3), "too few conditions for an interval: 3, at least 6 are needed"),
        (lambda: constant(1.0, 1.0, conditions=3, pairs=6), "all conditions lose the same success"),
        (lambda: constant(0.0, 0.0, conditions=3, pairs=6), "there is no success to lose"),
    ],
    ids=["one condition", "K = 3", "all success", "all failure"],
)
def test_thin_data_get_words(made, said, tmp_path):
    page = read(write_report(ReportData("thin", (simulated_section(made()),)), tmp_path).parent)
    assert said in page.text
    assert "Few episodes" in page.text
    assert "undecided" in page.text
    assert_in_words(page)
    strict(tmp_path / "correlation.json")


def test_an_empty_run_says_so(tmp_path):
    nothing = Section(
        "nobody", (), analyse(episodes_of(small()).iloc[:0]), "no scenes", planned=12, cautions=unfinished(12, 0)
    )
    page = read(write_report(ReportData("empty", (nothing,)), tmp_path).parent)
    assert "no episode ran to its end" in page.text
    assert "12 of 12 episodes have not run" in page.text
    assert_in_words(page)
    assert strict(tmp_path / "summary.json")["policies"][0]["rates"] == []


def test_a_real_run_without_an_audit_says_how_to_get_one(tmp_path):
    run = evaluate(toy_config(tmp_path / "run"))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "correlation.json").write_text("of an earlier report")
    page = read(write_report(ReportData("seeker", (run_section(run),)), tmp_path / "out").parent)
    assert "simeval audit RUN" in page.text
    assert "Language following, paired with none" in page.text
    assert "Toy scenes: not LIBERO results" in page.text
    assert not (tmp_path / "out" / "correlation.json").exists()
    assert_in_words(page)


def test_two_policies_on_two_suites_are_never_pooled(tmp_path):
    a, b = small(), small(4)
    sections = [simulated_section(a, b, name="before"), simulated_section(a, name="after")]
    found = [(result.suite, result.correlation) for section in sections for result in section.studies]
    names = ["none", *(condition.name for condition in a.conditions)]
    outcomes = np.column_stack([a.clean, a.perturbed])
    worse = np.column_stack([a.clean, np.zeros_like(a.perturbed)])
    change = compare_runs(names, worse, outcomes, units=a.units, resampling=FEW.resampling)
    drift = compare_drift(names[1:], a.drift, a.drift / 2, units=a.units, resampling=FEW.resampling)
    comparison = Comparison("before", "after", "no scenes", (SuiteChange("toy", change, drift),), ("Units differ.",))
    data = ReportData("two", tuple(sections), comparison, policy_medians(found))
    folder = write_report(data, tmp_path).parent
    page = read(folder)
    assert (page.headings.count("Success on toy"), page.headings.count("Success on libero_spatial")) == (2, 1)
    assert "Median of ρ over 2 policies on toy" in page.text
    assert "Units differ." in page.text
    assert strict(folder / "compare.json")["suites"][0]["change"]["overall"] == record(change.overall)
    assert len(strict(folder / "correlation.json")["studies"]) == 3
    first, second = (
        {path.name.removeprefix(start) for path in (folder / "figures").glob(f"{start}*.svg")}
        for start in ("1-before-", "2-after-")
    )
    assert second == {name for name in first if name.startswith("toy")}
    assert len(first) > len(second) > 3
    assert_in_words(page)


def test_categories_are_in_the_chapter_of_their_suite(tmp_path):
    section = simulated_section(small(), small(4))
    suites = (*section.suites, ALL_SUITES)
    rows = tuple(
        CategoryRate(suite, "camera", "none", n, n, 0, 1 / n, wilson(1, n)) for n, suite in enumerate(suites, 7)
    )
    section = replace(section, analysis=replace(section.analysis, categories=rows))
    folder = write_report(ReportData("categories", (section,)), tmp_path).parent
    assert read(folder).text.count("Success by category") == len(suites) == 3
    written = [list(csv.DictReader(path.open())) for path in (folder / "data").glob("*categories.csv")]
    assert {row["suite"]: row["tasks"] for (row,) in written} == {suite: str(n) for n, suite in enumerate(suites, 7)}


def test_latency_has_a_curve_and_a_table_of_what_it_cost(tmp_path):
    texts = ("latency:2,12", "latency:2,12/mode=async")
    run = evaluate(toy_config(tmp_path / "run", perturb=texts, tasks="0"))
    folder = write_report(ReportData("seeker", (run_section(run),)), tmp_path / "out").parent
    page = read(folder)
    assert page.text.count("What latency cost") == 1
    assert "toy, async: success stays within 5 points of none up to" in page.text
    (written,) = (list(csv.DictReader(path.open())) for path in (folder / "data").glob("*latency.csv"))
    assert [row["condition"] for row in written] == [f"latency:{n}{m}" for m in ("", "/mode=async") for n in (2, 12)]
    assert len(list((folder / "figures").glob("*latency.svg"))) == 1
    assert_in_words(page)


def test_small_media_are_embedded_and_large_ones_copied(tmp_path):
    tiny, large = tmp_path / "tiny.png", tmp_path / "large one.mp4"
    tiny.write_bytes(b"\x89PNG small")
    large.write_bytes(bytes(EMBEDDED + 1))
    section = Section(
        "nobody", (), analyse(episodes_of(small()).iloc[:0]), "no scenes",
        videos=(VideoLink("flip", large),), pictures=(PictureLink("map", tiny),), preview=tiny,
    )  # fmt: skip
    folder = write_report(ReportData("media", (section,)), tmp_path / "out").parent
    page = read(folder)
    assert page.tags.count("img") == 2
    assert page.tags.count("video") == 1
    assert sum(reference.startswith("data:image/png;base64,") for reference in page.references) == 2
    assert [path.read_bytes() for path in (folder / "media").iterdir()] == [large.read_bytes()]
    assert f"media/{next((folder / 'media').iterdir()).name}" in page.references


def test_what_cannot_be_written_or_read_is_one_line(tmp_path):
    nothing = Section("nobody", (), analyse(episodes_of(small()).iloc[:0]), "no scenes")
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"--out .*file"):
        write_report(ReportData("x", (nothing,)), tmp_path / "file")
    gone = replace(nothing, videos=(VideoLink("flip", tmp_path / "gone.mp4"),))
    with pytest.raises(ConfigError, match=r"gone\.mp4: no such file"):
        write_report(ReportData("x", (gone,)), tmp_path / "out")


def test_the_axis_family_is_written_under_the_key_of_older_files():
    assert record(ConditionInfo("light:0.3", "light"))["family"] == "light"
    study = simulated_section(simulated(2, families=2, severities=3, tasks=1, states=4)).studies[0]
    written = correlation_record([("p", study)])["studies"][0]
    assert all("axis_family" not in row and row["family"] for row in (*written["points"], *written["dose"]))
    assert written["points"]
    assert written["dose"]


def test_numbers_that_are_not_finite_become_null():
    assert record({1: (float("inf"), float("nan"), 0.5)}) == {"1": [None, None, 0.5]}
    told = correlation_record([("p", simulated_section(constant(1.0, 1.0)).studies[0])])
    json.dumps(told, allow_nan=False)
    assert told["studies"][0]["between"][0]["value"] is None
