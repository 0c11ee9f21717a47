"""Light axes: brightness, direction, colour and shadows."""

from collections.abc import Iterable
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from perturbations.base import DEGREES, KELVIN, MULTIPLIER, WORD, AxisInfo, Scene, Stage, register
from perturbations.color import NEUTRAL_KELVIN, white_balance_gains
from perturbations.rotations import about, rotate

LIGHT_FIELDS = (
    "light_ambient",
    "light_diffuse",
    "light_specular",
    "vis.headlight.ambient",
    "vis.headlight.diffuse",
    "vis.headlight.specular",
)
"""All light sources. The headlight must be included: with only the scene's own lights at zero, 65 % of the brightness
remain (measured on libero_spatial)."""

SHADOW_MAP = 2048
"""Side of the shadow map (px) where the scene has none: half of MuJoCo's default, fine at 256 px. Our choice."""


def _scale(scene: Scene, fields: Iterable[str], factor: float | NDArray[np.float64]) -> None:
    for name in fields:
        intensity = attrgetter(name)(scene.model)
        intensity *= factor


@register(
    AxisInfo(
        name="light",
        aliases=("light.intensity",),
        stage=Stage.SCENE,
        unit=MULTIPLIER,
        value_means="multiplier on all lights and the headlight",
        bounds=(0.0, 4.0),
        identity=1.0,
        presets=(0.8, 0.6, 0.4, 0.25, 0.1),
        source="measured on libero_spatial; libero-infinity draws from 0.4 to 2",
        writes=LIGHT_FIELDS,
    )
)
def light(scene: Scene, value: float) -> None:
    """Brighter or darker light of all sources."""
    _scale(scene, LIGHT_FIELDS, value)


@register(
    AxisInfo(
        name="light.diffuse",
        stage=Stage.SCENE,
        unit=MULTIPLIER,
        value_means="multiplier on the diffuse light of the lamps; the headlight stays",
        bounds=(0.0, 4.0),
        identity=1.0,
        presets=(0.8, 0.6, 0.4, 0.2, 0.0),
        source="our choice; at 0 the headlight leaves 65 % of the brightness (measured on libero_spatial)",
        writes=("light_diffuse",),
    )
)
def light_diffuse(scene: Scene, value: float) -> None:
    """Brighter or darker lamps; highlights stay."""
    _scale(scene, ("light_diffuse",), value)


@register(
    AxisInfo(
        name="light.specular",
        stage=Stage.SCENE,
        unit=MULTIPLIER,
        value_means="multiplier on the highlights that the lamps make; the headlight's stay",
        bounds=(0.0, 4.0),
        identity=1.0,
        presets=(0.8, 0.6, 0.4, 0.2, 0.0),
        source="our choice",
        writes=("light_specular",),
    )
)
def light_specular(scene: Scene, value: float) -> None:
    """Stronger or weaker highlights."""
    _scale(scene, ("light_specular",), value)


@register(
    AxisInfo(
        name="light.dir",
        stage=Stage.SCENE,
        unit=DEGREES,
        value_means="angle by which all lamps swing together about the workspace, towards a random side",
        bounds=(0.0, 80.0),
        identity=0.0,
        presets=(10.0, 20.0, 35.0, 50.0, 65.0),
        source="robosuite's LightingModder turns by 0.35 rad = 20 deg; the rest our choice",
        writes=("light_pos", "light_dir"),
    )
)
def light_dir(scene: Scene, value: float, rng: np.random.Generator) -> None:
    """The lamps rotate rigidly about a horizontal line through the centre of the workspace.

    LIBERO's lamps are spots: turning them in place would only move their cones. A lamp that swings below the table no
    longer lights it; the headlight stays.
    """
    side = rng.uniform(0, 2 * np.pi)
    turn = about(np.array([np.cos(side), np.sin(side), 0.0]), value)
    model, pivot = scene.model, np.asarray(scene.workspace_center, np.float64)
    for k in range(model.nlight):
        model.light_pos[k] = pivot + rotate(turn, model.light_pos[k] - pivot)
        model.light_dir[k] = rotate(turn, np.asarray(model.light_dir[k], np.float64))


@register(
    AxisInfo(
        name="light.color",
        stage=Stage.SCENE,
        unit=KELVIN,
        value_means="colour temperature of all light; 6500 is none, lower is warmer",
        bounds=(1700.0, 25000.0),
        identity=NEUTRAL_KELVIN,
        presets=(5500.0, 4500.0, 3500.0, 3000.0, 2500.0),
        source="VLA-Arena's 3500 to 8500 K, and below that household lamps",
        writes=LIGHT_FIELDS,
    )
)
def light_color(scene: Scene, value: float) -> None:
    """Warmer or colder light of the same luminance."""
    _scale(scene, LIGHT_FIELDS, white_balance_gains(value))


@register(
    AxisInfo(
        name="light.shadow",
        stage=Stage.SCENE,
        unit=WORD,
        value_means="whether lamps cast shadows; in LIBERO they do not",
        words={"off": "kept", "on": "kept"},
        identity="off",
        source="LIBERO-plus switches castshadow",
        writes=("light_castshadow", "vis.quality.shadowsize"),
    )
)
def light_shadow(scene: Scene, value: str) -> None:
    """Every lamp casts shadows."""
    scene.model.light_castshadow[:] = value == "on"
    quality = scene.model.vis.quality
    quality.shadowsize = max(int(quality.shadowsize), SHADOW_MAP)
