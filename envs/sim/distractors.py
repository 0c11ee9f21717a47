"""Objects that a scene holds in reserve: parked far away, untouchable, weightless and unseen until one is put down.

Non-obvious behaviour:
- Whether a spare object takes part is read off its height alone, so that a stored state says it too.
- They are the model's last bodies. A state is time, positions, velocities; theirs come at the end of each part.
- A parked object must not fall for the length of an episode, so gravity is compensated. Nothing else holds it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

PARKED_POS = -100.0
"""Height at which spare objects wait (m): below everything, with nothing to touch."""

UNSEEN = 4
"""A geom group that no camera shows and that LIBERO's models do not use."""

WRITES = ("geom_contype", "geom_conaffinity", "geom_group", "body_gravcomp")
"""The fields of a model by which a spare object takes part or does not."""

_QPOS, _QVEL = 7, 6
"""Numbers of a free joint."""

STATE_SIZE = _QPOS + _QVEL
"""By how many numbers each of them lengthens a state."""


class Spares:
    """The spare objects of a model.

    Attributes:
        bodies: body id by name, in the model's order.
    """

    def __init__(self, model: Any, names: Sequence[str]) -> None:
        """Put them to sleep, before anyone copies the model's values.

        Args:
            model: a freshly compiled `mujoco.MjModel` whose last bodies they are, each with a free joint.
            names: of these bodies.
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
        self._awake = {field: getattr(model, field).copy() for field in fields}
        for name in names:
            self._take_part(name, there=False)

    def __len__(self) -> int:
        return len(self.bodies)

    @property
    def names(self) -> tuple[str, ...]:
        """Their names, in the model's order."""
        return tuple(self.bodies)

    def present(self, qpos: NDArray[np.float64]) -> dict[str, int]:
        """Address in `qpos` of each one that takes part."""
        return {name: at for name, at in self._joints.items() if qpos[at + 2] > PARKED_POS / 2}

    def follow(self, qpos: NDArray[np.float64]) -> None:
        """Let those take part that positions say are there, and no others."""
        there = self.present(qpos)
        for name in self.bodies:
            self._take_part(name, there=name in there)

    def _take_part(self, name: str, *, there: bool) -> None:
        model, geoms = self._model, self._geoms[name]
        for field, asleep in (("geom_contype", 0), ("geom_conaffinity", 0), ("geom_group", UNSEEN)):
            getattr(model, field)[geoms] = self._awake[field][geoms] if there else asleep
        model.body_gravcomp[self.bodies[name]] = 0.0 if there else 1.0

    def lengthened(self, state: NDArray[np.float64]) -> NDArray[np.float64]:
        """A state of the scene without spare objects, as one in which all of them are parked."""
        model, many = self._model, len(self)
        old = 1 + model.nq - _QPOS * many
        parked = model.qpos0[model.nq - _QPOS * many :]
        return np.concatenate((state[:old], parked, state[old:], np.zeros(_QVEL * many)))

    def put(self, data: Any, name: str, place: Sequence[float], yaw: float) -> float:
        """Stand one upright on a point, at rest, and let it take part; says how tall it is (m).

        `data` is up to date afterwards.

        Args:
            data: the live `mujoco.MjData`.
            name: which one.
            place: the point under its middle (3, m).
            yaw: how far it is turned about the vertical (rad).
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
        """Take one out again. `data` is up to date afterwards."""
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
"""Above the support at first (m), so that it comes down on it rather than being pushed out."""


_SKIN = 1e-5
"""By how much a ray goes on behind the surface of something that cannot be touched (m)."""


def surface_below(model: Any, data: Any, x: float, y: float, top: float) -> tuple[float, int]:
    """Height of the first solid thing below a point (m; minus infinity for none), and the geom that it belongs to."""
    hit, down, height = np.array([-1], np.int32), np.array([0.0, 0.0, -1.0]), top
    while True:
        distance = mujoco.mj_ray(model, data, np.array([x, y, height]), down, None, 1, -1, hit)
        if hit[0] < 0:
            return -np.inf, -1
        height -= distance
        if model.geom_contype[hit[0]]:
            return height, int(hit[0])
        height -= _SKIN  # only a look; what can be touched lies below it


def first_between(model: Any, data: Any, camera: int, geom: int) -> int:
    """The first geom on the line from a camera to the middle of a geom; -1 for none."""
    hit, eye = np.array([-1], np.int32), data.cam_xpos[camera]
    mujoco.mj_ray(model, data, eye, data.geom_xpos[geom] - eye, None, 1, -1, hit)
    return int(hit[0])


def distance_between(model: Any, data: Any, some: Sequence[int], others: NDArray[np.int64], reach: float) -> float:
    """Smallest distance between two sets of geoms (m), at most `reach`."""
    nearest = reach
    for geom in some:
        apart = np.linalg.norm(data.geom_xpos[others] - data.geom_xpos[geom], axis=1)
        # Bounding spheres first: exact distances between meshes take long.
        for other in others[apart - model.geom_rbound[others] - model.geom_rbound[geom] < nearest]:
            nearest = min(nearest, mujoco.mj_geomDistance(model, data, geom, int(other), nearest, None))
    return float(nearest)


def copy_statistics(source: Any, target: Any) -> None:
    """Give one model another's statistics, which clipping planes and the solver's tolerance are measured in."""
    statistics: Mapping[str, Any] = {name: getattr(source.stat, name) for name in ("extent", "center", "meaninertia")}
    for name, value in statistics.items():
        setattr(target.stat, name, value)
