"""What moved where in an episode, by name: computed from its stored states without simulating anything.

An environment that can tell offers `motion`, see `TellsMotion`; one that has no such method cannot.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from envs.goals import Atom, Goal

Series = NDArray[np.float64]
"""`float64[S]`, a value per sampled state."""


@dataclass(frozen=True, slots=True)
class GoalPart:
    """One atom of a goal.

    Attributes:
        atom: the atom.
        met: whether it holds in the last state.
        mover: what has to move, or be touched: a name in `Motion.gaps`.
        gap: distance of the object's origin from the zone in which the atom can hold (m), 0 inside; `None` if the atom
            is not about a place.
        pushed: whether the place is a spot on the table, to which an object may also be pushed.
        share: how far the joint has moved from its first position (0) to the first one where the atom holds (1);
            negative the other way; `None` if the atom is not about a joint.
        helpers: things that may have to be moved first, for instance the drawer that is the place.
    """

    atom: Atom
    met: bool
    mover: str
    gap: Series | None = None
    pushed: bool = False
    share: Series | None = None
    helpers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Motion:
    """An episode's sampled states; all series are parallel.

    Attributes:
        steps: `int64[S]`, control steps executed before each sample; the last state is always among them.
        hand: `float64[S, 3]`, the point between the fingertips (m).
        positions: `float64[S, 3]` (m) of each movable object.
        gaps: distance of the fingertips to the boxes around each thing's geoms (m). Things are the movable objects, the
            fixtures, and the parts of fixtures that move, by the name of their joint.
        touched: `bool[S]` by thing: whether any finger touches it.
        held: `bool[S]` by movable object: whether both fingers touch it.
        joints: displacement of each joint from its first position, as a share of its range.
        parts: the atoms of the goal, in its order.
    """

    steps: NDArray[np.int64]
    hand: Series
    positions: Mapping[str, Series]
    gaps: Mapping[str, Series]
    touched: Mapping[str, NDArray[np.bool_]]
    held: Mapping[str, NDArray[np.bool_]]
    joints: Mapping[str, Series]
    parts: tuple[GoalPart, ...]


@runtime_checkable
class TellsMotion(Protocol):
    """An environment that tells what moved where in an episode."""

    def hand_path(self, states: Sequence[Series]) -> Series:
        """The point between the fingertips in each of these states, `float64[S, 3]` (m).

        Raises:
            EnvError: they are not states of this scene.
        """

    def motion(self, states: Sequence[Series], steps: NDArray[np.int64], goal: Goal) -> Motion:
        """What moved where.

        Args:
            states: of an episode, sampled; call `reset` with its specification first.
            steps: control steps executed before each.
            goal: the goal that counts.

        Raises:
            EnvError: they are not states of this scene, or an atom of the goal is not one that motions are told for.
        """


def sampled(count: int, stride: int) -> NDArray[np.int64]:
    """Every `stride`th index below `count`, and the last."""
    indices: NDArray[np.int64] = np.unique(np.append(np.arange(0, count, stride), count - 1))
    return indices


class Boxes:
    """The boxes around geoms, grouped by thing, for distances of points."""

    def __init__(self, things: Mapping[str, Sequence[int]], bounds: NDArray[np.float64]) -> None:
        """Args: things: geom ids by thing. bounds: `float64[ngeom, 6]`, `MjModel.geom_aabb`."""
        self._names = [name for name, geoms in things.items() if len(geoms)]
        self._empty = [name for name, geoms in things.items() if not len(geoms)]
        self._geoms = np.array([geom for name in self._names for geom in things[name]], int)
        self._starts = np.cumsum([0, *(len(things[name]) for name in self._names)])[:-1]
        self._center, self._half = bounds[self._geoms, :3], bounds[self._geoms, 3:]

    def distances(self, points: Series, pos: Series, mat: Series) -> dict[str, float]:
        """Smallest distance of any point to each thing (m); infinite for a thing without geoms.

        Args:
            points: `float64[n, 3]`.
            pos: `float64[ngeom, 3]`, `MjData.geom_xpos`.
            mat: `float64[ngeom, 9]`, `MjData.geom_xmat`.
        """
        found = dict.fromkeys(self._empty, np.inf)
        if not self._names:
            return found
        axes = mat[self._geoms].reshape(-1, 3, 3)
        local = np.einsum("pgi,gij->pgj", points[:, None] - pos[self._geoms], axes) - self._center
        apart = np.linalg.norm(np.maximum(np.abs(local) - self._half, 0), axis=-1).min(axis=0)
        nearest = np.minimum.reduceat(apart, self._starts)
        return found | dict(zip(self._names, map(float, nearest), strict=True))
