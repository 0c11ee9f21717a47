"""Records the object next to which the gripper first closes: the policy's target, whether or not it was grasped."""

from typing import Any

import mujoco
import numpy as np

from envs.base import APPROACH_REACH
from envs.libero.names import SceneIndex

_FINGERTIPS = ("gripper0_finger1_pad_collision", "gripper0_finger2_pad_collision")
"""Names of robosuite's Panda gripper."""


class Grasp:
    """Detects the first grasp attempt of an episode.

    Attributes:
        approached: the nearest object or fixture at the first control step that closed the gripper within
            `APPROACH_REACH` of one; `None` before. Distances are from either fingertip to the surface.
    """

    def __init__(self, model: Any, data: Any, index: SceneIndex) -> None:
        """Look up the geoms.

        Args:
            model: `mujoco.MjModel`.
            data: its live `mujoco.MjData`.
            index: its objects and fixtures by name.
        """
        self.approached: str | None = None
        self._model, self._data = model, data
        self._tips = [int(model.geom(name).id) for name in _FINGERTIPS]
        solid = {name: index.solid_geoms_of(name) for name in index.all}
        self._geoms = np.array([geom for geoms in solid.values() for geom in geoms], int)
        self._names = [name for name, geoms in solid.items() for _ in geoms]

    def reset(self) -> None:
        """Start a new episode."""
        self.approached = None

    def closing(self) -> None:
        """Call after each control step whose action closed the gripper."""
        if self.approached is not None or not len(self._geoms):
            return
        model, data = self._model, self._data
        nearest, approached = APPROACH_REACH, None
        for tip in self._tips:
            apart = np.linalg.norm(data.geom_xpos[self._geoms] - data.geom_xpos[tip], axis=1)
            # Bounding spheres first: exact distances between meshes would take longer than the rest of a step.
            close = apart - model.geom_rbound[self._geoms] - model.geom_rbound[tip] < APPROACH_REACH
            for index in np.flatnonzero(close):
                distance = mujoco.mj_geomDistance(model, data, tip, int(self._geoms[index]), APPROACH_REACH, None)
                if distance < nearest:
                    nearest, approached = distance, self._names[index]
        self.approached = approached
