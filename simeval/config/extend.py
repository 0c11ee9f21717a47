"""Adds episodes to an existing run: further initial states, tasks, repeats, suites or conditions.

The stored episodes stay as they are: they are part of the larger plan. The manifest records the earlier plans.
"""

from collections.abc import Mapping
from typing import Any

from simeval.config.evaluation import EvalConfig, from_mapping
from simeval.config.options import flag
from simeval.config.plan import make_plan
from simeval.core.errors import ConfigError

EXTENDABLE = ("suite", "tasks", "init_states", "perturb", "repeats")
ADDED = ("suite", "perturb")
"""Lists that new values are added to; for the other settings new values replace those of the run."""


def extended_config(stored: Mapping[str, Any], more: Mapping[str, Any]) -> EvalConfig:
    """The configuration of a run with more episodes; unchanged for a run that was extended like that already.

    Args:
        stored: the run's configuration, as `EvalConfig.to_dict` wrote it.
        more: what to add, by the names of `EXTENDABLE`, and settings of how to run.

    Raises:
        ConfigError: the plan would lack episodes that the run has.
    """
    requested = from_mapping(more, base=from_mapping(stored)).to_dict()
    lists = {name: list(dict.fromkeys([*stored[name], *more[name]])) for name in ADDED if name in more}
    before, after = from_mapping(stored), from_mapping({**requested, **lists})
    stored_episodes, episodes = set(make_plan(before).episodes), set(make_plan(after).episodes)
    if missing := stored_episodes - episodes:
        lost = min(missing, key=lambda spec: spec.id)
        given = ", ".join(flag(name) for name in EXTENDABLE if name in more)
        raise ConfigError(f"--grow: with this {given} the run would lose {len(missing)} episodes, {lost.id} first")
    return after
