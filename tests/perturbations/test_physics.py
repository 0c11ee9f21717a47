"""Physics axes in LIBERO's bundled scenes: where things stand, how the arm starts, what weighs and grips how much."""

import copy

import mujoco
import numpy as np
import pytest
from arenas import Reset, begin, build, changed, fields, streams

from envs.libero.env import IDLE_ACTION
from envs.toy.env import ToyEnv
from perturbations.base import Infeasible, axes
from perturbations.layout import MAX_DRIFT, MAX_OVERLAP, MAX_STEP
from perturbations.spec import parse

PHYSICS = [info for info in axes() if info.channel == "physics"]
IDLE = np.asarray(IDLE_ACTION, np.float32)


@pytest.fixture(scope="module")
def spatial():
    env = build("libero_spatial", 0)
    yield env
    env.close()


class Handle:
    """The physics handle of an environment, as an episode gets it."""

    def __init__(self, env, settle_steps=10):
        self.env = env
        env.reset(Reset(settle_steps=settle_steps))
        env.intervene(lambda physics: setattr(self, "physics", physics))


def places(env) -> dict[str, np.ndarray]:
    """Where each movable object is now."""
    handle = []
    env.intervene(handle.append)
    return {name: env.world.data.qpos[at : at + 3].copy() for name, at in handle[0].objects.items()}


def arm(env) -> np.ndarray:
    handle = []
    env.intervene(handle.append)
    return handle[0].robot_qpos


@pytest.mark.parametrize("info", [pytest.param(info, id=info.name) for info in PHYSICS])
def test_identity_is_the_very_same_episode(info, spatial):
    clean = begin(spatial, "none").state()
    np.testing.assert_array_equal(begin(spatial, f"{info.name}:{info.identity}").state(), clean)
    begin(spatial, f"{info.name}:s3")
    np.testing.assert_array_equal(begin(spatial, "none").state(), clean)


@pytest.mark.parametrize("value", ["s1", "s5"])
@pytest.mark.parametrize("name", ["friction", "mass"])
def test_only_declared_fields_are_written_and_all_are_restored(name, value, spatial):
    model = begin(spatial, "none").scene().model
    before = fields(model)
    begin(spatial, f"{name}:{value}")
    assert changed(before, fields(model)) == set(parse(f"{name}:{value}").terms[0].info.writes)
    begin(spatial, "none")
    assert changed(before, fields(model)) == set()


@pytest.mark.parametrize("name", ["layout.shift", "robot.qpos"])
def test_the_others_leave_the_model_alone(name, spatial):
    model = begin(spatial, "none").scene().model
    before = fields(model)
    begin(spatial, f"{name}:s5")
    assert changed(before, fields(model)) == set()


@pytest.mark.parametrize("init_state", [0, 7])
def test_shifted_objects_stand_where_they_were_put_and_all_else_stays(init_state, spatial):
    clean = places(begin(spatial, "none", init_state=init_state))
    directions = []
    for centimetres in (1, 2, 3):
        moved = places(begin(spatial, f"layout.shift:{centimetres}", init_state=init_state))
        for name, place in moved.items():
            way = place - clean[name]
            asked = centimetres / 100 if name in spatial.scene().task_objects else 0
            assert np.linalg.norm(way[:2]) == pytest.approx(asked, abs=MAX_DRIFT)
            assert abs(way[2]) < MAX_STEP
        directions.append((moved["plate_1"] - clean["plate_1"])[:2] / centimetres)
    np.testing.assert_allclose(directions, [directions[0]] * 3, atol=1e-4)


def test_another_seed_shifts_elsewhere(spatial):
    one, other = (places(begin(spatial, "layout.shift:5", seed=seed))["plate_1"] for seed in (0, 1))
    assert np.linalg.norm(one - other) > 0.005


def test_what_is_stacked_moves_together():
    env = build("libero_spatial", 3)  # the bowl on the cookie box
    clean, moved = places(begin(env, "none")), places(begin(env, "layout.shift:10"))
    way = {name: moved[name] - clean[name] for name in clean}
    assert np.linalg.norm(way["cookies_1"][:2]) == pytest.approx(0.1, abs=0.002)
    np.testing.assert_allclose(way["akita_black_bowl_1"], way["cookies_1"], atol=0.002)
    env.close()


def test_there_is_no_room_for_ten_centimetres_inside_a_drawer():
    env = build("libero_spatial", 4)
    found = places(begin(env, "layout.shift:3"))["akita_black_bowl_1"]
    assert abs(found[2] - places(begin(env, "none"))["akita_black_bowl_1"][2]) < MAX_STEP
    handle = Handle(env, settle_steps=0)
    before = env.state()
    with pytest.raises(Infeasible, match=r"layout\.shift:10: no room for akita_black_bowl_1 within 50 draws"):
        parse("layout.shift:10").apply_physics(handle.physics, streams())
    np.testing.assert_array_equal(env.state(), before)
    env.close()


@pytest.mark.parametrize("text", ["layout.shift:3", "mass:2"])
def test_a_goal_without_movable_objects_is_infeasible(text):
    env = build("libero_goal", 0)  # open the middle drawer
    with pytest.raises(Infeasible, match="the task names no movable object"):
        begin(env, text)
    env.close()


@pytest.mark.parametrize(("suite", "task"), [("libero_spatial", 0), ("libero_object", 0), ("libero_10", 5)])
def test_the_arm_holds_the_pose_it_starts_in(suite, task):
    env = build(suite, task)
    rest, directions = arm(begin(env, "none")), []
    for radians in (0.1, 0.3, 0.5):
        starts = []
        condition = parse(f"robot.qpos:{radians}")

        def change(physics, starts=starts, condition=condition):
            before = physics.robot_qpos
            condition.apply_physics(physics, streams())
            starts.extend((before, physics.robot_qpos))

        env.reset(Reset(), change)
        offset = starts[1] - starts[0]
        assert np.linalg.norm(offset) == pytest.approx(radians)
        assert np.linalg.norm(arm(env) - starts[1]) < 0.01
        env.step(np.tile(IDLE, (20, 1)))
        assert np.linalg.norm(arm(env) - starts[1]) < 0.02
        directions.append(offset / radians)
    assert directions[0] == pytest.approx(directions[1])
    assert np.linalg.norm(arm(begin(env, "none")) - rest) == 0
    env.close()


def test_no_pose_drawn_touches_anything(spatial):
    model, data = spatial.world.model, spatial.world.data
    for seed in range(12):
        spatial.reset(
            Reset(settle_steps=0), lambda physics, s=seed: parse("robot.qpos:1").apply_physics(physics, streams(s))
        )
        mujoco.mj_forward(model, data)
        touching = [model.body(model.geom_bodyid[geom]).name for k in range(data.ncon) for geom in data.contact[k].geom]
        assert not [name for name in touching if name.startswith(("robot0_", "gripper0_"))]


def test_an_arm_that_cannot_move_is_infeasible(spatial):
    handle = Handle(spatial, settle_steps=0)
    # Every joint is at its limits: no offset stays within them.
    names = [f"robot0_joint{k}" for k in range(1, 8)]
    for name, q in zip(names, handle.physics.robot_qpos, strict=True):
        spatial.world.model.joint(name).range[:] = (q - 0.06, q + 0.06)
    before = handle.physics.robot_qpos
    with pytest.raises(Infeasible, match=r"robot\.qpos:0\.5: the arm touches something or its limits"):
        parse("robot.qpos:0.5").apply_physics(handle.physics, streams())
    np.testing.assert_array_equal(handle.physics.robot_qpos, before)


def test_the_toy_gantry_is_no_arm(streams):
    env = ToyEnv(0, 64)
    with pytest.raises(Infeasible, match="no arm"):
        env.reset(Reset(settle_steps=0), lambda physics: parse("robot.qpos:0.1").apply_physics(physics, streams()))
    env.close()


@pytest.mark.parametrize("factor", [0.25, 2])
def test_friction_scales_what_every_contact_really_has(factor, spatial):
    def grips(text):
        begin(spatial, text)
        data = spatial.world.data
        return {tuple(data.contact[k].geom): data.contact[k].friction.copy() for k in range(data.ncon)}

    clean, changed_grips = grips("none"), grips(f"friction:{factor}")
    shared = clean.keys() & changed_grips.keys()
    assert len(shared) > 5
    for pair in shared:
        np.testing.assert_allclose(changed_grips[pair], factor * clean[pair])


def test_a_heavier_bowl_presses_harder_and_falls_as_fast(spatial):
    def bowl(text):
        begin(spatial, text)
        model, data = spatial.world.model, spatial.world.data
        body = spatial.world.env.obj_body_id["akita_black_bowl_1"]
        first = int(model.body_dofadr[body])
        mass = np.empty((model.nv, model.nv))
        mujoco.mj_fullM(model, mass, data.qM)
        weight = data.qfrc_bias[first + 2]
        return mass[first, first], weight, float(model.body_inertia[body].sum()), float(model.body_invweight0[body, 0])

    light, heavy = bowl("none"), bowl("mass:2")
    np.testing.assert_allclose(np.divide(heavy, light), [2, 2, 2, 0.5], rtol=1e-6)
    other = spatial.world.env.obj_body_id["cookies_1"]
    mass = spatial.world.model.body_mass[other]
    begin(spatial, "none")
    assert spatial.world.model.body_mass[other] == mass


def disturbed(env, text, steps_before):
    condition = parse(text)
    begin(env, text)
    env.step(np.tile(IDLE, (steps_before, 1)))
    before = places(env)
    env.intervene(lambda physics: condition.apply_step(physics, steps_before, streams()))
    return before, places(env)


def test_disturb_moves_the_target_alone_at_its_step(spatial):
    ways = []
    for centimetres in (1, 5):
        before, after = disturbed(spatial, f"disturb:{centimetres}", 5)
        way = after.pop("akita_black_bowl_1") - before.pop("akita_black_bowl_1")
        assert way[2] == 0
        assert np.linalg.norm(way) == pytest.approx(centimetres / 100)
        np.testing.assert_array_equal(list(after.values()), list(before.values()))
        ways.append(way / centimetres)
    np.testing.assert_allclose(ways[0], ways[1], atol=1e-12)
    before, after = disturbed(spatial, "disturb:5", 4)
    np.testing.assert_array_equal(list(after.values()), list(before.values()))
    assert parse("disturb:5").steps == (5,)
    assert parse("disturb:5/from=12").steps == (12,)


def test_what_the_hand_touches_is_not_taken_from_it(spatial):
    handle = Handle(spatial)
    physics, at = handle.physics, handle.physics.objects["akita_black_bowl_1"]
    finger = spatial.world.model.geom("gripper0_finger1_pad_collision").id
    physics.data.qpos[at : at + 3] = spatial.world.data.geom_xpos[finger]
    with pytest.raises(Infeasible, match="the hand already touches akita_black_bowl_1"):
        parse("disturb:3").apply_step(physics, 5, streams())


def test_no_shift_overlaps_anything(spatial):
    for seed in range(6):
        overlaps = []

        def change(physics, seed=seed, overlaps=overlaps):
            physics.forward()
            overlaps.append(set(physics.contacts_deeper_than(MAX_OVERLAP)))
            parse("layout.shift:8").apply_physics(physics, streams(seed))
            overlaps.append(set(physics.contacts_deeper_than(MAX_OVERLAP)))

        spatial.reset(Reset(), change)
        assert overlaps[1] <= overlaps[0]


def test_what_follows_from_mass_is_what_mujoco_would_work_out(spatial):
    begin(spatial, "mass:2")
    model = copy.copy(spatial.world.model)  # mj_setConst also writes what no reset restores
    written = {name: getattr(model, name).copy() for name in parse("mass:2").terms[0].info.writes}
    mujoco.mj_setConst(model, mujoco.MjData(model))
    for name, value in written.items():
        np.testing.assert_allclose(value, getattr(model, name), rtol=1e-6, atol=1e-12, err_msg=name)
