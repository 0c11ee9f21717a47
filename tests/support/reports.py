"""Reports of simulated studies and of real toy runs, for the tests that build pages."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from perturbations.spec import parse
from simeval.analysis.by_task import cell_drops, task_points
from simeval.analysis.correlate import StudyResult
from simeval.analysis.grouping import COLUMNS
from simeval.analysis.success import analyse
from simeval.report.data import Instruction, Section
from simeval.stats.correlation import Options, correlate
from simeval.stats.resampling import Resampling
from simeval.stats.screening import Predictor
from simeval.stats.study import ConditionInfo, DriftOutcomes, validity
from simeval.store.run import Run

FEW = Options(resampling=Resampling(n_resamples=60, n_permutations=60))
"""Enough to have every number; none of them is looked at closely here."""

NAMES = {
    "brightness": ("0.8", "0.5", "0.2"),
    "noise": ("0.02", "0.05", "0.1"),
    "blur.gaussian": ("1", "2", "4"),
    "jpeg": ("60", "30", "10"),
    "camera.orbit": ("5deg", "10deg", "20deg"),
    "light": ("0.8", "0.5", "0.3"),
    "occlusion": ("0.1", "0.2", "0.4"),
    "texture.table": ("s1", "s3", "s5"),
}


def named(study: DriftOutcomes) -> DriftOutcomes:
    """The conditions of a simulated study (8 families of 3) under names as they are in practice."""
    names = [(family, value, rank) for family, values in NAMES.items() for rank, value in enumerate(values)]
    conditions = tuple(ConditionInfo(f"{family}:{value}", family, float(rank)) for family, value, rank in names)
    return replace(study, conditions=conditions)


def with_special(study: DriftOutcomes) -> DriftOutcomes:
    """The same and three conditions that do not count: an identity, another instruction, one that drift cannot see."""
    rng = np.random.default_rng(7)
    pairs = len(study.clean)
    conditions = (
        ConditionInfo("noise:0", "noise", -1.0, identity=True),
        ConditionInfo("instruction:counterfactual", "instruction", validity="changed"),
        ConditionInfo("action.delay:3", "action.delay", 3.0, validity="not_applicable"),
    )
    delayed = np.where(rng.random(pairs) < 0.5, 0.0, study.clean)
    perturbed = np.column_stack([study.clean, np.where(rng.random(pairs) < 0.1, 0.0, study.clean), delayed])
    assert study.drift is not None
    drift = np.column_stack([np.zeros(pairs), rng.lognormal(0.3, 0.2, pairs), np.zeros(pairs)])
    return replace(
        study,
        conditions=study.conditions + conditions,
        perturbed=np.column_stack([study.perturbed, perturbed]),
        drift=np.column_stack([study.drift, drift]),
    )


def episodes_of(study: DriftOutcomes, suite: str = "toy") -> pd.DataFrame:
    """The rows of a run that the outcomes of a study could be from."""
    rows = []
    names = ["none", *(condition.name for condition in study.conditions)]
    outcomes = np.column_stack([study.clean, study.perturbed])
    for task, state, pair in zip(study.tasks, study.init_states, outcomes, strict=True):
        for name, outcome in zip(names, pair, strict=True):
            pair_id = f"{suite}/{task}/init{state:02d}/r0"
            ended = "error" if np.isnan(outcome) else "success" if outcome else "failure"
            step = 100 + int(state) if outcome == 1 else None
            reached = "original" if outcome == 1 else "neither"
            rows.append((f"{pair_id}/{name}", pair_id, suite, task, state, 0, name, ended, 300, step, reached))
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    frame["condition"] = pd.Categorical(frame["condition"], names)
    return frame


def study_result(
    study: DriftOutcomes, *, suite: str = "toy", rivals: Sequence[Predictor] = (), options: Options = FEW
) -> StudyResult:
    found = correlate(study, rivals, options)
    used = tuple(point.condition for point in found.points if not point.excluded)
    return StudyResult(
        suite, found, 10, "the start frame of every episode", "the checkpoint's training data", task_points(study, used)
    )


def simulated_section(
    *studies: DriftOutcomes,
    name: str = "SmolVLA",
    suites: Sequence[str] = ("toy", "libero_spatial"),
    options: Options = FEW,
    rivals: bool = False,
) -> Section:
    """A policy on one suite per study."""
    frames = [episodes_of(study, suite) for study, suite in zip(studies, suites, strict=False)]
    episodes = pd.concat(frames, ignore_index=True)
    names = ["none", *dict.fromkeys(condition.name for study in studies for condition in study.conditions)]
    episodes["condition"] = pd.Categorical(episodes["condition"], names)
    conditions = {condition.name: condition for study in studies for condition in study.conditions}
    return Section(
        name=name,
        provenance=(("policy", name), ("created", "2026-01-02T03:04:05+00:00"), ("seed", "0")),
        analysis=analyse(episodes),
        assets="simulated outcomes: not LIBERO results",
        conditions=tuple(conditions.values()),
        cells=cell_drops(episodes),
        instructions=(Instruction(suites[0], 0, "put the red cube on the plate"),),
        studies=tuple(
            study_result(study, suite=suite, rivals=rivals_of(study) if rivals else (), options=options)
            for study, suite in zip(studies, suites, strict=False)
        ),
        planned=len(episodes),
        ran=len(episodes),
    )


def rivals_of(study: DriftOutcomes) -> tuple[Predictor, ...]:
    """Other predictors: a noisy copy of drift, noise alone, and one that is not known everywhere."""
    rng = np.random.default_rng(3)
    k = len(study.conditions)
    drift = np.zeros(k) if study.drift is None else np.nan_to_num(np.nanmean(study.drift, axis=0))
    partly = drift.copy()
    partly[: k // 2] = np.nan
    return (
        Predictor("drift_chunk", drift * rng.lognormal(0, 0.3, k)),
        Predictor("pixels (1 - SSIM)", rng.random(k)),
        Predictor("vision embedding, cosine", drift * rng.lognormal(0, 0.6, k)),
        Predictor("attention shift", partly),
    )


def run_section(run: Run) -> Section:
    """A real run, without an audit."""
    manifest = run.manifest
    return Section(
        name=manifest["identity"]["policy"]["name"],
        provenance=(("created", manifest["created"]), ("seed", str(manifest["config"]["seed"]))),
        analysis=analyse(run.episodes),
        assets=manifest["assets"],
        conditions=tuple(conditions_of(manifest["conditions"])),
        cells=cell_drops(run.episodes),
        planned=manifest["episodes"],
        ran=len(run.results),
    )


def conditions_of(names: Sequence[str]) -> list[ConditionInfo]:
    found = []
    for name in names:
        condition = parse(name)
        if not condition.is_clean:
            axis, _, value = name.partition(":")
            strength = value.split("@")[0]
            severity = float(strength) if strength.replace(".", "", 1).isdigit() else None
            channels = {term.info.channel for term in condition.terms}
            found.append(ConditionInfo(name, axis, severity, validity(condition.meaning, channels)))
    return found
