"""What an environment returns, held to the contract of `envs.base.Env` while an episode runs.

`simeval.testing.check_env` says more, but nobody has to call it, and each of these would be a wrong number in silence.
"""

import operator
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.base import Env, EnvError, Observation, StepResult
from simeval.core.errors import ConfigError, EpisodeError

_HINT = "simeval.testing.check_env checks it"


def seen(env: Env, cameras: Sequence[str], side: int, state_size: int) -> Observation:
    """What an environment shows now, as copies: one that reuses its arrays would change a delayed observation.

    Args:
        env: the scene.
        cameras: the cameras to render.
        side: side of the images (px).
        state_size: numbers of the robot's state.

    Raises:
        ConfigError: an image or the state has another form than the suite says, which every episode would have.
        EnvError: the robot's state is not finite.
    """
    shown = env.observe(cameras)
    if missing := [camera for camera in cameras if camera not in shown.images]:
        raise ConfigError(f"the environment shows no image of {missing[0]}; {_HINT}")
    images = {camera: checked_image(shown.images[camera], camera, side) for camera in cameras}
    state = shown.state
    is_real = isinstance(state, np.ndarray) and state.dtype.kind == "f"
    if not is_real or state.shape != (state_size,):
        raise ConfigError(f"the environment's observed state is {_form(state)}, not float32[{state_size}]; {_HINT}")
    if not np.isfinite(state).all():
        number = int(np.flatnonzero(~np.isfinite(state))[0]) + 1
        raise EnvError(f"number {number} of the robot's observed state is not finite")
    return Observation(images, state.astype(np.float32), shown.step)


def checked_image(image: Any, camera: str, side: int) -> NDArray[np.uint8]:
    """A copy of an image of an environment.

    Raises:
        ConfigError: it is not `uint8[side, side, 3]`.
    """
    shape = np.shape(image)
    if shape[:2] != (side, side):
        raise ConfigError(
            f"the environment's image of {camera} has the shape {list(shape)}, its suite's limits "
            f"say {side} x {side} pixels; {_HINT}"
        )
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or shape[2:] != (3,):
        raise ConfigError(
            f"the environment's image of {camera} is {_form(image)}, not uint8[{side}, {side}, 3] "
            f"from 0 to 255; {_HINT}"
        )
    return image.copy()


def state_of(env: Env) -> NDArray[np.float64]:
    """A copy of an environment's state.

    Raises:
        ConfigError: it is not `float64[n]`.
        EnvError: it is not finite.
    """
    state = env.state()
    if not isinstance(state, np.ndarray) or state.dtype != np.float64 or state.ndim != 1:
        raise ConfigError(f"the environment's state is {_form(state)}, not float64[n]; {_HINT}")
    if not np.isfinite(state).all():
        raise EnvError(f"number {int(np.flatnonzero(~np.isfinite(state))[0]) + 1} of the state is not finite")
    return state.copy()


def executed(result: StepResult, requested: int, env: Env) -> StepResult:
    """A step result that agrees with its request.

    Args:
        result: what `Env.step` returned.
        requested: number of actions that it was given.
        env: the scene.

    Raises:
        EpisodeError: the environment returned other numbers of steps, states or goals, or something that is none.
    """
    width = len(env.state())
    states, reached, tracked = np.array(result.states), _listed(result.reached), _listed(result.tracked)
    if not 1 <= result.steps <= requested or states.shape != (result.steps, width):
        raise EpisodeError(
            "step", f"{result.steps} of {requested} steps with states of shape {states.shape}, not (steps, {width})"
        )
    if states.dtype != np.float64:
        raise EpisodeError("step", f"the states of a step are {states.dtype}, not float64")
    if not np.isfinite(states).all():
        raise EpisodeError("step", "the states of a step are not finite")
    if len(reached) != len(env.goals) or not all(isinstance(one, bool | np.bool_) for one in reached):
        raise EpisodeError("step", f"reached is {result.reached}, not true or false for each of {len(env.goals)} goals")
    steps = operator.index(result.steps)
    if tracked and (len(tracked) != len(env.tracked) or not all(_is_step(one, steps) for one in tracked)):
        raise EpisodeError("step", f"tracked is {result.tracked}, not a step from 1 to {steps} or None for each goal")
    hits = tuple(None if one is None else operator.index(one) for one in tracked)
    return replace(result, steps=steps, states=states, reached=tuple(map(bool, reached)), tracked=hits)


def _listed(values: Any) -> list[Any]:
    return list(values) if isinstance(values, Sequence | np.ndarray) else [values]


def _is_step(value: Any, steps: int) -> bool:
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    return value is None or (whole and 1 <= value <= steps)


def _form(value: Any) -> str:
    return f"{value.dtype}{list(value.shape)}" if isinstance(value, np.ndarray) else f"of type {type(value).__name__}"
