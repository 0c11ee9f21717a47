"""Environments one after another in one process: what the last one did to its scene is nothing to the next one."""

from dataclasses import dataclass

import mujoco
import numpy as np
import pytest

from envs import build
from envs.base import CAMERAS, EnvError
from envs.build import EnvCache, make_env
from envs.libero.files import resolve_assets
from envs.sim import compile as compiling
from envs.sim import gl_context, loaded_scene, pristine
from envs.sim.compile import load_scene
from envs.sim.distractors import Distractors
from perturbations.base import axes
from perturbations.spec import parse
from simeval.core.seeding import PairStreams

RNG = PairStreams(0, (1, 2, 3, 4)).generator
BOX = '<mujoco><worldbody><geom name="box" type="box" size="{} .1 .1"/></worldbody></mujoco>'


@dataclass(frozen=True)
class Reset:
    init_state: int = 0
    env_seed: int = 0
    settle_steps: int = 10


@pytest.fixture
def loaded(monkeypatch):
    """The scenes that were loaded, each time."""
    found, load = [], compiling.compile_in_subprocess
    monkeypatch.setattr(compiling, "compile_in_subprocess", lambda xml, name=None: (found.append(xml), load(xml))[1])
    return found


@pytest.fixture
def cache():
    cache = EnvCache(resolve_assets("bundled"))
    yield cache
    cache.discard()


def saved(model) -> bytes:
    buffer = np.empty(mujoco.mj_sizeModel(model), np.uint8)
    mujoco.mj_saveModel(model, None, buffer)
    return buffer.tobytes()


def beginning(env) -> list[bytes]:
    """All that an episode's first steps show, and the model before and after them."""
    found = [saved(env.world.model)]
    env.reset(Reset(2))
    found += [saved(env.world.model), env.state().tobytes()]
    images = env.observe().images
    result = env.step(np.random.default_rng(0).uniform(-1, 1, (5, 7)).astype(np.float32))
    found += [result.states.tobytes(), env.observe().state.tobytes()]
    return found + [image[name].tobytes() for image in (images, env.observe().images) for name in CAMERAS]


def disturb(env) -> None:
    """Change whatever a perturbation can, and stop in the middle of an episode."""
    for info in axes():
        if info.channel not in ("scene", "physics"):
            continue
        condition = parse(info.example)
        env.reset(Reset(1), lambda physics, c=condition: c.apply_physics(physics, RNG))
        for step in condition.steps:
            env.intervene(lambda physics, c=condition, s=step: c.apply_step(physics, s, RNG))
        condition.apply_scene(env.scene(), RNG)
        env.observe()
    for before in (None, lambda physics: parse("layout.distractors:1").apply_physics(physics, RNG)):
        env.reset(Reset(1), before)
        scene = env.scene()
        for texture in range(scene.model.ntex):
            scene.set_texture(texture, 255 - scene.texture(texture))
        scene.model.geom_rgba[:] = 0.5
        scene.model.light_castshadow[:] = 1
        env.observe()


def test_the_next_task_is_as_if_its_environment_were_the_first(cache, loaded):
    fresh = make_env("libero_spatial", 1, 64, resolve_assets("bundled"))
    expected = beginning(fresh)
    fresh.close()
    disturb(cache.get("libero_spatial", 0, 64))
    loaded.clear()
    assert beginning(cache.get("libero_spatial", 1, 64)) == expected
    assert loaded == [], "the two tasks are one scene"


def test_the_scene_with_distractors_is_as_if_it_were_the_first(cache):
    def with_distractors(env):
        env.reset(Reset(3), lambda physics: parse("layout.distractors:1").apply_physics(physics, RNG))
        assert env.world is not env._plain
        return saved(env.world.model), env.state().tobytes(), env.observe().images["agentview"].tobytes()

    fresh = make_env("libero_spatial", 1, 64, resolve_assets("bundled"))
    expected = with_distractors(fresh)
    fresh.close()
    disturb(cache.get("libero_spatial", 0, 64))
    assert with_distractors(cache.get("libero_spatial", 1, 64)) == expected


def test_another_scene_is_loaded_and_the_last_one_freed(cache, loaded):
    first = cache.get("libero_spatial", 0, 64)
    first.reset(Reset())
    first.observe()
    renderers = first.world._renderers
    cache.get("libero_goal", 0, 64)
    assert len(loaded) == 2
    assert not renderers._by_size
    assert loaded_scene._idle() is None


def test_after_a_crash_nothing_is_handed_on(cache, loaded):
    env = cache.get("libero_spatial", 0, 64)
    env.reset(Reset())
    env.observe()
    context = gl_context._thread.context
    cache.discard()
    again = cache.get("libero_spatial", 1, 64)
    again.reset(Reset())
    again.observe()
    assert len(loaded) == 2
    assert gl_context._thread.context is not context


def test_an_environment_that_cannot_be_built_leaves_nothing_behind(cache, monkeypatch):
    env = cache.get("libero_spatial", 0, 64)
    env.reset(Reset())
    env.observe()
    renderers = env.world._renderers
    with monkeypatch.context() as patch:
        patch.setattr(build, "make_env", lambda *_: (_ for _ in ()).throw(EnvError("no")))
        with pytest.raises(EnvError, match="no"):
            cache.get("libero_spatial", 1, 64)
    assert not renderers._by_size
    assert loaded_scene._idle() is None


def test_only_within_a_handover_is_a_scene_kept(loaded):
    finished = []

    def finish(model):
        finished.append(model)
        return Distractors(model, [])

    xml, wide = BOX.format(0.1), BOX.format(0.2)
    first = load_scene(xml, finish)
    first.close()
    assert load_scene(xml, finish).model is not first.model
    with loaded_scene.handover():
        first.model.geom_size[0, 0] = 7
        first.close()
        second = load_scene(xml, finish)
        assert second.model is first.model
        assert second.model.geom_size[0, 0] == 0.1
        with pytest.raises(EnvError, match="this environment was closed, and its scene belongs to the next one"):
            first.restore()
        second.restore()
        second.close()
        other = load_scene(wide, finish)
        assert load_scene(xml, finish).model is not first.model
        other.close()
    assert load_scene(wide, finish).model is not other.model
    assert len(finished) == len(loaded) == 5


def test_of_several_image_sizes_the_last_is_kept(cache):
    env = cache.get("libero_spatial", 0, 64)
    env.reset(Reset())
    for size in (32, 96, 64, 48, 96):
        env.render("agentview", size)
    renderers = env.world._renderers
    assert list(renderers._by_size) == [32, 64, 48, 96]
    cache.get("libero_spatial", 1, 64)
    assert list(renderers._by_size) == [96]


def test_an_environment_that_was_handed_on_says_so(cache):
    old = cache.get("libero_spatial", 0, 64)
    new = cache.get("libero_spatial", 1, 64)
    new.reset(Reset())
    new.observe()
    with pytest.raises(EnvError, match="was closed"):
        old.reset(Reset())
    old.close()
    assert new.world._renderers._by_size, "closing it again takes nothing from the next one"


def test_what_a_reset_cannot_undo_cannot_be_written(cache):
    """A perturbation of a mesh would be in every later episode, of the next task as well."""
    model = cache.get("libero_spatial", 0, 64).world.model
    large = [name for name in dir(model) if isinstance(getattr(model, name), np.ndarray)]
    large = [name for name in large if getattr(model, name).nbytes > pristine._LARGE]
    assert {"tex_data", "bvh_aabb"} <= set(large)
    for name in large:
        with pytest.raises(ValueError, match="read-only"):
            getattr(model, name)[:] = 0
