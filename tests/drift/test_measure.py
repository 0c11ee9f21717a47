"""Measuring: batches over frames and conditions, one clean prediction per frame, an exact repeat control."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from helpers import toy_config

from perturbations.base import MULTIPLIER, AxisInfo, Stage, axes, register, unregister_all_but
from perturbations.spec import parse
from simeval import evaluate
from simeval.core.drift_row import FLOOR
from simeval.core.errors import ConfigError
from simeval.drift.frames.from_run import RunFrames
from simeval.drift.measure import Measurement, keys, measure
from simeval.policies.base import PolicySpec
from simeval.policies.scripted import RandomPolicy, SeekerPolicy
from simeval.stats.drift import ActionScale, chunk_drift
from simeval.store.run import Run

CONDITIONS = ("noise:0.3", "light:0.1", "instruction:counterfactual", "occlusion:0.2/target=teapot_1")
UNIT = (1.0,) * 6


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    return evaluate(toy_config(tmp_path_factory.mktemp("measure") / "run", perturb=()))


@pytest.fixture
def source(run) -> RunFrames:
    return RunFrames.open(run, None, policy=SeekerPolicy.spec, kind="replay", per_episode=3)


def wanted(*conditions: str, seeds=(0,), **options) -> Measurement:
    chosen = tuple(parse(text) for text in conditions or CONDITIONS)
    return Measurement(chosen, seeds, ActionScale(UNIT, SeekerPolicy.spec.n_action_steps), **options)


def rows(source, policy, what: Measurement, **options) -> list:
    return [one.row for found in measure(source, policy, what, **options) for one in found]


class Counting(SeekerPolicy):
    """The seeker, that remembers what it was asked."""

    def __init__(self):
        self.calls = []

    def act(self, inputs):
        self.calls.append(list(inputs))
        return super().act(inputs)


def test_rows_come_in_the_order_of_their_keys_each_once(source):
    what = wanted(seeds=(0, 5))
    found = rows(source, SeekerPolicy(), what)
    assert [row.key for row in found] == keys(source.frames(), what)
    assert len({row.key for row in found}) == len(found) == 12 * 2 * 6
    assert {row.condition for row in found} == {*CONDITIONS, "none", FLOOR}


def test_drift_is_that_of_two_predictions_with_the_same_noise(source):
    """Against the bare sum: predict the clean and the perturbed view by hand, compare the chunks."""
    for row in rows(source, SeekerPolicy(), wanted("noise:0.3", "instruction:counterfactual")):
        frame = next(frame for frame in source.frames() if frame.id == row.frame)
        text = "none" if row.condition == FLOOR else row.condition
        views = [next(source.views([frame], parse(name), 0)) for name in ("none", text)]
        clean, other = SeekerPolicy().act([view.request for view in views])
        drift = chunk_drift(clean, other, ActionScale(UNIT, 6))
        assert (row.drift_exec, row.l2_raw) == (float(drift.drift_exec), float(drift.l2_raw))
        assert row.instruction == views[1].request.instruction
        assert (row.mean_abs, row.psnr) == (views[1].mean_abs, views[1].psnr)


def test_some_conditions_move_the_action_and_the_repeat_control_does_not(source):
    found = rows(source, SeekerPolicy(), wanted())
    by = {name: [row for row in found if row.condition == name] for name in {row.condition for row in found}}
    assert all(row.drift_exec == row.drift_chunk == row.l2_raw == row.gripper_flip == 0 for row in by["none"])
    assert all(row.reproduced for row in by["none"])
    assert all(row.reproduced is None for name, group in by.items() if name != "none" for row in group)
    assert np.mean([row.drift_exec for row in by["instruction:counterfactual"]]) > 0.2
    infeasible = by["occlusion:0.2/target=teapot_1"]
    assert all(row.drift_exec is None and "no such object" in row.infeasible for row in infeasible)


def test_the_floor_is_the_drift_between_two_sampling_noises(run):
    source = RunFrames.open(run, None, policy=RandomPolicy().spec)
    what = replace(wanted("noise:0.3"), scale=ActionScale(UNIT, 10))
    found = rows(source, RandomPolicy(), what)
    drifts = {name: [row.drift_exec for row in found if row.condition == name] for name in ("noise:0.3", "none", FLOOR)}
    assert set(drifts["noise:0.3"]) == set(drifts["none"]) == {0.0}, "the noise is shared, and it sees nothing else"
    assert min(drifts[FLOOR]) > 0.5


@pytest.mark.parametrize("size", [1, 4, 64])
def test_batches_are_full_and_the_clean_prediction_is_made_once(source, size):
    policy, what = Counting(), wanted(batch_size=size)
    found = rows(source, policy, what)
    sizes = [len(call) for call in policy.calls]
    assert set(sizes[:-1]) <= {size}
    assert sizes[-1] <= size
    infeasible = sum(bool(row.infeasible) for row in found)
    assert sum(sizes) == what.predictions(12) - infeasible
    assert found == rows(source, SeekerPolicy(), wanted())


def test_what_is_done_is_neither_drawn_nor_predicted_again(source):
    what = wanted("noise:0.3", seeds=(0, 1))
    whole = rows(source, SeekerPolicy(), what)
    for split in (1, 7, 13, 40):
        policy = Counting()
        rest = rows(source, policy, what, done=[row.key for row in whole[:split]])
        assert [*whole[:split], *rest] == whole
        assert sum(map(len, policy.calls)) < what.predictions(12)
    assert rows(source, Counting(), what, done=[row.key for row in whole]) == []


def test_views_are_drawn_as_they_are_needed(source):
    """Memory: of twelve frames, only those of the episode at work have been looked at when the first rows are there."""
    looked = []
    drawn = source.views
    source.views = lambda frames, *rest, **options: (looked.extend(frames), drawn(frames, *rest, **options))[1]
    list(islice(measure(source, SeekerPolicy(), wanted("noise:0.3")), 8))
    assert {frame.cluster for frame in looked} == {source.frames()[0].cluster}


class Forgetful(SeekerPolicy):
    """Its answer depends on how often it was asked."""

    def __init__(self):
        self.calls = 0

    def act(self, inputs):
        self.calls += 1
        return [chunk + np.float32(1e-6 * self.calls) for chunk in super().act(inputs)]


def test_a_policy_that_does_not_repeat_itself_stops_the_audit(source):
    with pytest.raises(ConfigError) as caught:
        rows(source, Forgetful(), wanted("noise:0.3"))
    text = str(caught.value)
    assert text.startswith(
        "repeat control: the clean frame toy/0/init00/r0@0, seed 0, was predicted twice and drifts by"
    )
    assert "must be 0" in text
    assert "\n" not in text


def test_rows_before_a_failed_repeat_control_are_kept(source):
    what, kept = wanted("noise:0.3", batch_size=4), []

    def go_on():
        for part in measure(source, Forgetful(), what):
            kept.extend(one.row.key for one in part)

    with pytest.raises(ConfigError, match="repeat control"):
        go_on()
    assert kept == keys(source.frames(), what)[: len(kept)]
    assert len(kept) == 3, "the three of the condition, which come before the control"


def test_a_scene_axis_that_writes_what_it_does_not_declare_is_found_out(source):
    known = {info.name for info in axes()}
    about = {"unit": MULTIPLIER, "value_means": "light, kept to itself", "source": "a test", "bounds": (0.0, 1.0)}

    @register(
        AxisInfo(
            name="sneaky", stage=Stage.SCENE, family="V", identity=1.0, presets=(0.1,) * 5, writes=("cam_fovy",),
            draws=False, **about,
        )
    )  # fmt: skip
    def sneaky(scene, value, rng):
        scene.model.vis.headlight.ambient[:] *= value
        scene.model.vis.headlight.diffuse[:] *= value

    try:
        with pytest.raises(ConfigError, match="repeat control: the clean frame"):
            rows(source, SeekerPolicy(), wanted("sneaky:0.1"))
    finally:
        unregister_all_but(known)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (np.zeros((3, 7), np.float32), "a chunk of shape (3, 7), not (>=6, 7)"),
        (np.full((10, 7), np.nan, np.float32), "an action that is not finite"),
        (np.ma.masked_all((10, 7), np.float32), "an action that is masked, so no number"),
        (None, "broke on toy/0/init00/r0@0 or one of"),
    ],
)
def test_answers_that_are_no_chunks_are_one_line(source, answer, said):
    class Broken(SeekerPolicy):
        spec = PolicySpec("broken", n_action_steps=6, cameras=("agentview",))

        def act(self, inputs):
            if answer is None:
                raise RuntimeError("out of\nmemory")
            return [answer for _ in inputs]

    with pytest.raises(ConfigError) as caught:
        rows(source, Broken(), wanted("noise:0.3"))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_plan_of_many_frames_of_one_cluster_is_worked_on_in_blocks(run):
    source = RunFrames.open(run, None, policy=SeekerPolicy.spec, kind="replay", per_episode=1000)
    spread = [replace(frame, cluster="one") for frame in source.frames()]
    source.listed = tuple(spread)
    what = wanted("noise:0.3", seeds=(0, 1))
    assert [row.key for row in rows(source, SeekerPolicy(), what)] == keys(spread, what)
