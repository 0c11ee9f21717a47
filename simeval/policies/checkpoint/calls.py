"""What one call of a policy takes and gives: observations, predicted actions, executed actions.

Non-obvious behaviour:
- lerobot's policies hide two kinds of memory in queues. A queue of past observations is a function of the last
  observations, which `PolicyInput.past` has; such types are in `WINDOWED`. Everything else is state, and refused.
- Diffusion and multi-task DiT predict a horizon that begins at the oldest observation, so some cannot be executed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from simeval.core.errors import ConfigError
from simeval.policies.names import MAX_OBS_STEPS

WINDOWED = frozenset({"diffusion", "multi_task_dit", "vqbet"})
"""Types whose queues hold the last `n_obs_steps` observations, and nothing else that a chunk depends on. Source:
`select_action` in lerobot 0.6.1."""
_STATEFUL = frozenset({"lingbot_va", "tdmpc"})
"""Types whose chunk depends on earlier calls. Source: their `predict_action_chunk` in lerobot 0.6.1."""
_SINGLE_ACTIONS = frozenset({"gaussian_actor"})
"""Types that predict single actions and no chunks. Source: `predict_action_chunk` in lerobot 0.6.1."""
_CHUNK_SIZES = ("chunk_size", "action_chunk_size", "action_horizon")
"""Names of the number of predicted actions in lerobot's configurations."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a policy.

    Attributes:
        n_obs_steps: observations, those of the last control steps.
        chunk_size: predicted actions from the current observation on; `None` if the configuration does not say.
        n_action_steps: executed actions.
    """

    n_obs_steps: int
    chunk_size: int | None
    n_action_steps: int


def read_call(config: Mapping[str, Any], name: str, n_action_steps: int | None) -> Call:
    """Read what a call takes and gives.

    Args:
        config: configuration of the policy.
        name: name of the checkpoint.
        n_action_steps: overrides the saved number.

    Raises:
        ConfigError: the policy carries state from call to call, or a number is out of range.
    """
    _refuse_state(config, name)
    n_obs_steps = _n_obs_steps(config, name)
    chunk_size = _chunk_size(config, n_obs_steps, name)
    steps = n_action_steps if n_action_steps is not None else config.get("n_action_steps", chunk_size or 1)
    if not isinstance(steps, int) or steps < 1 or (chunk_size is not None and steps > chunk_size):
        upper = chunk_size if chunk_size is not None else "its chunk size"
        horizon = (
            f" (its horizon of {config['horizon']} begins {n_obs_steps - 1} before the current observation)"
            if n_obs_steps > 1 and "horizon" in config
            else ""
        )
        raise ConfigError(f"policy '{name}': n_action_steps is {steps}, it must be in 1..{upper}{horizon}")
    return Call(n_obs_steps, chunk_size, steps)


def _n_obs_steps(config: Mapping[str, Any], name: str) -> int:
    number = config.get("n_obs_steps", 1)
    if not isinstance(number, int) or not 1 <= number <= MAX_OBS_STEPS:
        raise ConfigError(f"policy '{name}': n_obs_steps is {number!r}, it must be in 1..{MAX_OBS_STEPS}")
    if number > 1 and config["type"] not in WINDOWED:
        raise ConfigError(
            f"policy '{name}' is not supported: it wants a history of {number} observations (n_obs_steps), and "
            f"'{config['type']}' takes one in lerobot"
        )
    return number


def _chunk_size(config: Mapping[str, Any], n_obs_steps: int, name: str) -> int | None:
    if config["type"] in WINDOWED and "horizon" in config:
        size = config["horizon"] - n_obs_steps + 1
        if size < 1:
            raise ConfigError(
                f"policy '{name}': its horizon of {config['horizon']} is shorter than its {n_obs_steps} observations"
            )
        return int(size)
    return next((config[key] for key in _CHUNK_SIZES if config.get(key) is not None), None)


def _refuse_state(config: Mapping[str, Any], name: str) -> None:
    kind = config["type"]
    if kind in _STATEFUL:
        raise ConfigError(f"policy '{name}' is not supported: '{kind}' carries state from call to call")
    if kind in _SINGLE_ACTIONS:
        raise ConfigError(
            f"policy '{name}' is not supported: '{kind}' is the actor of a reinforcement learner and predicts no chunks"
        )
    if config.get("temporal_ensemble_coeff") is not None:
        raise ConfigError(
            f"policy '{name}' is not supported: it averages each action over earlier chunks (temporal_ensemble_coeff "
            f"{config['temporal_ensemble_coeff']}), so it carries state from call to call; with null there it executes "
            "chunks, and is another policy"
        )
    if (config.get("rtc_config") or {}).get("enabled"):
        raise ConfigError(
            f"policy '{name}' is not supported: real-time chunking carries the rest of each chunk to the next call; "
            "set rtc_config to null in config.json to execute chunks"
        )
