"""Further skills of the scripted expert: opening drawers, turning knobs, dragging plates.

Like the rest of the expert they have no memory: the action depends only on the poses of the hand and the object.
"""

import numpy as np

from envs.base import Privileged
from simeval.policies.base import ActionChunk
from simeval.policies.expert.grasps import OPENED, TIP, Grasp, held, opening, reached, unit
from simeval.policies.expert.moves import (
    ALIGNED,
    CLOSE,
    HAND,
    HOME_AXIS,
    OPEN,
    RETREAT,
    TURNED,
    Waypoints,
    action,
    approach,
    share,
    turn_down,
    turn_to,
)
from simeval.policies.expert.scene import Box, Knob, Vector, rotation, solid, solids

# Drawers (m).
PULLED = 0.15
"""Target distance of pulling a drawer. LIBERO counts it as open from 0.14; it slides 0.16."""
SLACK = 0.01
"""Tolerance of that distance after the handle was released."""
AHEAD = 0.08
"""Distance in front of a handle at which the hand prepares its grasp."""
LANE = (0.05, 0.14)
"""Extent beside and in front of a handle within which the hand only moves straight to and from it."""
BESIDE = 0.2
"""Distance beside a handle within which a level hand must have come from it."""
LEVEL = 0.3
"""Cosine of the angle between the hand and the approach direction above which it has not turned down yet."""
LOOSE = 0.05
"""Opening above which the fingers have released a handle."""
GRIPPED = (0.008, 0.03)
"""Range of openings of fingers that hold a handle."""
PULL = 0.03
"""Speed of pulling, per control step."""

# Knobs (rad).
TURNED_ON = 0.6
"""Target angle of a knob. LIBERO counts it as on from 0.5."""
TWIST = 0.010
"""The fingers hold a knob if their opening (m) exceeds its width by at most this: while they turn it, they are at an
angle to it."""
LEAD = 0.4
"""Angle by which the commanded rotation leads the hand's."""

# Plates (m).
SPOT_TOLERANCE_M = 0.015
"""Largest distance of a placed plate from its spot. LIBERO allows 0.04 along each side."""
TOWARDS = 0.012
"""Distance from the plate's centre, towards its target, at which the fingers press, so that it follows straight."""
FLOOR = 0.006
"""Height of the plate's inside above its body's origin."""
ON_PLATE = 0.03
"""How far the fingers may slide from their pressing point."""
PRESSED = 0.010
"""Depth below the pressing point that the fingers are aimed at. Friction drags the plate."""
SHUT = 0.006
"""Largest opening of fingers with nothing between them."""
AJAR = 0.02
"""The same while they press on something."""
SIDEWAYS = 0.03
DETOUR = 0.08
"""While it is further than `SIDEWAYS` to the side, a plate passes its spot at this distance, to avoid obstacles."""
DRAG = 0.025
"""Speed of dragging, per control step."""


class Drawer:
    """A drawer, held by its handle with a level hand, one finger above the handle and one below."""

    def __init__(self, state: Privileged, owner: str, handle: Box) -> None:
        """Args: state: the scene. owner: the cabinet. handle: handle of the drawer."""
        pose = state.objects[owner]
        axes = rotation(pose)
        self._state = state
        self._slid = -state.joints[f"{owner}_{handle.drawer}"]
        self._out = -axes[:, 1]
        self.handle = solid(pose, handle, -self._slid)
        self._point = self.handle.center
        off = state.hand.pos - self._point
        self._ahead = float(off @ self._out)
        self._beside = off - self._ahead * self._out
        # When the hand tilts, the finger that was nearer to the drawer becomes the upper one.
        finger = np.array([0.0, 0.0, -1.0 if self._out[:2] @ HOME_AXIS >= 0 else 1.0])
        self._turn = turn_to(state, finger, -self._out)
        self._level = float(rotation(state.hand)[:, 2] @ -self._out)

    def open(self, far: float = PULLED) -> ActionChunk | None:
        """The action that opens it, or leaves it when it is open; `None` when it is open and the hand is away.

        Args:
            far: distance to pull it (m).
        """
        angle, off = float(np.linalg.norm(self._turn)), float(np.linalg.norm(self._beside))
        gap = opening(self._state)
        near = off < 0.02 and abs(self._ahead) < 0.02 and angle < 0.4
        around = off < 0.008 and abs(self._ahead) < 0.01 and angle < TURNED[0]
        gripped = near and GRIPPED[0] < gap < GRIPPED[1]
        if self._slid > (far if gripped else far - SLACK):
            return self._leave()
        if gripped:
            return action(PULL * self._out - self._beside, self._turn, CLOSE)
        if around if gap > OPENED else near and gap > GRIPPED[0]:
            return action(-self._beside - self._ahead * self._out, self._turn, CLOSE)
        return self._approach(angle, off)

    def _approach(self, angle: float, off: float) -> ActionChunk:
        if off > LANE[0] or not -0.03 < self._ahead < LANE[1]:
            ready = self._point + AHEAD * self._out
            return action(Waypoints(self._state, ready, HAND, list(solids(self._state))).step(), self._turn, OPEN)
        not_yet = max(share(off, ALIGNED), share(angle, TURNED), share(OPENED - opening(self._state), (0.0, 0.01)))
        inside = share(AHEAD - self._ahead, (0.0, AHEAD))
        move = (AHEAD * not_yet - self._ahead) * self._out - (1 - not_yet * inside) * self._beside
        return action(move, self._turn, OPEN)

    def _leave(self) -> ActionChunk | None:
        """Move the level hand straight away from the handle, then turn it down to its initial orientation.

        Other rotations between two grasps would run the wrist into its limits.
        """
        if self._level < LEVEL or np.linalg.norm(self._beside) > BESIDE:
            return None
        if self._ahead < AHEAD:
            free = opening(self._state) > LOOSE
            return action(RETREAT * self._out if free else np.zeros(3), np.zeros(3), OPEN)
        return action(np.array([0, 0, RETREAT]), turn_down(self._state, HOME_AXIS), OPEN)


def turn_knob(state: Privileged, owner: str, knob: Knob) -> ActionChunk | None:
    """The action that turns a knob on; `None` when it is on."""
    angle = state.joints[f"{owner}_{knob.joint}"]
    if angle > TURNED_ON:
        return None
    pose = state.objects[owner]
    axes = rotation(pose)
    outward = (-np.sin(angle) * axes[:, 0] + np.cos(angle) * axes[:, 1])[:2]
    grasp = Grasp(pose.pos + axes @ np.array(knob.center), unit(outward), knob.width + TWIST)
    hand = rotation(state.hand)[:2, 0]
    if opening(state) < grasp.width and held(state, grasp):
        cos, sin = np.cos(LEAD), np.sin(LEAD)
        ahead = np.array([cos * hand[0] - sin * hand[1], sin * hand[0] + cos * hand[1]])
        return action(grasp.point - state.hand.pos, turn_down(state, ahead), CLOSE)
    if held(state, grasp) if opening(state) < OPENED else reached(state, grasp):
        return action(grasp.point - state.hand.pos, turn_down(state, grasp.outward), CLOSE)
    return approach(state, grasp)


def drag(state: Privileged, name: str, spot: Vector) -> ActionChunk | None:
    """The action that drags a plate along the table with closed fingers pressed on it; `None` when it is in place.

    Args:
        state: the scene.
        name: the plate.
        spot: `float64[2]`, target of its centre (m).
    """
    plate = state.objects[name].pos
    remaining = spot - plate[:2]
    if np.linalg.norm(remaining) < SPOT_TOLERANCE_M:
        return None
    if abs(remaining[1]) > SIDEWAYS:
        remaining[0] += DETOUR
    point = np.array([*(plate[:2] + TOWARDS * unit(remaining)), plate[2] + FLOOR + TIP])
    off = point - state.hand.pos
    turn = turn_down(state, HOME_AXIS)
    if np.linalg.norm(off[:2]) < ON_PLATE and abs(off[2]) < PRESSED and opening(state) < AJAR:
        speed = min(DRAG, float(np.linalg.norm(remaining)))
        return action(np.array([*(speed * unit(remaining)), off[2] - PRESSED]), turn, CLOSE)
    path = Waypoints(state, point, HAND, list(solids(state)))
    if opening(state) > AJAR and path.crowded():
        return action(np.array([0, 0, RETREAT]), turn, OPEN)
    move = path.step(float(np.linalg.norm(turn)))
    if opening(state) > SHUT:
        move[2] = max(move[2], 0)
    return action(move, turn, CLOSE)
