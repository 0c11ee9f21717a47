"""Checks of a request and of this machine that are made before anything slow starts."""

from dataclasses import replace

from envs import numerics
from envs.base import EnvError
from simeval.config.evaluation import EvalConfig
from simeval.config.serve import ServeConfig
from simeval.core.errors import ConfigError
from simeval.policies.registry import (
    GPU_BATCH,
    PolicyChoice,
    has_gpu,
    load_policy,
)


def require_numerics(requested: str) -> None:
    """Check the numerics of this process. They cannot be changed: its libraries have chosen their kernels.

    Raises:
        ConfigError: they are not the requested ones.
    """
    if numerics.mode() != requested:
        raise ConfigError(
            f"--numerics {requested}: this process runs with {numerics.mode()} numerics; "
            f"set {numerics.VARIABLE}={requested} before Python starts"
        )


def policy_choice(config: EvalConfig | ServeConfig) -> PolicyChoice:
    """The policy of a configuration, and how it runs."""
    choice = PolicyChoice(config.policy_name, config.device, config.n_action_steps, dtype=config.dtype)
    default = GPU_BATCH if not choice.scripted and has_gpu(config.device) else 1
    return replace(choice, batch_size=config.batch_size or default)


def require_rendering(choice: PolicyChoice | None = None) -> None:
    """Check that this machine can render, if images are needed.

    Args:
        choice: the policy, which may need no images; `None` if images are rendered in any case.

    Raises:
        ConfigError: it cannot; says why.
    """
    from envs.sim.opengl import check_drawing, select_backend

    try:
        if choice and choice.scripted and not load_policy(choice).spec.cameras:
            select_backend()  # MuJoCo fails on a backend that does not exist, even without rendering
        else:
            check_drawing()
    except EnvError as error:
        raise ConfigError(str(error)) from None
