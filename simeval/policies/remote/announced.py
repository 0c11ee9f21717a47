"""What `simeval serve` announces about its policy, so that its spec here is the one it has in one process."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from envs.base import ACTION_SIZE, CAMERAS, STATE_SIZE
from simeval.core.texts import shown
from simeval.policies.names import MAX_OBS_STEPS
from simeval.policies.remote.channel import ServerError

Numbers = tuple[float, ...]
Ranges = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Announced:
    """Fields of `PolicySpec` as a server announces them; `None`, or the usual value, for those that it does not."""

    name: str | None = None
    n_action_steps: int | None = None
    cameras: tuple[str, ...] | None = None
    n_obs_steps: int = 1
    memory: bool = False
    state_std: Numbers | None = None
    action_std: Numbers | None = None
    state_limits: Ranges | None = None
    action_limits: Ranges | None = None


def is_simeval(metadata: Mapping[str, Any]) -> bool:
    """Whether a server is `simeval serve`, version 1 of its metadata."""
    return metadata.get("simeval") == 1


def announced(metadata: Mapping[str, Any]) -> Announced:
    """Read the map `spec` in the metadata of `simeval serve`; other servers announce nothing.

    Raises:
        ServerError: it is malformed.
    """
    spec = metadata.get("spec") if is_simeval(metadata) else None
    if spec is None:
        return Announced()
    if not isinstance(spec, Mapping):
        raise ServerError(f"its metadata's spec is {shown(spec, 40)}, not a map")
    steps, cameras = spec.get("n_action_steps"), spec.get("cameras")
    if steps is not None and (type(steps) is not int or steps < 1):
        raise ServerError(f"its metadata's n_action_steps is {shown(steps, 40)}")
    if cameras is not None and (not isinstance(cameras, list) or any(camera not in CAMERAS for camera in cameras)):
        raise ServerError(f"its metadata's cameras are {shown(cameras)}, not of {', '.join(CAMERAS)}")
    window, memory = spec.get("n_obs_steps", 1), spec.get("memory", False)
    if type(window) is not int or not 1 <= window <= MAX_OBS_STEPS or not isinstance(memory, bool):
        raise ServerError(f"its metadata's n_obs_steps and memory are {shown(window, 40)} and {shown(memory, 40)}")
    return Announced(
        n_obs_steps=window,
        memory=memory,
        name=None if spec.get("name") is None else shown(spec["name"]),
        n_action_steps=steps,
        cameras=None if cameras is None else tuple(cameras),
        state_std=_numbers(spec, "state_std", STATE_SIZE),
        action_std=_numbers(spec, "action_std", ACTION_SIZE),
        state_limits=_ranges(spec, "state_limits", STATE_SIZE),
        action_limits=_ranges(spec, "action_limits", ACTION_SIZE),
    )


def _numbers(spec: Mapping[str, Any], key: str, size: int) -> Numbers | None:
    values = spec.get(key)
    if values is None:
        return None
    if not _is_row(values, size):
        raise ServerError(f"its metadata's {key} is {shown(values, 40)}, not {size} numbers")
    return tuple(map(float, values))


def _ranges(spec: Mapping[str, Any], key: str, size: int) -> Ranges | None:
    values = spec.get(key)
    if values is None:
        return None
    if not isinstance(values, list) or len(values) != size or not all(_is_row(pair, 2) for pair in values):
        raise ServerError(f"its metadata's {key} is {shown(values, 40)}, not {size} pairs of numbers")
    return tuple((float(low), float(high)) for low, high in values)


def _is_row(values: Any, size: int) -> bool:
    return isinstance(values, list) and len(values) == size and all(type(x) in (int, float) for x in values)
