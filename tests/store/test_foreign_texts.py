"""Texts that are no text, and texts that a terminal would obey: stored whole, shown harmless."""

import json
import logging
import os
import shutil
from pathlib import Path

import pytest
from helpers import call, refusal, roll_out, toy_config, toy_spec

from envs.toy.env import ToyEnv
from simeval.api import evaluate
from simeval.cli.process import carry_out
from simeval.core.errors import error_line, first_line
from simeval.core.files import replace_file
from simeval.core.texts import escaped, shown, well_formed
from simeval.core.types import EpisodeResult
from simeval.policies.scripted import SeekerPolicy
from simeval.rollout.trace import PackedTrace
from simeval.store.run import Run, RunWriter, read_manifest, trace_path

OBEYED = "\x1b[31m \x9b1m \u202e \x00 \x07 \u2066"


BREAKS = """
from simeval.policies.scripted import SeekerPolicy

class make:
    spec = SeekerPolicy.spec
    def act(self, inputs):
        raise RuntimeError("bad \\ud800 text")
"""


@pytest.fixture
def finished(tmp_path) -> Path:
    return evaluate(toy_config(tmp_path / "run", tasks="0", perturb=())).folder


def test_an_error_text_with_half_a_surrogate_pair_locks_no_run(tmp_path):
    mine = tmp_path / "broken.py"
    mine.write_text(BREAKS)
    words = ("--suite", "toy", "--tasks", "0", "--init-states", "0", "--workers", "0", "--policy", mine)
    done = call("run", *words, "--out", tmp_path / "run")
    assert done.code == 1
    assert "Traceback" not in done.err
    assert [r.error_text for r in Run.load(tmp_path / "run").results] == [
        "RuntimeError: bad \ufffd text (broken.py line 7)"
    ]
    assert call("show", tmp_path / "run").code == 0


def test_rows_that_were_written_with_one_are_read(finished):
    path = finished / "episodes.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows[0] |= {"instruction": "touch \ud83d the \ude00", "error_text": "\\ud800 stays, \udfff goes"}
    old = [{key: value for key, value in row.items() if key != "crc"} for row in rows]
    path.write_text("".join(json.dumps(row) + "\n" for row in old))
    (first, *_) = Run.load(finished).results
    assert first.instruction == "touch \ufffd the \ufffd"
    assert first.error_text == "\\ud800 stays, \ufffd goes"
    assert call("show", finished).code == 0
    assert call("run", "--resume", finished).code == 0


def test_a_manifest_with_one_is_written_and_read(tmp_path):
    manifest = read_manifest(evaluate(toy_config(tmp_path / "run", tasks="0", perturb=())).folder)
    with RunWriter(tmp_path / "other", manifest | {"notes": ["\udc80 note"]}):
        pass
    assert read_manifest(tmp_path / "other")["notes"] == ["\ufffd note"]


@pytest.mark.parametrize("offset", range(2, 700, 60))
def test_a_byte_that_is_no_utf_8_is_named_by_its_line(finished, offset):
    path = finished / "episodes.jsonl"
    content = path.read_bytes().splitlines(keepends=True)
    for sealed in (True, False):
        row = {key: value for key, value in json.loads(content[0]).items() if key != "crc"}
        line = bytearray(content[0] if sealed else json.dumps(row).encode() + b"\n")
        line[offset] = 0xFF
        path.write_bytes(bytes(line) + content[1])
        for words in (("show", finished), ("run", "--resume", finished), ("report", finished), ("video", finished)):
            assert refusal(*words).startswith(f"{path}: line 1 is ")


def test_ray_s_colours_are_not_stored():
    assert error_line(RuntimeError("\x1b[36mray::Worker\x1b[39m died")) == "RuntimeError: ray::Worker died"
    assert first_line(RuntimeError("\n\x1b[36mray::Worker\x1b[39m died\nmore")) == "ray::Worker died"


def test_what_a_terminal_would_obey_is_spelled_out_everywhere(finished, tmp_path):
    folder = Path(shutil.move(finished, tmp_path / "\x1b[31mrun\u202e"))
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["identity"]["policy"]["name"] = f"mine{OBEYED}[/red]"
    manifest |= {"assets": f"scenes{OBEYED}", "notes": [f"note{OBEYED}[bold]"]}
    path.write_text(json.dumps(manifest))
    other = Path(shutil.copytree(folder, tmp_path / "other"))
    video = ("video", folder, "--limit", "1", "--size", "64")
    for words in (
        ("show", folder),
        ("show", folder, "--by-task"),
        ("compare", folder, other),
        ("report", folder),
        video,
    ):
        done = call(*words)
        assert done.code == 0, done
        assert not set("\x1b\x9b\u202e\x00\x07\u2066") & set(done.out + done.err), words
    assert "\\x1b[31m" in call("show", folder).out
    page = (folder / "report" / "report.html").read_text()
    assert "mine\\x1b[31m" in page
    assert not set("\x1b\x9b\u202e\x00\x07\u2066") & set(page)
    (folder / "episodes.jsonl").write_bytes(b"garbage\n")
    assert refusal("show", folder).isprintable()


@pytest.mark.parametrize("text", [OBEYED, "tab\tline\n", "\U000e0041 \u200b \ufeff \ud800"])
def test_an_escaped_text_is_printable(text):
    assert escaped(text).isprintable()
    assert escaped(escaped(text)) == escaped(text)


def test_texts_stay_what_they_are():
    for text in ("touch the 'ü' \U0001f600", "日本語", ""):
        assert escaped(text) == well_formed(text) == text
    assert well_formed("\ud83d\ude00") == "\U0001f600"
    assert shown("x" * 4000, 40) == f"{'x' * 25}...{'x' * 12}"


def test_long_words_are_cut_in_messages():
    word = "nosie\x1b" + "y" * 4000
    for words in (
        ("run", "--suite", word),
        ("run", "--policy", word, "--suite", "toy"),
        ("list", word),
        ("show", word),
    ):
        assert refusal(*words).isprintable()


@pytest.mark.parametrize("number", ["1_000", "\uff11\uff12", "\u0663", "0x10", "1e3", ""])
def test_a_number_has_plain_digits(number):
    for words in (("plan", "--suite", "toy", "--seed"), ("video", "somewhere", "--limit"), ("preview", "--task")):
        assert "not a valid integer" in refusal(*words, number)


def test_a_warning_reaches_the_terminal_escaped(capsys, monkeypatch):
    monkeypatch.setattr(logging.root, "handlers", [])  # pytest's own

    def warn(**_):
        logging.getLogger("simeval").warning("simeval: node %s works", "one\x1b[2J\rtwo")

    assert carry_out(warn, ["x"]) == 0
    assert "simeval: node one\\x1b[2J\\x0dtwo works" in capsys.readouterr().err


# What is on the disk, and when


def test_traces_and_their_folders_are_on_the_disk_before_their_rows(tmp_path, monkeypatch):
    manifest = read_manifest(evaluate(toy_config(tmp_path / "run", tasks="0", perturb=())).folder)
    result, trace = roll_out(toy_spec(), ToyEnv(0, 128), SeekerPolicy())
    synced: list[Path] = []
    really = os.fsync

    def sync(file):
        really(file)
        synced.append(Path(f"/proc/self/fd/{file}").readlink())

    monkeypatch.setattr(os, "fsync", sync)
    folder = tmp_path / "other"
    with RunWriter(folder, manifest) as writer:
        assert synced[0].name.startswith("manifest.json.")
        assert synced[1:] == [folder, tmp_path]
        synced.clear()
        others = [EpisodeResult(toy_spec(init_state=i), "failure") for i in (1, 2)]
        writer.write_batch([(result, trace), (others[0], trace), (others[1], None)])
    kept = [trace_path(folder, found.spec) for found in (result, others[0])]
    made = {parent for path in kept for parent in path.parents if folder in (parent, *parent.parents)}
    assert synced[:2] == kept
    assert set(synced[2:-1]) == made
    assert len(synced[2:-1]) == len(made)
    assert synced[-1] == folder / "episodes.jsonl"


def test_half_written_files_are_removed_on_failure_and_by_the_next_writer(tmp_path, monkeypatch):
    path = tmp_path / "manifest.json"
    stale = tmp_path / "manifest.json.12345.part"
    stale.touch()
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(OSError, match="No space left"):
            replace_file(path, b"{}")
    assert list(tmp_path.iterdir()) == []
    stale.touch()
    replace_file(path, b"{}")
    assert list(tmp_path.iterdir()) == [path]
    kept = tmp_path / "r0.npz"
    kept.with_suffix(".part").touch()
    PackedTrace(b"x").save(kept)
    assert set(tmp_path.iterdir()) == {path, kept}


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")], ids=["FIFO", "device"])
def test_what_is_no_regular_file_is_refused(finished, tmp_path, make):
    odd = tmp_path / "odd"
    make(odd)
    for words in (("plan", "--config", odd), ("plan", "--suite", "toy", "--plugin", odd)):
        assert refusal(*words).endswith(f"{odd}: not a regular file")
    (finished / "episodes.jsonl").unlink()
    make(finished / "episodes.jsonl")
    for words in (("show", finished), ("run", "--resume", finished), ("report", finished)):
        assert refusal(*words).endswith("episodes.jsonl: not a regular file")


def test_a_trace_is_that_of_its_row(finished):
    one, other = Run.load(finished).results
    paths = [trace_path(finished, found.spec) for found in (one, other)]
    paths[0].write_bytes(paths[1].read_bytes())
    assert "not the trace of its row" in refusal("video", finished)
    assert "not the trace of its row" in refusal("audit", finished, "--frames", "replay", "--perturb", "noise:0.1")
