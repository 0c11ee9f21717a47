"""Checks of the suites that a configuration names."""

from envs.goals import EnvError
from envs.interface import Interface
from envs.suites import find_suite, is_suite, suite_names, tasks
from simeval.core.errors import ConfigError, nearest
from simeval.core.texts import shown


def check_suites(names: tuple[str, ...]) -> None:
    """Check that suites exist.

    Raises:
        ConfigError: one does not; or its files are not here, or the package that offers it cannot be loaded.
    """
    for name in names:
        if not is_suite(name):
            raise ConfigError(f"--suite: no suite '{shown(name)}'{nearest(name, suite_names())}")
        try:
            tasks(name)
            find_suite(name).require()
        except EnvError as error:
            raise ConfigError(f"--suite: {error}") from None


def interface_of(suites: tuple[str, ...]) -> Interface:
    """What passes between the robots of suites and a policy.

    Raises:
        ConfigError: the suites differ in it; one policy cannot do both.
    """
    first, *others = suites
    interface = find_suite(first).interface
    for other in others:
        if find_suite(other).interface != interface:
            raise ConfigError(
                f"--suite: {first} and {other} cannot share a run: {first} has {interface}; {other} has "
                f"{find_suite(other).interface}"
            )
    return interface
