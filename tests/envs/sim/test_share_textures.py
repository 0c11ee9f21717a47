"""Textures that repeat each other: one of them stays, and nothing shows another picture than before."""

import xml.etree.ElementTree as ET

import numpy as np

from envs.build import make_env
from envs.sim.share_textures import share_textures

SCENE = """
<mujoco>
  <asset>
    <texture name="tex-table" type="cube" file="wood.png"/>
    <texture name="tex-legs" type="cube" file="wood.png"/>
    <texture name="tex-flat" type="2d" file="wood.png"/>
    <texture name="sky" type="skybox" builtin="flat" width="8" height="8"/>
    <texture name="sky2" type="skybox" builtin="flat" width="8" height="8"/>
    <texture name="bowl_1_tex-bowl" type="2d" file="bowl.png"/>
    <texture name="bowl_2_tex-bowl" type="2d" file="bowl.png"/>
    <material name="table" texture="tex-table"/>
    <material name="legs" texture="tex-legs" shininess="0.5"/>
    <material name="flat"><layer role="rgb" texture="tex-flat"/></material>
    <material name="layered"><layer role="rgb" texture="tex-legs"/></material>
    <material name="bowl" texture="bowl_2_tex-bowl"/>
    <material name="plain" rgba="1 0 0 1"/>
  </asset>
</mujoco>
"""


def test_only_copies_of_the_same_object_go():
    root = ET.fromstring(share_textures(SCENE))
    left = [texture.get("name") for texture in root.iter("texture")]
    assert left == ["tex-table", "tex-flat", "sky", "sky2", "bowl_1_tex-bowl", "bowl_2_tex-bowl"]


def test_materials_show_the_one_that_stays_and_are_otherwise_untouched():
    root = ET.fromstring(share_textures(SCENE))
    shown = {material.get("name"): dict(material.attrib) for material in root.iter("material")}
    assert shown["legs"] == {"name": "legs", "texture": "tex-table", "shininess": "0.5"}
    assert shown["bowl"]["texture"] == "bowl_2_tex-bowl"
    assert "texture" not in shown["plain"]
    assert [layer.get("texture") for layer in root.iter("layer")] == ["tex-flat", "tex-table"]


def test_the_table_of_libero_has_one_texture(official_assets):
    env = make_env("libero_spatial", 0, 128, official_assets)
    model = env.scene().model
    top, legs = (set(np.ravel(model.mat(name).texid)) for name in ("table_texture", "table_legs"))
    assert top == legs
    assert len(top - {-1}) == 1
    assert model.nmat > model.ntex
    env.close()
