"""`simeval represent` from a toy run and two tiny checkpoints to the page; resumed, repeated and refused."""

import contextlib
import json
import os
import re
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import tiny_smolvla as tiny
from helpers import call, refusal, toy_config

from simeval.api import evaluate
from simeval.core.lock import locked
from simeval.drift.frames.from_run import RunFrames
from simeval.probing import frame_set, session, vectors
from simeval.probing.probes import PROBES
from simeval.probing.results import FILE, read_results

CONDITIONS = ("noise:0.3", "instruction:counterfactual", "light:0.1")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("frames") / "run"
    return evaluate(toy_config(folder, policy="seeker", tasks="0-3", init_states="0-2", perturb=())).folder


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    return tiny.build(tmp_path_factory.mktemp("policies") / "other", seed=1)


def command(run, start, other, out):
    perturb = [part for text in CONDITIONS for part in ("--perturb", text)]
    return (
        "represent", run, f"start={start}", f"tuned={other}", *perturb, "--per-episode", "1", "--device", "cpu",
        "--out", out,
    )  # fmt: skip


@pytest.fixture(scope="module")
def done(run, tiny_smolvla, other, tmp_path_factory):
    out = tmp_path_factory.mktemp("represent") / "out"
    called = call(*command(run, tiny_smolvla, other, out))
    assert (called.code, called.err) == (0, "")
    return out, called.out


def test_every_probe_layer_policy_and_condition_is_there(done):
    out, text = done
    found = read_results(out)
    assert found.policies == ("start", "tuned")
    assert found.conditions == ("none", *CONDITIONS)
    assert (found.frames, found.states) == (12, 12)
    rows = {(row.policy, row.layer, row.probe, row.condition) for row in found.probes}
    for probe in PROBES:
        layers = [name for name in found.layers if probe.of == "frame" or not name.startswith("expert")]
        assert {(p, layer, probe.name, "none") for p in found.policies for layer in layers} <= rows
        assert ("", "pixels", probe.name, "noise:0.3") in rows
    assert "what can be read from vlm" in text
    assert len(found.attention) == 2 * 2 * 4
    assert {row.layer for row in found.embeddings} == set(found.last_layers)


def test_words_do_not_reach_the_vision_encoder(done):
    scores = {
        (row.layer, row.probe, row.condition): row.score.score
        for row in read_results(done[0]).probes
        if row.policy == "start"
    }
    assert scores["vision", "position in image", "none"] is not None
    # Another instruction names another block, so what was read of the target's place is wrong; the image is the same.
    clean, other = (vectors.read(done[0] / "vectors" / "start" / f"{n:02d}.npz").layers[0] for n in (0, 2))
    assert clean.name == "vision"
    assert np.array_equal(clean.frames, other.frames)


def test_frames_know_what_the_simulator_knows(done):
    clean, _, told, dark = (frame_set.read(done[0] / "frames" / f"{n:02d}.npz") for n in range(4))
    for info, other in zip(clean.frames, told.frames, strict=True):
        (named,), (asked,) = (
            [name for name, is_named in zip(one.objects, one.named, strict=True) if is_named] for one in (info, other)
        )
        assert named.split("_")[0] in info.instruction
        assert asked.split("_")[0] in other.instruction
        assert info.label != other.label
    assert np.array_equal(clean.masks, told.masks)
    assert np.array_equal(clean.masks, dark.masks), "a darker scene has its objects where they were"
    red = clean.frames[0].objects.index("red_block")
    pixels = clean.images[0][clean.masks[0, red]]
    assert pixels[:, 0].mean() > 2 * pixels[:, 1].mean(), "the mask of the red block is red"


def test_the_page_shows_all_policies_beside_each_other(done):
    out, _ = done
    page = (out / "report" / "report.html").read_text()
    for text in (
        "What can be read",
        "What is kept of the start",
        "Where the policies look",
        "trustworthiness",
        "tuned",
    ):
        assert text in page
    assert page.count("data:image/png;base64,") == 6
    assert {path.name for path in (out / "report" / "data").iterdir()} == {
        "probes.csv", "kept.csv", "similarity.csv", "attention.csv", "tsne.csv",
    }  # fmt: skip
    assert json.loads((out / "report" / "summary.json").read_text())["start"] == "start"


def test_the_same_command_makes_only_what_is_missing_and_the_same_bytes(done, run, tiny_smolvla, other):
    out, _ = done
    names = (FILE, "report/report.html", "vectors/tuned/01.npz")
    before = {name: (out / name).read_bytes() for name in names}
    frames = (out / "frames" / "00.npz").stat().st_mtime_ns
    (out / "vectors" / "tuned" / "01.npz").unlink()
    called = call(*command(run, tiny_smolvla, other, out))
    assert "tuned under noise:0.3" in called.out
    assert "start under" not in called.out
    assert {name: (out / name).read_bytes() for name in names} == before
    assert (out / "frames" / "00.npz").stat().st_mtime_ns == frames


def test_show_prints_it_again_and_no_verb_takes_it_for_a_run(done, run):
    out, printed = done
    shown = call("show", out)
    assert shown.code == 0, shown
    assert shown.out
    assert shown.out in printed
    assert json.loads(call("show", out, "--json").out)["start"] == "start"
    assert refusal("show", out, "--by-task") == f"--by-task: {out} is what represent found; name a run"
    for command in (("compare", out, run), ("export", out, "--to", "csv"), ("video", out)):
        assert refusal(*command) == f"{out}: is what simeval represent found, and no run; simeval show prints it"


@pytest.mark.parametrize("name", ["policies", "conditions", "layers"])
def test_what_was_found_has_to_name_something(done, tmp_path, name):
    stored = json.loads((done[0] / FILE).read_text())
    (tmp_path / FILE).write_text(json.dumps({**stored, name: []}))
    assert refusal("show", tmp_path).startswith(
        f"{tmp_path / FILE}: not what `simeval represent` writes ({name} is empty); delete this file"
    )


@pytest.mark.parametrize(
    ("rows", "field"),
    [("probes", "policy"), ("probes", "layer"), ("similarity", "condition"), ("embeddings", "policy")],
)
def test_a_row_of_something_that_is_not_listed_is_refused(done, tmp_path, rows, field):
    stored = json.loads((done[0] / FILE).read_text())
    names = ("elsewhere",) if rows == "probes" else ("elsewhere", "")
    for name in names:
        stored[rows][-1][field] = name
        (tmp_path / FILE).write_text(json.dumps(stored))
        assert f"(a row has {field} '{name}', which it does not list)" in refusal("show", tmp_path)


def damaged(stored, path, value):
    """The content of the file with another value at a place: names of fields and numbers of rows."""
    stored = json.loads(json.dumps(stored))
    part = stored
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    return stored


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        (("frames",), -3, "-3 frames of"),
        (("states",), 0, "frames of 0 initial states"),
        (("conditions", 0), "light:0.5", "conditions begins with 'light:0.5' instead of 'none'"),
        (("attention", 0, "of"), "the moon", "a row is about attention on 'the moon', not on named objects or other"),
        (("probes", 0, "score", "n"), -1, "a row has -1 samples"),
        (("attention", 0, "pointing", "units"), -2, "a row has -2 samples"),
        (("similarity", 0, "n"), -5, "a row has -5 samples"),
        (("embeddings", 0, "labels"), ["lift"], "points and 1 labels"),
    ],
)
def test_numbers_that_cannot_be_are_refused(done, tmp_path, path, value, reason):
    stored = json.loads((done[0] / FILE).read_text())
    (tmp_path / FILE).write_text(json.dumps(damaged(stored, path, value)))
    assert reason in refusal("show", tmp_path)


def test_a_policy_is_listed_once(done, tmp_path):
    stored = json.loads((done[0] / FILE).read_text())
    stored["policies"] *= 2
    (tmp_path / FILE).write_text(json.dumps(stored))
    assert "(policies has a name twice)" in refusal("show", tmp_path)


def test_layers_of_other_names_are_shown(done, tmp_path):
    text = (done[0] / FILE).read_text()
    (tmp_path / FILE).write_text(text.replace('"vlm', '"q').replace('"expert', '"r'))
    shown = call("show", tmp_path)
    assert shown.code == 0, shown
    assert "what can be read from r" in shown.out


def test_the_start_is_one_of_the_policies(done, tmp_path):
    stored = json.loads((done[0] / FILE).read_text())
    (tmp_path / FILE).write_text(json.dumps({**stored, "start": "another"}))
    assert "(start 'another' is none of its policies)" in refusal("show", tmp_path)


@pytest.mark.parametrize("content", ["[]", "null", '"abc"', '{"schema_version": "1"}'])
def test_another_file_is_not_called_one_of_another_schema(tmp_path, content):
    (tmp_path / FILE).write_text(content)
    assert "not what `simeval represent` writes" in refusal("show", tmp_path)


def test_what_is_not_finished_is_no_run(done, tmp_path):
    (tmp_path / "frames").mkdir()
    for name in ("manifest.json", "frames/00.npz"):
        shutil.copy(done[0] / name, tmp_path / name)
    said = f"{tmp_path}: is what simeval represent has begun, and no run; the same command goes on"
    assert refusal("show", tmp_path) == said


def test_other_frames_are_refused_in_one_line(done, run, tiny_smolvla):
    out, _ = done
    assert "holds other frames" in refusal("represent", run, f"start={tiny_smolvla}", "--out", out)


def _never(choice):
    raise AssertionError("a checkpoint was loaded")


def test_what_is_cheap_to_know_is_refused_before_a_checkpoint_is_loaded(
    done, run, tiny_smolvla, other, tmp_path, monkeypatch
):
    real = session.load_policy
    monkeypatch.setattr(session, "load_policy", lambda c: real(c) if c.kind == "scripted" else _never(c))
    assert "holds other frames" in refusal("represent", run, f"start={tiny_smolvla}", "--out", done[0])
    assert "does not expose" in refusal("represent", run, f"a={tiny_smolvla}", "b=zero", "--out", tmp_path / "x")
    bare = tmp_path / "bare"
    shutil.copytree(run, bare)
    shutil.rmtree(bare / "traces")
    assert "no traces were kept" in refusal("represent", bare, f"start={tiny_smolvla}")
    access = os.access
    for place in ("", "vectors", "report"):
        folder = tmp_path / "out" / place
        folder.mkdir(parents=True, exist_ok=True)
        with monkeypatch.context() as patched:
            patched.setattr(os, "access", lambda p, mode, no=folder: Path(p) != no and access(p, mode))
            text = refusal(*command(run, tiny_smolvla, other, tmp_path / "out"))
            assert text.endswith(f"{folder} cannot be written")
    with locked(tmp_path / "out", "folder"):
        assert "another simeval is writing" in refusal(*command(run, tiny_smolvla, other, tmp_path / "out"))


def test_ctrl_c_that_comes_as_an_import_error_of_a_frame_ends_as_ctrl_c(
    run, tiny_smolvla, other, tmp_path, monkeypatch
):
    def interrupted(*_, **__):
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        raise ImportError("numpy._core.multiarray failed to import")

    monkeypatch.setattr(RunFrames, "_views", interrupted)
    called = call(*command(run, tiny_smolvla, other, tmp_path / "out"))
    assert called.code == 130
    assert "ImportError" not in called.err


def test_damaged_files_say_what_to_delete(done, run, tiny_smolvla, other, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(done[0], out)
    (out / "vectors" / "start" / "00.npz").write_bytes(b"PK\x03\x04nothing")
    assert "00.npz: cannot be read" in refusal(*command(run, tiny_smolvla, other, out))


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((), "name a run or study folder"),
        (("{run}",), "name the checkpoints"),
        (("{run}", "seeker"), "does not expose representations"),
        (("{run}", "a=seeker", "A=zero"), "two policies have this name"),
        (("{run}", "../x=seeker"), "write NAME=CHECKPOINT"),
        (("{run}", "a b=seeker"), "write NAME=CHECKPOINT"),
        (("{run}", "seeker", "--per-episode", "0"), "--per-episode"),
    ],
)
def test_bad_requests_are_one_line(run, arguments, complaint, tmp_path):

    given = [text.format(run=run) for text in arguments]
    assert re.search(complaint, refusal("represent", *given, "--out", tmp_path / "x"))


def test_a_search_has_too_many_conditions_to_take_them_all(tmp_path, tiny_smolvla):
    words = ("--suite", "toy", "--policy", "seeker", "--workers", 0, "--perturb", "light:..0.4")
    assert call("worst", *words, "--budget", 60, "--confirm", 10, "--out", tmp_path / "w").code == 0
    assert refusal("represent", tmp_path / "w", tiny_smolvla).endswith("name some with --perturb")
