"""The derived file of stages: written whole, read back, and worth nothing once an episode ran again."""

import msgspec
import pytest

from simeval.core.errors import ConfigError
from simeval.core.types import EpisodeResult, EpisodeSpec
from simeval.store import stages as store
from simeval.store.stages import EpisodeStage, current_stages, read_stages, stage_table, stages_path, write_stages

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
    assert current_stages(tmp_path, ROWS) == read_stages(tmp_path)
    first = stages_path(tmp_path).read_bytes()
    write_stages(tmp_path, STAGES)
    assert stages_path(tmp_path).read_bytes() == first
    assert [path.name for path in tmp_path.iterdir()] == ["stages.jsonl"]


@pytest.mark.parametrize(("row", "kept"), [(0, 0), (1, 1)])
def test_an_episode_that_ran_again_has_no_stage(tmp_path, row, kept):
    write_stages(tmp_path, STAGES)
    rows = list(ROWS)
    rows[row] = msgspec.structs.replace(rows[row], state_digest="cc")
    assert len(current_stages(tmp_path, rows)) == kept, "a perturbed episode's divergence is from its twin"


def test_other_thresholds_are_no_stages(tmp_path, monkeypatch):
    write_stages(tmp_path, STAGES)
    monkeypatch.setattr(store, "THRESHOLDS", store.THRESHOLDS + 1)
    assert read_stages(tmp_path) == {}


@pytest.mark.parametrize("keep", [0, 3, 40, 120, -1])
def test_damage_is_one_line_with_the_remedy(tmp_path, keep):
    write_stages(tmp_path, STAGES)
    path = stages_path(tmp_path)
    path.write_bytes(path.read_bytes()[:keep] + b"\xff")
    with pytest.raises(ConfigError, match=r"stages\.jsonl: is damaged; delete it"):
        read_stages(tmp_path)


def test_a_missing_line_and_an_unknown_stage_are_damage(tmp_path):
    write_stages(tmp_path, STAGES)
    text = stages_path(tmp_path).read_text()
    for damaged in (text[: text.rindex("{")], text.replace("wrong object", "asleep")):
        stages_path(tmp_path).write_text(damaged)
        with pytest.raises(ConfigError, match="is damaged"):
            read_stages(tmp_path)


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
