"""Distractor objects that a scene holds in reserve: parked far away and inactive until one is placed.

A parked distractor is invisible, has no gravity and collides with nothing.

Non-obvious behaviour:
- A distractor's height alone says whether it is placed, so that a stored state says it too.
- Distractors are the model's last bodies. A state is time, positions, velocities; theirs are last in each part.
- A parked distractor must not fall during an episode, so its gravity is compensated. Nothing else holds it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

PARKED_POS = -100.0
"""Height of parked distractors (m): below everything else."""

UNSEEN = 4
"""A geom group that no camera renders and that LIBERO's models do not use."""

WRITES = ("geom_contype", "geom_conaffinity", "geom_group", "body_gravcomp")
"""The model fields that activate and deactivate a distractor."""

_QPOS, _QVEL = 7, 6
"""Numbers of a free joint."""

STATE_SIZE = _QPOS + _QVEL
"""Numbers that each distractor adds to a state."""


class Distractors:
    """The distractors of a model.

    Attributes:
        bodies: body id by name, in the model's order.
    """

    def __init__(self, model: Any, names: Sequence[str]) -> None:
        """Deactivate them; do this before the model is backed up.

        Args:
            model: a freshly compiled `mujoco.MjModel` whose last bodies they are, each with a free joint.
            names: names of these bodies.
        """
        self._model = model
        self.bodies: dict[str, int] = {name: int(model.body(name).id) for name in names}
        self._joints = {n: int(model.jnt_qposadr[model.body_jntadr[body]]) for n, body in self.bodies.items()}
        self._geoms = {
            name: np.arange(model.body_geomadr[body], model.body_geomadr[body] + model.body_geomnum[body])
            for name, body in self.bodies.items()
        }
        self.solid: dict[str, tuple[int, ...]] = {
            name: tuple(int(geom) for geom in geoms if model.geom_contype[geom]) for name, geoms in self._geoms.items()
        }
        fields = ("geom_contype", "geom_conaffinity", "geom_group")
        self._active_values = {field: getattr(model, field).copy() for field in fields}
        for name in names:
            self._set_active(name, active=False)

    def __len__(self) -> int:
        return len(self.bodies)

    @property
    def names(self) -> tuple[str, ...]:
        """Their names, in the model's order."""
        return tuple(self.bodies)

    def present(self, qpos: NDArray[np.float64]) -> dict[str, int]:
        """Address in `qpos` of each placed distractor."""
        return {name: at for name, at in self._joints.items() if qpos[at + 2] > PARKED_POS / 2}

    def follow(self, qpos: NDArray[np.float64]) -> None:
        """Activate the distractors that are placed according to `qpos`, and deactivate the others."""
        placed = self.present(qpos)
        for name in self.bodies:
            self._set_active(name, active=name in placed)

    def _set_active(self, name: str, *, active: bool) -> None:
        model, geoms = self._model, self._geoms[name]
        for field, inactive in (("geom_contype", 0), ("geom_conaffinity", 0), ("geom_group", UNSEEN)):
            getattr(model, field)[geoms] = self._active_values[field][geoms] if active else inactive
        model.body_gravcomp[self.bodies[name]] = 0.0 if active else 1.0

    def lengthened(self, state: NDArray[np.float64]) -> NDArray[np.float64]:
        """Extend a state of the scene without distractors by parked distractors."""
        model, count = self._model, len(self)
        old = 1 + model.nq - _QPOS * count
        parked = model.qpos0[model.nq - _QPOS * count :]
        return np.concatenate((state[:old], parked, state[old:], np.zeros(_QVEL * count)))

    def put(self, data: Any, name: str, place: Sequence[float], yaw: float) -> float:
        """Place a distractor upright and at rest, activate it, and return its height (m).

        `data` is forwarded afterwards.

        Args:
            data: the live `mujoco.MjData`.
            name: name of the distractor.
            place: the point below its centre (3, m).
            yaw: rotation about the vertical (rad).
        """
        model, at = self._model, self._joints[name]
        turn = np.empty(4)
        mujoco.mju_mulQuat(turn, np.array([np.cos(yaw / 2), 0, 0, np.sin(yaw / 2)]), model.qpos0[at + 3 : at + 7])
        data.qpos[at : at + _QPOS] = (*place, *turn)
        self._stop(data, name)
        mujoco.mj_forward(model, data)
        low, high = self._reach(data, name)
        data.qpos[at + 2] += place[2] - low + _GAP
        self.follow(data.qpos)
        mujoco.mj_forward(model, data)
        return high - low

    def park(self, data: Any, name: str) -> None:
        """Park a distractor again. `data` is forwarded afterwards."""
        at = self._joints[name]
        data.qpos[at : at + _QPOS] = self._model.qpos0[at : at + _QPOS]
        self._stop(data, name)
        self.follow(data.qpos)
        mujoco.mj_forward(self._model, data)

    def _stop(self, data: Any, name: str) -> None:
        first = int(self._model.body_dofadr[self.bodies[name]])
        data.qvel[first : first + _QVEL] = 0

    def _reach(self, data: Any, name: str) -> tuple[float, float]:
        """Heights of the lowest and highest point of its solid geoms' bounding boxes (m)."""
        geoms = list(self.solid[name])
        up, boxes = data.geom_xmat[geoms].reshape(-1, 3, 3)[:, 2], self._model.geom_aabb[geoms]
        middle = data.geom_xpos[geoms][:, 2] + np.sum(up * boxes[:, :3], axis=1)
        half = np.sum(np.abs(up) * boxes[:, 3:], axis=1)
        return float(np.min(middle - half)), float(np.max(middle + half))


_GAP = 0.0005
"""Initial gap above the support (m), so that the object settles down rather than being pushed out."""


_SKIN = 1e-5
"""How far a ray restarts below the surface of a geom that does not collide (m)."""


def surface_below(model: Any, data: Any, x: float, y: float, top: float) -> tuple[float, int]:
    """Height of the first solid surface below a point (m; minus infinity for none), and its geom."""
    hit, down, height = np.array([-1], np.int32), np.array([0.0, 0.0, -1.0]), top
    while True:
        distance = mujoco.mj_ray(model, data, np.array([x, y, height]), down, None, 1, -1, hit)
        if hit[0] < 0:
            return -np.inf, -1
        height -= distance
        if model.geom_contype[hit[0]]:
            return height, int(hit[0])
        height -= _SKIN  # a visual geom; the solid one is below it


def first_between(model: Any, data: Any, camera: int, geom: int) -> int:
    """The first geom on the line from a camera to the centre of a geom; -1 for none."""
    hit, eye = np.array([-1], np.int32), data.cam_xpos[camera]
    mujoco.mj_ray(model, data, eye, data.geom_xpos[geom] - eye, None, 1, -1, hit)
    return int(hit[0])


def distance_between(model: Any, data: Any, some: Sequence[int], others: NDArray[np.int64], reach: float) -> float:
    """Smallest distance between two sets of geoms (m), at most `reach`."""
    nearest = reach
    for geom in some:
        apart = np.linalg.norm(data.geom_xpos[others] - data.geom_xpos[geom], axis=1)
        # Bounding spheres first: exact distances between meshes are slow.
        for other in others[apart - model.geom_rbound[others] - model.geom_rbound[geom] < nearest]:
            nearest = min(nearest, mujoco.mj_geomDistance(model, data, geom, int(other), nearest, None))
    return float(nearest)


def copy_statistics(source: Any, target: Any) -> None:
    """Copy a model's statistics to another; clipping planes and the solver's tolerance are relative to them."""
    statistics: Mapping[str, Any] = {name: getattr(source.stat, name) for name in ("extent", "center", "meaninertia")}
    for name, value in statistics.items():
        setattr(target.stat, name, value)
