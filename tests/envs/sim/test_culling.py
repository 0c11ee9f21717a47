"""What a camera cannot see is left out, and no byte of an image depends on it."""

import dataclasses

import mujoco
import numpy as np
import pytest

from envs.build import make_env
from envs.sim import rendering
from envs.sim.culling import out_of_view
from envs.sim.textures import ModelTextures
from perturbations.camera import NARROWEST, WIDEST

CAMERA = '<camera name="eye" pos="0 -2 1" xyaxes="1 0 0 0 .45 .9" fovy="40"/>'
SHINY = '<asset><material name="shiny" rgba=".4 .4 .4 1" reflectance=".7"/></asset>'
TABLE = '<geom name="table" type="box" size=".4 .4 .02" material="shiny" group="1"/>'


def scene(*parts: str, light: str = 'castshadow="false"', camera: str = CAMERA) -> mujoco.MjModel:
    body = "\n".join((f'<light pos="1 -1 4" {light}/>', camera, *parts))
    return mujoco.MjModel.from_xml_string(f"<mujoco>{SHINY}<worldbody>{body}</worldbody></mujoco>")


def sphere(name: str, position: str) -> str:
    return f'<geom name="{name}" type="sphere" size=".1" pos="{position}" rgba="1 0 0 1" group="1"/>'


def unseen(model: mujoco.MjModel) -> set[str]:
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    found = out_of_view(model, data, 0, model.geom_group == 1)
    return {model.geom(int(geom)).name for geom in np.flatnonzero(found)}


@pytest.fixture
def culled(monkeypatch):
    """Images with and without culling, whatever the size of a model's meshes."""
    monkeypatch.setattr(rendering, "_MANY_FACES", 0)

    def pair(model, data=None, renderers=None, camera=0, size=64):
        if data is None:
            data = mujoco.MjData(model)
            mujoco.mj_forward(model, data)
        own = renderers or rendering.Renderers(model, ModelTextures(model))
        groups = model.geom_group.copy()
        image = own.draw(data, camera, size)
        assert np.array_equal(model.geom_group, groups), "a geom stayed hidden"
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(rendering, "out_of_view", lambda model, *_: np.zeros(model.ngeom, bool))
            whole = own.draw(data, camera, size)
        if renderers is None:
            own.close()
        return image, whole

    return pair


def test_what_is_beside_or_behind_the_camera_is_left_out():
    model = scene(
        sphere("ahead", "0 0 0"), sphere("beside", "3 0 0"), sphere("behind", "0 -4 1"), sphere("in", "0 -2 1")
    )
    assert unseen(model) == {"beside", "behind"}


def test_the_edge_of_the_view_is_where_it_is(culled):
    """At 2 m a view of 40 degrees ends at 0.728 m; a box of half a side of 0.1 m is outside 0.136 m further."""
    for offset, hidden in ((0.72, set()), (0.86, set()), (0.87, {"ball"})):
        model = scene(sphere("ball", f"{offset} 0 1"), camera='<camera pos="0 -2 1" xyaxes="1 0 0 0 0 1" fovy="40"/>')
        assert unseen(model) == hidden
        image, whole = culled(model)
        assert np.array_equal(image, whole)


def test_what_is_seen_in_a_mirror_stays(culled):
    """The sphere above the image is mirrored in the table; the one under it and the one far away are not."""
    around = sphere("under", "0 0 -2"), sphere("far", "4 0 1")
    model = scene(TABLE, sphere("above", "0 2.2 1.1"), *around)
    assert unseen(model) == {"under", "far"}
    image, whole = culled(model)
    assert np.array_equal(image, whole)
    without, _ = culled(scene(TABLE, *around))
    assert not np.array_equal(image, without), "the mirror image is in the image"


def test_a_dull_table_mirrors_nothing():
    assert unseen(scene(TABLE.replace('material="shiny"', ""), sphere("above", "0 2.2 1.1"))) == {"above"}


def test_a_camera_behind_the_mirror_sees_no_mirror_image(culled):
    below = '<camera pos="0 -2 -1" xyaxes="1 0 0 0 -.45 .9" fovy="40"/>'
    model = scene(TABLE, sphere("under", "0 2.2 -1.1"), camera=below)
    assert unseen(model) == {"under"}
    image, whole = culled(model)
    assert np.array_equal(image, whole)


def test_the_first_of_two_mirrors_stays_because_the_second_is_none(culled):
    away = '<geom name="away" type="box" size=".1 .1 .1" pos="9 0 0" material="shiny" group="1"/>'
    model = scene(away, TABLE, sphere("above", "0 .8 .4"))
    assert unseen(model) == set()
    image, whole = culled(model)
    assert np.array_equal(image, whole)
    alone, _ = culled(scene(TABLE, sphere("above", "0 .8 .4")))
    assert not np.array_equal(image, alone), "alone, the table is the first"
    assert unseen(scene(away, sphere("above", "0 .8 .4"))) == {"away"}


def test_a_shadow_may_fall_into_the_image():
    assert unseen(scene(sphere("beside", "3 0 0"), light='castshadow="true"')) == set()


def random_scene(rng: np.random.Generator) -> mujoco.MjModel:
    def numbers(low, high, count=3):
        return " ".join(f"{value:.4f}" for value in rng.uniform(low, high, count))

    shapes = []
    for index in range(24):
        kind = rng.choice(["box", "sphere", "capsule", "cylinder", "ellipsoid"])
        material = (
            'material="shiny"'
            if kind == "box" and rng.random() < 0.15
            else f'rgba="{numbers(0, 1)} {rng.choice([1, 1, 0.5])}"'
        )
        shapes.append(
            f'<geom type="{kind}" size="{numbers(0.02, 0.4)}" pos="{numbers(-2, 2)}" euler="{numbers(0, 360)}" '
            f'group="1" name="g{index}" {material}/>'
        )
    if rng.random() < 0.5:
        shapes.append(
            f'<geom type="plane" size="0 0 1" pos="0 0 -2" group="1" {rng.choice(["", "material='shiny'"])}/>'
        )
    fovy = rng.uniform(NARROWEST, WIDEST)
    camera = f'<camera pos="{numbers(-1, 1)}" euler="{numbers(0, 360)}" fovy="{fovy:.3f}"/>'
    return scene(*rng.permutation(shapes), camera=camera)


def test_no_byte_of_any_image_changes(culled):
    hidden, mirrors = 0, 0
    for seed in range(60):
        model = random_scene(np.random.default_rng(seed))
        image, whole = culled(model)
        assert np.array_equal(image, whole), seed
        hidden += len(unseen(model))
        mirrors += int((model.geom_matid >= 0).any())
    assert hidden > 300, "the scenes leave something to hide"
    assert mirrors > 20, "the scenes have mirrors"


@dataclasses.dataclass(frozen=True)
class Reset:
    init_state: int = 0
    env_seed: int = 0
    settle_steps: int = 10


@pytest.mark.parametrize(("suite", "task"), [("libero_spatial", 0), ("libero_goal", 1), ("libero_10", 3)])
def test_no_byte_of_an_official_image_changes(culled, official_assets, suite, task):
    env = make_env(suite, task, 128, official_assets)
    world, rng = env.world, np.random.default_rng(0)
    env.reset(Reset())
    fovy, hidden = world.model.cam_fovy.copy(), 0
    for look in range(6):
        env.step(rng.uniform(-1, 1, (8, 7)).astype(np.float32))
        env.observe()
        world.model.cam_fovy[:] = fovy + rng.uniform(-15, 30)
        for camera in world.cameras.values():
            image, whole = culled(world.model, world.seen, world._renderers, camera, 128)
            assert np.array_equal(image, whole), look
            shown = world._renderers._option.geomgroup[world.model.geom_group] != 0
            hidden += int((out_of_view(world.model, world.seen, camera, shown) & shown).sum())
    env.close()
    assert hidden > 12 * 10
