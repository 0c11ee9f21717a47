"""Checks of a request and of this machine that are made before anything slow starts."""

from collections.abc import Sequence
from dataclasses import replace

from envs import numerics
from envs.base import EnvError
from envs.interface import LIBERO_INTERFACE
from perturbations.latency import MODE, NO_RTC, RTC
from perturbations.spec import parse
from simeval.config.evaluation import EvalConfig
from simeval.config.serve import ServeConfig
from simeval.config.suites import interface_of
from simeval.core.errors import ConfigError
from simeval.policies.base import Policy, PolicySpec
from simeval.policies.names import OBJECT
from simeval.policies.registry import PolicyChoice, choose, load_policy
from simeval.policies.user_defined import UserPolicy, checked


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
    """The policy of a configuration, and how it runs.

    Raises:
        ConfigError: an option does not fit the policy, or its file cannot be read.
    """
    return choose(
        config.policy_name,
        device=config.device,
        n_action_steps=config.n_action_steps,
        batch_size=config.batch_size,
        dtype=config.dtype,
        convention=config.convention if isinstance(config, EvalConfig) else None,
        interface=interface_of(config.suite) if isinstance(config, EvalConfig) else LIBERO_INTERFACE,
    )


def named_choice(config: EvalConfig) -> PolicyChoice:
    """As `policy_choice`, without reading a file or asking for a GPU: enough to refuse options that do not fit.

    Raises:
        ConfigError: an option does not fit the policy.
    """
    return PolicyChoice(
        config.policy_name,
        n_action_steps=config.n_action_steps,
        dtype=config.dtype,
        convention=config.convention,
        interface=interface_of(config.suite),
    )


def require_fit(spec: PolicySpec, suites: tuple[str, ...], conditions: Sequence[str] = ()) -> None:
    """Check that a policy's observations and actions are those of the suites, and that it can do what conditions ask.

    Raises:
        ConfigError: they are not, or it cannot.
    """
    for term in filter(None, (parse(condition).latency for condition in conditions)):
        if term.option(MODE.name) == RTC and not spec.continues:
            raise ConfigError(NO_RTC.format(term, spec.name))
    interface, name = interface_of(suites), f"--policy {spec.name}: does not fit {suites[0]}"
    for what, its, theirs in (
        ("actions", spec.action_size, interface.action_size),
        ("states", spec.state_size, interface.state_size),
    ):
        if its != theirs:
            raise ConfigError(f"{name}: its {what} have {its} numbers, the suite's {theirs}")
    if missing := [camera for camera in spec.cameras if camera not in interface.cameras]:
        raise ConfigError(f"{name}: it wants the camera {missing[0]}, the suite has {', '.join(interface.cameras)}")


def with_policy(config: EvalConfig, policy: Policy) -> tuple[EvalConfig, UserPolicy]:
    """A configuration whose policy is an object, and the checked object.

    Raises:
        ConfigError: the object is no policy, or the configuration names another one.
    """
    user = checked(policy, "evaluate(policy=...)", {"object": type(policy).__qualname__})
    name = f"{OBJECT}{user.spec.name}"
    if config.policy not in (None, name):
        raise ConfigError(f"--policy {config.policy}: a policy object is given as well ({user.spec.name})")
    if config.n_action_steps not in (None, user.spec.n_action_steps):
        raise ConfigError(
            f"--n-action-steps {config.n_action_steps}: the policy object executes {user.spec.n_action_steps}; "
            "that is its spec.n_action_steps"
        )
    if config.ray_address:
        raise ConfigError(f"--ray-address {config.ray_address}: a policy object runs on this machine; serve it instead")
    return replace(config, policy=name, workers=config.workers or 0), user


def require_rendering(choice: PolicyChoice | Policy | None = None) -> None:
    """Check that this machine can render, if images are needed.

    Args:
        choice: the policy, which may need no images; `None` if images are rendered in any case.

    Raises:
        ConfigError: it cannot; says why.
    """
    from envs.sim.opengl import check_drawing, select_backend

    try:
        if choice and not _looks(choice):
            select_backend()  # MuJoCo fails on a backend that does not exist, even without rendering
        else:
            check_drawing()
    except EnvError as error:
        raise ConfigError(str(error)) from None


def _looks(choice: PolicyChoice | Policy) -> bool:
    """Whether the policy may use images; only a scripted one is loaded to find out."""
    if not isinstance(choice, PolicyChoice):
        return bool(choice.spec.cameras)
    return choice.kind != "scripted" or bool(load_policy(choice).spec.cameras)
