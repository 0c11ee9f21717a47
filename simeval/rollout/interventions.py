"""The physics part of a condition in one episode: applied at its scheduled steps, and its effect measured."""

from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from envs.base import Env, Intervention
from perturbations.base import Physics, RngFactory
from perturbations.condition import Condition

if TYPE_CHECKING:
    from envs.sim.physics import MujocoPhysics

    # Environments do not know perturbations, so the type checker compares their handle with the protocol here.
    _handle: type[Physics] = MujocoPhysics


@dataclass
class Interventions:
    """Applies the physics terms of a condition to the simulation, and measures what they changed.

    Attributes:
        condition: the condition whose physics terms are applied.
        rng: the pair's random streams.
        moved_cm: largest displacement of an object (cm).
        joints_rad: norm of the displacement of the arm's joints (rad).
        did_something: whether positions, velocities, or a model field that a term declares, changed at all.
        done: number of interventions made.
    """

    condition: Condition
    rng: RngFactory
    moved_cm: float = 0.0
    joints_rad: float = 0.0
    did_something: bool = False
    done: int = 0
    _fields: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        terms = self.condition.active_terms("physics")
        self._fields = tuple(dict.fromkeys(name for term in terms for name in term.info.writes))

    @property
    def before_settling(self) -> Intervention | None:
        """The change to the initial state, made before settling; `None` if there is none."""
        if not any(not term.info.at_step for term in self.condition.active_terms("physics")):
            return None
        return lambda physics: self._measured(physics, lambda: self.condition.apply_physics(physics, self.rng))

    def at(self, step: int, env: Env) -> None:
        """Apply the terms that are scheduled after `step` control steps, if there are any.

        Raises:
            Infeasible: the scene does not allow it.
        """
        if step in self.condition.steps:
            env.intervene(
                lambda physics: self._measured(physics, lambda: self.condition.apply_step(physics, step, self.rng))
            )

    def _measured(self, physics: Physics, change: Any) -> None:
        positions, joints, fields = self._snapshot(physics)
        change()
        new_positions, new_joints, new_fields = self._snapshot(physics)
        shifts = [float(np.linalg.norm(new_positions[name] - positions[name])) for name in positions]
        self.moved_cm = max([self.moved_cm, *(100 * shift for shift in shifts)])
        self.joints_rad = max(self.joints_rad, float(np.linalg.norm(new_joints - joints)))
        self.did_something |= new_fields != fields
        self.done += 1

    def _snapshot(self, physics: Physics) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.float64], list[bytes]]:
        """Object positions (m), arm joints (rad), and the bytes of everything that an intervention may write."""
        qpos, qvel = physics.data.qpos, physics.data.qvel
        positions = {name: np.array(qpos[at : at + 3]) for name, at in physics.objects.items()}
        fields = [np.asarray(attrgetter(name)(physics.model)).tobytes() for name in self._fields]
        return positions, physics.robot_qpos, [*fields, np.asarray(qpos).tobytes(), np.asarray(qvel).tobytes()]
