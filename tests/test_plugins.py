"""Axes of a user's own from a file: in the grammar, in the list, in a run, in the manifest, and refused clearly."""

import hashlib
import json

import pytest
from helpers import call, refusal, rows, toy_config

from perturbations import base
from simeval import plugins
from simeval.api import evaluate
from simeval.config import from_mapping
from simeval.errors import ConfigError
from simeval.worker import EpisodeWorker, WorkerSetup

SOURCE = """
from perturbations.base import CAMERAS, FRACTION, AxisInfo, Stage, register

@register(AxisInfo(name="NAME", stage=Stage.SENSOR, family="V", unit=FRACTION, value_means="how inverted it is",
                   bounds=(0.0, 1.0), identity=0.0, presets=(0.2, 0.4, 0.6, 0.8, 1.0), source="this test",
                   cameras=CAMERAS, draws=False))
def invert(pixels, value, rng):
    return pixels + value * (255 - 2 * pixels)
"""


@pytest.fixture(autouse=True)
def registry(monkeypatch):
    for name in ("_axes", "_functions", "_parameters"):
        monkeypatch.setattr(base, name, dict(getattr(base, name)))


@pytest.fixture
def mine(tmp_path):
    path = tmp_path / "my_axes.py"
    path.write_text(SOURCE.replace("NAME", f"own.{tmp_path.name.replace('[', '').replace(']', '')[:40].lower()}"))
    name = path.read_text().split('name="')[1].split('"')[0]
    return path, name


def test_a_run_with_an_axis_of_ones_own(mine, tmp_path):
    path, name = mine
    config = toy_config(tmp_path / "run", perturb=(f"{name}:1",), plugin=(str(path),), tasks="0", init_states="0")
    run = evaluate(config)
    found = {row["spec"]["condition"]: row for row in rows(tmp_path / "run").values()}
    assert found[f"{name}:1"]["magnitude"]["mean_abs"] > 20
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert manifest["identity"]["plugins"] == {"my_axes.py": digest}
    assert manifest["config"]["plugin"] == [str(path.resolve())]
    assert len(run.results) == 2
    path.write_text(path.read_text() + "\n# another version\n")
    base._axes.pop(name), base._functions.pop(name)
    with pytest.raises(ConfigError, match=r"plugins.my_axes.py"):
        evaluate(config)


def test_a_worker_needs_the_text_and_not_the_file(mine):
    path, name = mine
    read = plugins.read([str(path)])
    path.unlink()
    from simeval.policies.scripted import ZeroPolicy

    EpisodeWorker(WorkerSetup(ZeroPolicy(), None, "none", read))
    assert base.find_axis(name).value_means == "how inverted it is"
    plugins.load(read)  # twice is once


def test_it_is_listed_and_explained(mine):
    path, name = mine
    called = call("list", "perturbations", name, "--plugin", path)
    assert called.code == 0
    assert "how inverted it is" in called.out
    assert "s1=0.2" in called.out


def test_yaml_says_plugins_too(mine):
    path, _ = mine
    assert from_mapping({"plugins": [str(path)]}) == from_mapping({"plugin": str(path)})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\n", "registers no axis"),
        ("def broken(:\n", "SyntaxError"),
        ("\nraise RuntimeError('no\\nidea')\n", r"RuntimeError: no idea \(line 2\)"),
        (SOURCE.replace("NAME", "noise"), "axis name 'noise' is already taken"),
        (SOURCE.replace("NAME", "fresh.axis") + "\nraise ValueError('late')\n", "late"),
    ],
)
def test_a_file_that_is_no_plugin_is_refused(tmp_path, text, said):
    path = tmp_path / "bad.py"
    path.write_text(text)
    before = base.axes()
    line = refusal("plan", "--suite", "toy", "--plugin", path)
    assert line.startswith(f"--plugin {path}: ")
    import re

    assert re.search(said, line)
    assert base.axes() == before


def test_a_file_that_is_not_there_is_refused(tmp_path):
    assert "No such file" in refusal("plan", "--suite", "toy", "--plugin", tmp_path / "none.py")
