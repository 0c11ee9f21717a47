"""Axes of a user's own from a file: in the grammar, in the list, in a run, in the manifest, and refused clearly."""

import hashlib
import json
import sys

import pytest
from helpers import call, refusal, rows, toy_config

from perturbations import base
from simeval.api import evaluate
from simeval.config.evaluation import from_mapping
from simeval.core import plugins
from simeval.core.errors import ConfigError
from simeval.runner.worker import EpisodeWorker, WorkerSetup

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


# -- a run folder or a recipe may be a stranger's ---------------------------------------------------------------------

AGAIN = (
    ("run", "--resume", "RUN"),
    ("run", "--resume", "RUN", "--grow", "--init-states", "0-1"),
    ("video", "RUN", "--limit", "1"),
    ("audit", "RUN", "--out", "AUDIT"),
    ("report", "RUN", "--out", "REPORT"),
)


@pytest.fixture
def stored(tmp_path):
    """A run with a plugin that says when it is executed; this process has forgotten the plugin since."""
    known = {info.name for info in base.axes()}
    mark, path = tmp_path / "executed", tmp_path / "told.py"
    text = SOURCE.replace("NAME", "told.axis")
    path.write_text(f"from pathlib import Path\nPath({str(mark)!r}).touch()\n{text}")
    config = toy_config(
        tmp_path / "run", perturb=("told.axis:1",), plugin=(str(path),), tasks="0", init_states="0", policy="seeker"
    )
    evaluate(config)
    forget(known, mark)
    yield tmp_path, path, mark
    forget(known, mark)


def forget(known, mark):
    base.unregister_all_but(known)
    for name in [name for name in sys.modules if name.startswith("simeval_plugin_")]:
        del sys.modules[name]
    mark.unlink(missing_ok=True)


def words(command, folder):
    places = {"RUN": folder / "run", "AUDIT": folder / "audit", "REPORT": folder / "report"}
    return [places.get(word, word) for word in command]


@pytest.mark.parametrize("command", AGAIN, ids=" ".join)
def test_a_run_folder_does_not_have_its_plugin_executed(stored, command):
    folder, path, mark = stored
    line = refusal(*words(command, folder))
    assert line == (
        f"{folder / 'run'}: was made with the plugin told.py; a plugin is code, so name it yourself: --plugin {path}"
    )
    assert not mark.exists()


@pytest.mark.parametrize("command", AGAIN, ids=" ".join)
def test_a_plugin_that_is_named_again_may_lie_elsewhere_but_not_say_other_things(stored, command):
    folder, path, mark = stored
    moved = folder / "elsewhere" / "told.py"
    moved.parent.mkdir()
    path.rename(moved)
    original = moved.read_text()
    moved.write_text(original + "# more\n")
    line = refusal(*words(command, folder), "--plugin", moved)
    assert line.startswith(f"--plugin told.py: is not the one that {folder / 'run'} was made with (sha256 ")
    assert not mark.exists()
    moved.write_text(original)
    called = call(*words(command, folder), "--plugin", moved)
    assert called.code == 0, called
    assert mark.exists()


def test_tables_of_a_run_need_no_plugin(stored):
    folder, _, mark = stored
    for command in (("show", folder / "run"), ("compare", folder / "run", folder / "run")):
        assert call(*command).code == 0
    assert not mark.exists()


@pytest.mark.parametrize("key", ["plugin", "plugins"])
@pytest.mark.parametrize("many", [False, True])
def test_a_recipe_does_not_have_a_plugin_executed(stored, key, many):
    folder, path, mark = stored
    recipe = folder / "recipe.yaml"
    recipe.write_text(json.dumps({"suite": "toy", "perturb": "told.axis:1", key: [str(path)] if many else str(path)}))
    line = refusal("plan", "--config", recipe)
    assert line == f"--config {recipe}: a plugin is code, so name it yourself: --plugin {path}"
    assert not mark.exists()
    assert call("plan", "--config", recipe, "--plugin", path).code == 0
    assert mark.exists()


def test_neither_a_recipe_nor_a_run_has_a_cluster_joined(stored, capsys):
    """What runs a cluster runs what it likes in whoever joins it."""
    folder, path, _ = stored
    recipe = folder / "recipe.yaml"
    recipe.write_text("suite: toy\nray_address: 203.0.113.1:6379\n")
    line = refusal("run", "--config", recipe)
    assert line == f"--config {recipe}: a cluster runs code, so name it yourself: --ray-address 203.0.113.1:6379"
    manifest = folder / "run" / "manifest.json"
    content = json.loads(manifest.read_text())
    content["config"]["ray_address"] = "203.0.113.1:6379"
    manifest.write_text(json.dumps(content))
    called = call("run", "--resume", folder / "run", "--grow", "--init-states", "0-1", "--plugin", path)
    assert called.code == 0, called
    assert len(rows(folder / "run")) == 4


def test_two_plugins_of_one_name_are_refused(mine, tmp_path):
    path, _ = mine
    other = tmp_path / "other" / path.name
    other.parent.mkdir()
    other.write_text(SOURCE.replace("NAME", "other.axis"))
    words = ("run", "--suite", "toy", "--out", tmp_path / "run", "--plugin", path, "--plugin", other)
    assert refusal(*words) == f"--plugin {other}: another plugin is named {path.name}; rename one"
