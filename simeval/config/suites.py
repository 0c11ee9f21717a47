"""Checks of the suites that a configuration names."""

from envs.goals import EnvError
from envs.interface import Interface
from envs.suites import find_suite, is_suite, suite_names, tasks
from envs.variants import BASE, MARK, own_name, variant_word
from simeval.core.errors import ConfigError, nearest
from simeval.core.texts import shown

OWN_SOURCE = "rule"
"""Source of the instructions that a suite means."""


def check_suites(names: tuple[str, ...]) -> None:
    """Check that suites exist.

    Raises:
        ConfigError: one does not; or its files are not here, or the package that offers it cannot be loaded.
    """
    for name in names:
        if not is_suite(name):
            wrong = name if is_suite(own_name(name)) else own_name(name)
            raise ConfigError(f"--suite: no suite '{shown(wrong)}'{nearest(wrong, suite_names())}")
        try:
            tasks(name)
            find_suite(name).require()
        except EnvError as error:
            raise ConfigError(f"--suite: {error}") from None


def variants(names: tuple[str, ...], source: str, *, base_arm: bool) -> tuple[str, ...]:
    """Names of the variants of suites that options ask for; a name that is the variant's already stays as it is.

    A suite that is not registered yet may come from a plugin; `check_suites` looks at it later.

    Args:
        names: names of suites.
        source: source of the instructions.
        base_arm: whether the tasks are those that the suites' were made from.

    Raises:
        ConfigError: a suite has no such variant or its name is that of another one, or the options exclude each other.
    """
    if source == OWN_SOURCE and not base_arm:
        return names
    word, flag = (BASE, "--base-arm") if base_arm else (source, f"--instruction-source {source}")
    if base_arm and source != OWN_SOURCE:
        raise ConfigError(f"--instruction-source {source}: --base-arm plays the base tasks' texts; choose one")
    return tuple(_variant(name, word, flag) for name in names)


def _variant(name: str, word: str, flag: str) -> str:
    given = variant_word(name)
    if given and given != word:
        raise ConfigError(f"{flag}: {shown(name)} is another variant already")
    variant = name if given else f"{name}{MARK}{word}"
    try:
        if is_suite(name):
            tasks(variant)
    except EnvError as error:
        raise ConfigError(f"{flag}: {error}") from None
    return variant


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
