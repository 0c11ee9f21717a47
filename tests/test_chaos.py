"""The chaos suite: what its judge calls a fault, and a few cases of each kind (`make chaos` has 500)."""

import json
import os
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from chaos import judge
from chaos.damages import HOW, damage, damaged
from chaos.kinds import KINDS
from chaos.lines import command_line
from chaos.process import Ended

SCRIPT = Path(__file__).parent / "chaos" / "run.py"


def kinds_of(code: int | None, err: str = "", signal: int | None = None) -> list[str]:
    return [fault.kind for fault in judge.faults(Ended(("show",), code, "", err, 0.0), signal)]


def test_what_ends_well_is_no_fault():
    assert kinds_of(0, "a warning of somebody's\n") == []
    assert kinds_of(1, "simeval: it stopped\n") == []
    assert kinds_of(2, "simeval: no such run\n") == []
    assert kinds_of(130, "\ninterrupted\n", signal=2) == kinds_of(-9, signal=9) == []


def test_what_ends_as_nothing_may_is_one():
    assert kinds_of(None) == ["hang"]
    assert kinds_of(1, "Traceback (most recent call last):\nValueError: x\n") == ["traceback"]
    assert kinds_of(2, "simeval: one\nsimeval: two\n") == kinds_of(2, "no run\n") == kinds_of(2) == ["exit code"]
    assert kinds_of(1) == kinds_of(-11) == kinds_of(130) == kinds_of(-9, signal=15) == kinds_of(70) == ["exit code"]


def test_a_changed_row_is_foreign_and_a_torn_one_is_not():
    sound = b"one\ntwo\nthree\n"
    assert not judge.has_foreign_lines(sound[:-2], sound)
    assert not judge.has_foreign_lines(b"two\n", sound)
    assert judge.has_foreign_lines(b"one\ntwx\nthree\n", sound)
    assert judge.has_foreign_lines(b"onetwo\nthree\n", sound)


def test_rows_that_are_missing_or_there_twice_are_wrong_numbers(tmp_path):
    row = {"id": "a", "outcome": "success", "state_digest": "1"}
    ended, sound = Ended(("run",), 0, "", "", 0.0), {"a": ("success", "1")}

    def unlike(*found: dict) -> bool:
        (tmp_path / "episodes.jsonl").write_text("".join(json.dumps(one) + "\n" for one in found))
        return bool(judge.unlike(ended, tmp_path, sound))

    assert not unlike(row)
    assert not unlike(row | {"outcome": "error"}, row)
    assert unlike()
    assert unlike(row, row)
    assert unlike(row | {"state_digest": "2"})
    (tmp_path / "manifest.json").write_text('{"episodes": 2}')
    assert judge.unfinished(ended, tmp_path)


def test_a_case_is_a_function_of_its_seed(tmp_path):
    lines = [command_line(Random(f"lines {seed}")) for seed in range(300)]
    assert lines == [command_line(Random(f"lines {seed}")) for seed in range(300)]
    assert len({tuple(line) for line in lines}) > 200
    hosts = {line[line.index("--ray-address") + 1] for line in lines if "--ray-address" in line[:-1]}
    assert hosts == {"", "127.0.0.1:1"}
    data = bytes(range(256))
    for how in {*HOW} - {"delete", "folder"}:
        assert damaged(data, how, Random(3)) == damaged(data, how, Random(3)) != data
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_bytes(data)
    assert damage(tmp_path, Random(0))[0] == Path("a/b")


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_ends_as_it_may_not(kind, tmp_path):
    command = [sys.executable, SCRIPT, "--kind", kind, "--cases", "10", "--out", tmp_path / "chaos.json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": ""})
    assert done.returncode == 0, done.stdout + done.stderr
    (table,) = json.loads((tmp_path / "chaos.json").read_text())["tables"]
    (row,) = table["rows"]
    assert (row["kind"], row["cases"], row["first"]) == (kind, 10, None)
