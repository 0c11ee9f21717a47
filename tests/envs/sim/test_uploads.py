"""Textures in an OpenGL context: equal ones are uploaded once, and each is shown as if it were alone."""

import mujoco
import numpy as np
import pytest

from envs.sim.rendering import Renderers
from envs.sim.textures import ModelTextures

SIZE = 48
TEXTURES = range(4)
SCENE = """
<mujoco>
  <asset>
    {textures}
    <texture name="other" type="2d" builtin="checker" rgb1="0 1 0" rgb2="1 1 0" width="32" height="32"/>
    <material name="other" texture="other"/>
    <material name="plain" rgba="0 0 1 1"/>
  </asset>
  <worldbody>
    <light pos="0 0 3"/>
    <camera name="above" pos="0 0 2"/>
    {boxes}
    <geom type="box" group="1" pos=".45 .45 0" size=".15 .15 .1" material="other"/>
    <geom type="box" group="1" pos="-.45 .45 0" size=".15 .15 .1" material="plain"/>
  </worldbody>
</mujoco>
""".format(
    textures="".join(
        f'<texture name="t{i}" type="2d" builtin="gradient" rgb1="1 0 0" rgb2="0 0 1" width="32" height="32"/>'
        f'<material name="m{i}" texture="t{i}"/>'
        for i in TEXTURES
    ),
    boxes="".join(
        f'<geom name="g{i}" type="box" group="1" pos="{0.4 * i - 0.6:.1f} -.3 0" size=".15 .15 .1" material="m{i}"/>'
        for i in TEXTURES
    ),
)


@pytest.fixture
def scene():
    model = mujoco.MjModel.from_xml_string(SCENE)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    textures = ModelTextures(model)
    renderers = Renderers(model, textures)
    yield model, data, textures, renderers
    renderers.close()


def plainly(model, data):
    """The image of a renderer that uploads every texture of the model for itself."""
    renderer = mujoco.Renderer(model, SIZE, SIZE)
    option = mujoco.MjvOption()
    option.geomgroup[0] = 0
    renderer.update_scene(data, "above", option)
    image = renderer.render()
    renderer.close()
    return image


def names(renderers):
    return renderers._by_size[SIZE].uploads._context.texture[:5].tolist()


def test_equal_textures_are_uploaded_once(scene):
    model, data, _, renderers = scene
    uploaded = []
    upload = mujoco.mjr_uploadTexture
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mujoco, "mjr_uploadTexture", lambda m, c, i: (uploaded.append(i), upload(m, c, i))[1])
        image = renderers.draw(data, 0, SIZE)
    assert uploaded == [0, 4]
    assert len(set(names(renderers))) == 2
    assert np.array_equal(image, plainly(model, data))


@pytest.mark.parametrize("written", TEXTURES)
def test_one_of_them_can_be_written_alone_and_put_back(scene, written):
    model, data, textures, renderers = scene
    before = renderers.draw(data, 0, SIZE)
    for shade in (0, 90, 200):
        textures.set(written, np.full_like(textures.get(written), shade))
        image = renderers.draw(data, 0, SIZE)
        assert np.array_equal(image, plainly(model, data))
        assert not np.array_equal(image, before)
    textures.restore()
    assert np.array_equal(renderers.draw(data, 0, SIZE), before)


def test_any_order_of_writes_shows_what_the_model_has(scene):
    model, data, textures, renderers = scene
    rng = np.random.default_rng(3)
    own = None
    for _ in range(40):
        if rng.random() < 0.25:
            textures.restore()
        for texture in rng.choice(4, rng.integers(0, 3), replace=False).tolist():
            textures.set(texture, np.full_like(textures.get(texture), rng.choice([10, 120, 250])))
        model.geom_matid[:] = rng.permutation(model.geom_matid)  # what is shown first differs
        if rng.random() < 0.8:
            assert np.array_equal(renderers.draw(data, 0, SIZE), plainly(model, data))
            own = own or sorted(renderers._by_size[SIZE].uploads._names[:5].tolist())
            assert set(names(renderers)) <= set(own), "only names that the context made"


@pytest.mark.parametrize("written", range(4))
def test_a_name_is_never_used_for_another_type(written):
    """OpenGL binds a name to the target that it was first used with: 2D, or the six sides of a cube."""
    types = ["cube", "2d", "2d", "cube"]
    kinds = zip(types, SCENE.split('type="2d" builtin="gradient"'), strict=False)
    xml = "".join(part + f'type="{kind}" builtin="gradient"' for kind, part in kinds)
    xml += SCENE.split('type="2d" builtin="gradient"')[-1].replace('height="32"', 'height="{}"', 1).format(32)
    for cube in ("t0", "t3"):
        start = xml.index(f'name="{cube}"')
        xml = xml[:start] + xml[start:].replace('height="32"', 'height="192"', 1)
    model = mujoco.MjModel.from_xml_string(xml)
    assert sorted(model.tex_type[:4]) == [0, 0, 1, 1]
    data, textures = mujoco.MjData(model), ModelTextures(model)
    mujoco.mj_forward(model, data)
    renderers = Renderers(model, textures)
    renderers.draw(data, 0, SIZE)
    for texture in (written, 3 - written):
        textures.set(texture, np.full_like(textures.get(texture), 200))
        assert np.array_equal(renderers.draw(data, 0, SIZE), plainly(model, data))
    textures.restore()
    assert np.array_equal(renderers.draw(data, 0, SIZE), plainly(model, data))
    renderers.close()


def test_a_texture_written_before_the_first_image_shares_nothing(scene):
    model, data, textures, renderers = scene
    textures.set(1, textures.get(1))
    assert np.array_equal(renderers.draw(data, 0, SIZE), plainly(model, data))
    assert len(set(names(renderers))) == 3


def test_every_name_is_given_back_when_the_context_closes(scene):
    _, data, _, renderers = scene
    renderers.draw(data, 0, SIZE)
    uploads = renderers._by_size[SIZE].uploads
    uploads.release()
    assert len(set(names(renderers))) == 5


def test_textures_of_another_type_or_size_are_not_equal():
    model = mujoco.MjModel.from_xml_string(
        """<mujoco><asset>
        <texture name="a" type="2d" builtin="flat" rgb1="1 1 1" width="8" height="8"/>
        <texture name="b" type="2d" builtin="flat" rgb1="1 1 1" width="4" height="16"/>
        <texture name="c" type="cube" builtin="flat" rgb1="1 1 1" width="8" height="48"/>
        <texture name="d" type="2d" builtin="flat" rgb1="1 1 1" width="8" height="8"/>
        <texture name="e" type="2d" builtin="flat" rgb1="1 1 0.9" width="8" height="8"/>
        </asset></mujoco>"""
    )
    textures = ModelTextures(model)
    assert [textures.equal(0, other) for other in range(5)] == [True, False, False, True, False]
