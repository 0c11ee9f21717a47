"""What flows through a run: identities, and rows that read back as what was written."""

import json

import pytest
from helpers import toy_spec
from msgspec import ValidationError
from msgspec.structs import replace

from simeval.core.types import Counts, EpisodeResult, Execution, RealizedStrength, Timings

RESULTS = [
    EpisodeResult(
        toy_spec(condition="noise:0.3"),
        "success",
        steps=18,
        first_success=18,
        reached="original",
        instruction="touch the red block",
        timings=Timings(0.1, 0.2, 0.3, 0.4, 0.5),
        counts=Counts(18, 3, 3),
        state_digest="3d47b1345e1ecdc8",
        magnitude=RealizedStrength(1 / 3, 11.85304543018865),
    ),
    EpisodeResult(toy_spec(), "failure", steps=60, magnitude=RealizedStrength(0.0, None)),
    EpisodeResult(toy_spec(condition="latency:2"), "failure", execution=Execution((2, 2), 1, 2, 2)),
    EpisodeResult(toy_spec(task=3), "error", error_phase="policy", error_text="ValueError: ümlaut \u2028 'quoted'"),
]


def test_an_episode_is_named_by_what_it_is():
    spec = toy_spec(suite="libero_spatial", task=3, init_state=7, condition="noise:0.05")
    assert spec.id == "libero_spatial/3/init07/noise=0.05/r0"
    assert spec.pair_id == "libero_spatial/3/init07/r0"


def test_twins_share_the_pair_and_nothing_else_does():
    clean = toy_spec()
    assert replace(clean, condition="light:0.3").pair_id == clean.pair_id
    for change in ({"suite": "libero_10"}, {"task": 1}, {"init_state": 1}, {"repeat": 1}):
        assert replace(clean, **change).pair_id != clean.pair_id
        assert replace(clean, **change).id != clean.id


def test_ids_of_conditions_with_separators_stay_one_path_component():
    spec = toy_spec(condition="noise:0.3@wrist/mode=static+light:0.3")
    assert spec.id == "toy/0/init00/noise=0.3@wrist~mode=static+light=0.3/r0"
    assert len(spec.id.split("/")) == len(toy_spec().id.split("/"))


@pytest.mark.parametrize("result", RESULTS, ids=lambda result: result.spec.id)
def test_rows_read_back_as_what_was_written(result):
    text = json.dumps(result.row(), allow_nan=False)
    assert "\n" not in text
    assert EpisodeResult.from_row(json.loads(text)) == result


def test_rows_of_a_later_version_with_more_fields_can_be_read():
    row = RESULTS[0].row() | {"invented_later": 1}
    assert EpisodeResult.from_row(row) == RESULTS[0]


@pytest.mark.parametrize("key", ["spec", "timings", "counts", "magnitude", "outcome"])
def test_rows_that_lack_a_part_are_refused(key):
    row = RESULTS[0].row()
    del row[key]
    with pytest.raises(ValidationError):
        EpisodeResult.from_row(row)


def test_the_row_holds_every_field():
    fields = {"id", "pair_id", *EpisodeResult.__struct_fields__}
    assert set(replace(RESULTS[2], start_digest="0" * 16).row()) == fields
    # Rows without latency are those of versions before it.
    assert set(RESULTS[0].row()) == fields - {"execution", "start_digest"}
