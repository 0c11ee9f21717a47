"""`simeval export --to junit|markdown`: what `run --gate` says, of a run that has finished."""

from xml.etree import ElementTree

import pytest
from helpers import call, refusal, toy_config

from simeval.api import evaluate

RUN = (
    "run",
    "--suite",
    "toy",
    "--policy",
    "seeker",
    "--perturb",
    "noise:0.9",
    "--perturb",
    "light:0.99",
    "--workers",
    0,
)


@pytest.fixture(scope="module")
def gated(tmp_path_factory):
    """A run of `--gate` with its files, and its folder."""
    place = tmp_path_factory.mktemp("gated")
    called = call(*RUN, "--out", place / "run", "--gate", "--junit", place / "g.xml", "--markdown", place / "g.md")
    assert called.code in (3, 4), called
    return place


@pytest.mark.parametrize(("to", "name", "file"), [("junit", "gate.xml", "g.xml"), ("markdown", "gate.md", "g.md")])
def test_the_file_is_that_of_the_gate(gated, to, name, file):
    called = call("export", gated / "run", "--to", to)
    assert called.code == 0, called
    assert called.out.startswith(f"{gated / 'run' / 'export' / name}: ")
    assert (gated / "run" / "export" / name).read_bytes() == (gated / file).read_bytes()


def test_a_condition_is_a_test_case(gated, tmp_path):
    out = tmp_path / "deep" / "x.xml"
    assert call("export", gated / "run", "--to", "junit", "--out", out).code == 0
    names = [case.get("name") for case in ElementTree.parse(out).iter("testcase")]
    assert names == ["noise:0.9", "light:0.99"]


def test_what_has_no_verdict_is_refused(gated, tmp_path):
    clean = evaluate(toy_config(tmp_path / "clean", tasks="0", perturb=()))
    assert refusal("export", clean.folder, "--to", "junit").endswith("has no perturbed condition to judge")
    assert "takes no --only" in refusal("export", gated / "run", "--to", "markdown", "--only", "failures")
    assert "--to: no 'junitt'; did you mean 'junit'?" in refusal("export", gated / "run", "--to", "junitt")
