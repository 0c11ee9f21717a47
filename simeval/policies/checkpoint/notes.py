"""Notes for the user on a checkpoint that runs, but whose results may be misleading."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from simeval.policies.checkpoint.actions import notes_on_actions
from simeval.policies.checkpoint.image_sizes import RESIZER, crops_by_pixels
from simeval.policies.checkpoint.read import STATE_KEY, Checkpoint
from simeval.policies.checkpoint.statistics import FAR, Scale

_START: NDArray[np.float64] = np.array([-0.13, 0.0, 0.7, 3.14, 0.0, -0.09, 0.03, -0.03])
"""State at the start of LIBERO's episodes: gripper position (m), axis-angle (rad), fingers (m). Middle of the values
measured in its four suites, from the floor's height to the tables'."""
_ROOM: NDArray[np.float64] = np.array([0.15, 0.1, 0.6, 0.2, 0.2, 0.2, 0.02, 0.02])
"""How far the starts of different tasks and suites deviate from it."""


def notes(checkpoint: Checkpoint, *, steps_given: bool, libero: bool) -> Iterator[str]:
    """Notes on a checkpoint, one line each.

    Args:
        checkpoint: the checkpoint.
        steps_given: whether the user set the number of executed actions per chunk.
        libero: whether it will run in LIBERO.
    """
    for key in checkpoint.unfed:
        yield f"policy '{checkpoint.name}': {key} gets no image, as in lerobot; the suites have no camera for it"
    for camera, key in checkpoint.guessed.items():
        source = checkpoint.cameras[camera]
        yield f"policy '{checkpoint.name}': {source} is taken for {camera}, as its name in the policy says ({key})"
    if checkpoint.only_size is None and crops_by_pixels(checkpoint.before):
        yield f"policy '{checkpoint.name}': its {RESIZER} crops by pixels, and nothing says of images of which size"
    for scale in (*checkpoint.scales, *((checkpoint.action_scale,) if checkpoint.action_scale else ())):
        if libero and scale.key == STATE_KEY:
            far = _far_starts(scale)
            yield from _never_moved(scale, checkpoint.name, besides=far)
            yield from _other_units(scale, far, checkpoint.name)
        else:
            yield from _never_moved(scale, checkpoint.name)
    if libero:
        yield from notes_on_actions(checkpoint.action_steps, checkpoint.action_scale, checkpoint.name)
    if not steps_given and checkpoint.type == "smolvla" and checkpoint.call.chunk_size == 50:
        yield from _poor_chunk_use(checkpoint)


def _poor_chunk_use(checkpoint: Checkpoint) -> Iterator[str]:
    """SmolVLA in LIBERO: 82.8 % with 10 of 50 actions, 80.3 % with 1, 51.8 % with 50. Source: lerobot #4614."""
    executed = checkpoint.call.n_action_steps
    start = f"policy '{checkpoint.name}' executes {executed} of 50 predicted actions, as saved; in LIBERO"
    if executed == 50:
        yield f"{start} that cost SmolVLA 20 points and more against 10 (lerobot #4614): --n-action-steps 10"
    if executed == 1:
        yield f"{start} SmolVLA did no better so than with 10, which is ten times as fast: --n-action-steps 10"


def _never_moved(scale: Scale, name: str, besides: NDArray[np.intp] | tuple[()] = ()) -> Iterator[str]:
    still = np.setdiff1d(np.flatnonzero(scale.width.ravel() == 0), besides).astype(int) + 1
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


def _far_starts(scale: Scale) -> NDArray[np.intp]:
    """Numbers of the state, from 0, in which LIBERO's episodes start far outside the training data."""
    return np.flatnonzero(_beyond(scale) > FAR * scale.spread[: _START.size])


def _beyond(scale: Scale) -> NDArray[np.float64]:
    """How far the nearest of LIBERO's starts is from the middle of the training data, for each number of the state."""
    beyond: NDArray[np.float64] = np.maximum(0, np.abs(_START - scale.middle[: _START.size]) - _ROOM)
    return beyond


def _other_units(scale: Scale, far: NDArray[np.intp], name: str) -> Iterator[str]:
    """Lines on the numbers of the state in which LIBERO's episodes start far outside the training data."""
    still, moved = far[scale.width[far] == 0], far[scale.width[far] > 0]
    if still.size:
        starts, always = (", ".join(f"{value:.3g}" for value in values[still]) for values in (_START, scale.middle))
        yield (
            f"policy '{name}': LIBERO's episodes start at {starts} in number {', '.join(map(str, still + 1))} of the "
            f"state, which was always {always} in training, and the difference is multiplied by {1 / scale.eps:.0e}; "
            "another order, or a state that was filled up?"
        )
    if moved.size:
        beyond, spread, middle = _beyond(scale), scale.spread, scale.middle
        at = int(moved[np.argmax(beyond[moved] / spread[moved])])
        yield (
            f"policy '{name}': LIBERO's episodes start at {_START[at]:g} in number {at + 1} of the state, "
            f"{abs(_START[at] - middle[at]) / spread[at]:.0f} deviations from its training data "
            f"({middle[at]:.3g} ± {spread[at]:.2g}); other units or another order?"
        )
