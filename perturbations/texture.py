"""Texture axes: other looks of table, walls and floor, and tinted objects."""

import colorsys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from perturbations.base import FRACTION, WORD, AxisInfo, Infeasible, Scene, Stage, register
from perturbations.rotations import Vector

type _Rgb = tuple[int, int, int]

STYLES: Mapping[str, Mapping[str, _Rgb]] = {
    "table": {
        "oak": (188, 140, 86),
        "walnut": (94, 64, 44),
        "marble": (222, 220, 214),
        "slate": (72, 78, 84),
        "green": (92, 128, 104),
    },
    "wall": {
        "white": (232, 230, 224),
        "green": (116, 148, 120),
        "blue": (106, 138, 178),
        "terracotta": (184, 112, 84),
        "brick": (158, 84, 66),
    },
    "floor": {
        "planks": (150, 104, 66),
        "tiles": (214, 212, 206),
        "slate": (84, 90, 96),
        "carpet": (122, 62, 66),
        "concrete": (146, 146, 142),
    },
}
"""The looks of each surface and their mean colours. Must equal those of `envs.sim.surface_styles`; tested. LIBERO's
scenes have a textured material `style_SURFACE_LOOK` for each; a scene without them gets the plain colour."""

DRAW, STOCK = "draw", "stock"

NO_COLOR = (0.5, 0.5, 0.5, 1.0)
"""A geom of exactly this colour shows its material's colour instead. Source: MuJoCo's default geom rgba."""

DARK, BLANK = 60.0, 8.0
"""A texture whose mean level (of 255) is below the first is too dark to be tinted. Pixels below the second are unused
parts of a texture atlas and do not count. LIBERO's black bowl has a mean of 37, its cans 97 and more."""

SAMPLES = 40_000
"""Evenly spaced pixels that a texture's mean is computed from: LIBERO's largest have a hundred times as many."""


def _surface_geoms(model: Any, surface: str) -> list[int]:
    """The visible geoms of a surface: those with a material, if there are any."""
    matching = []
    for geom in range(model.ngeom):
        name, body, material = model.geom(geom).name, model.body(model.geom_bodyid[geom]).name, model.geom_matid[geom]
        if surface == "wall":
            matches = material >= 0 and model.material(material).name == "walls_mat"
        elif surface == "floor":
            matches = name == "floor"
        else:
            matches = name == "table" or "table" in body
        if matches:
            matching.append(geom)
    return [geom for geom in matching if model.geom_matid[geom] >= 0] or matching


def _materials(model: Any) -> dict[str, int]:
    return {model.material(k).name: k for k in range(model.nmat)}


def _paint(model: Any, geom: int, color: Vector) -> None:
    """Set a geom's own colour (RGB 0..1), which then also tints the texture of its material."""
    model.geom_rgba[geom, :3] = color
    if tuple(model.geom_rgba[geom]) == NO_COLOR:
        model.geom_rgba[geom, 2] += 1 / 512


def _apply_style(surface: str, scene: Scene, look: str, rng: np.random.Generator) -> None:
    looks = STYLES[surface]
    chosen = list(looks)[int(rng.integers(len(looks)))] if look == DRAW else look
    model = scene.model
    geoms = _surface_geoms(model, surface)
    if not geoms:
        raise Infeasible(f"texture.{surface}:{look}: this scene has no {surface}")
    material = _materials(model).get(f"style_{surface}_{chosen}")
    for geom in geoms:
        if material is None:
            _paint(model, geom, np.asarray(looks[chosen]) / 255)
        else:
            model.geom_matid[geom] = material
            model.geom_rgba[geom] = NO_COLOR


def _surface_axis(surface: str) -> Callable[[Scene, str, np.random.Generator], None]:
    info = AxisInfo(
        name=f"texture.{surface}",
        stage=Stage.SCENE,
        unit=WORD,
        value_means=f"what the {surface} looks like; {DRAW} takes one of the looks at random",
        words=dict.fromkeys((STOCK, DRAW, *STYLES[surface]), "kept"),
        identity=STOCK,
        source="LIBERO-plus swaps background images; these looks are painted in code",
        writes=("geom_matid", "geom_rgba"),
    )

    @register(info)
    def apply_style(scene: Scene, value: str, rng: np.random.Generator) -> None:
        _apply_style(surface, scene, value, rng)

    return apply_style


for _surface in STYLES:
    _surface_axis(_surface)


def _mean_color(model: Any, material: int) -> Vector:
    """Mean colour (0..1) of a material, including its texture."""
    tint = np.asarray(model.mat_rgba[material, :3], np.float64)
    textures = [int(k) for k in np.ravel(model.mat_texid[material]) if k >= 0]
    if not textures:
        return tint
    start, channels = int(model.tex_adr[textures[0]]), int(model.tex_nchannel[textures[0]])
    size = int(model.tex_height[textures[0]]) * int(model.tex_width[textures[0]]) * channels
    pixels = model.tex_data[start : start + size].reshape(-1, channels)
    pixels = pixels[:: max(1, len(pixels) // SAMPLES), :3]
    used = pixels[pixels.mean(axis=1) > BLANK]
    color: Vector = tint * (used if len(used) else pixels).mean(axis=0) / 255
    return color


@register(
    AxisInfo(
        name="tint.object",
        stage=Stage.SCENE,
        unit=FRACTION,
        value_means="how far the colours of the task's objects go towards a random colour, one per object",
        bounds=(0.0, 1.0),
        identity=0.0,
        presets=(0.2, 0.4, 0.6, 0.8, 1.0),
        source="THE COLOSSEUM's object colour; mix and steps our choice",
        writes=("geom_matid", "geom_rgba"),
    )
)
def tint_object(scene: Scene, value: float, rng: np.random.Generator) -> None:
    """Plain colours are mixed with the new colour; textures are multiplied by a mix of white and the new colour.

    A texture that is too dark to be tinted is replaced by its mean colour, from which it hardly differs.

    Raises:
        Infeasible: the task names no object of the scene.
    """
    if not scene.task_objects:
        raise Infeasible("tint.object: the task names no object of this scene")
    model = scene.model
    for name in sorted(scene.task_objects):
        color = np.array(colorsys.hsv_to_rgb(float(rng.random()), 0.85, 0.95))
        for geom in scene.geoms_of(name):
            material = int(model.geom_matid[geom])
            base = np.asarray(model.geom_rgba[geom, :3], np.float64)
            if material >= 0 and tuple(model.geom_rgba[geom]) == NO_COLOR:
                mean = _mean_color(model, material)
                dark = 255 * mean.mean() < DARK
                base = mean if dark else np.asarray(model.mat_rgba[material, :3], np.float64)
                model.geom_matid[geom] = -1 if dark else material
            _paint(model, geom, (1 - value) * base + value * color)
