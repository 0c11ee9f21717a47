"""The vectors behind an audit's rows: kept exactly, through interruptions, and compared condition by condition."""

import numpy as np
import pytest

from simeval.core.drift_row import FLOOR, DriftRow
from simeval.core.errors import ConfigError
from simeval.core.types import CLEAN
from simeval.drift.representation import SET_DISTANCES, set_distances
from simeval.drift.vectors import FILE, VectorWriter, read_vectors, set_drift

NUMBERS = dict.fromkeys(("drift_exec", "drift_first", "drift_chunk", "l2_raw", "xyz_sum", "gripper_flip"), 0.0)


def row(frame: int, condition: str, seed: int = 0) -> DriftRow:
    about = {"source": "start", "cluster": "a", "step": 0, "suite": "toy", "task": 0, "pair_id": None}
    rest = {"mean_abs": 0.0, "psnr": None, "instruction": ""}
    return DriftRow(frame=f"toy/{frame}", condition=condition, seed=seed, **about, **NUMBERS, **rest)


def measured(conditions=("noise:0.1", "blur.gaussian:3"), count: int = 8) -> tuple[list[DriftRow], dict]:
    """Rows of an audit, and their vectors: noise moves the vision, blur moves nothing."""
    rng = np.random.default_rng(0)
    clean = rng.normal(size=(count, 3, 5)).astype(np.float32)
    noise = clean.copy()
    noise[:, 0] += rng.normal(size=(count, 5)).astype(np.float32)
    by = {"noise:0.1": noise, "blur.gaussian:3": clean, CLEAN: clean, FLOOR: clean}
    rows = [row(k, condition) for condition in (*conditions, CLEAN, FLOOR) for k in range(count)]
    return rows, {r.key: by[r.condition][int(r.frame[4:])] for r in rows}


def written(folder, vectors):
    with VectorWriter(folder) as writer:
        writer.append(list(vectors.items()))


def test_vectors_come_back_bit_by_bit(tmp_path):
    _, vectors = measured()
    written(tmp_path, vectors)
    found = read_vectors(tmp_path)
    assert list(found) == list(vectors)
    assert all(np.array_equal(found[key], vectors[key]) for key in vectors)
    assert read_vectors(tmp_path / "nowhere") == {}


def test_each_condition_is_compared_with_the_clean_frames():
    rows, vectors = measured()
    noise, blur = set_drift(rows, vectors)
    assert (noise.condition, noise.n, blur.condition) == ("noise:0.1", 8, "blur.gaussian:3")
    clean, noisy = (np.array([vectors[f"toy/{k}", c, 0] for k in range(8)]) for c in (CLEAN, "noise:0.1"))
    assert noise.distances == set_distances(clean, noisy)
    assert dict(noise.distances)["vision_cka"] > 0.05
    assert blur.distances == tuple((name, 0.0) for name in SET_DISTANCES)


def test_frames_without_vectors_are_left_out():
    rows, vectors = measured()
    del vectors["toy/3", "noise:0.1", 0], vectors["toy/5", CLEAN, 0]
    noise, blur = set_drift(rows, vectors)
    assert (noise.n, blur.n) == (6, 7)
    assert set_drift(rows, {}) == ()


def test_an_interrupted_file_is_continued(tmp_path):
    rows, vectors = measured()
    written(tmp_path, vectors)
    whole = (tmp_path / FILE).read_bytes()
    lines = whole.splitlines(keepends=True)
    torn = b"".join(lines[:10]) + lines[10][:30]
    (tmp_path / FILE).write_bytes(torn)
    assert len(read_vectors(tmp_path)) == 10
    # The last two were written but their rows were not: they are measured again.
    written(tmp_path, dict(list(vectors.items())[8:]))
    assert (tmp_path / FILE).read_bytes().startswith(b"".join(lines[:10]))
    assert set_drift(rows, read_vectors(tmp_path)) == set_drift(rows, vectors)


DAMAGED = ("[", "{}", '["a", "none", 0]', '["a", "none", 0, "AAAA"]', '["a", "none", 0, "!"]', '["a", "b", "c", ""]')


@pytest.mark.parametrize("line", DAMAGED)
def test_damage_is_named(tmp_path, line):
    (tmp_path / FILE).write_text(line + "\n")
    with pytest.raises(ConfigError, match=r"vectors.jsonl: line 1 is not the vectors"):
        read_vectors(tmp_path)


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"vectors.jsonl: No such file"):
        VectorWriter(tmp_path / "nowhere")
