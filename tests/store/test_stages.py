"""The derived file of stages: written whole, read back, and worth nothing once an episode ran again."""

import msgspec
import pytest

from simeval.core.errors import ConfigError
from simeval.core.types import EpisodeResult, EpisodeSpec
from simeval.store import stages as store
from simeval.store.stages import (
    DamagedStagesError,
    EpisodeStage,
    available_stages,
    current_stages,
    read_stages,
    stage_table,
    stages_path,
    write_stages,
)

SPEC = EpisodeSpec("toy", 0, 3, "none", 0, 0, 0, 60, 0, 32)
DARK = msgspec.structs.replace(SPEC, condition="light:0.4")
ROWS = (EpisodeResult(SPEC, "success", state_digest="aa"), EpisodeResult(DARK, "failure", state_digest="bb"))
STAGES = (
    EpisodeStage(id=SPEC.id, digest="aa", stage="success"),
    EpisodeStage(id=DARK.id, digest="bb", twin="aa", stage="wrong object", object="red_block", atom="touch blue_block",
                 divergence_step=7, divergence_m=0.06),
)  # fmt: skip


def test_what_was_written_is_read_and_nothing_else_changes(tmp_path):
    assert read_stages(tmp_path) == {}
    write_stages(tmp_path, STAGES)
    assert read_stages(tmp_path) == {stage.id: stage for stage in STAGES}
    assert current_stages(read_stages(tmp_path), ROWS) == read_stages(tmp_path)
    first = stages_path(tmp_path).read_bytes()
    write_stages(tmp_path, STAGES)
    assert stages_path(tmp_path).read_bytes() == first
    assert [path.name for path in tmp_path.iterdir()] == ["stages.jsonl"]


@pytest.mark.parametrize(("row", "kept"), [(0, 0), (1, 1)])
def test_an_episode_that_ran_again_has_no_stage(tmp_path, row, kept):
    write_stages(tmp_path, STAGES)
    rows = list(ROWS)
    rows[row] = msgspec.structs.replace(rows[row], state_digest="cc")
    assert len(current_stages(read_stages(tmp_path), rows)) == kept, "a perturbed episode's divergence is from its twin"


def test_other_thresholds_are_no_stages(tmp_path, monkeypatch):
    write_stages(tmp_path, STAGES)
    monkeypatch.setattr(store, "THRESHOLDS", store.THRESHOLDS + 1)
    assert read_stages(tmp_path) == {}


def damaged(folder) -> DamagedStagesError:
    with pytest.raises(DamagedStagesError) as caught:
        read_stages(folder)
    assert str(caught.value).startswith(f"{stages_path(folder)}: ")
    assert str(caught.value).endswith(f"; simeval show {folder} --stages computes again what is missing")
    assert available_stages(folder) == (caught.value.intact, str(caught.value))
    return caught.value


@pytest.mark.parametrize(
    ("keep", "what", "left"),
    [
        (0, "line 1 is damaged", 0),
        (3, "line 1 is damaged", 0),
        (70, "line 2 is damaged", 0),
        (140, "line 2 is damaged", 0),
        (-1, "line 3 is damaged", 1),
    ],
)
def test_a_torn_file_is_one_line_and_keeps_what_is_whole(tmp_path, keep, what, left):
    write_stages(tmp_path, STAGES)
    path = stages_path(tmp_path)
    lengths = [len(line) for line in path.read_bytes().splitlines(keepends=True)]
    assert lengths[0] < 70 < 140 < sum(lengths[:2]), "the cuts are where the table says"
    path.write_bytes(path.read_bytes()[:keep] + b"\xff")
    error = damaged(tmp_path)
    assert error.what.startswith(what)
    assert len(error.intact) == left


def test_every_changed_byte_is_noticed(tmp_path):
    """Also one that leaves a sound entry, as another step or another stage."""
    write_stages(tmp_path, STAGES)
    path, sound = stages_path(tmp_path), stages_path(tmp_path).read_bytes()
    for place in range(len(sound)):
        changed = bytearray(sound)
        changed[place] ^= 1
        path.write_bytes(bytes(changed))
        error = damaged(tmp_path)
        assert all(error.intact[name] == read for read in STAGES if (name := read.id) in error.intact)


@pytest.mark.parametrize(
    ("lines", "what"),
    [
        ((0, 1), "is damaged: 1 entries, not 2 different ones"),
        ((0, 1, 1), "is damaged: 2 entries, not 2 different ones"),
        ((0, 1, 2, 2), "is damaged: 3 entries, not 2 different ones"),
    ],
)
def test_lines_that_are_missing_or_there_twice_are_damage(tmp_path, lines, what):
    write_stages(tmp_path, STAGES)
    sound = stages_path(tmp_path).read_bytes().splitlines(keepends=True)
    stages_path(tmp_path).write_bytes(b"".join(sound[place] for place in lines))
    assert damaged(tmp_path).what == what


def test_an_unknown_stage_is_damage(tmp_path):
    write_stages(tmp_path, [msgspec.structs.replace(STAGES[1], stage="asleep"), STAGES[0]])
    error = damaged(tmp_path)
    assert (error.what, list(error.intact)) == ("line 2 is damaged", [SPEC.id])


def test_a_file_of_the_first_version_had_no_checksums_and_is_read(tmp_path):
    lines = [{"schema_version": 1, "thresholds": store.THRESHOLDS, "episodes": 2}, *STAGES]
    stages_path(tmp_path).write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    assert read_stages(tmp_path) == {stage.id: stage for stage in STAGES}
    text = stages_path(tmp_path).read_text()
    stages_path(tmp_path).write_text(text.replace('"schema_version":1', '"schema_version":2'))
    assert damaged(tmp_path).what.startswith("line 1 is damaged"), "later ones have"


def test_a_later_version_is_refused(tmp_path):
    stages_path(tmp_path).write_text('{"schema_version":99,"thresholds":1,"episodes":0}\n')
    with pytest.raises(ConfigError, match="later simeval"):
        read_stages(tmp_path)


def test_a_link_out_of_the_folder_is_not_followed(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "other").write_text("{}")
    stages_path(tmp_path / "run").symlink_to(tmp_path / "other")
    with pytest.raises(ConfigError, match="is a link out of the run folder"):
        read_stages(tmp_path / "run")
    with pytest.raises(ConfigError, match="is a link out of the run folder"):
        write_stages(tmp_path / "run", STAGES)


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    with pytest.raises(ConfigError, match=r"stages\.jsonl: cannot be written \(No such file or directory\)"):
        write_stages(tmp_path / "missing", STAGES)


def test_columns_have_the_same_types_with_and_without_values():
    full, empty = stage_table(STAGES), stage_table(())
    assert list(full) == list(empty)
    assert list(full.dtypes) == list(empty.dtypes)
    assert full["divergence_cm"].tolist()[1] == 6.0
    assert full["stage_object"].isna().tolist() == [True, False]
