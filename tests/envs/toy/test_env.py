"""The contract of `envs.base.Env`, held by the toy suite."""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pytest

from envs.base import CAMERAS, CONTROL_HZ, Env, EnvError
from envs.suite import INIT_STATES
from envs.suites import tasks
from envs.toy import env as toy
from envs.toy.tasks import TOY_COLORS

ALL = [(task, init_state) for task in range(len(tasks("toy"))) for init_state in range(INIT_STATES)]


@dataclass(frozen=True)
class ResetOptions:
    init_state: int
    env_seed: int = 0
    settle_steps: int = 0


def actions(*, steps: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (steps, 7)).astype(np.float32)


def way_to(env: toy.ToyEnv, color: str) -> np.ndarray:
    """Across at the tip's height, then down onto the block."""
    privileged = env.privileged(env.goals[0])
    delta = privileged.objects[f"{color}_block"].pos - privileged.hand.pos
    per_step = toy.TIP_SPEED / CONTROL_HZ
    across = np.zeros((int(np.ceil(np.abs(delta[:2]).max() / per_step)), 7), np.float32)
    across[:, :2] = delta[:2] / per_step / len(across)
    down = np.zeros((12, 7), np.float32)
    down[:, 2] = -1
    return np.concatenate([across, down])


def tour(env: toy.ToyEnv, spec: ResetOptions) -> tuple[np.ndarray, list[bytes]]:
    """Everything that an episode shows: its states and pictures."""
    env.reset(spec)
    pictures, states = [], [env.state()[None]]
    for chunk in np.split(actions(steps=15, seed=spec.init_state), 3):
        pictures += [picture.tobytes() for picture in env.observe().images.values()]
        states.append(env.step(chunk).states)
    return np.concatenate(states), pictures


@pytest.fixture
def env():
    env: Env = toy.ToyEnv(1, 64)
    env.reset(ResetOptions(0))
    yield env
    env.close()


def test_reset_is_exact_after_other_episodes_and_scene_edits():
    spec = ResetOptions(7)
    used, fresh = toy.ToyEnv(1, 64), toy.ToyEnv(1, 64)
    tour(used, ResetOptions(3, settle_steps=4))
    model = used.scene().model
    pristine = {name: np.copy(getattr(model, name)) for name in ("cam_pos", "geom_rgba", "light_diffuse", "body_mass")}
    for name in pristine:
        getattr(model, name)[:] *= 0.3
    model.vis.headlight.ambient[:] = 0
    model.vis.map.fogstart = 0.1
    model.opt.timestep = 0.001
    model.opt.gravity[:] = 5
    dark = used.observe().images["agentview"]
    states, pictures = tour(used, spec)
    fresh_states, fresh_pictures = tour(fresh, spec)
    assert np.array_equal(states, fresh_states)
    assert pictures == fresh_pictures
    assert all(np.array_equal(getattr(model, name), value) for name, value in pristine.items())
    assert dark.mean() < used.observe().images["agentview"].mean() / 2
    assert used.scene().model is model


def test_edits_before_the_first_picture_do_not_stay():
    early, fresh = toy.ToyEnv(0, 64), toy.ToyEnv(0, 64)
    early.reset(ResetOptions(0))
    early.scene().model.vis.map.shadowscale = 0.1
    early.scene().model.light_castshadow[:] = 1
    early.observe()
    assert tour(early, ResetOptions(1))[1] == tour(fresh, ResetOptions(1))[1]


@pytest.mark.parametrize("part", ["light_diffuse", "light_ambient", "light_specular"])
def test_each_part_of_the_light_can_be_seen(env, part):
    before = env.observe(["agentview"]).images["agentview"]
    getattr(env.scene().model, part)[:] = 0
    assert not np.array_equal(env.observe(["agentview"]).images["agentview"], before)


def test_darkness(env):
    before = env.observe(["agentview"]).images["agentview"].mean()
    model = env.scene().model
    for part in ("ambient", "diffuse", "specular"):
        getattr(model, f"light_{part}")[:] *= 0.3
        getattr(model.vis.headlight, part)[:] *= 0.3
    assert env.observe(["agentview"]).images["agentview"].mean() == pytest.approx(0.3 * before, rel=0.05)


def test_moving_a_camera_is_seen_without_a_step(env):
    before = env.observe().images
    env.scene().model.cam_pos[env.scene().cameras["agentview"]] += 0.02
    after = env.observe().images
    assert not np.array_equal(after["agentview"], before["agentview"])
    assert np.array_equal(after["wrist"], before["wrist"])


def test_observe_draws_only_what_is_asked(env):
    assert env.observe([]).images == {}
    assert env.renders == 0
    assert list(env.observe(["wrist"]).images) == ["wrist"]
    assert env.renders == 1
    assert list(env.observe().images) == list(CAMERAS)
    assert env.renders == 3


def test_no_picture_needs_no_opengl(monkeypatch):
    monkeypatch.setattr("envs.sim.gl_context.SharedRenderer", None)
    env = toy.ToyEnv(0, 64)
    env.reset(ResetOptions(0))
    env.step(actions(steps=2))
    assert env.observe([]).step == 2


def test_missing_opengl_is_one_clear_error(env, monkeypatch):
    def broken(*_args):
        raise ImportError("no driver")

    monkeypatch.setattr("envs.sim.gl_context.SharedRenderer", broken)
    with pytest.raises(EnvError, match="MUJOCO_GL"):
        env.observe()


def test_looking_does_not_change_what_happens():
    looking, blind = toy.ToyEnv(2, 64), toy.ToyEnv(2, 64)
    for env in (looking, blind):
        env.reset(ResetOptions(5))
    chunk = way_to(blind, "red")
    seen = []
    for action in chunk:
        looking.observe()
        looking.privileged(looking.goals[0])
        seen.append(looking.step(action[None]).states)
    assert np.array_equal(np.concatenate(seen), blind.step(chunk).states)


def test_chunks_may_be_cut_anywhere(env):
    chunk = actions(steps=9)
    whole = env.step(chunk).states
    env.reset(ResetOptions(0))
    assert np.array_equal(np.concatenate([env.step(part).states for part in np.split(chunk, [2, 7])]), whole)


def test_step_stops_at_the_goal(env):
    chunk = way_to(env, "green")
    result = env.step(chunk)
    assert result.reached == (True,)
    assert result.steps < len(chunk)
    assert result.states.shape == (result.steps, env.state().size)
    assert np.array_equal(result.states[-1], env.state())
    stop = result.steps
    env.reset(ResetOptions(0))
    assert env.step(chunk[: stop - 1]).reached == (False,)
    assert env.step(chunk[stop - 1 :]).steps == 1


def test_another_block_ends_nothing(env):
    chunk = way_to(env, "red")
    result = env.step(chunk)
    assert result.steps == len(result.states) == len(chunk)
    assert result.reached == (False,)
    env.goals = ((("touch", "red_block"),),)
    assert env.step(chunk[:0]).reached == (True,)


def test_counterfactual_goal(env):
    own = env.goals[0]
    env.goals = (own, (("touch", "red_block"),))
    result = env.step(way_to(env, "red"))
    assert result.reached == (False, True)
    env.reset(ResetOptions(0))
    assert env.goals == (own,)


def test_goals_are_conjunctions(env):
    env.goals = ((("touch", "green_block"), ("touch", "red_block")), ())
    assert env.step(actions(steps=3)).reached == (False, True)


@pytest.mark.parametrize("atom", [("on", "red_block", "green_block"), ("touch", "purple_block")])
def test_unknown_goal(env, atom):
    env.goals = ((atom,),)
    with pytest.raises(EnvError, match="cannot tell"):
        env.step(actions(steps=1))


def test_actions_move_the_tip(env):
    start = env.observe([]).state
    env.step(np.tile(np.float32([1, -0.5, 3, 1, 1, 1, 1]), (5, 1)))
    moved = env.observe([]).state - start
    assert moved[:3] == pytest.approx(np.array([1, -0.5, 1]) * 5 * toy.TIP_SPEED / CONTROL_HZ, abs=0.006)
    assert not moved[3:].any()
    assert (moved.dtype, moved.shape) == (np.float32, (8,))


def test_step_count_and_settling(env):
    env.reset(ResetOptions(0, settle_steps=10))
    assert env.observe([]).step == 0
    assert np.allclose(env.privileged(env.goals[0]).hand.pos, toy.TIP_HOME, atol=1e-6)
    env.step(actions(steps=3))
    assert env.observe([]).step == env.privileged(env.goals[0]).step == 3
    assert env.step(np.zeros((0, 7), np.float32)).states.shape == (0, env.state().size)


def test_replay_shows_the_stored_states(env):
    env.step(actions(steps=8))
    stored, picture, counted = env.state(), env.render("wrist", 64), env.observe([]).step
    env.reset(ResetOptions(9))
    env.set_state(stored)
    assert np.array_equal(env.render("wrist", 64), picture)
    assert np.array_equal(env.state(), stored)
    assert env.observe([]).step == counted


def test_pictures_at_any_size_and_upright(env):
    assert np.array_equal(env.render("agentview", 64), env.observe().images["agentview"])
    large = env.render("agentview", 512)
    assert (large.shape, large.dtype) == ((512, 512, 3), np.uint8)
    # The table reaches into the lower corners, the floor beside it is darker; upside down it would be the other way.
    assert large[400, 30].mean() > large[100, 30].mean() + 40
    assert env.render("wrist", toy.MAX_RENDER_SIZE).shape == (1024, 1024, 3)
    with pytest.raises(EnvError, match="1 to 1024"):
        env.render("agentview", 1025)


def test_right_is_right():
    """A block at +y is seen in the right half of both pictures: they are not mirrored."""
    env = toy.ToyEnv(0, 64)
    env.reset(ResetOptions(0))
    state = env.state()
    for i, y in enumerate((0.1, -0.1, -0.15, 0.15)):
        state[1 + 3 + 7 * i : 1 + 6 + 7 * i] = (0.05 * i, y, 0.0225)
    env.set_state(state)
    picture = env.render("agentview", 128).astype(int)
    red = (picture[..., 0] > 120) & (picture[..., 1:].max(axis=-1) < 60)
    assert np.nonzero(red)[1].mean() > 70


def test_environments_may_be_used_in_turns():
    one, two = toy.ToyEnv(0, 64), toy.ToyEnv(3, 96)
    alone = [tour(one, ResetOptions(1)), tour(two, ResetOptions(2))]
    one.reset(ResetOptions(1))
    two.reset(ResetOptions(2))
    pictures: list[list[bytes]] = [[], []]
    for chunk_one, chunk_two in zip(*(np.split(actions(steps=15, seed=s), 3) for s in (1, 2)), strict=True):
        for env, chunk, seen in ((one, chunk_one, pictures[0]), (two, chunk_two, pictures[1])):
            seen += [picture.tobytes() for picture in env.observe().images.values()]
            env.step(chunk)
    assert [seen for _, seen in alone] == pictures
    one.close()
    one.close()
    assert two.observe().images["wrist"].shape == (96, 96, 3)


def test_initial_states_differ_are_on_the_table_and_do_not_overlap():
    poses = np.array([toy.block_poses(task, init_state) for task, init_state in ALL])
    assert np.unique(poses.reshape(len(ALL), -1), axis=0).shape[0] == len(ALL)
    half_diagonal = toy.BLOCK_SIDE / np.sqrt(2)
    assert np.abs(poses[..., :2]).max() + half_diagonal < toy.TABLE_SIDE / 2
    for i, j in combinations(range(len(TOY_COLORS)), 2):
        gaps = np.linalg.norm(poses[:, i, :2] - poses[:, j, :2], axis=-1)
        assert gaps.min() > 2 * half_diagonal + 2 * toy.TIP_RADIUS


def test_initial_states_rest_touch_nothing_and_ignore_the_seed(env):
    for init_state in range(INIT_STATES):
        env.reset(ResetOptions(init_state))
        poses = toy.block_poses(1, init_state)
        before = env.privileged(env.goals[0])
        assert np.allclose([before.objects[f"{c}_block"].pos[:2] for c in TOY_COLORS], poses[:, :2])
        env.goals = tuple((("touch", f"{color}_block"),) for color in TOY_COLORS)
        assert not any(env.step(np.zeros((2, 7), np.float32)).reached)
        after = env.privileged(env.goals[0])
        # Soft contacts: a block sinks by a fraction of a millimetre until the table bears it.
        assert all(np.allclose(pose.pos, after.objects[name].pos, atol=5e-4) for name, pose in before.objects.items())
    env.reset(ResetOptions(4, env_seed=0))
    state = env.state()
    env.reset(ResetOptions(4, env_seed=99))
    assert np.array_equal(env.state(), state)


@pytest.mark.parametrize("bad", [lambda: toy.ToyEnv(4, 64), lambda: toy.ToyEnv(-1, 64), lambda: toy.ToyEnv(0, 0)])
def test_impossible_environments(bad):
    with pytest.raises(EnvError):
        bad()


def test_impossible_requests(env):
    with pytest.raises(EnvError, match="initial states 0 to 49, not 50"):
        env.reset(ResetOptions(50))
    with pytest.raises(EnvError, match="shape"):
        env.set_state(np.zeros(5))
    for chunk in (np.zeros((3, 6), np.float32), np.zeros(7, np.float32), np.full((1, 7), np.nan, np.float32)):
        with pytest.raises(EnvError, match="actions"):
            env.step(chunk)


def test_an_exploded_simulation_is_an_error_and_reset_recovers(env, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # MuJoCo writes its warnings to MUJOCO_LOG.TXT here.
    clean = tour(env, ResetOptions(2))[0]
    env.set_state(np.full_like(env.state(), np.nan))
    with pytest.raises(EnvError, match="finite"):
        env.step(actions(steps=1))
    assert np.array_equal(tour(env, ResetOptions(2))[0], clean)
