"""How the bundled policy is made: demonstrations, objective, resumable training, export."""

from pathlib import Path

import numpy as np
import pytest
import torch

from envs.base import Observation
from envs.libero.files import init_states
from envs.sim.rendering import select_backend
from envs.suites import other_goals, tasks

select_backend()

from simeval.policies import lerobot  # noqa: E402  (after the backend is chosen)
from simeval.policies.base import PolicyInput, PolicySpec  # noqa: E402
from simeval.policies.bundled import demonstrations  # noqa: E402
from simeval.policies.bundled.architecture import build  # noqa: E402
from simeval.policies.bundled.fitting import Settings, Trainer  # noqa: E402
from simeval.policies.bundled.layout import CHUNK, EDGE  # noqa: E402
from simeval.policies.bundled.objective import Objective  # noqa: E402
from simeval.policies.bundled.train import main  # noqa: E402

TASK = tasks("libero_spatial")[0]


@pytest.fixture(scope="module")
def scene():
    scene = demonstrations.bundled_scene(TASK)
    yield scene
    scene.close()


@pytest.fixture(scope="module")
def recordings(scene, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("recordings")
    for seed in range(2):
        episode = demonstrations.collect_demos(scene, seed)
        assert episode is not None
        demonstrations.write(episode, folder / f"{seed}.npz")
    return folder


@pytest.fixture(scope="module")
def policy(tmp_path_factory):
    return build(tmp_path_factory.mktemp("policy") / "vlm")


def test_the_loss_is_smolvla_s(policy):
    """One noise sample: our forward pass, which leaves out what nobody reads, against lerobot's."""
    torch.manual_seed(1)
    objective = Objective(policy, draws=1).eval()
    size = 3
    images, state = torch.rand(size, 2, 3, EDGE, EDGE) * 2 - 1, torch.randn(size, 8)
    tokens, mask = torch.randint(0, 400, (size, 9)), torch.ones(size, 9, dtype=torch.bool)
    mask[0, 5:] = False  # a shorter instruction
    actions, noise, time = torch.randn(size, CHUNK, 7), torch.randn(1, size, CHUNK, 7), torch.rand(1, size)
    with torch.no_grad():
        ours, places = objective(images, tokens, mask, state, actions, noise, time)
        there = [torch.ones(size, dtype=torch.bool)] * 2
        theirs = policy.model([images[:, 0], images[:, 1]], there, tokens, mask, state, actions, noise[0], time[0])
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)
    assert places.shape == (size, 6)
    assert theirs.std() > 0.1


def test_several_draws_are_the_mean_of_single_ones(policy):
    torch.manual_seed(2)
    size, draws = 2, 3
    images, state = torch.rand(size, 2, 3, EDGE, EDGE) * 2 - 1, torch.randn(size, 8)
    tokens, mask = torch.randint(0, 400, (size, 7)), torch.ones(size, 7, dtype=torch.bool)
    actions, noise, time = torch.randn(size, CHUNK, 7), torch.randn(draws, size, CHUNK, 7), torch.rand(draws, size)
    with torch.no_grad():
        together, _ = Objective(policy, draws=draws)(images, tokens, mask, state, actions, noise, time)
        alone = [
            Objective(policy, draws=1)(images, tokens, mask, state, actions, noise[[i]], time[[i]])[0]
            for i in range(draws)
        ]
    torch.testing.assert_close(together, torch.stack(alone).mean(0), atol=1e-4, rtol=1e-4)


def test_a_demonstration_is_a_function_of_its_seed(scene):
    one, same, other = (demonstrations.collect_demos(scene, seed) for seed in (5, 5, 6))
    assert np.array_equal(one.images, same.images)
    assert np.array_equal(one.actions, same.actions)
    assert one.states.shape != other.states.shape or not np.array_equal(one.states, other.states)


def test_images_may_be_kept_as_rendered(scene):
    large, small = (demonstrations.collect_demos(scene, 5, edge=edge) for edge in (2 * EDGE, EDGE))
    assert large.images.shape[1:] == (2, 2 * EDGE, 2 * EDGE, 3)
    assert np.array_equal(demonstrations.shrink(large.images[3, 1]), small.images[3, 1])
    assert np.array_equal(large.actions, small.actions)


def test_demonstrations_start_from_no_published_state(scene, monkeypatch):
    """The split: placements are drawn, not read."""
    published, started = init_states(TASK.init_states), []
    reset_to = scene.reset_to
    monkeypatch.setattr(scene, "reset_to", lambda state, *rest: (started.append(state), reset_to(state, *rest)))
    for seed in range(3):
        demonstrations.collect_demos(scene, seed)
    assert len(started) == 3
    for state in started:
        assert np.abs(published - state).max(1).min() > 1e-3


def test_some_demonstrations_ask_for_another_goal(scene):
    texts = {episode.instruction for seed in range(6) if (episode := demonstrations.collect_demos(scene, seed))}
    assert texts == {TASK.instruction, *(other.instruction for other in other_goals("libero_spatial", 0))}


def test_a_driving_policy_is_corrected_not_copied(scene):
    """A policy that drifts aside: every recorded frame says what the expert did from there, nothing what it did."""
    aside = np.float32([0, 0.11, 0, 0, 0, 0, -1])

    class Drift:
        spec = PolicySpec("drift", n_action_steps=4, cameras=("agentview", "wrist"))

        def act(self, inputs):
            return [np.tile(aside, (4, 1)) for _ in inputs]

    episode = demonstrations.collect_demos(scene, 0, Drift())
    assert episode is not None
    assert episode.policy_steps > 0
    assert episode.valid[:, 0].all()  # the expert drives where a frame is recorded
    assert not (episode.actions[episode.valid] == aside).all(axis=1).any()


def test_training_goes_on_where_it_stopped(recordings, tmp_path):
    """Four steps, and two and two, give the same weights."""

    def settings(steps):
        return Settings(steps=4, batch=4, keep=steps, refresh=100)

    whole = Trainer(tmp_path / "whole", recordings, settings(4))
    whole.run()
    Trainer(tmp_path / "parts", recordings, settings(2)).run(stop_at=2)
    parts = Trainer(tmp_path / "parts", recordings, settings(2))
    assert parts.step == 2
    parts.run()
    one, other = (torch.load(tmp_path / name / "state.pt", weights_only=True) for name in ("whole", "parts"))
    for name, weight in one["average"].items():
        assert torch.equal(weight, other["average"][name]), name


def test_the_export_is_a_checkpoint_that_acts(recordings, tmp_path):
    Trainer(tmp_path / "run", recordings, Settings(steps=1, batch=2)).run()
    loaded = lerobot.load(str(tmp_path / "run" / "export"), device="cpu")
    picture = np.zeros((256, 256, 3), np.uint8)
    seen = Observation({"agentview": picture, "wrist": picture}, np.zeros(8, np.float32), 0)
    (chunk,) = loaded.act([PolicyInput(seen, TASK.instruction, "", 0, noise_seed=1)])
    assert chunk.shape == (CHUNK, 7)
    assert np.isfinite(chunk).all()


def test_a_run_can_begin_with_an_older_checkpoint(recordings, tmp_path):
    Trainer(tmp_path / "old", recordings, Settings(steps=1, batch=2)).run()
    begun = Trainer(tmp_path / "new", recordings, Settings(steps=1, batch=2), start_from=tmp_path / "old" / "export")
    old = torch.load(tmp_path / "old" / "state.pt", weights_only=True)["average"]
    assert begun.step == 0
    for name, weight in begun.average.model.state_dict().items():
        assert torch.equal(weight, old[f"model.{name}"]), name


def test_it_may_take_the_weights_of_an_older_checkpoint_without_its_scaling(recordings, tmp_path):
    Trainer(tmp_path / "old", recordings, Settings(steps=1, batch=2)).run()
    one_episode = tmp_path / "one"
    one_episode.mkdir()
    (one_episode / "0.npz").symlink_to(recordings / "0.npz")
    start = {"start_from": tmp_path / "old" / "export"}
    kept = Trainer(tmp_path / "kept", one_episode, Settings(steps=1, batch=2), **start)
    rescaled = Trainer(tmp_path / "rescaled", one_episode, Settings(steps=1, batch=2), **start, rescale=True)
    alone = Trainer(tmp_path / "alone", one_episode, Settings(steps=1, batch=2))
    assert rescaled.stats == alone.stats != kept.stats
    for name, weight in rescaled.average.model.state_dict().items():
        assert torch.equal(weight, kept.average.model.state_dict()[name]), name


def test_only_tasks_that_the_expert_can_do_are_collected(tmp_path, capsys):
    with pytest.raises(SystemExit) as refused:
        main(["collect", "--data", str(tmp_path), "--suites", "libero_10", "--tasks", "9", "--episodes", "1"])
    assert refused.value.code == 2
    assert "the expert can do none of them" in capsys.readouterr().err
    main(["collect", "--data", str(tmp_path), "--suites", "libero_goal", "--tasks", "7", "--episodes", "1"])
    (file,) = tmp_path.iterdir()
    assert file.name == "libero_goal-7-000000.npz"


def test_a_region_of_the_table_is_where_the_plate_goes(scene):
    seen = scene.privileged((("on", "plate_1", "main_table_stove_front_region"),))
    plate, spot = np.split(demonstrations.positions(seen), 2)
    np.testing.assert_allclose(plate, 10 * (seen.objects["plate_1"].pos - seen.hand.pos), atol=1e-5)
    np.testing.assert_allclose(spot, 10 * (np.array([-0.04, 0.22, 0.9]) - seen.hand.pos), atol=1e-5)


def test_recordings_in_parts_are_those_of_one_call(tmp_path, monkeypatch):
    """The last call without parts finds all of them, and records nothing again."""
    recorded = []
    monkeypatch.setattr(demonstrations, "bundled_scene", lambda task: task.name)
    monkeypatch.setattr(demonstrations, "collect_demos", lambda scene, seed, policy, edge: (scene, seed))
    monkeypatch.setattr(demonstrations, "write", lambda episode, file: (recorded.append(file.name), file.touch()))
    words = ["collect", "--data", str(tmp_path), "--suites", "libero_object", "--episodes", "30", "--first-seed", "7"]
    for part in ("0/3", "1/3", "2/3"):
        main([*words, "--part", part])
    assert len(set(recorded)) == 30
    assert len({name.split("-")[1] for name in recorded}) == 10, "all tasks"
    main(words)
    assert len(recorded) == 30
