"""Compares two runs of the same episodes with two policies, for instance before and after fine-tuning.

Non-obvious behaviour:
- Only episodes with the same start are compared: equal ids with unequal seeds, limits or scenes are refused.
- Drift is compared on frames that show the same state: start frames of the same episodes, or frames of the same source.
  Replayed frames come from each policy's rollouts and show different states, so they are not compared.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from simeval.analysis.searched import require_conditions
from simeval.analysis.sequential import sequential
from simeval.config.layout import is_sequential
from simeval.core import kernels
from simeval.core.drift_row import FLOOR, DriftRow
from simeval.core.errors import ConfigError
from simeval.core.texts import escaped
from simeval.core.types import CLEAN
from simeval.stats.change import Gain, RunChange, compare_drift, compare_runs
from simeval.stats.drift import PRIMARY
from simeval.stats.resampling import Resampling
from simeval.store.identity import differences
from simeval.store.run import Run

IGNORED = (
    "perturb",
    "tasks",
    "init_states",
    "repeats",
    "suite",
    "instruction_source",
    "base_arm",
    "until",
    "margin",
    "max_pairs",
    "policy",
    "n_action_steps",
    "device",
    "batch_size",
    "dtype",
    "numerics",
)
"""Settings that may differ: they select episodes (the common ones are compared), belong to the policy, or are reported
in a note."""


@dataclass(frozen=True, slots=True)
class SuiteChange:
    """The change on one suite.

    Attributes:
        suite: suite name.
        change: success and robustness on the common episodes.
        drift: offline drift on the common frames; empty without audits of both runs.
    """

    suite: str
    change: RunChange
    drift: tuple[Gain, ...] = ()


@dataclass(frozen=True, slots=True)
class Comparison:
    """Run B against run A.

    Attributes:
        a, b: names of the runs' policies; with the run folders if they are equal.
        assets: description of the scenes.
        suites: one entry per common suite.
        notes: episodes in one run only, different versions, why drift is missing.
    """

    a: str
    b: str
    assets: str
    suites: tuple[SuiteChange, ...]
    notes: tuple[str, ...] = ()


def compare(
    a: Run,
    b: Run,
    drift: tuple[Sequence[DriftRow], Sequence[DriftRow]] | None = None,
    resampling: Resampling | None = None,
) -> Comparison:
    """Compare two runs.

    Args:
        a: the run before.
        b: the run after.
        drift: rows of audits of both policies on the same frames.
        resampling: seed and level of all random statistics.

    Raises:
        ConfigError: the runs have no common episode, their episodes have different starts, or one is a search or
            was imported.
    """
    _require_own(a, b)
    for run in (a, b):
        require_conditions(run.manifest, run.folder)
    _require_same_start(a, b)
    rows_a, rows_b = _counted(a), _counted(b)
    both = rows_a.merge(rows_b, on=["id", "pair_id", "suite", "task", "init_state"], suffixes=("_a", "_b"))
    if both.empty:
        raise ConfigError(f"{a.folder} and {b.folder}: no episode is in both")
    conditions = [name for name in a.manifest["conditions"] if name in set(both["condition_a"])]
    if CLEAN not in conditions:
        raise ConfigError(f"{a.folder} and {b.folder}: no unperturbed episode is in both")
    suites = [name for name in a.manifest["config"]["suite"] if name in set(both["suite"])]
    alone = {a.folder: len(rows_a) - len(both), b.folder: len(rows_b) - len(both)}
    left_out = [f"{count} episodes are only in {folder}" for folder, count in alone.items() if count]
    notes = [*left_out, *_sizes(a, b), *_versions(a, b)]
    notes += [*_other_starts(both), *_weights(both)]
    frames, reason = _common_frames(drift)
    if reason:
        notes.append(reason)
    changes = []
    for suite in suites:
        suite_conditions = [name for name in conditions if name in set(both.loc[both["suite"] == suite, "condition_a"])]
        change = _change(both[both["suite"] == suite], suite_conditions, resampling)
        changes.append(SuiteChange(suite, change, _drift(frames, suite, suite_conditions, resampling)))
    first, second = unique_names((a, b))
    return Comparison(first, second, a.manifest["assets"], tuple(changes), tuple(notes))


def _require_own(*runs: Run) -> None:
    """Refuse imported results: the numbers of their episodes look like initial states, and are not."""
    for run in runs:
        if run.imported_from:
            raise ConfigError(
                f"{run.folder}: was imported from {run.imported_from}, so its episodes cannot be paired with any others"
            )


def _require_same_start(a: Run, b: Run) -> None:
    """Refuse runs whose episodes of the same name start differently."""
    settings = [{k: v for k, v in run.manifest["identity"]["settings"].items() if k not in IGNORED} for run in (a, b)]
    changes = differences(settings[0], settings[1])
    if changes:
        raise ConfigError(f"{a.folder} and {b.folder}: the episodes do not start alike ({'; '.join(changes)})")
    texts = [dict(run.manifest["identity"].get("plugins") or {}) for run in (a, b)]
    if changed := [name for name in texts[0] if texts[1].get(name, texts[0][name]) != texts[0][name]]:
        named = ", ".join(map(escaped, changed))
        raise ConfigError(
            f"{a.folder} and {b.folder}: made with different texts of the plugin {named}, so episodes of the same name "
            "need not be the same; run one of them again"
        )
    specs = {result.spec.id: result.spec for result in a.results}
    for result in b.results:
        if specs.get(result.spec.id, result.spec) != result.spec:
            raise ConfigError(f"{a.folder} and {b.folder}: {result.spec.id} does not start alike in both")


def unique_names(runs: Sequence[Run]) -> tuple[str, ...]:
    """Names of the policies; where two are alike, with their folders."""
    names = [str(run.manifest["identity"]["policy"]["name"]) for run in runs]
    count = Counter(names)
    short = [escaped(run.folder.name or run.folder.resolve().name) for run in runs]
    for label in (short, [escaped(str(run.folder)) for run in runs]):
        full = [f"{name} ({part})" if count[name] > 1 else name for name, part in zip(names, label, strict=True)]
        if len(set(full)) == len(full):
            return tuple(full)
    return tuple(f"{name} (run {number})" for number, name in enumerate(names, start=1))


def _counted(run: Run) -> pd.DataFrame:
    """The rows of a run that are evidence. What ran beyond a decision depends on the workers."""
    followed = sequential(run.manifest, run.episodes)
    return followed.counted if followed else run.episodes


def _sizes(a: Run, b: Run) -> list[str]:
    return [
        f"the size of {escaped(str(run.folder))} depended on its outcomes; p and intervals take it for one fixed "
        "beforehand, and the mean over conditions is over the pairs that all of them have"
        for run in (a, b)
        if is_sequential(run.manifest)
    ]


def _other_starts(both: pd.DataFrame) -> list[str]:
    """A sentence if episodes of the same name started from different states."""
    starts = both[["start_digest_a", "start_digest_b"]].fillna("")
    compared = starts[(starts != "").all(axis=1)]
    count = int((compared["start_digest_a"] != compared["start_digest_b"]).sum())
    if not count:
        return []
    return [
        f"{count} of {len(compared)} common episodes start from other states in the other run: a reset that does not "
        "follow its seed, or other machines; they are no pairs of the same initial state"
    ]


def _weights(both: pd.DataFrame) -> list[str]:
    """A sentence if the tasks have unequal numbers of common episodes, so that rates differ from those of `show`."""
    complete = both[both[["outcome_a", "outcome_b"]].isin(["success", "failure"]).all(axis=1)]
    sizes = complete.groupby(["suite", "condition_a", "task"], observed=True).size()
    if (sizes.groupby(level=["suite", "condition_a"], observed=True).nunique() <= 1).all():
        return []
    return [
        "tasks have unequal numbers of common episodes; rates and gains weigh every episode equally, where `show` "
        "weighs every task equally"
    ]


def _versions(a: Run, b: Run) -> list[str]:
    versions = [
        {
            "simeval": run.manifest.get("simeval"),
            **run.manifest["identity"]["versions"],
            "opengl": run.manifest["identity"]["opengl"],
        }
        for run in (a, b)
    ]
    # A policy without cameras needs no renderer, and a scripted one no torch.
    known = [
        {key: side.get(key) for key in versions[0] if versions[0][key] and versions[1].get(key)} for side in versions
    ]
    notes = [f"made with different software: {change}" for change in differences(known[0], known[1])]
    numerics = kernels.difference(a.manifest["identity"], b.manifest["identity"])
    return [*notes, f"made with different numerics, so the same episode may differ: {numerics}"] if numerics else notes


def _change(both: pd.DataFrame, conditions: Sequence[str], resampling: Resampling | None) -> RunChange:
    tables = []
    for side in ("a", "b"):
        scored = both[f"outcome_{side}"].map({"success": 1.0, "failure": 0.0})
        table = both.assign(scored=scored).pivot(index="pair_id", columns=f"condition_{side}", values="scored")
        tables.append(table.reindex(columns=list(conditions)).astype(float))
    about = both.drop_duplicates("pair_id").set_index("pair_id").loc[tables[0].index]
    units = about.groupby(["task", "init_state"], observed=True).ngroup().to_numpy()
    return compare_runs(conditions, *(table.to_numpy() for table in tables), units=units, resampling=resampling)


def _common_frames(
    drift: tuple[Sequence[DriftRow], Sequence[DriftRow]] | None,
) -> tuple[pd.DataFrame | None, str]:
    """Drift of both policies on common frames, or `None` and the reason."""
    if drift is None:
        return None, ""
    key = ["frame", "source", "cluster", "suite", "condition", "seed"]
    tables = [
        pd.DataFrame([[getattr(row, name) for name in (*key, PRIMARY)] for row in rows], columns=[*key, PRIMARY])
        for rows in drift
    ]
    both = tables[0].merge(tables[1], on=key, suffixes=("_a", "_b"))
    both = both[(both["source"] != "replay") & ~both["condition"].isin([CLEAN, FLOOR])]
    if both.empty:
        return None, "drift is not compared: the audits share no frame of the same state (start frames or a dataset)"
    return both, ""


def _drift(
    rows: pd.DataFrame | None, suite: str, conditions: Sequence[str], resampling: Resampling | None
) -> tuple[Gain, ...]:
    if rows is None:
        return ()
    selected = rows[rows["suite"].isin([suite, ""]) & rows["condition"].isin(conditions)]
    if selected.empty:
        return ()
    measured = [name for name in conditions if name in set(selected["condition"])]
    tables = [
        selected.pivot_table(
            index=["cluster", "frame"], columns="condition", values=f"{PRIMARY}_{side}", aggfunc="mean"
        )
        for side in ("a", "b")
    ]
    values: list[NDArray[np.float64]] = [
        table.reindex(index=tables[0].index, columns=measured).to_numpy(dtype=float) for table in tables
    ]
    clusters = np.asarray(pd.factorize(tables[0].index.get_level_values("cluster"))[0])
    return compare_drift(measured, *values, units=clusters, resampling=resampling)
