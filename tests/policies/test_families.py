"""`docs/reference/lerobot-policies.md` says which of lerobot's policy types run; here each is tried."""

import json
import re
from pathlib import Path

import families
import pytest
from helpers import call
from lerobot.configs import PreTrainedConfig

TABLE = Path(__file__).parents[2] / "docs" / "reference" / "lerobot-policies.md"
ROW = re.compile(r"^\| `(?P<kind>\w+)` \| (?P<tried>[^|]+) \| (?P<runs>yes|no) \| (?P<line>.+) \|$", re.M)
TOY = ("--suite", "toy", "--tasks", "0", "--init-states", "0", "--workers", "0", "--device", "cpu")


def table() -> dict[tuple[str, str], tuple[str, str]]:
    found = [((row["kind"], row["tried"]), (row["runs"], row["line"])) for row in ROW.finditer(TABLE.read_text())]
    assert len(dict(found)) == len(found)
    return dict(found)


def tried(family: families.Family, folder: Path) -> tuple[str, str]:
    """What the command does with its checkpoint, as in the table: whether it runs, and what a user sees or gets."""
    family.make(folder / "mine")
    with family.shrunk():
        called = call("run", *TOY, "--policy", folder / "mine", "--out", folder / "run", *family.options)
    if called.code == 0:
        assert called.err == ""
        (row,) = map(json.loads, (folder / "run" / "episodes.jsonl").read_text().splitlines())
        assert row["outcome"] in ("success", "failure")
        facts = json.loads((folder / "run" / "manifest.json").read_text())["identity"]["policy"]
        assert facts["type"] == family.kind
        return "yes", f"observations: {facts.get('n_obs_steps', 1)}, noise: {facts['noise']}"
    assert (called.code, called.out) == (2, ""), called
    assert called.err.count("\n") == 1, called.err
    assert not (folder / "run").exists()
    return "no", f"`{called.err.removeprefix('simeval: ').rstrip()}`"


def test_the_table_names_every_type_of_the_installed_lerobot():
    assert list(table()) == [(family.kind, family.tried) for family in families.FAMILIES]
    builtin = {
        kind
        for kind in PreTrainedConfig.get_known_choices()
        if PreTrainedConfig.get_choice_class(kind).__module__.startswith("lerobot.policies.")
    }
    assert builtin == {kind for kind, _ in table()}


@pytest.mark.parametrize("family", families.FAMILIES, ids=lambda family: f"{family.kind}: {family.tried}")
def test_it_runs_or_is_refused_as_the_table_says(family, hub, tmp_path):
    assert tried(family, tmp_path) == table()[family.kind, family.tried]
