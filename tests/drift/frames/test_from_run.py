"""Frames of a run: the very pictures that its policy saw, drawn again under any condition that pictures can show."""

from dataclasses import replace

import numpy as np
import pytest
from helpers import exchange_trace, toy_config

from perturbations.base import axes
from perturbations.spec import parse
from simeval import EvalConfig, evaluate
from simeval.core.errors import ConfigError
from simeval.core.seeding import PairStreams
from simeval.drift.frames.from_run import RunFrames
from simeval.policies.base import PolicySpec
from simeval.policies.registry import PolicyChoice, load_policy
from simeval.policies.scripted import SeekerPolicy
from simeval.store.assets import assets_of
from simeval.store.run import Run

VISIBLE = (
    *("light:0.4", "camera.shift:7@agentview", "tint.object:0.9", "texture.table:draw", "noise:0.2"),
    *("occlusion:0.3@agentview", "instruction:counterfactual", "instruction:empty", "light:0.5+noise:0.1/seed=3"),
    "proprio.noise:1",
)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    config = toy_config(tmp_path_factory.mktemp("frames") / "run", perturb=(*VISIBLE, "freeze:0.5", "friction:0.5"))
    return evaluate(config)


@pytest.fixture
def frames(run):
    def opened(kind="start", **options) -> RunFrames:
        return RunFrames.open(run, None, policy=SeekerPolicy.spec, kind=kind, **options)

    return opened


def predicted(source: RunFrames, condition: str, seed: int = 0, policy=None, **options) -> dict[str, np.ndarray]:
    views = list(source.views(source.frames(), parse(condition), seed, **options))
    assert [view.infeasible for view in views] == [""] * len(views)
    policy = policy or SeekerPolicy()
    return {view.frame.id: policy.act([view.request])[0] for view in views}


def stored(run: Run, condition: str) -> dict[str, np.ndarray]:
    """First chunks of a condition's own rollouts, by the id of their start frame."""
    results = [result for result in run.results if result.spec.condition == condition]
    return {f"{r.spec.pair_id}@0": run.trace(r.spec).chunks[0] for r in results}


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[key], other[key]) for key in one)


def test_start_frames_are_the_first_of_every_clean_episode(run, frames):
    listed = frames().frames()
    assert [frame.id for frame in listed] == [f"toy/{task}/init0{i}/r0@0" for task in (0, 2) for i in (0, 1)]
    assert {(frame.source, frame.step, frame.chunk, frame.suite) for frame in listed} == {("start", 0, 0, "toy")}
    assert [frame.cluster for frame in listed] == ["toy/0/init00", "toy/0/init01", "toy/2/init00", "toy/2/init01"]


def test_replayed_frames_are_where_the_policy_looked(run, frames):
    looked = {
        f"{r.spec.pair_id}@{step}"
        for r in run.results
        if r.spec.condition == "none"
        for step in run.trace(r.spec).chunk_steps
    }
    assert {frame.id for frame in frames("replay", per_episode=100).frames()} == looked
    few = frames("replay", per_episode=2).frames()
    assert len(few) == 8
    assert {frame.id for frame in few} < looked
    assert [frame.step for frame in few][::2] == [0] * 4, "both ends of an episode"
    assert len(frames("replay", per_episode=2, max_frames=3).frames()) == 3


@pytest.mark.parametrize("kind", ["start", "replay"])
def test_clean_views_give_the_chunks_of_the_rollout_bit_for_bit(run, frames, kind):
    source = frames(kind, per_episode=3)
    views = list(source.views(source.frames(), parse("none"), 0))
    assert all(np.array_equal(SeekerPolicy().act([view.request])[0], view.recorded) for view in views)
    assert len({view.recorded.tobytes() for view in views}) > 3
    assert all(view.recorded is None for view in source.views(source.frames(), parse("none"), 1)), "other streams"


@pytest.mark.parametrize("condition", VISIBLE)
def test_a_condition_on_a_start_frame_gives_the_first_chunk_of_its_own_rollout(run, frames, condition):
    """Scene, picture, state, words and their random draws are those of the rollout, whatever was drawn before."""
    source = frames()
    predicted(source, "light:0.1")
    assert same(predicted(source, condition), stored(run, condition))


def test_conditions_leave_nothing_behind(frames):
    """On one episode, where no reset comes between."""
    source = frames("replay", per_episode=2)
    source.listed = source.listed[:2]

    def pictures() -> list[bytes]:
        views = source.views(source.frames(), parse("none"), 0)
        return [view.request.observation.images["agentview"].tobytes() for view in views]

    before = pictures()
    for condition in VISIBLE:
        predicted(source, condition)
        assert pictures() == before, condition


def test_a_scene_is_put_back_at_once_and_a_clean_view_is_drawn_anew(run, frames):
    source = frames()
    first = source.frames()[:1]
    (clean,) = source.views(first, parse("none"), 0)
    (dark,) = source.views(first, parse("light:0.1"), 0)
    (again,) = source.views(first, parse("none"), 0)
    before, after = (view.request.observation.images["agentview"] for view in (clean, again))
    assert dark.mean_abs > 50
    assert before is not after, "drawn anew"
    assert np.array_equal(before, after)


def test_what_is_shown_over_time_depends_on_every_look_before(run, frames):
    """Thinned or not, in whatever order: a frozen camera shows what it showed in the episode."""
    whole = predicted(frames("replay", per_episode=100), "freeze:0.5")
    few = frames("replay", per_episode=2)
    alone = {}
    for frame in reversed(few.frames()):
        (view,) = few.views([frame], parse("freeze:0.5"), 0)
        alone[frame.id] = SeekerPolicy().act([view.request])[0]
    assert all(np.array_equal(alone[key], whole[key]) for key in alone)
    clean = predicted(frames("replay", per_episode=100), "none")
    assert any(not np.array_equal(whole[key], clean[key]) for key in whole)


def test_all_views_of_a_frame_share_one_sampling_noise_and_the_floor_has_another(frames):
    source = frames("replay", per_episode=3)

    def seeds(condition: str, seed: int, **options) -> list[int]:
        return [view.request.noise_seed for view in source.views(source.frames(), parse(condition), seed, **options)]

    assert seeds("none", 0) == seeds("noise:0.2", 0) == seeds("light:0.4", 0)
    everything = [*seeds("none", 0), *seeds("none", 1), *seeds("none", 0, floor=True)]
    assert len(set(everything)) == len(everything)
    frame = source.frames()[1]
    streams = PairStreams.of(next(r.spec for r in source.run.results if r.spec.pair_id == frame.pair_id))
    assert seeds("none", 0)[1] == streams.policy_seed(frame.chunk)


def test_another_seed_draws_another_perturbation(frames):
    source = frames()
    one, other = ([v.psnr for v in source.views(source.frames(), parse("noise:0.2"), seed)] for seed in (0, 1))
    assert one != other
    assert np.allclose(one, other, atol=0.5)


def test_every_axis_is_either_shown_or_refused_with_a_reason(frames):
    source = frames()
    channels = {}
    for info in axes():
        why = source.unsupported_reason(parse(info.example))
        channels.setdefault(info.channel, set()).add(bool(why))
    assert channels == {
        **{name: {True} for name in ("physics", "timing", "action", "latency")},
        **{name: {False} for name in ("language", "scene", "image", "state")},
    }


@pytest.mark.parametrize(
    ("condition", "kind", "why"),
    [
        ("friction:0.5", "start", "friction:0.5: it changes how objects stand or move"),
        ("noise:0.1+obs.delay:3", "replay", "obs.delay:3: it changes when the policy looks"),
        ("action.noise:0.1", "start", "it changes what the robot does"),
        ("latency:2", "start", "it changes when an answer is there"),
        ("noise:0.1/from=20", "start", "it begins later than the first frame; use --frames replay"),
        ("noise:0.1/from=20", "replay", ""),
        ("friction:1", "start", ""),
        ("none", "start", ""),
    ],
)
def test_what_drift_cannot_see_is_refused(frames, condition, kind, why):
    found = frames(kind).unsupported_reason(parse(condition))
    assert found.startswith(why) if not why.startswith("it") else why in found
    assert bool(found) == bool(why)


def test_a_condition_that_is_infeasible_here_says_why_and_shows_the_clean_view(run, frames):
    source = frames()
    views = list(source.views(source.frames(), parse("occlusion:0.2/target=teapot_1"), 0))
    assert all("teapot_1: no such object" in view.infeasible for view in views)
    clean = list(source.views(source.frames(), parse("none"), 0))
    for view, other in zip(views, clean, strict=True):
        images = (v.request.observation.images["agentview"] for v in (view, other))
        assert np.array_equal(*images)


def test_another_policy_has_its_own_eyes_and_nothing_recorded(run):
    spec = PolicySpec("other", n_action_steps=2, cameras=("wrist", "agentview"))
    source = RunFrames.open(run, None, policy=spec)
    (view, *_) = source.views(source.frames(), parse("none"), 0)
    assert set(view.request.observation.images) == {"wrist", "agentview"}
    assert view.recorded is None


def test_identity_says_which_frames_and_changes_with_them(frames):
    ways = [frames(), frames("replay"), frames("replay", per_episode=2), frames(max_frames=3)]
    assert len({str(dict(source.identity)) for source in ways}) == 4
    assert dict(frames().identity) == dict(frames().identity)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"kind": "strat"}, "--frames: no 'strat'; did you mean 'start'?"),
        ({"per_episode": 0}, r"--per-episode 0: must be at least 1"),
        ({"max_frames": 0}, r"--max-frames 0: must be at least 1"),
    ],
)
def test_impossible_choices_are_refused(frames, options, said):
    with pytest.raises(ConfigError, match=said.replace("?", r"\?")):
        frames(**options)


def test_start_frames_need_no_traces_and_replayed_ones_do(tmp_path):
    run = evaluate(toy_config(tmp_path / "run", perturb=(), traces="none"))
    source = RunFrames.open(run, None, policy=SeekerPolicy.spec)
    views = list(source.views(source.frames(), parse("noise:0.2"), 0))
    assert len(views) == 4
    with pytest.raises(ConfigError, match="no traces were kept of clean episodes; use --frames start"):
        RunFrames.open(run, None, policy=SeekerPolicy.spec, kind="replay")


def test_a_run_that_stopped_early_gives_what_it_has_and_says_so(run, tmp_path):
    (tmp_path / "manifest.json").write_text((run.folder / "manifest.json").read_text())
    lines = (run.folder / "episodes.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "episodes.jsonl").write_text("".join(lines[:15]))
    source = RunFrames.open(Run.load(tmp_path), None, policy=SeekerPolicy.spec)
    assert 1 <= len(source.frames()) < 4
    assert "the run is unfinished: 15 of" in " ".join(source.notes)
    (tmp_path / "episodes.jsonl").write_text("")
    with pytest.raises(ConfigError, match="no clean episode of this run has come to an end"):
        RunFrames.open(Run.load(tmp_path), None, policy=SeekerPolicy.spec)


def test_where_the_motion_is_another_the_stored_states_are_shown(run, tmp_path):
    """As on a machine that computes other bits: no rollout is reproduced there, and nothing breaks."""
    for name in ("manifest.json", "episodes.jsonl"):
        (tmp_path / name).write_text((run.folder / name).read_text())
    spec = next(r.spec for r in run.results if r.spec.condition == "none")
    trace = run.trace(spec)
    moved = trace.states.copy()
    moved[3:, 1] += 0.05
    exchange_trace(tmp_path, spec, replace(trace, states=moved))
    source = RunFrames.open(Run.load(tmp_path), None, policy=SeekerPolicy.spec, kind="replay", per_episode=2)
    first, last = source.views(source.frames()[:2], parse("none"), 0)
    (_, original) = RunFrames.open(run, None, policy=SeekerPolicy.spec, kind="replay", per_episode=2).views(
        source.frames()[:2], parse("none"), 0
    )
    assert np.array_equal(SeekerPolicy().act([first.request])[0], first.recorded)
    shift = last.request.observation.state - original.request.observation.state
    assert shift[0] == pytest.approx(0.05, abs=1e-3)


def test_a_damaged_trace_is_one_line(run, tmp_path):
    for name in ("manifest.json", "episodes.jsonl"):
        (tmp_path / name).write_text((run.folder / name).read_text())
    spec = next(r.spec for r in run.results if r.spec.condition == "none")
    exchange_trace(tmp_path, spec, replace(run.trace(spec), states=np.zeros((200, 5))))
    source = RunFrames.open(Run.load(tmp_path), None, policy=SeekerPolicy.spec)
    with pytest.raises(ConfigError, match="toy/0/init00/r0@0, none: a state of this scene has shape"):
        list(source.views(source.frames()[:1], parse("none"), 0))


@pytest.fixture(scope="module")
def libero(tmp_path_factory) -> Run:
    out = str(tmp_path_factory.mktemp("libero") / "run")
    wanted = ("light:0.4", "occlusion:0.2", "camera.orbit:10@agentview", "light.shadow:on")
    return evaluate(EvalConfig(tasks="2", init_states="0", perturb=wanted, workers=0, device="cpu", out=out))


@pytest.mark.timeout(900)
def test_the_bundled_policy_sees_the_same_in_libero_bit_for_bit(libero):
    policy = load_policy(PolicyChoice("bundled", device="cpu"))
    source = RunFrames.open(libero, assets_of(libero), policy=policy.spec, kind="replay", per_episode=4)
    clean = stored(libero, "none")[source.frames()[0].id]
    for condition in ("light:0.4", "none", "occlusion:0.2", "camera.orbit:10@agentview", "light.shadow:on", "none"):
        views = list(source.views(source.frames(), parse(condition), 0))
        if condition == "none":
            assert len(views) == 4
            assert all(np.array_equal(policy.act([view.request])[0], view.recorded) for view in views)
        else:
            first = policy.act([views[0].request])[0]
            assert np.array_equal(first, stored(libero, condition)[views[0].frame.id])
            assert not np.array_equal(first, clean)
    source.close()
