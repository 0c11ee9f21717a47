"""Checks the spec of a user's policy before anything relies on it."""

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from envs.base import CAMERAS
from simeval.core.texts import shown
from simeval.policies.base import PolicySpec
from simeval.policies.names import MAX_ACTION_STEPS, MAX_OBS_STEPS

MAX_SIZE = 256
"""Most numbers of a state or an action; our choice."""
MAX_SIDE = 4096
"""Most pixels per side of a training image; our choice."""

_WHOLE = {
    "n_action_steps": MAX_ACTION_STEPS,
    "n_obs_steps": MAX_OBS_STEPS,
    "action_size": MAX_SIZE,
    "state_size": MAX_SIZE,
}
"""Fields that are whole numbers from 1, and the largest."""

_ROWS = ("state_std", "action_std", "state_limits", "action_limits")

RESERVED = ("name", "n_action_steps", "file", "file_sha256", "entry_point", "package", "object")
"""Keys that a user's fingerprint must not have."""


def spec_fault(spec: PolicySpec) -> str | None:
    """The first thing that is wrong with a spec, as `FIELD is ..., must be ...`; `None` if nothing is."""
    return next((fault for check in (_simple, _rows, _fingerprint) for fault in check(spec)), None)


def plain(spec: PolicySpec) -> PolicySpec:
    """A sound spec with numbers and tuples of Python in place of NumPy's numbers, arrays and lists."""
    values: dict[str, Any] = {name: int(getattr(spec, name)) for name in _WHOLE}
    values["noise_floor"] = float(spec.noise_floor)
    if spec.image_size is not None:
        values["image_size"] = tuple(map(int, spec.image_size))
    for name in _ROWS:
        if (value := getattr(spec, name)) is not None:
            array = np.asarray(value, np.float64)
            values[name] = tuple(map(tuple, array.tolist())) if array.ndim == 2 else tuple(array.tolist())
    return replace(spec, **values)


def _simple(spec: PolicySpec) -> Iterator[str]:
    name, cameras, size = spec.name, spec.cameras, spec.image_size
    if not isinstance(name, str) or not name.strip() or len(name) > 100 or not name.isprintable():
        yield f"name is {shown(repr(name))}, must be a printable text of 1 to 100 characters"
    for field, most in _WHOLE.items():
        if not _whole(value := getattr(spec, field), most):
            yield f"{field} is {shown(repr(value))}, must be a whole number in [1, {most}]"
    for field in ("privileged", "memory", "continues"):
        if not isinstance(value := getattr(spec, field), bool):
            yield f"{field} is {shown(repr(value))}, must be True or False"
    if not _numbers(spec.noise_floor, ()) or not 0 <= spec.noise_floor < math.inf:
        yield f"noise_floor is {shown(repr(spec.noise_floor))}, must be a number from 0"
    known = isinstance(cameras, tuple) and all(camera in CAMERAS for camera in cameras)
    if not known or len(set(cameras)) < len(cameras):
        yield f"cameras is {shown(repr(cameras))}, must be a tuple of names from {', '.join(CAMERAS)}"
    sides = isinstance(size, tuple | list) and len(size) == 2 and all(_whole(side, MAX_SIDE) for side in size)
    if size is not None and not sides:
        yield f"image_size is {shown(repr(size))}, must be (height, width) in pixels, each in [1, {MAX_SIDE}], or None"


def _rows(spec: PolicySpec) -> Iterator[str]:
    """Faults of the numbers per part of a state or an action."""
    for name in _ROWS:
        value, size = getattr(spec, name), spec.state_size if name.startswith("state") else spec.action_size
        pairs = name.endswith("limits")
        if value is None:
            continue
        if not _numbers(value, (size, 2) if pairs else (size,)):
            yield f"{name} is {shown(repr(value))}, must be {size} {'pairs of ' * pairs}numbers"
        elif pairs and (np.diff(np.asarray(value, np.float64)) < 0).any():
            yield f"{name} is {shown(repr(value))}, must be pairs of the lowest and the highest number"
        elif not pairs and np.min(value) < 0:
            yield f"{name} is {shown(repr(value))}, must not be negative"


def _fingerprint(spec: PolicySpec) -> Iterator[str]:
    fingerprint = spec.fingerprint
    text = "must be pairs of a text and a value that JSON can hold, for instance (('sha256', '1f3a...'),)"
    pairs = isinstance(fingerprint, tuple) and all(
        isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], str) for pair in fingerprint
    )
    if not pairs:
        yield f"fingerprint is {shown(repr(fingerprint))}, {text}"
        return
    keys = [key for key, _ in fingerprint]
    for key, value in fingerprint:
        if keys.count(key) > 1:
            yield f"fingerprint has the key '{shown(key)}' more than once"
        if key in RESERVED:
            yield f"fingerprint has the key '{key}', which the manifest uses itself"
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError, RecursionError):
            yield f"fingerprint['{shown(key)}'] is {shown(repr(value))}, {text}"


def _whole(value: Any, most: int) -> bool:
    return bool(isinstance(value, int | np.integer) and not isinstance(value, bool) and 1 <= value <= most)


def _numbers(value: Any, shape: tuple[int, ...]) -> bool:
    try:
        array = np.asarray(value)
    except ValueError:
        return False
    return bool(array.shape == shape and array.dtype.kind in "iuf" and not np.isnan(array).any())
