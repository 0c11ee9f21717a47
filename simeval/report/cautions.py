"""Sentences about how far the tables of a run can be trusted: unfinished, grown, or all there is."""

import pandas as pd

from envs.suites import SHIPPED, find_suite
from envs.variants import own_name
from simeval.analysis.sequential import Sequential
from simeval.config.layout import is_sequential
from simeval.core.types import CLEAN
from simeval.store.run import Run

UNFINISHED = (
    "unfinished: {} of {} episodes have not run; rates, drops and p are over the initial states that have, and not to "
    "be read as final"
)
OPEN = "unfinished: up to {} of {} episodes may still be needed for a decision"
STOPPED = "stopped when it was decided: {} of {} planned episodes were not needed"
ENDED = "ended undecided ({}){}: {} of {} planned episodes have not run"
GROWN = "grown after looking: {} too optimistic"
FALSE_ALARMS = " (false alarms 2 to 5 times as often)"
"""Simulated: growing by 20 to 100 pairs until p < .05, up to 500."""
WHOLE = (
    "all {} initial states of these {} tasks have run: of a deterministic policy the numbers for this benchmark are "
    "exact, and running them again adds nothing; the intervals are about other initial states"
)


def unfinished(planned: int | None, ran: int, followed: Sequential | None = None) -> tuple[str, ...]:
    """A line if episodes are missing: p-values are of whole plans, unless they hold at any look.

    Args:
        planned: number of planned episodes; `None` if a plan is never run to its end.
        ran: number of episodes with a row.
        followed: a run whose size depended on its outcomes.
    """
    if planned is None or ran >= planned:
        return ()
    if followed and followed.stops:
        return (_stopped(planned, ran, followed),)
    return (UNFINISHED.format(planned - ran, planned),)


def _stopped(planned: int, ran: int, followed: Sequential) -> str:
    if followed.needed:
        return OPEN.format(followed.needed, planned)
    if followed.undecided:
        limit = "" if followed.max_pairs is None else f" at --max-pairs {followed.max_pairs}"
        return ENDED.format(", ".join(followed.undecided), limit, planned - ran, planned)
    return STOPPED.format(planned - ran, planned)


STARTS = (
    "{} of {} pairs on {} do not start alike, although nothing is to change their start: a reset that does not follow "
    "its seed (simeval.testing.check_env finds it), or rows of different machines; their drops are not of the same "
    "initial states"
)


AT_ONCE = (
    "{} of {} clean episodes on {} reach their goal at the first control step: the goal may hold from the start "
    "(simeval.testing.check_env says so)"
)
ALIKE = (
    "{} initial states of {} on {} start like another one of the same task: the intervals count them as different ones"
)


def cautions(run: Run, episodes: pd.DataFrame) -> tuple[str, ...]:
    """A line if the run was grown, one per suite whose pairs start differently, one per suite that ran as a whole.

    Args:
        run: the run.
        episodes: its rows, a data frame with `suite`, `task`, `init_state`, `condition`, `outcome`, `pair_id`,
            `first_success` and `start_digest`.
    """
    lines = []
    if grown := run.manifest.get("grown"):
        steps = " -> ".join(str(n) for n in (*(step["episodes"] for step in grown), run.manifest["episodes"]))
        paired = (episodes["condition"] != CLEAN).any()
        text = GROWN.format("p and intervals are" if paired else "intervals are") + (FALSE_ALARMS if paired else "")
        looked = "looking was allowed for" if is_sequential(run.manifest) else text
        lines.append(f"grown: {steps} episodes; {looked}")
    return (*lines, *_other_starts(episodes), *_empty_starts(run, episodes), *_whole_suites(run, episodes))


def _other_starts(episodes: pd.DataFrame) -> list[str]:
    """A line per suite with pairs whose episodes have different states before anything was changed."""
    known = episodes[episodes["start_digest"].fillna("") != ""]
    lines = []
    for suite, rows in known.groupby("suite", observed=True, sort=False):
        pairs = rows.groupby("pair_id")["start_digest"].agg(["size", "nunique"])
        compared = pairs[pairs["size"] > 1]
        if count := int((compared["nunique"] > 1).sum()):
            lines.append(STARTS.format(count, len(compared), suite))
    return lines


def _empty_starts(run: Run, episodes: pd.DataFrame) -> list[str]:
    """Lines on plugins' suites whose initial states show nothing; those of the package are tested by themselves.

    The state need not hold the poses of fixtures, and some of the package's initial states differ in these alone.
    """
    if not run.manifest["identity"].get("plugins"):
        return []
    lines = []
    clean = episodes[(episodes["condition"] == CLEAN) & ~episodes["suite"].map(own_name).isin(SHIPPED)]
    for suite, rows in clean.groupby("suite", observed=True, sort=False):
        judged = rows[rows["outcome"].isin(("success", "failure"))]
        if at_once := int((judged["first_success"] == 1).sum()):
            lines.append(AT_ONCE.format(at_once, len(judged), suite))
        states = judged[judged["start_digest"].fillna("") != ""].drop_duplicates(["task", "init_state"])
        if repeated := int(states.duplicated(["task", "start_digest"]).sum()):
            lines.append(ALIKE.format(repeated, len(states), suite))
    return lines


def _whole_suites(run: Run, episodes: pd.DataFrame) -> list[str]:
    lines = []
    clean = episodes[(episodes["condition"] == CLEAN) & (episodes["outcome"] != "error")]
    for suite, rows in clean.groupby("suite", observed=True, sort=False):
        if suite in run.absent_suites:  # its package is not installed here
            continue
        states, known = rows.groupby("task")["init_state"].nunique(), find_suite(str(suite)).init_states
        if (states == known).all():
            lines.append(f"{suite}: {WHOLE.format(known, len(states))}")
    return lines
