"""The main job with a real (small, random-weight) SmolVLA checkpoint: through the front door, from pixels to rows."""

import pytest

from simeval import EvalConfig, evaluate

PERTURB = ("noise:0.05,0.2", "instruction:empty")


def rows(run):
    """Everything of a run's rows but the clock."""
    found = [result.row() for result in run.results]
    return [{key: value for key, value in row.items() if key != "timings"} for row in found]


@pytest.fixture(scope="module")
def serial(tiny_smolvla, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "serial"
    return evaluate(toy_config(tiny_smolvla, out, workers=0))


def toy_config(checkpoint, out, **how):
    return EvalConfig(
        suite=("toy",), tasks="0,2", init_states="0", perturb=PERTURB, policy=str(checkpoint), out=str(out), **how
    )


def test_every_planned_episode_ran_and_reacted_to_its_perturbation(serial):
    assert [r.outcome for r in serial.results].count("error") == 0
    by_condition = {}
    for result in serial.results:
        by_condition.setdefault(result.spec.condition, []).append(result)
    assert list(by_condition) == ["none", "noise:0.05", "noise:0.2", "instruction:empty"]
    for condition, results in by_condition.items():
        if condition != "none":
            changed = [a.state_digest != b.state_digest for a, b in zip(results, by_condition["none"], strict=True)]
            assert all(changed), condition
    assert {r.instruction for r in by_condition["instruction:empty"]} == {""}
    assert all(r.counts.policy_calls <= 6 and r.counts.renders == 2 * r.counts.policy_calls for r in serial.results)


@pytest.mark.parametrize("inference", ["worker", "actor"])
def test_rows_do_not_depend_on_where_the_policy_runs(serial, tiny_smolvla, tmp_path, inference):
    workers = {"worker": 1, "actor": 2}[inference]
    run = evaluate(toy_config(tiny_smolvla, tmp_path / "run", workers=workers, inference=inference))
    assert rows(run) == rows(serial)
    assert run.manifest["identity"] == serial.manifest["identity"]


@pytest.mark.official
def test_all_four_main_suites_with_a_noise_sweep_and_another_instruction(tiny_smolvla, official_assets, tmp_path):
    suites = ("libero_spatial", "libero_object", "libero_goal", "libero_10")
    config = EvalConfig(
        suite=suites,
        tasks="0",
        init_states="0",
        perturb=PERTURB,
        policy=str(tiny_smolvla),
        n_action_steps=50,
        assets=str(official_assets),
        workers=0,
        out=str(tmp_path / "run"),
    )
    run = evaluate(config)
    assert run.episodes.groupby("suite", observed=True).size().to_dict() == dict.fromkeys(suites, 4)
    assert set(run.episodes["outcome"]) <= {"success", "failure"}
    assert run.episodes.groupby("suite", observed=True)["state_digest"].nunique().eq(4).all()
    assert "official assets" in run.manifest["assets"]
    longest = {"libero_spatial": 220, "libero_object": 280, "libero_goal": 300, "libero_10": 520}
    for result in run.results:
        assert result.counts.renders == 2 * result.counts.policy_calls == 2 * -(-longest[result.spec.suite] // 50)
