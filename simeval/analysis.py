"""From episodes to the numbers of a report: success, paired drops, language following. Draws nothing, reads no file.

Every function takes one row per episode, with `COLUMNS`. Tables are ordered by suite and condition: by category where
those columns are categorical (the order of the plan), else by name with `none` first. Rates and drops are fractions; a
number that the data cannot carry is `None`, never NaN. Errors are never failures: an `error` row leaves the rate, and
takes its pair out of the comparison.
"""

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

import pandas as pd

from simeval.stats.intervals import Interval, SuiteRate, mean_of_suites, suite_mean_of_units
from simeval.stats.paired import PairedDrop, holm, paired_drop
from simeval.stats.power import smallest_visible_drop
from simeval.types import CLEAN, Outcome

COLUMNS = (
    *("id", "pair_id", "suite", "task", "init_state", "repeat", "condition"),
    *("outcome", "steps", "first_success", "reached"),
)
SCHEMA_VERSION = 1
LEVEL = 0.95
ALPHA = 0.05
MARGIN = 0.05
"""Drops below this count as robust, if the data show it (fraction). A house choice, to be set before the run."""
MAX_MISSING = 0.02
"""Share of pairs that may be missing before a comparison is refused. A house choice."""

Verdict = Literal["drop", "within margin", "undecided"]


@dataclass(frozen=True, slots=True)
class ConditionRate:
    """How often one condition succeeded in one suite.

    Attributes:
        tasks: tasks with at least one episode that ran.
        n: episodes that ran.
        successes: episodes that succeeded.
        errors: episodes that broke; not among `n`.
        rate: equal-weight mean over tasks; `None` if nothing ran.
        interval: the same tasks, other initial states.
        across_tasks: other tasks like these; `None` where it cannot be estimated.
        mean_steps: mean control steps to success; `None` without success.
        rate_if_errors_fail, rate_if_errors_succeed: bounds of the rate; `None` without errors.
    """

    suite: str
    condition: str
    tasks: int
    n: int
    successes: int
    errors: int
    rate: float | None
    interval: Interval
    across_tasks: Interval | None
    mean_steps: float | None
    rate_if_errors_fail: float | None
    rate_if_errors_succeed: float | None


@dataclass(frozen=True, slots=True)
class ConditionDrop:
    """What one condition cost against `none`, over the pairs of one suite.

    Attributes:
        pairs: complete pairs.
        missing: pairs with an error or without an episode on either side, in the tasks that the condition was run on.
        harmed, helped: pairs that only the clean, only the perturbed episode solved.
        clean_rate, perturbed_rate: success rates, pooled over the complete pairs.
        drop, interval: `clean_rate - perturbed_rate`; `None`, as all that follows, where `note` says n/a.
        p, p_holm: exact McNemar p-value, and the same adjusted for the conditions of the suite in this run.
        retention: `perturbed_rate / clean_rate`; `None` also where no clean episode succeeded.
        smallest_visible: smallest drop shown with 80 % power, were it the suite's only one; may be `None`.
        verdict: `drop` if the interval lies above 0 and `p_holm` is below .05, whatever the size; else `within margin`
            if the upper limit of the 90 % interval is below the margin; else `undecided`.
        note: what to know before using the numbers; often empty.
    """

    suite: str
    condition: str
    pairs: int
    missing: int
    harmed: int
    helped: int
    clean_rate: float | None
    perturbed_rate: float | None
    drop: float | None = None
    interval: Interval | None = None
    p: float | None = None
    p_holm: float | None = None
    retention: float | None = None
    smallest_visible: float | None = None
    verdict: Verdict | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class TaskRate:
    """Success of one condition on one task: episodes that ran, episodes that broke, rate and Wilson interval."""

    suite: str
    task: int
    condition: str
    n: int
    errors: int
    rate: float | None
    interval: Interval


@dataclass(frozen=True, slots=True)
class Share:
    """A count of episodes, its share (equal-weight mean over tasks; `None` if nothing ran) and the Wilson interval."""

    count: int
    rate: float | None
    interval: Interval


@dataclass(frozen=True, slots=True)
class LanguageRate:
    """Which goal was reached first when the instruction named another goal than the original one.

    `followed`: the goal that it named; `ignored`: the original goal; `neither`: none of the two.
    """

    suite: str
    condition: str
    n: int
    errors: int
    followed: Share
    ignored: Share
    neither: Share


@dataclass(frozen=True, slots=True)
class OverallRate:
    """Equal-weight mean of the suite means of one condition; only for conditions that ran in every suite."""

    condition: str
    suites: int
    rate: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class RunAnalysis:
    """All tables of one run; `margin` is the drop that still counts as robust (fraction)."""

    rates: tuple[ConditionRate, ...]
    drops: tuple[ConditionDrop, ...]
    tasks: tuple[TaskRate, ...]
    language: tuple[LanguageRate, ...]
    overall: tuple[OverallRate, ...]
    margin: float


def analyse(episodes: pd.DataFrame, margin: float = MARGIN) -> RunAnalysis:
    """All tables of a run.

    Raises:
        ValueError: a column is missing, an episode occurs twice, or an outcome is unknown.
    """
    return RunAnalysis(
        rates=success_table(episodes),
        drops=drop_table(episodes, margin),
        tasks=task_table(episodes),
        language=language_table(episodes),
        overall=overall_table(episodes),
        margin=margin,
    )


def success_table(episodes: pd.DataFrame) -> tuple[ConditionRate, ...]:
    """One row per suite and condition."""
    table = []
    for (suite, condition), rows in _groups(episodes, "suite", "condition"):
        broken, good = rows["outcome"] == "error", rows["outcome"] == "success"
        mean = _rate(rows[~broken], good)
        steps = rows.loc[good, "first_success"].dropna().astype(float)
        errors = int(broken.sum())
        table.append(
            ConditionRate(
                suite=suite,
                condition=condition,
                tasks=mean.tasks,
                n=len(rows) - errors,
                successes=int(good.sum()),
                errors=errors,
                rate=mean.rate,
                interval=mean.interval,
                across_tasks=mean.across_tasks,
                mean_steps=float(steps.mean()) if len(steps) else None,
                rate_if_errors_fail=_rate(rows, good).rate if errors else None,
                rate_if_errors_succeed=_rate(rows, good | broken).rate if errors else None,
            )
        )
    return tuple(table)


def drop_table(episodes: pd.DataFrame, margin: float = MARGIN) -> tuple[ConditionDrop, ...]:
    """One row per suite and perturbed condition; p-values are adjusted within a suite; `margin` is a fraction."""
    table: list[ConditionDrop] = []
    for _, rows in _groups(episodes, "suite"):
        clean = rows[rows["condition"] == CLEAN]
        others = rows[rows["condition"] != CLEAN].groupby("condition", observed=True)
        compared = [_compare(clean, perturbed) for _, perturbed in others]
        adjusted = holm([paired.p for _, paired in compared if paired and paired.p is not None])
        remaining = iter(adjusted)
        for row, paired in compared:
            table.append(_judge(row, paired, next(remaining), len(adjusted), margin) if paired else row)
    return tuple(table)


def task_table(episodes: pd.DataFrame) -> tuple[TaskRate, ...]:
    """One row per suite, task and condition."""
    table = []
    for (suite, task, condition), rows in _groups(episodes, "suite", "task", "condition"):
        ran = rows[rows["outcome"] != "error"]
        mean = _rate(ran, ran["outcome"] == "success")
        broken = len(rows) - len(ran)
        table.append(TaskRate(suite, int(task), condition, len(ran), broken, mean.rate, mean.interval))
    return tuple(table)


def language_table(episodes: pd.DataFrame) -> tuple[LanguageRate, ...]:
    """One row per suite and condition whose instruction names another goal of the scene."""
    table = []
    for (suite, condition), rows in _groups(episodes, "suite", "condition"):
        if "instruction:counterfactual" not in condition:
            continue
        ran = rows[rows["outcome"] != "error"]
        shares = [_share(ran, ran["reached"] == goal) for goal in ("counterfactual", "original", "neither")]
        table.append(LanguageRate(suite, condition, len(ran), len(rows) - len(ran), *shares))
    return tuple(table)


def overall_table(episodes: pd.DataFrame) -> tuple[OverallRate, ...]:
    """Means over suites, one row per condition that ran in every suite; empty for a single suite."""
    suites = 0 if episodes.empty else episodes["suite"].nunique()
    table = []
    for (condition,), rows in _groups(episodes, "condition"):
        ran = rows[rows["outcome"] != "error"]
        means = [_rate(part, part["outcome"] == "success") for _, part in ran.groupby("suite", observed=True)]
        mean = mean_of_suites(means, LEVEL)
        if len(means) == suites > 1 and mean.rate is not None:
            table.append(OverallRate(condition, suites, mean.rate, mean.interval))
    return tuple(table)


def summary(episodes: pd.DataFrame, margin: float = MARGIN) -> dict[str, Any]:
    """All tables as a JSON-ready record: fractions, `None` where there is no number, never NaN."""
    return {"schema_version": SCHEMA_VERSION, "level": LEVEL, "alpha": ALPHA, **asdict(analyse(episodes, margin))}


def _groups(episodes: pd.DataFrame, *keys: str) -> Iterator[tuple[tuple[Any, ...], pd.DataFrame]]:
    """The episodes by `keys`, checked, in the order of the tables."""
    if episodes.empty:
        return
    absent = [column for column in COLUMNS if column not in episodes]
    if absent:
        raise ValueError(f"episodes lack the columns {', '.join(absent)}")
    twice = episodes.loc[episodes["id"].duplicated(), "id"]
    if len(twice):
        raise ValueError(f"episode {twice.iloc[0]} occurs twice")
    unknown = set(episodes["outcome"]) - set(get_args(Outcome))
    if unknown:
        raise ValueError(f"unknown outcomes: {', '.join(sorted(map(str, unknown)))}")
    ordered = episodes.assign(suite=_ordered(episodes["suite"]), condition=_ordered(episodes["condition"]))
    # Sorted, so that no sum depends on the order in which the episodes finished.
    ordered = ordered.sort_values(["suite", "condition", "task", "init_state", "repeat"], ignore_index=True)
    yield from ordered.groupby(list(keys), observed=True)


def _ordered(names: "pd.Series[str]") -> pd.Categorical:
    planned = isinstance(names.dtype, pd.CategoricalDtype)
    return pd.Categorical(names, names.cat.categories if planned else sorted(set(names), key=_natural), ordered=True)


def _natural(name: str) -> tuple[bool, list[str | float]]:
    """Sort key: `none` first, numbers by value."""
    parts = re.split(r"(\d+(?:\.\d+)?)", name)  # text and number in turn, so that like meets like
    return name != CLEAN, [float(part) if index % 2 else part for index, part in enumerate(parts)]


def _rate(rows: pd.DataFrame, hits: "pd.Series[bool]") -> SuiteRate:
    """Mean of `hits` over tasks; repeats of an initial state are averaged first, for they are not independent."""
    units = hits[rows.index].astype(float).groupby([rows["task"], rows["init_state"]]).mean()
    return suite_mean_of_units([task.to_numpy() for _, task in units.groupby(level=0)], LEVEL)


def _share(ran: pd.DataFrame, hits: "pd.Series[bool]") -> Share:
    mean = _rate(ran, hits)
    return Share(int(hits.sum()), mean.rate, mean.interval)


def _compare(clean: pd.DataFrame, perturbed: pd.DataFrame) -> tuple[ConditionDrop, PairedDrop | None]:
    """The counts of one comparison, and what to test; `None` where the data cannot carry a test."""
    tasks, all_tasks = set(perturbed["task"]), {*clean["task"], *perturbed["task"]}
    twins = clean[clean["task"].isin(tasks)]
    pairs = twins.merge(perturbed, "outer", on=["pair_id", "task", "init_state"], suffixes=("_clean", ""))
    complete = pairs[pairs[["outcome_clean", "outcome"]].isin(["success", "failure"]).all(axis=1)]
    paired = paired_drop(
        complete["outcome_clean"] == "success",
        complete["outcome"] == "success",
        units=complete.groupby(["task", "init_state"]).ngroup(),
        level=LEVEL,
    )
    missing = len(pairs) - len(complete)
    refused = missing > MAX_MISSING * len(pairs)
    note = "" if tasks == all_tasks else f"in {len(tasks)} of {len(all_tasks)} tasks"
    if refused:
        note = f"n/a: more than {100 * MAX_MISSING:.0f} % of pairs missing"
    row = ConditionDrop(
        suite=str(perturbed["suite"].iloc[0]),
        condition=str(perturbed["condition"].iloc[0]),
        pairs=paired.n,
        missing=missing,
        harmed=paired.n10,
        helped=paired.n01,
        clean_rate=paired.clean_rate,
        perturbed_rate=paired.perturbed_rate,
        note=note,
    )
    return row, None if refused else paired


def _judge(row: ConditionDrop, paired: PairedDrop, p_holm: float, tests: int, margin: float) -> ConditionDrop:
    """The comparison with its test; `tests` is the number of conditions that Holm's adjustment spans."""
    verdict: Verdict = "undecided"
    if paired.interval.low > 0 and p_holm < ALPHA:
        verdict = "drop"
    elif paired.interval_90.high < margin:
        verdict = "within margin"
    return replace(
        row,
        drop=paired.drop,
        interval=paired.interval,
        p=paired.p,
        p_holm=p_holm,
        retention=paired.retention,
        # Holm holds the smallest p-value of the family against alpha / tests.
        smallest_visible=smallest_visible_drop(paired.units, background=paired.background, alpha=ALPHA / tests),
        verdict=verdict,
    )
