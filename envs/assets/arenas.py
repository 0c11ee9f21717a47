"""The five rooms. Tables, walls, lights and cameras repeat LIBERO's files; furniture in the back is sketched.

LIBERO's code reads one file per style, moves the table that is in it, and puts the floor and wall textures of the task
in place of `texplane` and `tex-wall`.
"""

import xml.etree.ElementTree as ET

from envs.assets.models import CONTACT, numbers
from envs.assets.shapes import Color, Vector

_HEAD = """
<texture builtin="gradient" height="32" rgb1=".9 .9 1." rgb2=".2 .3 .4" type="skybox" width="32"/>
<texture file="../textures/light-gray-floor-tile.png" type="2d" name="texplane"/>
<material name="floorplane" reflectance="0" shininess="0" specular="0"
 texrepeat="3 3" texture="texplane" texuniform="true"/>
<texture file="../textures/light-gray-plaster.png" type="2d" name="tex-wall"/>
<material name="walls_mat" reflectance="0" shininess="0.1" specular="0.8"
 texrepeat="3 3" texture="tex-wall" texuniform="true"/>
<texture file="../textures/{wood}.png" type="cube" name="tex-table"/>
<material name="table_texture" reflectance="0" shininess="0" specular="0.2" texrepeat="1 1" texture="tex-table"/>
"""

_FLOOR = '<geom condim="3" group="1" material="floorplane" name="floor" pos="0 0 0" size="3 3 .125" type="plane"/>'
_FLOOR_BODY = f'<body name="floor" pos="0 0 0">{_FLOOR}</body>'

_SKIN = {"conaffinity": "0", "contype": "0", "group": "1"}
_CORNERED = (
    ("-1.25 2.25 1.5", "0.6532815 0.6532815 0.2705981 0.2705981", "1.06 1.5 0.01", "wall_leftcorner_visual"),
    ("-1.25 -2.25 1.5", "0.6532815 0.6532815 -0.2705981 -0.2705981", "1.06 1.5 0.01", "wall_rightcorner_visual"),
    ("1.25 3 1.5", "0.7071 0.7071 0 0", "1.75 1.5 0.01", "wall_left_visual"),
    ("1.25 -3 1.5", "0.7071 -0.7071 0 0", "1.75 1.5 0.01", "wall_right_visual"),
    ("-2 0 1.5", "0.5 0.5 0.5 0.5", "1.5 1.5 0.01", "wall_rear_visual"),
    ("3 0 1.5", "0.5 0.5 -0.5 -0.5", "3 1.5 0.01", "wall_front_visual"),
)
"""Walls: position, orientation, half lengths, name. Source: LIBERO's scenes."""
_SQUARE = (
    ("0.5 3 1.5", "0.7071 0.7071 0 0", "2.5 1.5 0.01", "wall_left_visual"),
    ("0.5 -3 1.5", "0.7071 -0.7071 0 0", "2.5 1.5 0.01", "wall_right_visual"),
    ("-2 0 1.5", "0.5 0.5 0.5 0.5", "3 1.5 0.01", "wall_rear_visual"),
    ("3 0 1.5", "0.5 0.5 -0.5 -0.5", "3 1.5 0.01", "wall_front_visual"),
)

_LAMP = 'diffuse=".8 .8 .8" castshadow="false"'
_LIGHTS = f"""
<light name="light1" dir="0 -.15 -1" directional="false" pos="1 1 4.0" specular="0.3 0.3 0.3" {_LAMP}/>
<light name="light2" dir="0 -.15 -1" directional="false" pos="-3. -3. 4.0" specular="0.3 0.3 0.3" {_LAMP}/>
<camera mode="fixed" name="frontview" pos="1.0 0 1.45" quat="0.56 0.43 0.43 0.56"/>
<camera mode="fixed" name="birdview" pos="-0.2 0 3.0" quat="0.7071 0 0 0.7071"/>
<camera mode="fixed" name="agentview" pos="0.5 0 1.35" quat="0.653 0.271 0.271 0.653"/>
<camera mode="fixed" name="sideview" pos="-0.056518 1.276122 1.487957" quat="0.009905 0.006878 0.591223 0.806418"/>
"""
_KITCHEN_LIGHT = f"""
<light name="light_kitchen" dir="0 0 -1" directional="true" pos="-1.75 0 1.6" specular="0.8 0.8 0.8" {_LAMP}/>
"""

_DRAWN = 'conaffinity="0" contype="0" group="1" material="table_texture"'
_LEG = '<geom pos="0 0 0" size="0.05 0.1" type="cylinder" name="table_leg{}_visual" {}/>'
_TABLE = f"""
<body name="table" pos="0 0 0.4">
<geom pos="0 0 0" size="0.4 0.4 0.4" type="box" group="0" name="table_collision" friction="1 0.005 0.0001"/>
<geom pos="0 0 0" size="0.4 0.4 0.4" type="box" name="table_visual" {_DRAWN}/>
<site pos="0 0 0.4" name="table_top" size="0.001 0.001 0.001" rgba="0 0 0 0"/>
{"".join(_LEG.format(k, _DRAWN) for k in (1, 2, 3, 4))}
</body>
"""
"""LIBERO's code sizes and places all of it."""


def _geom(attributes: dict[str, str]) -> str:
    return ET.tostring(ET.Element("geom", attributes), encoding="unicode")


def _board(half: Vector, pos: Vector) -> str:
    """A part of a table that objects stand on or hit."""
    shape = {"type": "box", "size": numbers(half), "pos": numbers(pos), "group": "0", "density": "100"}
    return _geom(CONTACT | shape)


def _block(color: Color, low: Vector, high: Vector) -> str:
    """A visible box between two corners."""
    half = [(b - a) / 2 for a, b in zip(low, high, strict=True)]
    pos = [(a + b) / 2 for a, b in zip(low, high, strict=True)]
    shape = {"type": "box", "size": numbers(half), "pos": numbers(pos), "rgba": numbers((*color, 1.0))}
    return _geom(_SKIN | shape)


def _tube(color: Color, radius: float, low: Vector, height: float) -> str:
    """A visible upright cylinder that stands on a point."""
    pos = numbers((low[0], low[1], low[2] + height / 2))
    shape = {"type": "cylinder", "size": numbers((radius, height / 2)), "pos": pos, "rgba": numbers((*color, 1.0))}
    return _geom(_SKIN | shape)


def _living_room_table() -> str:
    """A table with rounded ends; in its own frame x runs along it."""
    top, x = 0.42492, -0.19761
    boards = (
        _board((0.67171, 0.44432, 0.01184), (x, 0, top)),
        _board((0.10133, 0.41675, 0.01184), (0.54936, 0, top)),
        _board((0.10133, 0.41675, 0.01184), (-0.97006, 0, top)),
        _board((0.67171, 0.07752, 0.01184), (x, -0.51121, top)),
        _board((0.67171, 0.07752, 0.01184), (x, 0.49665, top)),
        _board((0.43516, 0.41162, 0.20884), (0, 0, 0.20414)),
    )
    slab = {"type": "box", "pos": numbers((-0.21, -0.007, top)), "size": "0.70 0.565 0.0117"}
    ends = [
        {"type": "cylinder", "pos": numbers((x_end, -0.007, top)), "size": "0.566 0.0117"} for x_end in (0.09, -0.51)
    ]
    looks = [_geom(_SKIN | shape | {"material": "table_texture"}) for shape in (slab, *ends)]
    leg = _tube((0.20, 0.13, 0.09), 0.38, (0, 0, 0.0), 0.41)
    content = "".join((*boards, *looks, leg))
    inner = f'<body name="living_room_table_col" pos="-0.25 0.25 0" quat="0.707 0 0 0.707">{content}</body>'
    return f'<body name="living_room_table" pos="0 0 0" quat="1 0 0 0">{inner}</body>'


def _study_table() -> str:
    top = _board((0.68946, 1.39273, 0.03584), (0, 0, 0.84929))
    legs = [
        (-0.50048, -0.69064),
        (0.49617, -0.69064),
        (0.49617, 0.70968),
        (-0.50048, 0.71473),
    ]
    solids = [_board((0.02002, 0.05031, 0.39407), (x, y, 0.39431)) for x, y in legs]
    solids += [_board((0.51262, 0.05031, 0.02002), (-0.00488, y, 0.02528)) for y in (0.71473, -0.69765)]
    slab = {"type": "box", "pos": "0 0 0.84929", "size": "0.68946 1.39273 0.03584", "material": "table_texture"}
    looks = [_geom(_SKIN | slab)] + [
        _block((0.15, 0.15, 0.16), (x - 0.02, y - 0.05, 0.0), (x + 0.02, y + 0.05, 0.81)) for x, y in legs
    ]
    return f'<body name="study_table" pos="0 0 0" quat="1 0 0 0">{top}{"".join(solids + looks)}</body>'


def _kitchen_back() -> str:
    wood, stone, door = (0.55, 0.40, 0.26), (0.25, 0.25, 0.26), (0.66, 0.50, 0.34)
    parts = [
        _block(wood, (-1.98, -2.0, 0.0), (-1.45, 2.9, 0.86)),
        _block(stone, (-1.98, -2.0, 0.86), (-1.42, 2.9, 0.90)),
        _block(wood, (-1.98, -2.0, 1.75), (-1.65, 2.9, 2.45)),
        _block((0.70, 0.71, 0.73), (-1.98, -2.85, 0.0), (-1.35, -2.05, 1.95)),
        _tube((0.35, 0.35, 0.37), 0.13, (-1.65, 0.75, 0.90), 0.16),
    ]
    parts += [_block(door, (-1.66, y, 1.80), (-1.63, y + 0.55, 2.40)) for y in (-1.9, -1.3, -0.7, -0.1, 0.5, 1.1)]
    return "".join(parts)


def _living_room_back() -> str:
    cloth, dark = (0.45, 0.47, 0.52), (0.20, 0.17, 0.15)
    return "".join(
        (
            _block(dark, (-1.98, 0.45, 0.0), (-1.55, 1.70, 0.45)),
            _block((0.05, 0.05, 0.06), (-1.90, 0.55, 0.55), (-1.86, 1.60, 1.15)),
            _block(cloth, (-1.95, -1.75, 0.0), (-1.15, -0.35, 0.40)),
            _block(cloth, (-1.95, -1.75, 0.40), (-1.72, -0.35, 0.85)),
            _block((0.75, 0.62, 0.45), (-1.975, -1.3, 1.25), (-1.96, -0.6, 1.75)),
        )
    )


def _study_back() -> str:
    wood, leaf = (0.72, 0.72, 0.70), (0.16, 0.42, 0.14)
    parts = [_block(wood, (-1.98, -1.7, z), (-1.55, -0.35, z + 0.04)) for z in (0.02, 0.45, 0.88, 1.31, 1.74)]
    parts += [_block((0.25, 0.25, 0.26), (-1.98, y, 0.0), (-1.55, y + 0.04, 1.8)) for y in (-1.72, -0.37)]
    books = ((0.70, 0.12, 0.10), (0.10, 0.25, 0.55), (0.08, 0.08, 0.09), (0.85, 0.68, 0.20), (0.12, 0.42, 0.22))
    for shelf, z in enumerate((0.49, 0.92, 1.35)):
        for k, color in enumerate(books):
            y = -1.55 + 0.08 * k + 0.35 * shelf
            parts.append(_block(color, (-1.85, y, z), (-1.62, y + 0.06, z + 0.24 + 0.02 * (k % 3))))
    parts += [
        _tube((0.6, 0.6, 0.62), 0.16, (-1.70, 0.55, 0.0), 0.35),
        _tube((0.33, 0.22, 0.12), 0.03, (-1.70, 0.55, 0.35), 0.6),
    ]
    blades = ((0.0, 0.25), (0.25, 0.15), (-0.25, 0.15), (0.12, 0.35), (-0.14, 0.32))
    for y, z in blades:
        end = numbers((-1.70, 0.55, 0.9, -1.62, 0.55 + y, 1.05 + z))
        parts.append(_geom(_SKIN | {"type": "capsule", "fromto": end, "size": "0.022", "rgba": numbers((*leaf, 1.0))}))
    parts.append(_block((0.80, 0.66, 0.42), (-1.985, 0.25, 1.35), (-1.97, 0.85, 1.75)))
    return "".join(parts)


def _arena(wood: str, *content: str) -> str:
    head, body = _HEAD.format(wood=wood), "".join(content)
    root = ET.fromstring(f'<mujoco model="arena"><asset>{head}</asset><worldbody>{body}{_LIGHTS}</worldbody></mujoco>')
    ET.indent(root, " ")
    return ET.tostring(root, encoding="unicode") + "\n"


def _walls(walls: tuple[tuple[str, str, str, str], ...]) -> str:
    look = {"type": "box", "material": "walls_mat"}
    return "".join(
        _geom(_SKIN | look | {"pos": pos, "quat": quat, "size": size, "name": name}) for pos, quat, size, name in walls
    )


def arenas() -> dict[str, str]:
    """Every arena file by its path below the asset folder."""
    cornered, square = _walls(_CORNERED), _walls(_SQUARE)
    return {
        "scenes/libero_tabletop_base_style.xml": _arena("table_wood", _FLOOR, cornered, _TABLE),
        "scenes/libero_floor_base_style.xml": _arena("table_wood", _FLOOR_BODY, cornered),
        "scenes/libero_kitchen_tabletop_base_style.xml": _arena(
            "table_wood", _FLOOR, _kitchen_back(), _KITCHEN_LIGHT, square, _TABLE
        ),
        "scenes/libero_living_room_tabletop_base_style.xml": _arena(
            "dark_wood", _FLOOR_BODY, _living_room_table(), _living_room_back(), cornered
        ),
        "scenes/libero_study_base_style.xml": _arena("desk_wood", _FLOOR, _study_table(), _study_back(), cornered),
    }
