"""What can be said of a request and this machine before anything slow starts."""

from dataclasses import replace

from envs import numerics
from envs.base import EnvError
from simeval.config.evaluation import EvalConfig
from simeval.core.errors import ConfigError
from simeval.policies.registry import (
    GPU_BATCH,
    PolicyChoice,
    has_gpu,
    load_policy,
)


def require_numerics(wanted: str) -> None:
    """A process cannot change its numerics: its libraries have chosen their kernels.

    Raises:
        ConfigError: they are not the wanted ones.
    """
    if numerics.mode() != wanted:
        raise ConfigError(
            f"--numerics {wanted}: this process runs with {numerics.mode()} numerics; "
            f"set {numerics.VARIABLE}={wanted} before Python starts"
        )


def policy_choice(config: EvalConfig) -> PolicyChoice:
    """Which policy a configuration asks for, and how it is to run."""
    choice = PolicyChoice(config.policy_name, config.device, config.n_action_steps, dtype=config.dtype)
    usual = GPU_BATCH if not choice.scripted and has_gpu(config.device) else 1
    return replace(choice, batch_size=config.batch_size or usual)


def require_rendering(choice: PolicyChoice | None = None) -> None:
    """Find out before anything starts whether this machine can draw what has to be drawn.

    Args:
        choice: the policy, which may need no images; `None` if images are drawn in any case.

    Raises:
        ConfigError: it cannot; says what is in the way.
    """
    from envs.sim.opengl import check_drawing, select_backend

    try:
        if choice and choice.scripted and not load_policy(choice).spec.cameras:
            select_backend()  # MuJoCo itself wants a backend that exists
        else:
            check_drawing()
    except EnvError as error:
        raise ConfigError(str(error)) from None
