"""What a server is asked before the first episode, and what its answers tell about it.

Four requests with the same simple image of a table: one twice, one with another image, one with another instruction.
"""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.base import CAMERAS, Observation
from simeval.core import provenance
from simeval.policies.base import ActionChunk, PolicyInput
from simeval.policies.remote.conventions import Convention

_SIZE = 256
_STATE = (-0.2, 0.0, 1.17, 3.13, 0.0, -0.1, 0.039, -0.039)
"""About the first state of libero_spatial's episodes."""
_REACH = 1.5
"""Largest pose change that raises no warning; the environment cuts at 1."""
_BESIDE = (_REACH - 1) / 2
"""How far a gripper command may be beyond open or closed, as a share of the way between them."""
_SEED = 7


@dataclass(frozen=True, slots=True)
class ProbeReport:
    """What the probe found.

    Attributes:
        answer: `float32[H, 7]`, the answer to the first request.
        digest: SHA-256 (16 hex digits) of the answer.
        repeatable: whether the same request got the same answer to the last bit.
        noise_floor: mean absolute difference of two answers to the same request (action units); 0 if repeatable.
        answer_ms: median time of an answer after the first (ms).
        warnings: one line each.
    """

    answer: ActionChunk
    digest: str
    repeatable: bool
    noise_floor: float
    answer_ms: float
    warnings: tuple[str, ...]


def probe_inputs(
    cameras: tuple[str, ...] = CAMERAS, n_obs_steps: int = 1
) -> tuple[PolicyInput, PolicyInput, PolicyInput]:
    """The request, the same with another image, and the same with another instruction."""
    one, other = _images(cameras, 0), _images(cameras, 1)
    state = np.array(_STATE, np.float32)
    now, past = Observation(one, state, 0), n_obs_steps - 1
    text = "pick up the red block and place it on the plate"
    plain = PolicyInput(now, text, "probe", 0, _SEED, episode_id="probe", past=(now,) * past)
    otherwise = Observation(other, state, 0)
    return (
        plain,
        replace(plain, observation=otherwise, past=(otherwise,) * past),
        replace(plain, instruction="close the drawer"),
    )


def probe(
    ask: Callable[[PolicyInput], ActionChunk],
    cameras: tuple[str, ...],
    *,
    n_obs_steps: int = 1,
) -> ProbeReport:
    """Ask a server the four requests.

    Args:
        ask: sends a request and returns the actions, `float32[H, 7]`.
        cameras: cameras whose images are sent; empty for none.
        n_obs_steps: observations per request.

    Raises:
        ServerError: a request failed.
    """
    plain, other_image, other_text = probe_inputs(cameras, n_obs_steps)
    times: list[float] = []

    def timed(given: PolicyInput) -> ActionChunk:
        began = time.perf_counter()
        chunk = ask(given)
        times.append(1000 * (time.perf_counter() - began))
        return chunk

    first, again = timed(plain), timed(plain)
    repeatable = first.shape == again.shape and first.tobytes() == again.tobytes()
    floor = 0.0 if repeatable else _distance(first, again)
    warnings, chunks = [], [first, again]
    for given, sent, what in ((other_image, bool(cameras), "image"), (other_text, True, "instruction")):
        if sent:
            chunks.append(timed(given))
            if _distance(first, chunks[-1]) <= 2 * floor:
                than = " by more than its noise" if floor else ""
                warnings.append(f"its answer does not change with the {what}{than}")
    doubts = (*warnings, *_doubts(np.concatenate(chunks)))
    return ProbeReport(first, digest_of(first), repeatable, floor, statistics.median(times[1:]), doubts)


def gripper_doubts(convention: Convention, commands: tuple[float, float]) -> list[str]:
    """Whether a server's gripper commands are those of the convention; none or one line.

    Args:
        convention: has the server's numbers for open and closed.
        commands: the lowest and the highest in the answers to the probe, before any translation.
    """
    form = convention.actions
    opened, closed = form.gripper_open, form.gripper_closed
    means = f"by convention {convention.name} {opened:g} is open, {closed:g} closed"
    said = f"from {commands[0]:.3g} to {commands[1]:.3g}; {means}"
    shares = [(command - opened) / (closed - opened) for command in commands]
    if min(shares) >= 0.5:
        return [f"its gripper never opens ({said})"]
    if min(shares) < -_BESIDE or max(shares) > 1 + _BESIDE:
        return [f"its gripper goes beyond open and closed ({said})"]
    return []


def digest_of(chunk: ActionChunk) -> str:
    """SHA-256 (16 hex digits) of a chunk's shape and bytes."""
    return provenance.digest([list(chunk.shape), chunk.tobytes().hex()])[:16]


def metadata_digest(metadata: Mapping[str, Any]) -> str:
    """SHA-256 (16 hex digits) of a server's metadata, whatever the order of its keys."""
    return provenance.digest(_plain(metadata))[:16]


def _plain(value: Any) -> Any:
    """A decoded value as JSON."""
    if isinstance(value, Mapping):
        return {f"{type(key).__name__}:{key}": _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, np.ndarray | np.generic):
        return [value.dtype.str, list(value.shape), value.tobytes().hex()]
    return value.hex() if isinstance(value, bytes) else value


def _doubts(actions: NDArray[np.float32]) -> list[str]:
    reach = float(np.abs(actions[:, :-1]).max())
    if reach <= _REACH:
        return []
    return [f"its actions go to {reach:.3g}, far outside [-1, 1]; they may be absolute, or not unnormalized"]


def _distance(one: ActionChunk, other: ActionChunk) -> float:
    steps = min(len(one), len(other))
    return float(np.abs(one[:steps].astype(np.float64) - other[:steps]).mean())


def _images(cameras: tuple[str, ...], variant: int) -> dict[str, NDArray[np.uint8]]:
    """A table with a red, a yellow and a blue block, by camera; the variant has them elsewhere, and is darker."""
    images = {}
    for index, camera in enumerate(cameras):
        image = np.linspace(170, 110, _SIZE)[:, np.newaxis, np.newaxis] * np.ones((1, _SIZE, 3))
        for block, color in enumerate(((200, 30, 30), (220, 200, 40), (40, 60, 200))):
            row = 90 + 40 * block - 20 * index + 25 * variant
            column = 40 + 60 * ((block + variant) % 3) + 10 * index
            image[row : row + 30, column : column + 30] = color
        images[camera] = (image * (1 - 0.3 * variant)).astype(np.uint8)
    return images
