"""Recipes by their names, and the commands: one line for bad input, a sweep that resumes."""

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from examples.finetune import sweep, train
from examples.finetune.demos import save_demonstrations
from examples.finetune.recipes import Weights, parse_recipe, parse_weights

QUICK = ("--steps", "2", "--batch", "2", "--draws", "1")


@pytest.fixture(scope="module")
def demos(demonstrations, tmp_path_factory):
    file = tmp_path_factory.mktemp("demos") / "demos.npz"
    save_demonstrations(demonstrations, file)
    return file


def test_recipes_are_read_in_any_order_and_written_in_one():
    recipe = parse_recipe("flow+align+contrast")
    assert str(recipe) == "flow+contrast+align"
    assert recipe.file_name == "flow_contrast_align"
    assert recipe.has("align")
    assert not recipe.has("consistency")
    assert parse_recipe("l1").is_regression


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("diffusion", "it begins with one of flow, l1, frozen, lora, not 'diffusion'"),
        ("flow+blur", "'blur' is none of the regularisers contrast, consistency, augment, align"),
        ("flow+align+align", "a regulariser is given twice"),
        ("", "not ''"),
    ],
)
def test_recipes_that_are_none(text, says):
    with pytest.raises(ValueError, match="recipe") as caught:
        parse_recipe(text)
    assert says in str(caught.value)


def test_weights_keep_their_defaults():
    assert parse_weights("") == Weights()
    assert parse_weights("contrast=2,margin=0.25") == Weights(contrast=2, margin=0.25)
    for text, says in (("size=1", "there is no 'size'"), ("align=x", "'x' is no number"), ("align=-1", "0 or larger")):
        with pytest.raises(ValueError, match="weights") as caught:
            parse_weights(text)
        assert says in str(caught.value)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--recipe", "flow+blur"), "'blur' is none of the regularisers"),
        (("--recipe", "flow", "--steps", "0"), "--steps is 0; it must be at least 1"),
        (("--recipe", "flow", "--share", "2"), "--share is 2.0"),
        (("--recipe", "flow", "--seed", "-1"), "--seed is -1"),
        (("--recipe", "flow", "--demos", "nowhere"), "nowhere cannot be read"),
        (("--recipe", "flow", "--start", "bundeld"), "bundeld"),
    ],
)
def test_bad_input_is_one_line(demos, tmp_path, capsys, words, says):
    assert train.main(["--demos", str(demos), "--out", str(tmp_path / "out"), *words]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert says in said


def test_one_command_makes_a_checkpoint_and_once_more_nothing(demos, start, tmp_path, capsys):
    words = ["--demos", str(demos), "--start", str(start), "--recipe", "flow+contrast", "--out", str(tmp_path), *QUICK]
    assert train.main(words) == 0
    made = (tmp_path / "model.safetensors").stat().st_mtime_ns
    assert train.main(words) == 0
    assert (tmp_path / "model.safetensors").stat().st_mtime_ns == made
    assert "flow+contrast, seed 0, 2 steps" in capsys.readouterr().out
    settings = json.loads((tmp_path / "training" / "settings.json").read_text())
    assert settings["recipe"] == "flow+contrast"
    assert len(settings["demonstrations"]) == 64


def test_a_sweep_trains_all_leaves_what_is_finished_and_names_what_failed(demos, start, tmp_path, capfd):
    words = ["--demos", str(demos), "--start", str(start), "--out", str(tmp_path), "--jobs", "2", "--seeds", "0,1"]
    words += ["--recipes", "flow", "l1+consistency", *QUICK]
    (tmp_path / "l1_consistency-1" / "training").mkdir(parents=True)
    blocked = tmp_path / "l1_consistency-1" / "training" / "settings.json"
    blocked.write_text("{}")
    assert sweep.main(words) == 1
    done = {path.parent.name for path in tmp_path.glob("*/model.safetensors")}
    assert done == {"flow-0", "flow-1", "l1_consistency-0"}
    assert "l1_consistency-1 failed; " in capfd.readouterr().err
    assert "was begun with" in (blocked.parent / "output.txt").read_text()
    blocked.unlink()
    assert sweep.main(words) == 0
    assert "3 of 4 are finished" in capfd.readouterr().out
    assert len(list(tmp_path.glob("*/model.safetensors"))) == 4


def test_training_in_a_process_that_evaluates_leaves_its_numerics_alone(monkeypatch):
    monkeypatch.delenv("SIMEVAL_NUMERICS", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    train.prepare(SimpleNamespace(threads=1))
    assert "SIMEVAL_NUMERICS" not in os.environ


def test_training_in_a_process_of_its_own_uses_this_processors_kernels():
    code = "import types; from examples.finetune import train; train.prepare(types.SimpleNamespace(threads=1)); "
    code += "from envs import numerics; print(numerics.mode())"
    environment = {name: value for name, value in os.environ.items() if name != "SIMEVAL_NUMERICS"}
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert said.stdout.strip() == "native"
