"""Drift against drop: correlates an audit with the run of the same policy."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simeval.analysis.by_task import TaskPoint, task_points
from simeval.analysis.join import join
from simeval.analysis.searched import require_conditions
from simeval.core.errors import ConfigError
from simeval.stats.correlation import Correlation, Options
from simeval.stats.correlation import correlate as correlate_study
from simeval.stats.screening import Predictor
from simeval.store.audit import Audit, same_policy
from simeval.store.run import Run


@dataclass(frozen=True, slots=True)
class StudyResult:
    """Drift against drop of one policy on one suite.

    Attributes:
        suite: suite name.
        correlation: the numbers.
        n_action_steps: executed steps of a chunk; `None` if unknown.
        frames: description of the frames on which drift was measured.
        sigma: description of the unit of drift.
        tasks: drift and drop within each task, for the conditions of the correlation; may be empty.
    """

    suite: str
    correlation: Correlation
    n_action_steps: int | None
    frames: str
    sigma: str
    tasks: tuple[TaskPoint, ...] = ()


def correlate(run: Run, audit: Audit, options: Options | None = None) -> tuple[StudyResult, ...]:
    """Drift against drop, one result per suite of the run.

    Raises:
        ConfigError: the audit is of another policy, or the run is a search.
    """
    require_conditions(run.manifest, run.folder)
    refuse_other_policy(run, audit)
    results = []
    for joined in join(run.episodes, audit.rows):
        rivals = (*joined.rivals, *_set_predictors(audit, [condition.name for condition in joined.study.conditions]))
        correlation = correlate_study(joined.study, rivals, options)
        entering = tuple(point.condition for point in correlation.points if not point.excluded)
        results.append(
            StudyResult(
                suite=joined.suite,
                correlation=correlation,
                n_action_steps=audit.n_action_steps,
                frames=f"{joined.frames} {audit.frames_description}",
                sigma=audit.sigma_source,
                tasks=task_points(joined.study, entering),
            )
        )
    return tuple(results)


def _set_predictors(audit: Audit, conditions: Sequence[str]) -> list[Predictor]:
    """Predictors that are defined for all frames of a condition together, not for one frame."""
    measured = audit.set_distances
    names = dict.fromkeys(name for distances in measured.values() for name in distances)
    columns = [[measured.get(condition, {}).get(name) for condition in conditions] for name in names]
    return [Predictor(name, np.array(values, dtype=float)) for name, values in zip(names, columns, strict=True)]


def refuse_other_policy(run: Run, audit: Audit) -> None:
    """Refuse an audit and a run of different policies.

    Raises:
        ConfigError: they are of different policies.
    """
    if not same_policy(run, audit):
        name = run.manifest["identity"]["policy"]["name"]
        raise ConfigError(f"{audit.folder}: an audit of policy '{audit.policy}', but {run.folder} is a run of '{name}'")
