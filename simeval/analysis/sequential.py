"""Runs whose size depended on their outcomes: which episodes count, and what may be said however often one looked."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from simeval.config.decisions import RunDecisions, follow, margin_of
from simeval.config.layout import Planned, is_sequential, planned
from simeval.core.types import CLEAN
from simeval.stats.anytime import Verdict, confidence_interval
from simeval.stats.intervals import Interval


@dataclass(frozen=True, slots=True)
class AnytimeDrop:
    """What the pairs of a condition say, at any number of pairs.

    Attributes:
        interval: of the drop.
        p: two-sided p-value of "no difference".
        p_holm: the same, adjusted for the suite's conditions.
        verdict: `None` while it is undecided.
        more_pairs: about how many pairs more would decide; `None` if that cannot be told, or is settled.
    """

    interval: Interval
    p: float
    p_holm: float
    verdict: Verdict | None
    more_pairs: float | None


@dataclass(frozen=True)
class Sequential:
    """A run with anytime-valid inference.

    Attributes:
        margin: a condition that costs less is called robust (fraction).
        counted: the rows that are evidence: of each condition those up to its decision.
        drops: by suite and condition.
        stops: whether decided conditions stopped.
        max_pairs: most pairs of a suite, if that was limited.
        needed: episodes that would have to run for a decision, or until the plan is at its end.
        spared: planned episodes that no decision needed.
        broken: rows with an error that a decision may depend on; the run tries these again.
    """

    margin: float
    counted: pd.DataFrame
    drops: Mapping[tuple[str, str], AnytimeDrop]
    stops: bool
    max_pairs: int | None
    needed: int
    spared: int
    broken: pd.DataFrame

    @property
    def undecided(self) -> tuple[str, ...]:
        """Conditions without a decision in at least one suite."""
        return tuple(dict.fromkeys(name for (_, name), drop in self.drops.items() if drop.verdict is None))


def sequential(manifest: Mapping[str, Any], episodes: pd.DataFrame) -> Sequential | None:
    """Follow a run once more, in the order of its plan.

    Args:
        manifest: the run's.
        episodes: its rows.

    Returns:
        `None` for a run of fixed size.
    """
    if not is_sequential(manifest):
        return None
    columns = [episodes[name] for name in ("suite", "task", "init_state", "condition", "repeat")]
    ran = {
        Planned(str(suite), int(task), int(state), str(condition), int(repeat)): str(outcome)
        for suite, task, state, condition, repeat, outcome in zip(*columns, episodes["outcome"], strict=True)
    }
    decisions = follow(manifest, ran.items())
    missing = [episode for _, cell in planned(manifest) for episode in cell if episode not in ran]
    needed = sum(map(decisions.is_open, missing))
    return Sequential(
        margin=margin_of(manifest),
        counted=episodes[[decisions.counts(episode) for episode in ran]],
        drops={
            (suite, condition): _drop(decisions, suite, condition)
            for suite in manifest["layout"]
            for condition in manifest["conditions"]
            if condition != CLEAN
        },
        stops=manifest["config"].get("until") is not None,
        max_pairs=manifest["config"].get("max_pairs"),
        needed=needed,
        spared=len(missing) - needed,
        broken=episodes[_to_try_again(manifest, ran)],
    )


def _to_try_again(manifest: Mapping[str, Any], ran: Mapping[Planned, str]) -> list[bool]:
    """Of each row, whether it has an error and its episode would run again."""
    if "error" not in ran.values():
        return [False] * len(ran)
    sound = follow(manifest, ((episode, outcome) for episode, outcome in ran.items() if outcome != "error"))
    return [outcome == "error" and sound.is_open(episode) for episode, outcome in ran.items()]


def _drop(decisions: RunDecisions, suite: str, condition: str) -> AnytimeDrop:
    test = decisions.test(suite)
    differences = test.differences(condition)
    decision = test.decisions.get(condition)
    return AnytimeDrop(
        interval=confidence_interval(differences),
        p=test.p_value(condition),
        p_holm=test.p_values()[condition],
        verdict=decision.verdict if decision else None,
        more_pairs=None if decision else test.expected_left(condition),
    )
