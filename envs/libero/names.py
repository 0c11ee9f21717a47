"""Lookup of a LIBERO scene's objects and fixtures by their name in the task file."""

from collections.abc import Collection
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.base import Goal, Scene, geoms_below
from envs.sim.distractors import Distractors
from envs.sim.physics import ROBOT
from envs.sim.textures import ModelTextures

_ROBOT_BODIES = ("robot0_", "gripper0_", "mount0_")


class SceneIndex:
    """Bodies, joints and geoms by name.

    Attributes:
        bodies: body id of each movable object.
        fixtures: body id of each fixture.
        distractors: the distractor objects, placed or in reserve.
        task_objects: names of the objects and fixtures in the goal, in its order.
        workspace_center: `float64[3]`, see `envs.base.Scene`.
    """

    def __init__(self, env: Any, model: Any, goal: Goal, distractors: Distractors) -> None:
        """Look up everything once.

        Args:
            env: LIBERO's own environment object.
            model: its `mujoco.MjModel`.
            goal: the task's goal.
            distractors: the scene's distractor objects.
        """
        self._model = model
        self.distractors = distractors
        ids = env.obj_body_id
        self.bodies: dict[str, int] = {name: int(ids[name]) for name in env.objects_dict}
        self.fixtures: dict[str, int] = {name: int(ids[name]) for name in env.fixtures_dict if name in ids}
        self.task_objects = self.named_in(goal)
        x, y, z = (float(value) for value in env.workspace_offset)
        # The floor arena's origin is slightly below the floor.
        self.workspace_center: NDArray[np.float64] = np.array([x, y, max(0.0, z)])
        self.geoms_of = cache(self._geoms_of)
        self._owners = {geom: name for name in self.all for geom in self.geoms_of(name)}

    @property
    def all(self) -> dict[str, int]:
        """Body id of each fixture, movable object and distractor."""
        return {**self.fixtures, **self.bodies, **self.distractors.bodies}

    def named_in(self, goal: Goal) -> tuple[str, ...]:
        """The objects and fixtures that a goal names; a region counts as the object it belongs to."""
        names = []
        for word in (word for atom in goal for word in atom[1:]):
            owners = [name for name in self.all if word == name or word.startswith(f"{name}_")]
            names += [max(owners, key=len)] if owners else []
        return tuple(dict.fromkeys(names))

    def _geoms_of(self, name: str) -> tuple[int, ...]:
        return geoms_below(self._model, self.all[name])

    def solid_geoms_of(self, name: str) -> tuple[int, ...]:
        """Geoms of an object that can collide; for a distractor, those that can collide once it is placed."""
        if name in self.distractors.solid:
            return self.distractors.solid[name]
        return tuple(geom for geom in self.geoms_of(name) if self._model.geom_contype[geom])

    def owner(self, geom: int) -> str:
        """The object or fixture that a geom belongs to; else `robot`, or the name of its body."""
        if geom in self._owners:
            return self._owners[geom]
        body = str(self._model.body(int(self._model.geom_bodyid[geom])).name)
        return ROBOT if body.startswith(_ROBOT_BODIES) else body

    def scene(self, cameras: dict[str, int], textures: ModelTextures, present: Collection[str]) -> Scene:
        """The handle for scene perturbations, in which distractors that are `present` count as movable objects."""
        bodies = self.bodies | {name: self.distractors.bodies[name] for name in present}
        center = self.workspace_center.copy()
        return Scene(self._model, cameras, self.task_objects, bodies, self.fixtures, center, textures)
