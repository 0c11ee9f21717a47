"""More episodes for a run that exists: further initial states, tasks, repeats, suites or conditions.

What was run stays what it was: its episodes are among those of the larger plan. The manifest says what it grew from.
"""

from collections.abc import Mapping
from typing import Any

from simeval.config.evaluation import EvalConfig, flag, from_mapping
from simeval.config.plan import make_plan
from simeval.core.errors import ConfigError

GROWABLE = ("suite", "tasks", "init_states", "perturb", "repeats")
ADDED = ("suite", "perturb")
"""Lists, which what is given adds to; the other settings replace what the run had."""


def grown_config(stored: Mapping[str, Any], more: Mapping[str, Any]) -> EvalConfig:
    """The configuration of a run with more episodes; the same again for a run that has grown like that already.

    Args:
        stored: the run's own, as `EvalConfig.to_dict` wrote it.
        more: what to add, by the names of `GROWABLE`, and how to run.

    Raises:
        ConfigError: the plan would lack episodes that the run has.
    """
    asked = from_mapping(more, base=from_mapping(stored)).to_dict()
    lists = {name: list(dict.fromkeys([*stored[name], *more[name]])) for name in ADDED if name in more}
    before, after = from_mapping(stored), from_mapping({**asked, **lists})
    had, has = set(make_plan(before).episodes), set(make_plan(after).episodes)
    if had - has:
        lost = min(had - has, key=lambda spec: spec.id)
        given = ", ".join(flag(name) for name in GROWABLE if name in more)
        raise ConfigError(f"--grow: with this {given} the run would lose {len(had - has)} episodes, {lost.id} first")
    return after
