"""An audit on disk: nothing is lost, nothing is mixed, damage is one line."""

import json
from dataclasses import replace

import pytest

from simeval.core.drift_row import DriftRow
from simeval.core.errors import ConfigError
from simeval.store.audit import MANIFEST, ROWS, Audit, AuditWriter, LeftOut

MANIFEST_OF = {
    "schema_version": 1,
    "frames": 2,
    "rows": 4,
    "identity": {
        "frames": {"source": "run", "kind": "start", "frames": 2},
        "policy": {"name": "seeker", "n_action_steps": 6},
        "conditions": ["noise:0.1"],
        "seeds": [0],
    },
    "sigma_source": "1 per dimension",
    "left_out": [{"condition": "friction:0.5", "reason": "it changes how objects move"}],
    "notes": [],
    "complete": False,
}


def row(frame: str = "a@0", condition: str = "noise:0.1", **changes) -> DriftRow:
    numbers = dict.fromkeys(("drift_exec", "drift_first", "drift_chunk", "l2_raw", "xyz_sum", "gripper_flip"), 0.1)
    about = {"source": "start", "cluster": "a", "step": 0, "suite": "toy", "task": 0, "pair_id": "a"}
    found = DriftRow(
        frame=frame, condition=condition, seed=0, mean_abs=1.5, psnr=None, instruction="touch 'ü'", **about, **numbers
    )
    return replace(found, **changes)


ALL = [row("a@0"), row("b@0"), row("a@0", "none"), row("b@0", "none", representation=(("vision_cosine", 0.25),))]
KEYS = [one.key for one in ALL]


def write(folder, rows=ALL, *, manifest=MANIFEST_OF, finish=True) -> None:
    with AuditWriter(folder, manifest, KEYS) as writer:
        writer.write([one for one in rows if one.key not in writer.done])
        if finish:
            writer.finish({"drift_floor": 0.0})


def test_what_is_written_is_read_back(tmp_path):
    write(tmp_path / "audit")
    audit = Audit.load(tmp_path / "audit")
    assert audit.rows == tuple(ALL)
    assert audit.complete
    assert (audit.policy, audit.n_action_steps, audit.frames_description) == ("seeker", 6, "start frames")
    assert audit.conditions == ("noise:0.1",)
    assert audit.left_out == (LeftOut("friction:0.5", "it changes how objects move"),)
    assert audit.manifest["facts"] == {"drift_floor": 0.0}


def test_an_unfinished_audit_says_so_and_goes_on(tmp_path):
    write(tmp_path, ALL[:3], finish=False)
    assert not Audit.load(tmp_path).complete
    assert Audit.load(tmp_path).rows == tuple(ALL[:3])
    write(tmp_path)
    assert Audit.load(tmp_path).rows == tuple(ALL)


def test_a_torn_last_line_is_skipped_and_cut_off(tmp_path):
    write(tmp_path / "whole")
    whole = (tmp_path / "whole" / ROWS).read_bytes()
    for cut in range(1, len(whole) - 1, 37):
        folder = tmp_path / str(cut)
        write(folder, [], finish=False)
        (folder / ROWS).write_bytes(whole[:cut])
        assert len(Audit.load(folder).rows) == whole[:cut].count(b"\n")
        write(folder)
        assert (folder / ROWS).read_bytes() == whole


def test_two_writers_do_not_share_a_folder(tmp_path):
    with (
        AuditWriter(tmp_path, MANIFEST_OF, KEYS),
        pytest.raises(ConfigError, match="another simeval is writing to this audit"),
    ):
        AuditWriter(tmp_path, MANIFEST_OF, KEYS)


def test_another_audit_is_refused_with_what_differs(tmp_path):
    write(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    other = {**MANIFEST_OF, "identity": {**MANIFEST_OF["identity"], "seeds": [0, 1]}}
    with pytest.raises(ConfigError, match=r"holds a different audit \(seeds: \[0\] -> \[0, 1\]\); choose"):
        write(tmp_path, manifest=other)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_an_audit_of_another_version_is_refused(tmp_path):
    write(tmp_path, ALL[:1], finish=False, manifest={**MANIFEST_OF, "simeval": "0.0.1"})
    with pytest.raises(ConfigError, match=r'holds a different audit \(simeval: "0\.0\.1" -> "0\.0\.2"\); choose'):
        write(tmp_path, manifest={**MANIFEST_OF, "simeval": "0.0.2"})


def test_when_it_was_made_is_no_part_of_what_it_is(tmp_path):
    write(tmp_path, ALL[:1], finish=False)
    write(tmp_path, manifest={**MANIFEST_OF, "created": "later", "git": "other"})
    assert "created" not in Audit.load(tmp_path).manifest, "the first manifest stays"


@pytest.mark.parametrize(
    "line",
    [
        b"{}\n",
        b"nonsense\n",
        b"[]\n",
        json.dumps(row().row() | {"drift_exec": "much"}).encode() + b"\n",
        json.dumps(row().row() | {"drift_exec": float("nan")}).encode() + b"\n",
        json.dumps(row().row() | {"extra": 1}).encode() + b"\n",
        json.dumps(row().row() | {"seed": "0"}).encode() + b"\n",
    ],
)
def test_a_damaged_row_is_one_line(tmp_path, line):
    write(tmp_path)
    rows = (tmp_path / ROWS).read_bytes().splitlines(keepends=True)
    (tmp_path / ROWS).write_bytes(b"".join([rows[0], line, *rows[2:]]))
    with pytest.raises(ConfigError, match="line 2 is not a row of an audit"):
        Audit.load(tmp_path)
    with pytest.raises(ConfigError, match="line 2 is not a row of an audit"):
        write(tmp_path)


def test_rows_that_are_missing_double_or_out_of_order_are_found_out(tmp_path):
    write(tmp_path)
    rows = (tmp_path / ROWS).read_bytes().splitlines(keepends=True)
    (tmp_path / ROWS).write_bytes(b"".join(rows[:2]))
    with pytest.raises(ConfigError, match="2 rows, but the audit was finished with 4"):
        Audit.load(tmp_path)
    (tmp_path / ROWS).write_bytes(b"".join([*rows[:3], rows[0]]))
    with pytest.raises(ConfigError, match="a row is there twice"):
        Audit.load(tmp_path)
    (tmp_path / ROWS).write_bytes(b"".join(reversed(rows)))
    with pytest.raises(ConfigError, match="not in the order in which they were measured"):
        write(tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not a manifest of an audit"),
        ("{}", "not a manifest of an audit"),
        ("[]", "not a manifest of an audit"),
        (json.dumps({**MANIFEST_OF, "schema_version": 9}), "written with schema 9, this simeval reads 1"),
        (json.dumps({**MANIFEST_OF, "left_out": [{"condition": "x"}]}), "not a manifest of an audit"),
    ],
)
def test_a_damaged_manifest_is_one_line(tmp_path, text, said):
    write(tmp_path)
    (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(ConfigError, match=said) as caught:
        Audit.load(tmp_path)
    assert "\n" not in str(caught.value)


def test_folders_that_are_no_audit_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"no audit here \(it has no audit.json\)"):
        Audit.load(tmp_path)
    write(tmp_path)
    (tmp_path / MANIFEST).unlink()
    with pytest.raises(ConfigError, match="so nothing says of what"):
        write(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"Not a directory|File exists"):
        write(tmp_path / "file")
