"""The page on continuous integration: its pipelines parse, their commands exist, its numbers are those of the code."""

import re
import shlex
from pathlib import Path

import pytest
import typer
import yaml

from simeval.analysis.gate import EXIT_CODES, MARGIN
from simeval.cli.app import app
from simeval.stats.noninferiority import pairs_to_show_within

PAGE = (Path(__file__).parents[1] / "docs" / "how-to" / "use-in-ci.md").read_text()
VERBS = typer.main.get_command(app).commands
PIPELINES = {
    title: yaml.safe_load(text)
    for title, text in re.findall(r'^```yaml title="([^"]+)"\n(.*?)^```$', PAGE, re.MULTILINE | re.DOTALL)
}


def scripts() -> list[tuple[str, str]]:
    """(pipeline, command) of every line that the pipelines run."""
    github = PIPELINES[".github/workflows/robustness.yml"]
    gitlab = PIPELINES[".gitlab-ci.yml"]
    steps = [step for job in github["jobs"].values() for step in job["steps"]]
    lines = [("github", step["run"]) for step in steps if "run" in step]
    return lines + [("gitlab", line) for job in gitlab.values() for line in job["script"]]


def test_the_pipelines_have_what_their_servers_ask_for():
    (job,) = PIPELINES[".github/workflows/robustness.yml"]["jobs"].values()
    assert job["runs-on"]
    assert all(("run" in step) != ("uses" in step) for step in job["steps"])
    assert all(re.fullmatch(r"[\w-]+/[\w-]+@v\d+", step["uses"]) for step in job["steps"] if "uses" in step)
    (job,) = PIPELINES[".gitlab-ci.yml"].values()
    assert job["artifacts"]["reports"]["junit"] == "gate.xml"
    assert job["allow_failure"]["exit_codes"] == EXIT_CODES["cannot tell"]
    assert len(scripts()) == 4


@pytest.mark.parametrize(("pipeline", "line"), scripts())
def test_a_command_of_a_pipeline_is_one(pipeline, line):
    program, verb, *rest = shlex.split(line)
    assert program == "simeval"
    context = VERBS[verb].make_context(verb, rest)  # raises where an option is unknown or lacks its value
    if verb == "compare":
        assert context.params["gate"] is True
        assert context.params["margin"] == MARGIN
        assert context.params["junit"] == "gate.xml"


def test_the_table_of_exit_codes_is_that_of_the_code():
    rows = dict(re.findall(r"^\| (\d) \| ([^|]+) \|", PAGE, re.MULTILINE))
    for verdict, code in EXIT_CODES.items():
        assert verdict in rows[str(code)]
    assert set(rows) == {str(code) for code in EXIT_CODES.values()} | {"1", "2"}


def test_the_table_of_pairs_is_that_of_the_code():
    heads = [int(number) for number in re.findall(r"margin (\d+) \|", PAGE)]
    rows = re.findall(r"^\| (none|\d+ %) \| (\d+) \| (\d+) \| (\d+) \|$", PAGE, re.MULTILINE)
    assert heads == [3, 5, 10]
    assert len(rows) == 4
    for share, *pairs in rows:
        background = 0.0 if share == "none" else int(share.split()[0]) / 100
        assert [int(count) for count in pairs] == [
            pairs_to_show_within(0.0, margin / 100, background=background) for margin in heads
        ]


def test_the_pairs_of_six_conditions_are_those_of_the_code():
    """For conditions that flip independently; those that flip together pass more often."""
    text = " ".join(PAGE.split())
    (one, six) = re.search(r"six conditions of (\d+) pairs .* it takes (\d+) pairs each to pass", text).groups()
    assert int(one) == pairs_to_show_within(0.0, 0.05, background=0.1)
    assert int(six) == pairs_to_show_within(0.0, 0.05, background=0.1, power=0.8 ** (1 / 6))
    (still,) = re.search(r"Where no pair flips it stays at (\d+)", text).groups()
    assert int(still) == pairs_to_show_within(0.0, 0.05, background=0.0, power=0.8 ** (1 / 6))
