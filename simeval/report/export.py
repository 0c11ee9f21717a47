"""The numbers of a report as CSV and JSON: complete, in a fixed order, never NaN or infinity."""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from simeval.analysis.compare import Comparison
from simeval.analysis.correlate import StudyResult
from simeval.analysis.over_policies import PolicyMedians
from simeval.report.data import ReportData, Section
from simeval.report.format import headline

SCHEMA_VERSION = 1


def record(value: Any) -> Any:
    """A value of the statistics as JSON-ready data; a number that is not finite becomes `None`.

    A dataclass field whose metadata has a `key` is written under that key instead of its name.
    """
    if is_dataclass(value) and not isinstance(value, type):
        return {field.metadata.get("key", field.name): record(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): record(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [record(item) for item in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value


def json_text(value: Any) -> str:
    """JSON with one line per value."""
    return json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def csv_text(values: Sequence[Any]) -> str:
    """One row per value; nested values become columns (`interval_low`), missing numbers are empty."""
    rows = [dict(_flatten("", record(value))) for value in values]
    header = list(dict.fromkeys(key for row in rows for key in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, header, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _flatten(prefix: str, value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        start = f"{prefix}_" if prefix else ""
        return [cell for key, item in value.items() for cell in _flatten(f"{start}{key}", item)]
    if isinstance(value, list):
        return [(prefix, json.dumps(value, ensure_ascii=False))]
    return [(prefix, value)]


def summary_record(data: ReportData) -> dict[str, Any]:
    """All tables of all runs: fractions, `None` for missing numbers."""
    return {
        "schema_version": SCHEMA_VERSION,
        "title": data.title,
        "generated_by": data.generated_by,
        "policies": [_section(section) for section in data.sections],
    }


def _section(section: Section) -> dict[str, Any]:
    return {
        "policy": section.name,
        "headline": headline(section.name, section.analysis),
        "provenance": dict(section.provenance),
        "assets": section.assets,
        "planned": section.planned,
        "ran": section.ran,
        **record(section.analysis),
        "conditions": record(section.conditions),
        "cells": record(section.cells),
        "exclusions": record(section.exclusions),
        **({"thresholds": record(section.thresholds)} if section.thresholds else {}),
        **({"worst": record(section.worst)} if section.worst else {}),
        **({"stages": record(section.stages)} if section.stages else {}),
    }


def comparison_record(comparison: Comparison) -> dict[str, Any]:
    """Comparison of two runs; gains are positive where B is better."""
    return {"schema_version": SCHEMA_VERSION, **record(comparison)}


def correlation_record(
    studies: Sequence[tuple[str, StudyResult]], medians: Sequence[PolicyMedians] = ()
) -> dict[str, Any]:
    """All numbers of drift against drop.

    Args:
        studies: name of the policy and its result, one entry per policy and suite.
        medians: over policies.
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "studies": [_study(policy, result) for policy, result in studies],
        "median_over_policies": record(medians),
    }


def _study(policy: str, result: StudyResult) -> dict[str, Any]:
    correlation = result.correlation
    between = [
        {
            **record(m.association),
            "ci_measurement": record(m.ci_measurement),
            "measurement_reason": m.measurement_reason,
        }
        for m in correlation.between
    ]
    mmrv = next((row for row in between if row["stat"] == "mmrv"), None)
    return {
        "policy": policy,
        "suite": result.suite,
        "seed": correlation.seed,
        "primary": {
            "drift": correlation.predictor,
            "frames": result.frames,
            "level": "between conditions",
            "stat": correlation.between[0].association.stat,
        },
        "scale": {"n_action_steps": result.n_action_steps, "sigma": result.sigma},
        "k": correlation.k,
        "families": correlation.families,
        "points": [{**record(point), "excluded": point.excluded} for point in correlation.points],
        "between": between,
        "between_families": record(correlation.between_families),
        "mmrv": mmrv and {"value": mmrv["value"], "weight": "true side", "ties": ">"},
        "ceiling": record(correlation.ceiling),
        "noise_free": correlation.noise_free,
        "drift_reliability": record(correlation.drift_reliability),
        "drift_range": record(correlation.drift_range),
        "drop_range": record(correlation.drop_range),
        "within_task": record(correlation.within_task),
        "tasks": record(result.tasks),
        "episodes": {"aurocs": record(correlation.aurocs), "flip_slope": record(correlation.flip_slope)},
        "loco": record(correlation.loco),
        "fit": {"curve": record(correlation.curve), "reason": correlation.curve_reason},
        **{name: record(getattr(correlation, name)) for name in _UNCHANGED},
        "verdict": record(correlation.verdict),
    }


_UNCHANGED = ("monotone", "budgets", "screening", "top", "dose", "ranking", "changed", "saturation", "caveats")
"""Fields of a correlation that are recorded unchanged."""
