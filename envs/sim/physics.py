"""The handle of physics perturbations; see `envs.base.Physics`."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from envs.base import CAMERAS, EnvError, geoms_below
from envs.sim.distractors import Spares, distance_between, first_between, surface_below

ROBOT = "robot"
"""What a robot, its gripper and its mount are called together, as the owner of geoms."""

_SKY = 1.0
"""How far above the workspace the look down for a free place starts (m): above every arm and cabinet."""

_LEVEL = 0.05
"""A surface this far (m) above or below the pivot is still the workspace: in two arenas it is up to 3 cm higher."""


@dataclass
class MujocoPhysics:
    """A simulation without an arm, open to changes.

    Attributes:
        model: the live `mujoco.MjModel`.
        data: the live `mujoco.MjData`.
        body_ids: body id of each movable object and fixture.
        movable: which of them have a free joint.
        targets: names of what the task's goal names.
        owner: the name of the thing that a geom belongs to.
        settling: physics steps that `settle_check` looks ahead.
        held: degrees of freedom that `settle_check` holds up against gravity.
        reserve: objects that the scene holds in reserve.
        pivot: `float64[3]`, see `envs.base.Scene`.
    """

    model: Any
    data: Any
    body_ids: Mapping[str, int]
    movable: Sequence[str]
    targets: tuple[str, ...]
    owner: Callable[[int], str]
    settling: int
    held: Sequence[int] = ()
    reserve: Spares | None = None
    pivot: NDArray[np.float64] = field(default_factory=lambda: np.zeros(3))
    _own: Mapping[str, int] = field(init=False)

    def __post_init__(self) -> None:
        joints = {name: int(self.model.body_jntadr[self.body_ids[name]]) for name in self.movable}
        self._own = {name: int(self.model.jnt_qposadr[joint]) for name, joint in joints.items()}

    @property
    def objects(self) -> dict[str, int]:
        """Address in `data.qpos` of the free joint of each movable object that is in the scene."""
        return {**self._own, **(self.reserve.present(self.data.qpos) if self.reserve else {})}

    @property
    def spares(self) -> tuple[str, ...]:
        """Names of the objects in reserve, whether they have been brought in or not."""
        return self.reserve.names if self.reserve else ()

    def place_distractor(self, distractor: str, place: NDArray[np.float64], yaw: float) -> float | None:
        """Stand an object of the reserve on the workspace; see `perturbations.base.Physics`."""
        reserve, (x, y) = self._reserve_of(distractor), place.tolist()
        height, geom = surface_below(self.model, self.data, x, y, self.pivot[2] + _SKY)
        if geom < 0 or self.owner(geom) in (*self.body_ids, ROBOT) or abs(height - self.pivot[2]) > _LEVEL:
            return None
        return reserve.put(self.data, distractor, (x, y, height), yaw)

    def remove_distractor(self, distractor: str) -> None:
        """Put it back in reserve."""
        self._reserve_of(distractor).park(self.data, distractor)

    def _reserve_of(self, distractor: str) -> Spares:
        if self.reserve is None or distractor not in self.reserve.bodies:
            raise EnvError(f"this scene has no {distractor} in reserve")
        return self.reserve

    def clearance(self, name: str, reach: float, others: Sequence[str] = ()) -> float:
        """Smallest distance (m, at most `reach`) between a movable object and others, by default any and the robot."""
        solid = {owner: geoms[self.model.geom_contype[geoms] > 0] for owner, geoms in self._geoms.items()}
        apart = [solid[other] for other in others or solid if other != name]
        return distance_between(self.model, self.data, solid[name].tolist(), np.concatenate(apart), reach)

    def occlusion_fraction(self) -> float:
        """The largest share of one of `targets` that objects brought in hide from the fixed camera.

        Counted over the middles of its solid geoms.
        """
        if not self.spares:
            return 0.0
        camera, shares = int(self.model.camera(CAMERAS[0]).id), [0.0]
        for name in self.targets:
            parts = [geom for geom in self._geoms[name] if self.model.geom_contype[geom]]
            first = [first_between(self.model, self.data, camera, geom) for geom in parts]
            hidden = sum(geom >= 0 and self.owner(geom) in self.spares for geom in first)
            shares.append(hidden / max(1, len(first)))
        return max(shares)

    @cached_property
    def _geoms(self) -> dict[str, NDArray[np.int64]]:
        """Geoms of each thing and of the robot."""
        found: dict[str, list[int]] = {name: [] for name in (*self.body_ids, ROBOT)}
        for geom in range(self.model.ngeom):
            found.get(self.owner(geom), []).append(geom)
        return {name: np.asarray(geoms, np.int64) for name, geoms in found.items()}

    @property
    def robot_qpos(self) -> NDArray[np.float64]:
        """Empty: there is no arm."""
        return np.empty(0)

    def geoms_of(self, name: str) -> tuple[int, ...]:
        """Geoms of an object or fixture."""
        return geoms_below(self.model, self.body_ids[name])

    def set_robot(self, q: NDArray[np.float64]) -> None:
        """Refused: there is no arm."""
        raise EnvError(f"this scene has no arm to put at {q}")

    def contacts_deeper_than(self, depth_m: float) -> tuple[tuple[str, str], ...]:
        """Pairs of things that overlap by more than this (m), each once, names in order."""
        found = set()
        for index in range(self.data.ncon):
            contact = self.data.contact[index]
            one, other = sorted(self.owner(int(geom)) for geom in contact.geom)
            if contact.dist < -depth_m and one != other:
                found.add((one, other))
        return tuple(sorted(found))

    def settle_check(self) -> dict[str, NDArray[np.float64]]:
        """Lets a copy of the simulation settle, its arm held up, and says by how much (m) each object moved."""
        model, trial, held = self.model, copy.copy(self.data), list(self.held)
        for _ in range(self.settling):
            mujoco.mj_step1(model, trial)
            trial.qfrc_applied[held] = trial.qfrc_bias[held]
            mujoco.mj_step2(model, trial)
        moved = {name: trial.qpos[at : at + 3] - self.data.qpos[at : at + 3] for name, at in self.objects.items()}
        # A simulation that explodes has moved everything as far as can be.
        return {name: np.where(np.isfinite(d).all(), d, np.inf) for name, d in moved.items()}

    def forward(self) -> None:
        """Poses and contacts of the present positions."""
        mujoco.mj_forward(self.model, self.data)

    def refresh_constants(self) -> None:
        """MuJoCo's `mj_setConst`, on data of its own: it leaves the data at the model's reference pose."""
        mujoco.mj_setConst(self.model, mujoco.MjData(self.model))
