"""What CI servers read of a gate: JUnit XML and Markdown, also of names that mean to break them."""

import io
from pathlib import Path
from xml.etree import ElementTree

import pytest
import xmlschema
from rich.console import Console

from simeval.analysis.evidence import Evidence
from simeval.analysis.gate import Gate, Judged, judge
from simeval.report.verdict.junit import junit_xml
from simeval.report.verdict.markdown import gate_markdown, plain
from simeval.report.verdict.terminal import print_gate
from simeval.report.verdict.text import excluded_loss, exit_codes, headline, more_pairs, sentence
from simeval.stats.paired import paired_drop

SCHEMA = xmlschema.XMLSchema(Path(__file__).with_name("junit.xsd"))
HOSTILE = 'a|b<script>&"\x1b[31m`x`\x00\ufffe\ud800[l](http://e)\u202e'


def evidence(only_a: int, n: int, condition: str, suite: str = "toy", **changes) -> Evidence:
    found = paired_drop([True] * n, [i >= only_a for i in range(n)])
    values = {
        "n": n,
        "units": n,
        "a": found.clean_rate,
        "b": found.perturbed_rate,
        "only_a": only_a,
        "gain": -(found.drop or 0.0),
        "interval": type(found.interval)(-found.interval.high, -found.interval.low, 0.95, found.interval.method),
        "interval_90": type(found.interval)(-found.interval_90.high, -found.interval_90.low, 0.9, "tango"),
        "p": found.p,
    }
    return Evidence(suite, condition, **{**values, **changes})


def gate(*found: Evidence, **changes) -> Gate:
    verdict, rows = judge(found, 0.05)
    return Gate(
        **{"kind": "compare", "verdict": verdict, "margin": 0.05, "conditions": rows, "a": "A", "b": "B", **changes}
    )


ALL = (
    evidence(60, 200, "noise:0.3"),
    evidence(0, 200, "none"),
    evidence(2, 30, "light:0.9"),
    evidence(0, 191, "fog:0.5", p=None, reason="9 of 200 pairs are missing or broke; finish the runs"),
)


def test_each_condition_is_a_test_case_with_the_fields_that_gitlab_and_jenkins_read():
    """GitLab: testsuite > testcase with name, classname, time, and failure, error or skipped. Jenkins: counts too."""
    root = ElementTree.fromstring(junit_xml(gate(*ALL)))
    assert root.tag == "testsuites"
    (suite,) = root
    counts = {key: int(suite.get(key)) for key in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": 4, "failures": 1, "errors": 1, "skipped": 1}
    assert [root.get(key) for key in ("tests", "failures", "errors", "skipped")] == ["4", "1", "1", None]
    assert float(suite.get("time")) == 0
    cases = {case.get("name"): case for case in suite.iter("testcase")}
    for case in cases.values():
        assert case.get("classname") == "simeval.toy"
        assert float(case.get("time")) == 0
        assert case.findtext("system-out")
    failure = cases["noise:0.3"].find("failure")
    assert failure.get("type") == "regression"
    for text in ("-30.0 [-36.2, -23.3]", "p <0.001", "A 100.0 %, B 70.0 %", "pairs 200"):
        assert text in failure.text
    assert "pairs would settle it" in cases["light:0.9"].find("skipped").get("message")
    assert cases["fog:0.5"].find("error").get("message").startswith("9 of 200 pairs are missing")
    assert {child.tag for child in cases["none"]} == {"system-out"}


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(lambda: gate(*ALL), id="every verdict"),
        pytest.param(lambda: gate(*ALL, kind="run"), id="a run alone"),
        pytest.param(lambda: gate(evidence(0, 200, "none", "s1"), evidence(0, 200, "none", "s2")), id="two suites"),
        pytest.param(lambda: gate(verdict="not comparable", reason="they do not start alike"), id="not comparable"),
        pytest.param(lambda: gate(evidence(60, 200, HOSTILE, HOSTILE), a=HOSTILE, notes=(HOSTILE,)), id="hostile"),
    ],
)
def test_the_file_is_valid_by_the_schema(found):
    SCHEMA.validate(io.BytesIO(junit_xml(found())))


@pytest.mark.parametrize(
    ("written", "changed", "reason"),
    [
        (b'name="simeval" tests', b'name="simeval" skipped="1" tests', "skipped"),
        (b'tests="4"', b'tests="4.0"', "4.0"),
        (b'errors="1" skipped="1" time="0"', b'errors="1" skipped="1" time="-1"', "-1"),
        (b"<testcase ", b'<testcase status="run" ', "status"),
        (b' type="regression"', b"", "type"),
    ],
)
def test_the_schema_refuses_what_it_should(written, changed, reason):
    sound = junit_xml(gate(*ALL))
    assert written in sound
    with pytest.raises(xmlschema.XMLSchemaValidationError, match=reason):
        SCHEMA.validate(io.BytesIO(sound.replace(written, changed)))


def test_suites_of_a_run_are_suites_of_tests():
    root = ElementTree.fromstring(junit_xml(gate(evidence(0, 200, "none", "s1"), evidence(0, 200, "none", "s2"))))
    assert [suite.get("name") for suite in root] == ["s1", "s2"]
    assert root.get("tests") == "2"


def test_runs_that_cannot_be_compared_are_an_error():
    found = gate(verdict="not comparable", reason="the episodes do not start alike")
    root = ElementTree.fromstring(junit_xml(found))
    assert root.get("errors") == "1"
    assert root.find(".//error").text == "the episodes do not start alike"
    assert "do not start alike" in gate_markdown(found)


def test_names_cannot_break_the_xml():
    found = gate(evidence(60, 200, HOSTILE, HOSTILE), a=HOSTILE, notes=(HOSTILE,))
    root = ElementTree.fromstring(junit_xml(found))
    assert root.find(".//testcase").get("name").startswith('a|b<script>&"\\x1b[31m')
    assert root.find(".//property[@name='A']") is not None


def test_names_cannot_break_the_markdown():
    text = gate_markdown(gate(evidence(60, 200, HOSTILE), a=HOSTILE, notes=(HOSTILE,)))
    text.encode("utf-8")
    assert "<script>" not in text
    assert "](" not in text.replace("\\](", "").replace("\\]\\(", "")
    (row,) = [line for line in text.splitlines() if line.startswith("| a")]
    assert row.replace("\\|", "").count("|") == 10
    assert plain("a\nb|c") == "a b\\|c"


def test_the_markdown_table_has_as_many_cells_as_heads():
    for found in (gate(*ALL), gate(*ALL, evidence(0, 200, "none", "other")), gate(*ALL, kind="run")):
        rows = [line for line in gate_markdown(found).splitlines() if line.startswith("|")]
        assert len({row.count("|") for row in rows}) == 1
        assert len(rows) == 2 + len(found.conditions)


@pytest.mark.parametrize("kind", ["compare", "run"])
def test_a_terminal_of_80_columns_shows_it_whole_and_the_verdict_last(kind):
    console = Console(width=80, record=True, file=io.StringIO())
    print_gate(console, gate(*ALL, kind=kind))
    text = console.export_text()
    *lines, last = text.splitlines()
    assert max(map(len, lines)) <= 80
    assert last.startswith("gate: regression (exit code 3)")
    assert "..." not in text
    assert "…" not in text
    assert "None" not in text
    assert "nan" not in text


def test_every_verdict_has_its_sentence():
    assert headline(gate(ALL[1])) == (
        "gate: no worse (exit code 0): the one condition is shown to lose less than 5.0 points"
    )
    assert "noise:0.3" in headline(gate(*ALL))
    assert "under light:0.9 B may lose 5.0 points or more; about " in headline(gate(ALL[2]))
    assert sentence(gate(ALL[2])).startswith("Under light:0.9 B may lose"), "a condition's name keeps its first letter"
    assert "fog:0.5: 9 of 200 pairs are missing" in headline(gate(ALL[3]))
    many = gate(*[evidence(60, 200, f"noise:0.{i}") for i in range(1, 8)])
    assert "noise:0.4 and 3 others" in headline(many)


def test_a_suite_that_has_too_few_pairs_is_named():
    (row,) = gate(evidence(2, 30, "light:0.9", "libero_spatial")).conditions
    found = gate(verdict="cannot tell", conditions=(Judged(row.evidence, "cannot tell", pairs_to_settle=900),))
    assert "libero_spatial has 500: choose a wider --margin" in more_pairs(found)
    enough = gate(verdict="cannot tell", conditions=(Judged(row.evidence, "cannot tell", pairs_to_settle=400),))
    assert "libero_spatial has" not in more_pairs(enough)


def test_the_exit_codes_of_the_help_are_those_of_the_rules():
    from simeval.cli.gate import CODES

    assert exit_codes() == "0 better or no worse, 3 regression, 4 cannot tell, 5 not comparable"
    assert exit_codes() in CODES


@pytest.mark.parametrize(
    ("loss", "text"), [(0.0496, "4.96"), (0.05004, "5.004"), (0.05, "5.0"), (0.042, "4.2"), (None, "-")]
)
def test_a_bound_at_the_margin_says_on_which_side_it_is(loss, text):
    row = Judged(Evidence("toy", "none", 50, 50), "cannot tell", loses_at_most=loss)
    assert excluded_loss(row, 0.05) == text
