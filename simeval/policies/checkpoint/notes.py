"""What a person should know of a checkpoint that runs, but may not mean what its numbers say."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from simeval.policies.checkpoint.read import STATE_KEY, Checkpoint
from simeval.policies.checkpoint.statistics import FAR, Scale

_START: NDArray[np.float64] = np.array([-0.13, 0.0, 0.7, 3.14, 0.0, -0.09, 0.03, -0.03])
"""State in which LIBERO's episodes start: gripper's position (m), axis and angle (rad), fingers (m). The middle of what
was measured in its four suites, from the floor's height to the tables'."""
_ROOM: NDArray[np.float64] = np.array([0.15, 0.1, 0.6, 0.2, 0.2, 0.2, 0.02, 0.02])
"""How far the starts of different tasks and suites lie from that."""


def notes(found: Checkpoint, *, steps_given: bool, libero: bool) -> Iterator[str]:
    """Notes on a checkpoint, each a line.

    Args:
        found: the checkpoint.
        steps_given: whether the person said how many actions of a chunk to execute.
        libero: whether it is to run in LIBERO.
    """
    for key in found.unfed:
        yield f"policy '{found.name}': {key} gets no image, as in lerobot; the suites have no camera for it"
    for scale in (*found.scales, *((found.action_scale,) if found.action_scale else ())):
        yield from _never_moved(scale, found.name)
    if libero:
        yield from _other_units(found)
    if not steps_given and found.type == "smolvla" and found.chunk_size == 50:
        yield from _poor_chunk_use(found)


def _poor_chunk_use(found: Checkpoint) -> Iterator[str]:
    """SmolVLA in LIBERO: 82.8 % with 10 of 50 actions, 80.3 % with 1, 51.8 % with 50. Source: lerobot #4614."""
    said = f"policy '{found.name}' executes {found.n_action_steps} of 50 predicted actions, as saved; in LIBERO"
    if found.n_action_steps == 50:
        yield f"{said} that cost SmolVLA 20 points and more against 10 (lerobot #4614): --n-action-steps 10"
    if found.n_action_steps == 1:
        yield f"{said} SmolVLA did no better so than with 10, which is ten times as fast: --n-action-steps 10"


def _never_moved(scale: Scale, name: str) -> Iterator[str]:
    still = np.flatnonzero(scale.width.ravel() == 0) + 1
    if not still.size:
        return
    what = "std" if scale.mode == "MEAN_STD" else "range"
    numbers = ", ".join(map(str, still))
    if scale.key == "action":
        yield f"policy '{name}': the {what} of action {numbers} is 0 in its statistics: it cannot move there"
    else:
        yield (
            f"policy '{name}': the {what} of {scale.key} {numbers} is 0 in its statistics (it never moved in "
            f"training); what moves there is multiplied by {1 / scale.eps:.0e}, in lerobot as well"
        )


def _other_units(found: Checkpoint) -> Iterator[str]:
    for scale in found.scales:
        if scale.key != STATE_KEY:
            continue
        middle, spread = scale.middle, scale.spread
        beyond = np.maximum(0, np.abs(_START - middle[: _START.size]) - _ROOM)
        far = np.flatnonzero(beyond > FAR * spread[: _START.size])
        far = far[spread[far] > 0]
        if far.size:
            at = int(far[np.argmax(beyond[far] / spread[far])])
            yield (
                f"policy '{found.name}': LIBERO's episodes start at {_START[at]:g} in number {at + 1} of the state, "
                f"{abs(_START[at] - middle[at]) / spread[at]:.0f} deviations from its training data "
                f"({middle[at]:.3g} ± {spread[at]:.2g}); other units or another order?"
            )
    if found.action_scale is not None:
        middle, spread = found.action_scale.middle, found.action_scale.spread
        reach = np.abs(middle) + 2 * spread
        if reach.max() > FAR:
            at = int(np.argmax(reach))
            yield (
                f"policy '{found.name}': action {at + 1} reaches {reach[at]:.3g} in its training data, "
                "the suites take -1 to 1; other units?"
            )
