"""`docs/checkpoints-refused.md` says what a user sees of each kind of broken checkpoint; here each is tried."""

import logging
import re
import shutil
from pathlib import Path

import broken_checkpoints as broken
import pytest
from helpers import call

from envs.suites import tasks
from simeval.core.types import EpisodeSpec
from simeval.policies.registry import PolicyChoice, validate_choice

TABLE = Path(__file__).parents[2] / "docs" / "checkpoints-refused.md"
ROW = re.compile(r"^\| (?P<title>[^|`]+) \| `(?P<line>.+)` \|$", re.M)


def table() -> dict[str, str]:
    found = [(row["title"], row["line"].replace(r"\|", "|")) for row in ROW.finditer(TABLE.read_text())]
    assert len(dict(found)) == len(found)
    return dict(found)


@pytest.fixture
def folder(tiny_smolvla, tmp_path) -> Path:
    return Path(shutil.copytree(tiny_smolvla, tmp_path / "mine"))


def run(case: broken.Case, folder: Path):
    """`simeval run` with it: one episode of the toy suite."""
    case.make(folder)
    options = ("--suite", "toy", "--tasks", "0", "--init-states", "0", "--workers", "0", "--device", "cpu")
    return call("run", *options, "--policy", folder / case.place, "--out", folder.parent / "run", *case.options)


def said(text: str, folder: Path) -> str:
    """A line without what depends on where the test runs."""
    return text.removeprefix("simeval: ").replace(str(folder), "FOLDER").rstrip("\n")


def test_the_table_and_the_cases_name_the_same():
    cases = [case.title for case in (*broken.REFUSED, *broken.NOTED, *broken.NOTED_IN_LIBERO)]
    assert sorted(table()) == sorted(cases)
    assert len(broken.REFUSED) >= 30


@pytest.mark.parametrize("case", broken.REFUSED, ids=lambda case: case.title)
def test_refused_in_one_line(case, folder):
    called = run(case, folder)
    assert (called.code, called.out) == (2, ""), called
    assert called.err.count("\n") == 1, called.err
    assert said(called.err, folder) == table()[case.title]
    assert not (folder.parent / "run").exists()


@pytest.mark.parametrize("case", broken.NOTED, ids=lambda case: case.title)
def test_noted_in_one_line(case, folder, caplog, recwarn):
    with caplog.at_level(logging.WARNING, "simeval"):
        called = run(case, folder)
    assert called.code == 0, called
    notes = [said(record.getMessage(), folder) for record in caplog.records if record.name == "simeval"]
    assert notes == [table()[case.title]]
    assert [warning for warning in recwarn if "numpy" in str(warning.filename)] == []


@pytest.mark.parametrize("case", broken.NOTED_IN_LIBERO, ids=lambda case: case.title)
def test_noted_for_libero(case, folder, caplog):
    case.make(folder)
    spec = EpisodeSpec("libero_spatial", 0, 0, "none", 0, 0, 0, 10, 0, 256)
    assert tasks(spec.suite)
    with caplog.at_level(logging.WARNING, "simeval"):
        validate_choice(PolicyChoice(str(folder), n_action_steps=10), (spec,))
    assert [said(record.getMessage(), folder) for record in caplog.records] == [table()[case.title]]


def test_a_sound_checkpoint_is_noted_nowhere(folder, caplog):
    spec = EpisodeSpec("libero_spatial", 0, 0, "none", 0, 0, 0, 10, 0, 256)
    with caplog.at_level(logging.WARNING, "simeval"):
        validate_choice(PolicyChoice(str(folder)), (spec,))
        for name in ("bundled", "bundled-object", "bundled-goal"):
            validate_choice(PolicyChoice(name), (spec,))
    assert caplog.records == []
