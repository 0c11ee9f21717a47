"""Scene axes: edits of the MuJoCo model that every camera then renders."""

from operator import attrgetter

import numpy as np

from perturbations.base import MULTIPLIER, AxisInfo, Scene, Stage, register

LIGHT_FIELDS = (
    "light_ambient",
    "light_diffuse",
    "light_specular",
    "vis.headlight.ambient",
    "vis.headlight.diffuse",
    "vis.headlight.specular",
)
"""Everything that emits light. Without the headlight, darkness has a floor: in libero_spatial the scene's own lights at
zero leave 65 % of the brightness (measured on libero_spatial)."""


@register(
    AxisInfo(
        name="light",
        aliases=("light.intensity",),
        stage=Stage.SCENE,
        family="V",
        unit=MULTIPLIER,
        value_means="multiplier on all lights and the headlight",
        bounds=(0.0, 4.0),
        identity=1.0,
        presets=(0.8, 0.6, 0.4, 0.25, 0.1),
        source="measured on libero_spatial; libero-infinity draws from 0.4 to 2",
        writes=LIGHT_FIELDS,
    )
)
def light(scene: Scene, value: float, rng: np.random.Generator) -> None:
    """Brighter or darker light, all sources alike."""
    del rng
    for name in LIGHT_FIELDS:
        intensity = attrgetter(name)(scene.model)
        intensity *= value
