"""From episodes to the numbers of a report: success, paired drops, language following. Plots nothing, reads no file.

Every function takes one row per episode, with `COLUMNS`. Tables are ordered by suite and condition: in the order of the
plan where those columns are categorical, else by name; conditions of an axis stand together (`families.in_families`).
Rates and drops are fractions; a number that the data do not support is `None`, never NaN. Errors are not failures: an
`error` row is left out of the rate, and its pair out of the comparison.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import Any, Literal

import pandas as pd

from simeval.analysis.by_category import CategoryRate, category_table
from simeval.analysis.flags import FlagCount, flag_table
from simeval.analysis.grouping import COLUMNS, LEVEL, Share, groups, mean_over_tasks
from simeval.analysis.language import LanguageRate, language_table
from simeval.analysis.latency import LatencyLimit, LatencyRow, latency_limits, latency_table
from simeval.analysis.sensitivity import more_pairs, size_of
from simeval.analysis.sequential import AnytimeDrop, Sequential
from simeval.core.types import CLEAN
from simeval.stats.intervals import Interval, mean_of_suites
from simeval.stats.paired import PairedDrop, holm, paired_drop
from simeval.stats.power import ALPHA, BACKGROUND, Sensitivity, background_of, fewest_harmed
from simeval.stats.study import MAX_MISSING

__all__ = [
    "COLUMNS", "ConditionDrop", "ConditionRate", "FlagCount", "LanguageRate", "OverallRate", "RunAnalysis", "Share",
    "TaskRate", "USED", "analyse", "drop_table", "flag_table", "language_table", "overall_table", "success_table",
    "summary", "task_table",
]  # fmt: skip

SCHEMA_VERSION = 1
EQUIVALENCE_MARGIN = 0.05
"""Drops below this count as robust, if the data show it (fraction). Our choice, to be set before the run."""
UNEVEN = 0.8
"""A drop has a note if its smallest task times the tasks is a smaller share of its pairs. Our choice: what a comparison
of this size can find is computed for tasks of equal size, and fits above."""
USED = (*COLUMNS, "goal", "hits", "approached", "flags", "error_text")
"""Columns that `analyse` reads; without the last five there is no table of language or flags."""

Verdict = Literal["drop", "within margin", "undecided"]
_VERDICTS: Mapping[str, Verdict] = {"drop": "drop", "within": "within margin"}


@dataclass(frozen=True, slots=True)
class ConditionRate:
    """Success rate of one condition in one suite.

    Attributes:
        tasks: tasks with at least one completed episode.
        n: completed episodes.
        successes: successful episodes.
        errors: episodes that ended in an error; not included in `n`.
        rate: equal-weight mean over tasks; `None` if nothing ran.
        interval: for the same tasks with other initial states.
        across_tasks: for other tasks like these; `None` where it cannot be estimated.
        mean_steps: mean control steps to success; `None` without success.
        rate_if_errors_fail, rate_if_errors_succeed: bounds of the rate; `None` without errors.
        infeasible: episodes to which the condition cannot be applied; not included in `n`.
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
    infeasible: int = 0


@dataclass(frozen=True, slots=True)
class ConditionDrop:
    """Drop of one condition against `none`, over the feasible pairs of one suite.

    Attributes:
        pairs: complete pairs.
        missing: pairs with an error or without an episode on either side, in the tasks that the condition was run on.
        harmed, helped: pairs that only the clean, only the perturbed episode solved.
        clean_rate, perturbed_rate: success rates of the complete pairs, every task with the same weight as in
            `ConditionRate`; with anytime-valid inference every pair, as its interval is about the pairs.
        drop, interval: `clean_rate - perturbed_rate`; `None`, like all fields below, where `note` says n/a. No interval
            for so few pairs that no drop could be called.
        p, p_holm: exact McNemar p-value, and the same adjusted for the conditions of the suite in this run.
        retention: `perturbed_rate / clean_rate`; `None` also where no clean episode succeeded.
        smallest_visible: smallest true drop found in 80 % of such runs if it were the suite's only one; may be `None`.
        verdict: `drop` if the interval is above 0 and `p_holm` below .05, whatever the size; else `within margin` if
            the upper limit of Tango's 90 % interval is below the margin (a risk of 5 % each); else `undecided`.
        note: a caveat; often empty.
        sensitivity: what else a comparison of this size can find.
        more_pairs: about how many pairs more would decide, were the drop as estimated; `None` where that is settled.
        interval_90: as in `PairedDrop`; `None` with anytime-valid inference.
        n_eff: as in `PairedDrop`: `None` where tasks have equally many pairs.

    In a run with anytime-valid inference, `interval`, `p`, `p_holm` and `verdict` are those of
    `simeval.analysis.sequential.AnytimeDrop`.
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
    sensitivity: Sensitivity | None = None
    more_pairs: int | None = None
    interval_90: Interval | None = None
    n_eff: float | None = None


@dataclass(frozen=True, slots=True)
class TaskRate:
    """Success of one condition on one task: completed episodes, errors, rate and Wilson interval."""

    suite: str
    task: int
    condition: str
    n: int
    errors: int
    rate: float | None
    interval: Interval


@dataclass(frozen=True, slots=True)
class OverallRate:
    """Equal-weight mean of the suite means of one condition; only for conditions that ran in every suite."""

    condition: str
    suites: int
    rate: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class RunAnalysis:
    """All tables of one run.

    Attributes:
        margin: the drop that still counts as robust (fraction).
        inference: `fixed` for tests of a size that was fixed beforehand, `anytime` for those that hold at any look.
    """

    rates: tuple[ConditionRate, ...]
    drops: tuple[ConditionDrop, ...]
    tasks: tuple[TaskRate, ...]
    language: tuple[LanguageRate, ...]
    overall: tuple[OverallRate, ...]
    margin: float
    flags: tuple[FlagCount, ...] = ()
    categories: tuple[CategoryRate, ...] = ()
    latency: tuple[LatencyRow, ...] = ()
    latency_limits: tuple[LatencyLimit, ...] = ()
    inference: Literal["fixed", "anytime"] = "fixed"


def analyse(
    episodes: pd.DataFrame,
    margin: float = EQUIVALENCE_MARGIN,
    sequential: Sequential | None = None,
    *,
    by_task: bool = True,
) -> RunAnalysis:
    """All tables of a run.

    Args:
        episodes: its rows.
        margin: the drop that still counts as robust (fraction).
        sequential: for a run whose size depended on its outcomes; its rows and its margin are taken then.
        by_task: whether `tasks` is computed, which takes as long as the drops; else it is empty.

    Raises:
        ValueError: a column is missing, an episode occurs twice, or an outcome is unknown.
    """
    if sequential:
        episodes, margin = sequential.counted, sequential.margin
    outcomes = episodes.filter(items=COLUMNS)  # all 60 columns would be copied with every group
    rates, drops = success_table(outcomes), drop_table(outcomes, margin, sequential.drops if sequential else {})
    latency = latency_table(episodes, rates)
    return RunAnalysis(
        rates=rates,
        drops=drops,
        tasks=task_table(outcomes) if by_task else (),
        language=language_table(episodes),
        overall=overall_table(outcomes),
        margin=margin,
        flags=flag_table(episodes),
        categories=category_table(outcomes),
        latency=latency,
        latency_limits=latency_limits(latency, drops, margin),
        inference="anytime" if sequential else "fixed",
    )


def success_table(episodes: pd.DataFrame) -> tuple[ConditionRate, ...]:
    """One row per suite and condition."""
    table = []
    for (suite, condition), all_rows in groups(episodes, "suite", "condition"):
        rows = _feasible(all_rows)
        failed_to_run, succeeded = rows["outcome"] == "error", rows["outcome"] == "success"
        mean = mean_over_tasks(rows[~failed_to_run], succeeded)
        steps = rows.loc[succeeded, "first_success"].dropna().astype(float)
        errors = int(failed_to_run.sum())
        table.append(
            ConditionRate(
                suite=suite,
                condition=condition,
                tasks=mean.tasks,
                n=len(rows) - errors,
                successes=int(succeeded.sum()),
                errors=errors,
                rate=mean.rate,
                interval=mean.interval,
                across_tasks=mean.across_tasks,
                mean_steps=float(steps.mean()) if len(steps) else None,
                rate_if_errors_fail=mean_over_tasks(rows, succeeded).rate if errors else None,
                rate_if_errors_succeed=mean_over_tasks(rows, succeeded | failed_to_run).rate if errors else None,
                infeasible=len(all_rows) - len(rows),
            )
        )
    return tuple(table)


def drop_table(
    episodes: pd.DataFrame,
    margin: float = EQUIVALENCE_MARGIN,
    anytime: Mapping[tuple[str, str], AnytimeDrop] = MappingProxyType({}),
) -> tuple[ConditionDrop, ...]:
    """One row per suite and perturbed condition; p-values are adjusted within a suite.

    Args:
        episodes: one row per episode.
        margin: the drop that still counts as robust (fraction).
        anytime: by suite and condition, what holds at any look, in place of the tests of a fixed size.
    """
    table: list[ConditionDrop] = []
    for _, rows in groups(episodes, "suite"):
        clean = rows[rows["condition"] == CLEAN]
        others = rows[rows["condition"] != CLEAN].groupby("condition", observed=True)
        compared = [
            # A condition that stopped early has no twins of its later pairs; these are not missing.
            _compare(clean[clean["pair_id"].isin(perturbed["pair_id"])], perturbed, by_task=False)
            if anytime
            else _compare(clean, perturbed)
            for _, perturbed in others
        ]
        adjusted = holm([paired.p for _, paired in compared if paired and paired.p is not None])
        remaining = iter(adjusted)
        background = background_of((row.harmed, row.helped, row.pairs) for row, _ in compared) or BACKGROUND
        for row, paired in compared:
            if paired is not None and paired.p is not None:
                size = size_of(paired, len(adjusted), background)
                row = _with_verdict(row, paired, next(remaining), size, margin)
                if found := anytime.get((row.suite, row.condition)):
                    row = _at_any_look(row, found)
            table.append(row)
    return tuple(table)


def task_table(episodes: pd.DataFrame) -> tuple[TaskRate, ...]:
    """One row per suite, task and condition."""
    table = []
    for (suite, task, condition), all_rows in groups(episodes, "suite", "task", "condition"):
        rows = _feasible(all_rows)
        ran = rows[rows["outcome"] != "error"]
        mean = mean_over_tasks(ran, ran["outcome"] == "success")
        errors = len(rows) - len(ran)
        table.append(TaskRate(suite, int(task), condition, len(ran), errors, mean.rate, mean.interval))
    return tuple(table)


def overall_table(episodes: pd.DataFrame) -> tuple[OverallRate, ...]:
    """Means over suites, one row per condition that ran in every suite; empty for a single suite."""
    suites = 0 if episodes.empty else episodes["suite"].nunique()
    if suites < 2:
        return ()
    table = []
    for (condition,), rows in groups(episodes, "condition"):
        ran = rows[rows["outcome"].isin(["success", "failure"])]
        means = [mean_over_tasks(part, part["outcome"] == "success") for _, part in ran.groupby("suite", observed=True)]
        mean = mean_of_suites(means, LEVEL)
        if len(means) == suites and mean.rate is not None:
            table.append(OverallRate(condition, suites, mean.rate, mean.interval))
    return tuple(table)


def summary(
    episodes: pd.DataFrame, margin: float = EQUIVALENCE_MARGIN, sequential: Sequential | None = None
) -> dict[str, Any]:
    """All tables as a JSON-ready record: fractions, `None` where there is no number, never NaN."""
    tables = asdict(analyse(episodes, margin, sequential))
    for name in ("categories", "latency", "latency_limits"):  # only a few runs have any
        if not tables[name]:
            del tables[name]
    return {"schema_version": SCHEMA_VERSION, "level": LEVEL, "alpha": ALPHA, **tables}


def _feasible(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows["outcome"] != "infeasible"]


def _compare(
    clean: pd.DataFrame, perturbed: pd.DataFrame, *, by_task: bool = True
) -> tuple[ConditionDrop, PairedDrop | None]:
    """The counts of one comparison and its paired drop; `None` where the data do not support a test.

    Tasks weigh alike, as in the rates, unless `by_task` is false.
    """
    tasks, all_tasks = set(perturbed["task"]), {*clean["task"], *perturbed["task"]}
    feasible = _feasible(perturbed)
    infeasible_pairs = perturbed.loc[~perturbed.index.isin(feasible.index), "pair_id"]
    twins = clean[clean["task"].isin(tasks) & ~clean["pair_id"].isin(infeasible_pairs)]
    key = ["pair_id", "task", "init_state"]
    pairs = twins[[*key, "outcome"]].merge(feasible[[*key, "outcome"]], "outer", key, suffixes=("_clean", ""))
    complete = pairs[pairs[["outcome_clean", "outcome"]].isin(["success", "failure"]).all(axis=1)]
    paired = paired_drop(
        complete["outcome_clean"] == "success",
        complete["outcome"] == "success",
        units=complete.groupby(["task", "init_state"]).ngroup(),
        tasks=complete["task"] if by_task else None,
        level=LEVEL,
    )
    missing = len(pairs) - len(complete)
    too_many_missing = missing > MAX_MISSING * len(pairs) or feasible.empty
    notes = [] if tasks == all_tasks else [f"in {len(tasks)} of {len(all_tasks)} tasks"]
    if infeasible := len(perturbed) - len(feasible):
        notes.append(f"over {len(pairs)} of {len(pairs) + infeasible} pairs, the others are infeasible")
    if feasible.empty:
        notes = ["n/a: infeasible in every pair"]
    elif too_many_missing:
        notes = [f"n/a: more than {100 * MAX_MISSING:.0f} % of pairs missing"]
    elif missing and not notes:
        notes = ["over the pairs that both sides have, the rates over all episodes that ran"]
    sizes = complete.groupby("task", observed=True).size()
    if by_task and not too_many_missing and len(sizes) * sizes.min() < UNEVEN * paired.n:
        notes.append(
            f"with {sizes.min()} to {sizes.max()} pairs of a task, so it finds less than as many equal ones would"
        )
    row = ConditionDrop(
        suite=str(perturbed["suite"].iloc[0]),
        condition=str(perturbed["condition"].iloc[0]),
        pairs=paired.n,
        missing=missing,
        harmed=paired.n10,
        helped=paired.n01,
        clean_rate=paired.clean_rate,
        perturbed_rate=paired.perturbed_rate,
        note=", ".join(notes),
    )
    return row, None if too_many_missing else paired


def _at_any_look(row: ConditionDrop, found: AnytimeDrop) -> ConditionDrop:
    """The comparison with what its pairs say at any number of them."""
    return replace(
        row,
        interval=found.interval,
        p=found.p,
        p_holm=found.p_holm,
        verdict=_VERDICTS[found.verdict] if found.verdict else "undecided",
        smallest_visible=None,
        sensitivity=None,
        more_pairs=round(found.more_pairs) if found.more_pairs is not None else None,
        interval_90=None,
    )


def _with_verdict(
    row: ConditionDrop, paired: PairedDrop, p_holm: float, size: Sensitivity, margin: float
) -> ConditionDrop:
    """The comparison with its test and verdict."""
    verdict: Verdict = "undecided"
    # Tasks of unequal size may have a weighted drop and more helped pairs than harmed: then p is about the help.
    if paired.interval.low > 0 and p_holm < ALPHA and paired.n10 > paired.n01:
        verdict = "drop"
    elif paired.interval_90.high < margin:
        verdict = "within margin"
    # A t interval has learnt its width from the states; Bonett and Price's of one pair is 173 points wide.
    hopeless = paired.half is None and paired.units < fewest_harmed()
    return replace(
        row,
        drop=paired.drop,
        interval=None if hopeless else paired.interval,
        p=paired.p,
        p_holm=p_holm,
        retention=paired.retention,
        smallest_visible=size.visible,
        verdict=verdict,
        sensitivity=size,
        more_pairs=more_pairs(paired, size, margin) if verdict == "undecided" else None,
        interval_90=paired.interval_90,
        n_eff=paired.n_eff,
    )
