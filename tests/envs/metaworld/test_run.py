"""Meta-World by the command line: the package's experts, perturbations, resume, videos, reports."""

import dataclasses

import pytest
from helpers import call, refusal, rows

from envs import suites
from envs.suites import find_suite
from simeval import EvalConfig, evaluate

EXPERT = ("--suite", "metaworld_mt10", "--policy", "expert")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Two tasks under conditions of every kind; the expert sees no images and solves all."""
    out = tmp_path_factory.mktemp("runs") / "run"
    conditions = ("light:0.3", "noise:0.2", "camera.orbit:10", "obs.delay:2", "instruction:mismatch", "friction:0.5")
    config = EvalConfig(
        suite=("metaworld_mt10",), policy="expert", tasks="0,4", init_states="0,49", perturb=conditions, workers=0,
        out=str(out),
    )  # fmt: skip
    return evaluate(config)


def test_the_expert_solves_it_under_every_condition(run):
    by_condition = run.episodes.groupby("condition", observed=True).outcome
    assert by_condition.size().to_dict().keys() == set(run.manifest["conditions"])
    assert (by_condition.size() == 4).all()
    assert (run.episodes.outcome == "success").all()


def test_images_and_texts_do_not_change_what_the_expert_does(run):
    for _, pair in run.episodes[run.episodes.condition != "friction:0.5"].groupby(["task", "init_state"]):
        assert pair.state_digest.nunique() == 1


def test_a_mismatched_instruction_names_an_absent_object(run):
    for row in run.results:
        if row.spec.condition == "instruction:mismatch":
            assert row.instruction not in ("Reach a goal position", "Open a drawer")


def test_killed_and_resumed_it_is_the_same(run, tmp_path):
    argv = ("run", *EXPERT, "--tasks", 0, "--init-states", "0,49", "--workers", 0, "--out", tmp_path / "again")
    assert call(*argv).code == 0
    file = tmp_path / "again" / "episodes.jsonl"
    file.write_text(file.read_text().splitlines(keepends=True)[0])
    assert call(*argv).code == 0
    expected = rows(run.folder)
    for name, row in rows(tmp_path / "again").items():
        assert row["state_digest"] == expected[name]["state_digest"]


def test_a_video_runs_at_the_suites_rate(run):
    import av

    done = call("video", run.folder, "--episode", "metaworld_mt10/0/init00/camera.orbit=10/r0", "--size", 64)
    assert done.code == 0, done.err
    (path,) = (run.folder / "videos").glob("*.mp4")
    with av.open(str(path)) as file:
        assert file.streams.video[0].average_rate == 80
        assert file.streams.video[0].frames >= 30


def test_a_report_says_whose_scenes_these_are(run):
    assert call("report", run.folder).code == 0
    (page,) = (path.read_text() for path in run.folder.rglob("*.html"))
    assert "Meta-World scenes" in page
    assert "not LIBERO results" not in page


def test_a_preview(tmp_path):
    from PIL import Image

    out = tmp_path / "preview.png"
    assert call("preview", *EXPERT[:2], "--task", 8, "--size", 96, "--perturb", "light:0.3", "--out", out).code == 0
    assert Image.open(out).height > 96


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("action.noise:0.1", "written for states of 8 and actions of 7 numbers, metaworld_mt10 has 4 and 4"),
        ("proprio.noise:0.1", "written for states of 8 and actions of 7 numbers, metaworld_mt10 has 4 and 4"),
        ("noise:0.1@wrist", "metaworld_mt10 has no camera 'wrist'"),
        ("obs.delay:100ms", "'ms' counts control steps of 50 ms, those of metaworld_mt10 take 12.5 ms"),
        ("instruction:counterfactual", "no counterfactual instruction exists for the task 'Reach a goal position'"),
        ("instruction:paraphrase", "no paraphrase instruction exists for the task 'Reach a goal position'"),
    ],
)
def test_what_does_not_apply_is_refused_in_one_line(text, line):
    assert line in refusal("plan", *EXPERT, "--perturb", text)


def test_milliseconds_are_liberos_steps():
    assert call("plan", "--suite", "toy", "--policy", "seeker", "--perturb", "obs.delay:100ms").code == 0


def test_it_shares_no_run_with_libero():
    line = refusal("plan", *EXPERT, "--suite", "libero_spatial")
    assert "metaworld_mt10 has actions of 4 numbers, states of 4, cameras agentview, 80 steps a second" in line


def test_experts_of_one_suite_do_not_act_in_another(tmp_path):
    few = ("--tasks", 0, "--init-states", 0, "--out", tmp_path / "run")
    assert "--policy expert: it cannot do toy task 0" in refusal("run", "--suite", "toy", "--policy", "expert", *few)


AXES = find_suite("metaworld_mt50").inapplicable


def condition_of(axis):
    return f"{axis}:{'draw' if axis.startswith('texture') else '0.1' if axis == 'robot.qpos' else '1'}"


@pytest.mark.parametrize("axis", AXES)
def test_axes_that_no_scene_has_are_refused_before_anything_runs(axis, tmp_path):
    argv = ("run", *EXPERT, "--perturb", condition_of(axis), "--out", tmp_path / "run")
    assert f"{axis} does not apply to metaworld_mt10; {AXES[axis]}" in refusal(*argv).replace("are left out; ", "")


def test_no_scene_has_these_axes(tmp_path, monkeypatch):
    """Three scenes, one with a wall among its objects."""
    suite = dataclasses.replace(find_suite("metaworld_mt50"), inapplicable={})
    monkeypatch.setitem(suites._suites, "metaworld_mt50", suite)
    config = EvalConfig(
        suite=("metaworld_mt50",), policy="expert", tasks="0,5,30", init_states="0", workers=0,
        perturb=tuple(map(condition_of, AXES)), out=str(tmp_path / "run"),
    )  # fmt: skip
    outcomes = evaluate(config).episodes.groupby("condition", observed=True).outcome.unique()
    assert {name: list(found) for name, found in outcomes.items() if name != "none"} == {
        condition_of(axis): ["infeasible"] for axis in AXES
    }
