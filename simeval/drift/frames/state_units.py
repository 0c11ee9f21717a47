"""Whether the states of a dataset look like those of a policy's training data: units, and how they tell orientation.

Compared are the chosen frames. Only what the training data cannot have contained is refused; what is only unlike it, or
unlike LIBERO where the training data is unknown, has a note.
"""

import numpy as np
from numpy.typing import NDArray

from simeval.core.errors import ConfigError

Limits = tuple[tuple[float, float], ...]

NEEDED = "position (m), axis-angle (rad), 2 fingers (m)"
LIBERO: Limits = (*((-2.0, 2.0),) * 3, *((-6.5, 6.5),) * 3, *((-0.1, 0.1),) * 2)
"""No state of LIBERO is outside: the arm reaches 1.3 m from its foot, which is within 0.7 m of the origin, an
axis-angle has at most 2 pi, and fingers open 0.04 m."""
IMPOSSIBLE = 100.0
"""Multiple of the farthest training value from which on a number has another unit: mm are 1000 m. Our choice. It has to
be that of LIBERO's farthest value, too: a flag that training set in less than 1 % of frames has quantiles near 0."""
_UNIT = 1e-3
"""How far the length of a unit quaternion that was stored as float32, or rounded to 3 digits, deviates from 1."""


def state_notes(states: NDArray[np.floating], limits: Limits | None, *, dataset: str, policy: str) -> tuple[str, ...]:
    """Notes on states that are unlike the policy's training data; often none.

    Args:
        states: float[frames, 8], as stored.
        limits: (lowest, highest) value of each number that the training data can have contained; `None` if unknown.
        dataset: its name, for messages.
        policy: likewise.

    Raises:
        ConfigError: the training data cannot have contained such states; one line.
    """
    quaternion = _is_quaternion(states, limits)
    start = f"dataset '{dataset}': "
    if quaternion:
        what = f"{start}numbers 4 to 7 of its state have length 1 in every frame, as a quaternion; "
        if limits is not None:
            raise ConfigError(f"{what}policy '{policy}' was trained on longer ones: {NEEDED}")
        return (f"{what}a policy of the suites takes {NEEDED}",)
    known = np.array(limits or LIBERO, float)[: states.shape[1]]
    lowest, highest = known.T
    median = np.median(states, axis=0)[: len(known)]
    farthest = np.abs(known).max(axis=1)
    beyond = np.abs(median) / np.where(farthest > 0, farthest, np.inf)
    beyond[(median >= lowest) & (median <= highest)] = 0
    at = int(np.argmax(beyond))
    if beyond[at] == 0:
        return ()
    trained = f"policy '{policy}' was trained on" if limits else "in LIBERO it is"
    text = f"{start}number {at + 1} of its state is {median[at]:.3g} in the median frame, {trained}"
    text = f"{text} {lowest[at]:.3g} to {highest[at]:.3g}"
    farthest_at_all = max(farthest[at], *np.abs(LIBERO[at]))
    if limits is not None and abs(median[at]) >= IMPOSSIBLE * farthest_at_all:
        raise ConfigError(f"{text}; it has other units or another order than {NEEDED}")
    return (f"{text}; other units or another order than {NEEDED}?",)


def _is_quaternion(states: NDArray[np.floating], limits: Limits | None) -> bool:
    """Whether numbers 4 to 7 are unit quaternions, and the policy was not trained on such."""
    if states.shape[1] < 7 or (np.abs(np.linalg.norm(states[:, 3:7], axis=1) - 1) > _UNIT).any():
        return False
    if limits is None:
        return True
    # Of data within -1 to 1 the middle of the range is, too.
    known = np.array([pair for pair in limits[3:7] if np.isfinite(pair).all()], float).reshape(-1, 2)
    return bool((np.abs(known.sum(axis=1) / 2) > 1 + _UNIT).any())
