"""How far an episode got: from what moved where to one of `STAGES`. Pure; `simeval.analysis.staging` reads the files.

What each stage means depends on what the part of the goal is about: an object and a place, a joint, or a touch.
`MEANINGS` says it in words, `THRESHOLDS` has every number. Of several parts that are not met, the one that got farthest
counts: that is where the robot was working last.

Non-obvious behaviour:
- "Held" is contact with both fingers while the object is lifted, not a command to the gripper. The command decides what
  ended a grasp: an open hand let go, a closed one lost its object.
- A change of a rule or a threshold raises `simeval.store.stages.THRESHOLDS`, so that stored stages are computed again.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from envs.motion import GoalPart, Motion, Series
from simeval.store.stages import (
    BESIDE,
    LOST,
    NEVER_APPROACHED,
    NOT_MET,
    OUT_OF_TIME,
    STAGES,
    WRONG_OBJECT,
    WRONG_PLACE,
)

STRIDE = 2
"""Control steps between sampled states. Our choice: a tenth of a second, less than fingers take to close (8 steps)."""

REACH_M = 0.03
BESIDE_M = 0.08
LIFTED_M = 0.01
PUSHED_M = 0.02
CARRIED_M = 0.05
NEAR_M = 0.07
ON_COURSE_M = 0.01
ON_COURSE_STEPS = 20
CLOSING_STEPS = 8
COMMAND_STEPS = 4
TIE_M = 0.01
HELD_STEPS = 4
DWELL_STEPS = 20
MOVED_SHARE = 0.1
ALMOST_SHARE = 0.9
ON_COURSE_SHARE = 0.05
DIVERGED_M = 0.05
DIVERGED = (
    f"the hand is more than {100 * DIVERGED_M:g} cm from where it is in the unperturbed twin at the same control step"
)
"""What it means that a perturbed episode has diverged: the one definition, see `divergence`."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """A number of the rules: what it limits, its unit, and where it is from."""

    value: float
    unit: str
    meaning: str
    source: str


_CHOICE = "our choice"
_FULL_SPEED = "our choice: one step at full speed"

THRESHOLDS = (
    Threshold(REACH_M, "m", "fingertip to surface: at a thing", "our choice: the reach of `approached` in the rows"),
    Threshold(BESIDE_M, "m", "fingertip to surface: closed at a thing", "our choice: the width of an open hand"),
    Threshold(TIE_M, "m", "how much nearer another thing has to be to count instead", _CHOICE),
    Threshold(CLOSING_STEPS, "control steps", "from the command until the fingers are closed", "measured"),
    Threshold(COMMAND_STEPS, "control steps", "shortest command that counts as closing", "our choice: half of that"),
    Threshold(LIFTED_M, "m", "rise of an object that both fingers touch: held", "our choice: above contact jitter"),
    Threshold(PUSHED_M, "m", "displacement of a touched object: held, if its place is a spot on the table", _CHOICE),
    Threshold(HELD_STEPS, "control steps", "shortest grasp", "our choice: half of what fingers take to close"),
    Threshold(CARRIED_M, "m", "displacement from where it was taken: carried", _FULL_SPEED),
    Threshold(NEAR_M, "m", "distance from the zone of the goal: at its place", "our choice: bowl meets plate"),
    Threshold(ON_COURSE_STEPS, "control steps", "last part of the episode, for progress", "our choice: one second"),
    Threshold(ON_COURSE_M, "m", "progress in that part: on course", "our choice: a fifth of a step at full speed"),
    Threshold(DWELL_STEPS, "control steps", "stay at another thing without closing: approached it", _CHOICE),
    Threshold(MOVED_SHARE, "of the way", "displacement of a joint: moved", _CHOICE),
    Threshold(ALMOST_SHARE, "of the way", "displacement of a joint: almost there", _CHOICE),
    Threshold(ON_COURSE_SHARE, "of the way", "progress of a joint in the last second: on course", _CHOICE),
    Threshold(DIVERGED_M, "m", "distance of the hand from the unperturbed twin's: diverged", _FULL_SPEED),
)
"""Every number of the rules."""

CARRY, PUSH, JOINT = "on, in", "on, where the place is a spot on the table", "open, close, turnon, turnoff"
TOUCH = "touch, of the toy suite"

MEANINGS: Mapping[str, Mapping[str, str]] = {
    CARRY: {
        NEVER_APPROACHED: "was never at the object, nor closed at another thing",
        WRONG_OBJECT: "lifted another object, or closed or stayed at another thing and never at this one",
        BESIDE: "was at the object or closed within 8 cm of it, and never held it",
        LOST: "held it, and lost it with the hand closed, or let go before it was carried",
        WRONG_PLACE: "carried it and let go away from its place, or holds it there without progress",
        NOT_MET: "brought it to its place or near it, but the goal does not hold",
        OUT_OF_TIME: "was still on its way to the object, or with it to its place, when time was up",
    },
    PUSH: {
        NEVER_APPROACHED: "was never at the object, nor closed at another thing",
        WRONG_OBJECT: "lifted another object, or closed or stayed at another thing and never at this one",
        BESIDE: "was at the object or closed within 8 cm of it, and did not move it",
        LOST: "moved it, and left it before it had moved 5 cm",
        WRONG_PLACE: "moved it, and left it away from its spot",
        NOT_MET: "pushed it near its spot, but the goal does not hold",
        OUT_OF_TIME: "was still on its way when time was up",
    },
    JOINT: {
        NEVER_APPROACHED: "was never at the part that moves, nor closed at another thing",
        WRONG_OBJECT: "moved another joint or lifted an object, or closed at another thing and never at this part",
        BESIDE: "was at the part or closed within 8 cm of it, and moved it less than a tenth of the way",
        LOST: "moved it part of the way, and left it or let it go back",
        WRONG_PLACE: "moved it the other way",
        NOT_MET: "moved it nine tenths of the way or more, but the goal does not hold",
        OUT_OF_TIME: "was still on its way to the part, or moving it, when time was up",
    },
    TOUCH: {
        NEVER_APPROACHED: "was never at the block, nor at another one",
        WRONG_OBJECT: "touched another block, or was at another one and never at this one",
        BESIDE: "came within 3 cm of the block, and did not touch it",
        OUT_OF_TIME: "was still on its way to the block when time was up",
    },
}
"""What each stage means, by the predicates of the goal; a stage that is missing cannot occur."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Stage of a failure, the part of the goal that it is about, and the thing concerned."""

    stage: str
    atom: str
    object: str


def classify(motion: Motion, closed: NDArray[np.bool_]) -> Verdict:
    """How far a failed episode got.

    Args:
        motion: what moved where.
        closed: `bool[S]`, whether the last command before each sample closed the gripper.
    """
    open_parts = [part for part in motion.parts if not part.met]
    if not open_parts:  # it held for a moment that the stored state misses, or parts were met in turn
        return Verdict(NOT_MET, " and ".join(" ".join(part.atom) for part in motion.parts), motion.parts[0].mover)
    verdicts = [_Part(motion, part, closed).verdict() for part in open_parts]
    return max(verdicts, key=lambda verdict: STAGES.index(verdict.stage))


def divergence(hand: Series, twin: Series) -> tuple[int, float] | None:
    """First control step after which the hand is away from that of the twin, and their distance then (m).

    Args:
        hand: `float64[T + 1, 3]`, after each control step; the first is the start.
        twin: `float64[T' + 1, 3]`, likewise.

    Returns:
        `None` if it never is while both run.
    """
    both = min(len(hand), len(twin))
    apart = np.linalg.norm(hand[:both] - twin[:both], axis=1)
    away = np.flatnonzero(apart > DIVERGED_M)
    return (int(away[0]), float(apart[away[0]])) if len(away) else None


class _Part:
    """One part of a goal that is not met."""

    def __init__(self, motion: Motion, part: GoalPart, closed: NDArray[np.bool_]) -> None:
        self._motion, self._part, self._closed = motion, part, closed
        own = {other.mover for other in motion.parts} | set(part.helpers)
        self._gap = motion.gaps[part.mover]
        self._others = {name: gap for name, gap in motion.gaps.items() if name not in own}
        # Not a difference of steps: the last sample is closer to the one before it.
        self._late = int(np.searchsorted(motion.steps, motion.steps[-1] - ON_COURSE_STEPS))

    def verdict(self) -> Verdict:
        part = self._part
        rule = self._joint if part.share is not None else self._touch if part.gap is None else self._carry
        stage, thing = rule()
        return Verdict(stage, " ".join(part.atom), thing)

    def _carry(self) -> tuple[str, str]:
        part, name = self._part, self._part.mover
        held = self._grasped(name, pushed=part.pushed)
        if not held.any():
            return self._approach()
        gap, path, last = part.gap, self._motion.positions[name], int(np.flatnonzero(held)[-1])
        assert gap is not None, "a part about a place"
        near = bool(gap[-1] <= NEAR_M)
        if last >= self._last(HELD_STEPS):
            return (OUT_OF_TIME if self._carries_on(gap, path) else NOT_MET if near else WRONG_PLACE), name
        let_go = part.pushed or not self._closed[max(0, last - 1) : last + 3].all()
        carried = np.linalg.norm((path[last] - path[0])[:2]) >= CARRIED_M
        if near:
            return NOT_MET, name
        return (WRONG_PLACE if let_go and carried else LOST), name

    def _carries_on(self, gap: Series, path: Series) -> bool:
        """Whether a held object came nearer to its zone, or still rose or sank, in the last second."""
        nearer = gap[self._late] - gap[-1]
        return bool(nearer >= ON_COURSE_M or (nearer > -ON_COURSE_M and np.ptp(path[self._late :, 2]) >= ON_COURSE_M))

    def _joint(self) -> tuple[str, str]:
        share, name = self._part.share, self._part.mover
        assert share is not None, "a part about a joint"
        if share[-1] - share[self._late] >= ON_COURSE_SHARE:
            return OUT_OF_TIME, name
        if share[-1] >= ALMOST_SHARE:
            return NOT_MET, name
        if share.max() >= MOVED_SHARE:
            return LOST, name
        if share.min() <= -MOVED_SHARE:
            return WRONG_PLACE, name
        own = {part.mover for part in self._motion.parts}
        moved = [other for other, path in self._motion.joints.items() if np.abs(path).max() >= MOVED_SHARE]
        if wrong := [other for other in moved if other not in own]:
            return WRONG_OBJECT, wrong[0]
        return self._approach()

    def _touch(self) -> tuple[str, str]:
        touched = self._motion.touched
        if wrong := [name for name in self._others if touched[name].any()]:
            return WRONG_OBJECT, wrong[0]
        return self._approach()

    def _grasped(self, name: str, *, pushed: bool = False) -> NDArray[np.bool_]:
        """`bool[S]`: whether the object is held, in grasps that are long enough.

        A grasp begins with both fingers, and lasts as long as a closed hand touches the lifted object.
        """
        motion, path = self._motion, self._motion.positions[name]
        if pushed:
            lasting = grip = motion.touched[name] & (np.linalg.norm((path - path[0])[:, :2], axis=1) >= PUSHED_M)
        else:
            lifted = path[:, 2] - path[0, 2] >= LIFTED_M
            grip = motion.held[name] & lifted
            lasting = motion.touched[name] & lifted & self._closed
        kept = np.zeros(len(grip), bool)
        for start, end in _runs(lasting | grip):
            begun = np.flatnonzero(grip[start:end])
            closed = pushed or self._closed[start:end].any()  # an open hand jammed in a bowl lifts it, too
            if len(begun) and closed and end - start - begun[0] >= HELD_STEPS // STRIDE:
                kept[start + begun[0] : end] = True
        return kept

    def _approach(self) -> tuple[str, str]:
        """The stage of an episode that never had hold of its object, or never moved its joint."""
        name = self._part.mover
        closed_at = [self._nearest(start) for start in self._closings()]
        lifted = self._lifted_other(carried=name in closed_at)
        if lifted:
            return WRONG_OBJECT, lifted
        wrong = [thing for thing in closed_at if thing not in (None, name)]
        if name in closed_at or (self._motion.touched[name].any() and not wrong):
            return BESIDE, name
        if wrong:
            return WRONG_OBJECT, str(wrong[0])
        if self._comes_nearer():
            return OUT_OF_TIME, name
        if self._gap.min() <= REACH_M:
            return BESIDE, name
        stays = {thing: int((gap <= REACH_M).sum()) for thing, gap in self._others.items()}
        longest = max(stays, key=lambda thing: stays[thing], default="")
        if stays.get(longest, 0) >= DWELL_STEPS // STRIDE:
            return WRONG_OBJECT, longest
        return NEVER_APPROACHED, name

    def _lifted_other(self, *, carried: bool) -> str:
        """The other object that was held longest; empty if none was, or none was carried."""
        grasps = {}
        for name in self._others:
            if name in self._motion.held:
                held, path = self._grasped(name), self._motion.positions[name]
                way = np.linalg.norm((path - path[0])[held], axis=1).max(initial=0.0)
                grasps[name] = int(held.sum()) if way >= CARRIED_M or not carried else 0
        longest = max(grasps, key=lambda name: grasps[name], default="")
        return longest if grasps.get(longest) else ""

    def _nearest(self, start: int) -> str | None:
        """The thing that a hand closed at that began to close at a sample; `None` if there is none nearby.

        The thing that it is meant to close at is preferred where another is hardly nearer.
        """
        when = slice(start, start + CLOSING_STEPS // STRIDE + 1)
        gaps = {name: float(gap[when].min()) for name, gap in self._others.items()}
        gaps[self._part.mover] = float(self._gap[when].min()) - TIE_M
        nearest = min(gaps, key=lambda name: gaps[name])
        return nearest if gaps[nearest] <= BESIDE_M - (TIE_M if nearest == self._part.mover else 0) else None

    def _closings(self) -> Iterable[int]:
        """Samples at which the gripper began to close; shorter commands hardly move the fingers."""
        return [start for start, end in _runs(self._closed) if end - start >= COMMAND_STEPS // STRIDE]

    def _comes_nearer(self) -> bool:
        """Whether the hand was on its way to the object all the time, and came nearer to the end."""
        gap = self._gap
        return bool(gap[-1] <= gap.min() + ON_COURSE_M and gap[self._late] - gap[-1] >= ON_COURSE_M)

    def _last(self, steps: int) -> int:
        """The first sample of the last control steps of the episode."""
        return int(np.searchsorted(self._motion.steps, self._motion.steps[-1] - steps))


def _runs(values: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Start and end of every run of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], values, [False]]).astype(np.int8)))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]
