"""What happened in an episode, step by step: its actions, how fast its scene moved, how unlike its twin it was.

Non-obvious behaviour:
- A stored state is time, positions and velocities, in the simulator's order and without names. There are at least as
  many positions as velocities, so the first half of what follows the time are positions: the robot's joints come
  first, then the objects.
- Distances are relative to what the clean episode moved, so that metres and radians can be added. They do not decide
  when twins diverge: that is `simeval.analysis.stages.divergence`, which needs the scene.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simeval.rollout.trace import Trace

_STILL = 1e-3
"""Positions that the clean episode moved by less (m, rad) say nothing about its path."""
LABELS = ("x", "y", "z", "roll", "pitch", "yaw")
"""Of LIBERO's actions; the last number of an action moves the gripper in every suite."""

Numbers = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Motion:
    """An episode in numbers; `T` control steps.

    Attributes:
        executed: `float64[T, A]`, the actions.
        commanded: `float64[T, A]`, what the policy predicted for these steps, NaN where no prediction reaches; `None`
            where latency decides which prediction counts.
        speed: `float64[T]`, change of the positions in each step, RMS over those that move, of their range.
        looks: steps at which the policy predicted.
    """

    executed: Numbers
    commanded: Numbers | None
    speed: Numbers
    looks: tuple[int, ...]

    @property
    def steps(self) -> int:
        """Number of control steps."""
        return len(self.executed)


@dataclass(frozen=True, eq=False)
class Difference:
    """How an episode differs from its unperturbed twin.

    Attributes:
        distance: `float64[T + 1]` over the steps that both have, RMS over positions, of the clean motion's range.
        first_action: first step whose executed action differs at all; `None` if none does.
        first_state: first step after which any number of the state differs; `None` if none does.
    """

    distance: Numbers
    first_action: int | None
    first_state: int | None


def motion(trace: Trace, *, latency: bool) -> Motion:
    """What an episode did.

    Args:
        trace: of the episode.
        latency: whether answers of the policy came late.
    """
    moved = _relative(np.diff(_positions(trace), axis=0), trace)
    looks = tuple(int(step) for step in trace.chunk_steps)
    commanded = None if latency else _commanded(trace)
    return Motion(trace.actions.astype(float), commanded, moved, looks)


def difference(clean: Trace, trace: Trace) -> Difference | None:
    """How an episode differs from its twin; `None` if their scenes have other numbers of positions."""
    if clean.states.shape[1] != trace.states.shape[1]:
        return None
    steps = min(len(clean.actions), len(trace.actions))
    a, b = _positions(clean)[: steps + 1], _positions(trace)[: steps + 1]
    distance = _relative(a - b, clean)
    width = min(clean.actions.shape[1], trace.actions.shape[1])
    return Difference(
        distance,
        _first(clean.actions[:steps, :width] != trace.actions[:steps, :width]),
        _first(clean.states[: steps + 1] != trace.states[: steps + 1]),
    )


def labels(size: int) -> tuple[str, ...]:
    """Names of the numbers of an action."""
    if size == len(LABELS) + 1:
        return (*LABELS, "gripper")
    return (*(f"action {index}" for index in range(size - 1)), "gripper")


def _positions(trace: Trace) -> Numbers:
    count = -(-(trace.states.shape[1] - 1) // 2)
    return trace.states[:, 1 : 1 + count]


def _relative(change: Numbers, clean: Trace) -> Numbers:
    """RMS of changes `[N, positions]`, each as a share of the range of that position in the clean episode."""
    ranges = np.ptp(_positions(clean), axis=0)
    moving = ranges > _STILL
    if not moving.any():
        return np.zeros(len(change))
    return np.asarray(np.sqrt(((change[:, moving] / ranges[moving]) ** 2).mean(axis=1)))


def _commanded(trace: Trace) -> Numbers:
    actions = np.full(trace.actions.shape, np.nan)
    for start, chunk in zip(trace.chunk_steps, trace.chunks, strict=True):
        part = chunk[: max(0, len(actions) - int(start)), : actions.shape[1]]
        actions[int(start) : int(start) + len(part), : part.shape[1]] = part
        actions[int(start) + len(part) :] = np.nan
    return actions


def _first(differs: NDArray[np.bool_]) -> int | None:
    rows = np.flatnonzero(differs.any(axis=1))
    return int(rows[0]) if len(rows) else None
