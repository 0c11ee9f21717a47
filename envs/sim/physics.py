"""The handle that physics perturbations write through; `perturbations.base.Physics` documents each part."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from envs.base import CAMERAS, EnvError, geoms_below
from envs.sim.distractors import Distractors, distance_between, first_between, surface_below

ROBOT = "robot"
"""Common name of a robot, its gripper and its mount, as the owner of geoms."""

_SKY = 1.0
"""Height above the workspace from which the search for a free place casts rays down (m): above arms and cabinets."""

_LEVEL = 0.05
"""A surface up to this far (m) from `workspace_center` in height is the workspace: in two arenas it is 3 cm higher."""


@dataclass
class MujocoPhysics:
    """A MuJoCo simulation without an arm, which perturbations can change.

    Attributes:
        model: the live `mujoco.MjModel`.
        data: the live `mujoco.MjData`.
        body_ids: body id of each movable object and fixture.
        movable: the bodies with a free joint.
        targets: names of the objects and fixtures in the task's goal.
        owner: maps a geom to the name of the object, fixture or robot that it belongs to.
        settling: physics steps that `settle_check` simulates.
        held: degrees of freedom that `settle_check` holds against gravity.
        reserve: the scene's distractors.
        workspace_center: `float64[3]`, see `envs.base.Scene`.
    """

    model: Any
    data: Any
    body_ids: Mapping[str, int]
    movable: Sequence[str]
    targets: tuple[str, ...]
    owner: Callable[[int], str]
    settling: int
    held: Sequence[int] = ()
    reserve: Distractors | None = None
    workspace_center: NDArray[np.float64] = field(default_factory=lambda: np.zeros(3))
    _task_objects: Mapping[str, int] = field(init=False)

    def __post_init__(self) -> None:
        joints = {name: int(self.model.body_jntadr[self.body_ids[name]]) for name in self.movable}
        self._task_objects = {name: int(self.model.jnt_qposadr[joint]) for name, joint in joints.items()}

    @property
    def objects(self) -> dict[str, int]:
        """Address in `data.qpos` of the free joint of each movable object that is in the scene."""
        return {**self._task_objects, **(self.reserve.present(self.data.qpos) if self.reserve else {})}

    @property
    def distractors(self) -> tuple[str, ...]:
        """Names of the distractors, whether they are placed or in reserve."""
        return self.reserve.names if self.reserve else ()

    @property
    def spares(self) -> tuple[str, ...]:
        """Former name of `distractors`, for plugins that use it."""
        return self.distractors

    @property
    def pivot(self) -> NDArray[np.float64]:
        """Former name of `workspace_center`, for plugins that use it."""
        return self.workspace_center

    def place_distractor(self, distractor: str, place: NDArray[np.float64], yaw: float) -> float | None:
        """Place a distractor on the workspace; see `perturbations.base.Physics`."""
        reserve, (x, y) = self._reserve_of(distractor), place.tolist()
        height, geom = surface_below(self.model, self.data, x, y, self.workspace_center[2] + _SKY)
        if geom < 0 or self.owner(geom) in (*self.body_ids, ROBOT) or abs(height - self.workspace_center[2]) > _LEVEL:
            return None
        return reserve.put(self.data, distractor, (x, y, height), yaw)

    def remove_distractor(self, distractor: str) -> None:
        """Take a distractor out of the scene again."""
        self._reserve_of(distractor).park(self.data, distractor)

    def _reserve_of(self, distractor: str) -> Distractors:
        if self.reserve is None or distractor not in self.reserve.bodies:
            raise EnvError(f"this scene has no {distractor} in reserve")
        return self.reserve

    def clearance(self, name: str, reach: float, others: Sequence[str] = ()) -> float:
        """Smallest distance (m, at most `reach`) of a movable object to others; by default to all and the robot."""
        solid = {owner: geoms[self.model.geom_contype[geoms] > 0] for owner, geoms in self._geoms.items()}
        apart = [solid[other] for other in others or solid if other != name]
        return distance_between(self.model, self.data, solid[name].tolist(), np.concatenate(apart), reach)

    def occlusion_fraction(self) -> float:
        """The largest fraction of any of `targets` that placed distractors hide from the fixed camera.

        It is measured at the centres of the target's solid geoms.
        """
        if not self.distractors:
            return 0.0
        camera, shares = int(self.model.camera(CAMERAS[0]).id), [0.0]
        for name in self.targets:
            parts = [geom for geom in self._geoms[name] if self.model.geom_contype[geom]]
            first = [first_between(self.model, self.data, camera, geom) for geom in parts]
            hidden = sum(geom >= 0 and self.owner(geom) in self.distractors for geom in first)
            shares.append(hidden / max(1, len(first)))
        return max(shares)

    @cached_property
    def _geoms(self) -> dict[str, NDArray[np.int64]]:
        """Geoms of each object, each fixture and the robot."""
        by_owner: dict[str, list[int]] = {name: [] for name in (*self.body_ids, ROBOT)}
        for geom in range(self.model.ngeom):
            by_owner.get(self.owner(geom), []).append(geom)
        return {name: np.asarray(geoms, np.int64) for name, geoms in by_owner.items()}

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
        """Pairs of bodies that overlap by more than this (m), each once and sorted."""
        pairs = set()
        for index in range(self.data.ncon):
            contact = self.data.contact[index]
            one, other = sorted(self.owner(int(geom)) for geom in contact.geom)
            if contact.dist < -depth_m and one != other:
                pairs.add((one, other))
        return tuple(sorted(pairs))

    def settle_check(self) -> dict[str, NDArray[np.float64]]:
        """Let a copy of the simulation settle with the arm held, and return each object's displacement (m)."""
        model, trial, held = self.model, copy.copy(self.data), list(self.held)
        for _ in range(self.settling):
            mujoco.mj_step1(model, trial)
            trial.qfrc_applied[held] = trial.qfrc_bias[held]
            mujoco.mj_step2(model, trial)
        moved = {name: trial.qpos[at : at + 3] - self.data.qpos[at : at + 3] for name, at in self.objects.items()}
        # In a simulation that diverges every displacement counts as infinite.
        return {name: np.where(np.isfinite(d).all(), d, np.inf) for name, d in moved.items()}

    def forward(self) -> None:
        """Update poses and contacts to the present positions."""
        mujoco.mj_forward(self.model, self.data)

    def refresh_constants(self) -> None:
        """Call `mj_setConst` with a separate `MjData`, because it leaves the data at the model's reference pose."""
        mujoco.mj_setConst(self.model, mujoco.MjData(self.model))
