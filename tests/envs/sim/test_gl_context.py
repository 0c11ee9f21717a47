"""Renderers in one OpenGL context: each draws as if it were alone."""

import gc
import itertools
import subprocess
import sys
import threading

import mujoco
import numpy as np
import pytest

from envs.goals import EnvError
from envs.sim import gl_context
from envs.sim.gl_context import SharedRenderer

SIZE = 48
SKY = '<texture name="sky" type="skybox" builtin="gradient" rgb1="{} 0 1" rgb2="0 .3 0" width="32" height="192"/>'
SCENE = """
<mujoco>
  <visual>
    <global offwidth="64" offheight="64" linewidth="{width}"/><map fogstart="{fog}" shadowclip="{fog}"/>
    <quality shadowsize="{shadows}" offsamples="{samples}"/>
  </visual>
  <asset>
    {sky}
    <texture name="table" type="2d" builtin="checker" rgb1="{red} 1 0" rgb2="1 0 {red}" width="64" height="64"/>
    <texture name="cube" type="cube" builtin="gradient" rgb1="0 {red} 0" rgb2="1 1 0" width="32" height="32"/>
    <material name="table" texture="table" reflectance="{mirror}" texrepeat="3 2"/>
    <material name="cube" texture="cube" rgba="1 1 1 {alpha}"/>
    <mesh name="wedge" vertex="0 0 0 .3 0 0 0 .3 0 0 0 {red}"/>
  </asset>
  <worldbody>
    <light pos="1 -1 3" castshadow="{casts}" ambient="{red} .1 .1"/>
    <camera pos="0 -1.2 1" xyaxes="1 0 0 0 .6 .8"/>
    <geom type="box" size=".6 .6 .02" material="table"/>
    <geom type="box" size=".1 .1 .2" pos=".1 0 .2" material="cube"/>
    <geom type="mesh" mesh="wedge" pos="-.4 -.2 .1" rgba="1 {red} 1 1"/>
    <geom type="sphere" size=".1" pos="-.1 -.3 .1" rgba="0 .5 1 {alpha}"/>
  </worldbody>
</mujoco>
"""
SCENES = {
    "mirror": {"mirror": 0.7},
    "shadows": {"casts": "true", "shadows": 512, "red": 0.6},
    "sky": {"sky": SKY.format(0.9), "fog": 1, "samples": 0},
    "glass": {"alpha": 0.4, "red": 0.8, "width": 3, "samples": 8},
    "all": {"mirror": 0.3, "casts": "true", "shadows": 256, "sky": SKY.format(0.2), "alpha": 0.5},
}
PLAIN = {
    "mirror": 0, "casts": "false", "shadows": 0, "red": 0.3, "sky": "", "alpha": 1, "fog": 3, "width": 1, "samples": 4,
}  # fmt: skip
VIEWS = ("picture", "segments", "wireframe")


def model_of(name):
    return mujoco.MjModel.from_xml_string(SCENE.format(**PLAIN | SCENES[name]))


def draw(renderer, model, view):
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    renderer.update_scene(data, 0)
    if view == "segments":
        renderer.enable_segmentation_rendering()
    renderer.scene.flags[mujoco.mjtRndFlag.mjRND_WIREFRAME] = view == "wireframe"
    image = renderer.render()
    renderer.disable_segmentation_rendering()
    return image


@pytest.fixture(scope="module")
def alone():
    """What a renderer with an OpenGL context of its own draws."""
    found = {}
    for name in SCENES:
        model = model_of(name)
        for view in VIEWS:
            with mujoco.Renderer(model, SIZE, SIZE) as renderer:
                found[name, view] = draw(renderer, model, view)
    return found


@pytest.fixture
def fresh():
    """A new OpenGL context for this test, and another one for the next."""
    gl_context.forget()
    yield
    gl_context.forget()


def test_the_scenes_look_different(alone):
    pictures = [alone[name, "picture"] for name in SCENES]
    assert all(not np.array_equal(a, b) for a, b in itertools.combinations(pictures, 2))
    assert all(len(np.unique(picture)) > 20 for picture in pictures)


@pytest.mark.parametrize("first", SCENES)
@pytest.mark.usefixtures("fresh")
def test_each_draws_as_if_it_were_alone_whatever_was_drawn_before(alone, first):
    names = [first, *(name for name in SCENES if name != first)]
    models = {name: model_of(name) for name in names}
    renderers = {name: SharedRenderer(models[name], SIZE) for name in names}
    assert len({id(renderer._gl_context) for renderer in renderers.values()}) == 1
    rng = np.random.default_rng(list(SCENES).index(first))
    for name, view in rng.permutation([*itertools.product(names, VIEWS)] * 3):
        assert np.array_equal(draw(renderers[name], models[name], view), alone[name, view]), (name, view)
    for renderer in renderers.values():
        renderer.close()


@pytest.mark.usefixtures("fresh")
def test_closing_one_leaves_the_others_what_is_theirs(alone):
    models = {name: model_of(name) for name in SCENES}
    renderers = {name: SharedRenderer(models[name], SIZE) for name in SCENES}
    for name in ("sky", "mirror"):
        renderers.pop(name).close()
        for other in renderers:
            assert np.array_equal(draw(renderers[other], models[other], "picture"), alone[other, "picture"])
    with mujoco.Renderer(models["sky"], SIZE, SIZE) as stranger:
        draw(stranger, models["sky"], "picture")
    assert np.array_equal(draw(renderers["all"], models["all"], "picture"), alone["all", "picture"])
    again = SharedRenderer(models["sky"], SIZE)
    assert np.array_equal(draw(again, models["sky"], "picture"), alone["sky", "picture"])


@pytest.mark.usefixtures("fresh")
def test_two_sizes_in_one_context(alone):
    model = model_of("all")
    small, large = SharedRenderer(model, SIZE), SharedRenderer(model, 64)
    first = draw(large, model, "picture")
    assert np.array_equal(draw(small, model, "picture"), alone["all", "picture"])
    assert np.array_equal(draw(large, model, "picture"), first)
    assert first.shape == (64, 64, 3)


@pytest.mark.usefixtures("fresh")
def test_after_forgetting_there_is_a_new_context_and_the_old_one_still_draws(alone):
    model = model_of("all")
    old = SharedRenderer(model, SIZE)
    gl_context.forget()
    new = SharedRenderer(model, SIZE)
    assert new._gl_context is not old._gl_context
    for renderer in (old, new, old):
        assert np.array_equal(draw(renderer, model, "picture"), alone["all", "picture"])


@pytest.mark.usefixtures("fresh")
def test_each_thread_has_a_context_of_its_own(alone):
    model, found = model_of("all"), []
    mine = SharedRenderer(model, SIZE)

    def other():
        renderer = SharedRenderer(model, SIZE)
        found.append((renderer._gl_context, draw(renderer, model, "picture")))
        renderer.close()

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    context, image = found[0]
    assert context is not mine._gl_context
    assert np.array_equal(image, alone["all", "picture"])
    assert np.array_equal(draw(mine, model, "picture"), alone["all", "picture"])


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize("how", ["closed", "collected"])
@pytest.mark.parametrize("alive", [True, False])
def test_a_renderer_of_another_thread_takes_nothing_with_it(alone, how, alive, capfd):
    model, theirs, made, done = model_of("all"), [], threading.Event(), threading.Event()
    mine = SharedRenderer(model, SIZE)

    def other():
        theirs.append(SharedRenderer(model, SIZE))
        draw(theirs[0], model, "picture")
        made.set()
        if alive:
            done.wait(30)

    thread = threading.Thread(target=other)
    thread.start()
    made.wait(30)
    if not alive:
        thread.join()
    draw(mine, model, "picture")
    with pytest.raises(EnvError, match="only in the thread in which it drew first"):
        theirs[0].render()
    if how == "closed":
        theirs[0].close()
    theirs.clear()
    gc.collect()
    assert np.array_equal(draw(mine, model, "picture"), alone["all", "picture"])
    done.set()
    thread.join()
    assert capfd.readouterr().err == ""


@pytest.mark.usefixtures("fresh")
def test_an_error_while_drawing_leaves_no_flag_behind(alone, monkeypatch):
    model = model_of("all")
    renderer = SharedRenderer(model, SIZE)
    with monkeypatch.context() as patch:
        patch.setattr("mujoco._render.mjr_readPixels", lambda *_: (_ for _ in ()).throw(RuntimeError("lost")))
        with pytest.raises(RuntimeError, match="lost"):
            draw(renderer, model, "segments")
    renderer.disable_segmentation_rendering()
    assert np.array_equal(draw(renderer, model, "picture"), alone["all", "picture"])


LEFT_OPEN = """
import threading, mujoco
from envs.sim.opengl import make_renderer
held = []
model = mujoco.MjModel.from_xml_string('<mujoco><worldbody><geom size="1"/></worldbody></mujoco>')
def draw():
    held.append(make_renderer(model, 32))
    held[-1].render()
threads = [threading.Thread(target=draw) for _ in range(2)]
for thread in threads:
    thread.start()
    thread.join()
draw()
"""


def test_what_other_threads_left_open_is_quiet_at_the_end():
    done = subprocess.run([sys.executable, "-c", LEFT_OPEN], capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_mujoco_keeps_its_own_class():
    stock = mujoco.gl_context.GLContext
    with pytest.raises(ValueError, match="width"):
        SharedRenderer(model_of("sky"), 65)
    assert mujoco.gl_context.GLContext is stock
    assert stock is mujoco.GLContext
