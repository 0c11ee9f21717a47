"""Lines with a checksum: any damage is named by its line, and lines of older versions are taken as they are."""

import json
import zlib
from pathlib import Path

import numpy as np
import pytest
from helpers import refusal, toy_config

from simeval.api import evaluate
from simeval.core.checksums import read_sealed, sealed_line
from simeval.core.errors import ConfigError
from simeval.store.run import Run, outcomes


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A finished run of four episodes; never written to."""
    return evaluate(toy_config(tmp_path_factory.mktemp("sealed") / "run", tasks="0", perturb=("noise:0.3",))).folder


@pytest.fixture
def folder(finished, tmp_path) -> Path:
    for name in ("manifest.json", "episodes.jsonl"):
        (tmp_path / name).write_bytes((finished / name).read_bytes())
    return tmp_path


def old(line: bytes, **changes) -> bytes:
    """A row as older versions wrote it."""
    row = {key: value for key, value in json.loads(line).items() if key != "crc"} | changes
    return json.dumps(row, separators=(",", ":")).encode() + b"\n"


@pytest.mark.parametrize("value", [{"a": 1}, {"text": 'ü\n\t"}'}, {"a": {"crc": "x"}}, *({"n": n} for n in range(200))])
def test_a_sealed_line_is_json_and_its_crc_32_is_zero(value):
    line = sealed_line(value)
    assert zlib.crc32(line) == 0
    found = json.loads(line)
    assert len(found.pop("crc")) == 9
    assert found == value


def test_any_changed_byte_of_any_row_is_named_by_its_line(finished, folder):
    """One that is made a line end tears the line in two: the second half is named, or the first."""
    data = (finished / "episodes.jsonl").read_bytes()
    rng = np.random.default_rng(0)
    tails = [end - back for end in (i for i, byte in enumerate(data) if byte == 10) for back in range(1, 24)]
    for position in [*tails, *map(int, rng.integers(0, len(data) - 1, 400))]:
        if data[position] == 10:
            continue
        changed = bytearray(data)
        changed[position] ^= 1 << int(rng.integers(7))
        (folder / "episodes.jsonl").write_bytes(changed)
        number = data[:position].count(b"\n") + 1
        for read in (outcomes, lambda path: Run.load(path).results):
            with pytest.raises(ConfigError) as caught:
                read(folder)
            lines = (number, number + 1) if changed[position] == 10 else (number,)
            assert any(str(caught.value).startswith(f"{folder / 'episodes.jsonl'}: line {n} is ") for n in lines)


def test_a_changed_outcome_is_refused_with_the_line_and_the_remedy_which_works(finished, folder):
    path = folder / "episodes.jsonl"
    content = path.read_bytes().splitlines(keepends=True)
    flipped = content[1].replace(b'"success"', b'"failure"', 1)
    flipped = flipped if flipped != content[1] else content[1].replace(b'"failure"', b'"success"', 1)
    path.write_bytes(b"".join([content[0], flipped, *content[2:]]))
    said = f"{path}: line 2 is damaged: its checksum is not that of its text; delete the line and repeat"
    for words in (("show", folder), ("run", "--resume", folder), ("report", folder)):
        assert refusal(*words) == f"{said} the command that made the run; it runs this episode again"
    path.write_bytes(b"".join([content[0], *content[2:]]))
    again = evaluate(toy_config(folder, tasks="0", perturb=("noise:0.3",))).results
    assert [r.outcome for r in again] == [r.outcome for r in Run.load(finished).results]


def test_rows_of_older_versions_load_alone_and_among_others(finished, folder):
    content = (finished / "episodes.jsonl").read_bytes().splitlines(keepends=True)
    for bare in ({0, 1, 2, 3}, {0}, {3}):
        rows = [old(line) if i in bare else line for i, line in enumerate(content)]
        (folder / "episodes.jsonl").write_bytes(b"".join(rows))
        assert Run.load(folder).results == Run.load(finished).results
        assert outcomes(folder) == outcomes(finished)


@pytest.mark.parametrize("field", ["id", "pair_id"])
def test_a_row_whose_names_are_not_those_of_its_specification_is_refused(finished, folder, field):
    content = (finished / "episodes.jsonl").read_bytes().splitlines(keepends=True)
    content[2] = old(content[2], **{field: json.loads(content[0])[field].replace("init00", "init09")})
    (folder / "episodes.jsonl").write_bytes(b"".join(content))
    for words in (("show", folder), ("run", "--resume", folder)):
        said = refusal(*words)
        assert f"{folder / 'episodes.jsonl'}: line 3 is damaged: it is named '" in said
        assert "init09" in said


def test_lines_are_counted_over_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr("simeval.core.checksums._BLOCK", 64)
    content = [sealed_line({"n": n, "text": "x" * n}) for n in range(60)]
    path = tmp_path / "lines.jsonl"
    path.write_bytes(b"".join(content) + b"torn")
    blocks = list(read_sealed(path, "do"))
    assert b"".join(block.data for block in blocks) == b"".join(content)
    assert [block.first for block in blocks] == [1 + sum(b.count for b in blocks[:i]) for i in range(len(blocks))]
    path.write_bytes(b"".join([*content[:40], content[40].replace(b"x", b"y", 1), *content[41:]]))
    with pytest.raises(ConfigError, match="line 41 is damaged"):
        list(read_sealed(path, "do"))
