"""The handle of physics perturbations; see `envs.base.Physics`."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from envs.base import EnvError, geoms_below


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
    """

    model: Any
    data: Any
    body_ids: Mapping[str, int]
    movable: Sequence[str]
    targets: tuple[str, ...]
    owner: Callable[[int], str]
    settling: int
    held: Sequence[int] = ()
    objects: Mapping[str, int] = field(init=False)

    def __post_init__(self) -> None:
        joints = {name: int(self.model.body_jntadr[self.body_ids[name]]) for name in self.movable}
        self.objects = {name: int(self.model.jnt_qposadr[joint]) for name, joint in joints.items()}

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
