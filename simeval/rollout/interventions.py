"""The physics part of a condition in one episode: carried out at its moments, and measured."""

from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.base import Env, Intervention, Physics
from perturbations.base import RngFactory
from perturbations.condition import Condition


@dataclass
class Interventions:
    """Changes of the simulation from outside.

    Attributes:
        condition: whose physics terms these are.
        rng: the pair's random streams.
        moved_cm: largest displacement of an object (cm).
        joints_rad: norm of the displacement of the arm's joints (rad).
        did_something: whether positions, velocities, or a field of the model that a term declares, changed at all.
        done: how many interventions were made.
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
        """What to do to the initial state; `None` for nothing."""
        if not any(not term.info.at_step for term in self.condition.active_terms("physics")):
            return None
        return lambda physics: self._measured(physics, lambda: self.condition.apply_physics(physics, self.rng))

    def at(self, step: int, env: Env) -> None:
        """Do what is to happen after `step` control steps, if anything is.

        Raises:
            Infeasible: the scene does not allow it.
        """
        if step in self.condition.steps:
            env.intervene(
                lambda physics: self._measured(physics, lambda: self.condition.apply_step(physics, step, self.rng))
            )

    def _measured(self, physics: Physics, change: Any) -> None:
        things, joints, fields = self._snapshot(physics)
        change()
        moved, turned, written = self._snapshot(physics)
        shifts = [float(np.linalg.norm(moved[name] - things[name])) for name in things]
        self.moved_cm = max([self.moved_cm, *(100 * shift for shift in shifts)])
        self.joints_rad = max(self.joints_rad, float(np.linalg.norm(turned - joints)))
        self.did_something |= written != fields
        self.done += 1

    def _snapshot(self, physics: Physics) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.float64], list[bytes]]:
        qpos, qvel = physics.data.qpos, physics.data.qvel
        things = {name: np.array(qpos[at : at + 3]) for name, at in physics.objects.items()}
        written = [np.asarray(attrgetter(name)(physics.model)).tobytes() for name in self._fields]
        return things, physics.robot_qpos, [*written, np.asarray(qpos).tobytes(), np.asarray(qvel).tobytes()]
