"""The small audit: how far instructions and images move the predicted action, as one file per seed and axis.

    audit folder: language_seed{N}.json  ood_{axis}_seed{N}.json  mini_summary.json  figures/*.png

The protocol is in `configs/mini_audit.yaml`: language (original, empty, counterfactual) and images (brightness,
Gaussian noise, occlusion; both cameras), 120 frames, several seeds. All variants of a frame share one sampling noise,
and the policy carries no state from one prediction to the next. Everything is computed from the rows of an audit, and
any audit works; conditions of several axes at once are left out and listed.

Means are over frames, as in the original audit; the intervals of a report are over independent units instead.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from perturbations.instruction import KINDS
from perturbations.spec import Condition, SpecError, parse
from simeval.core.drift_row import FLOOR, DriftRow
from simeval.core.errors import ConfigError
from simeval.store.run import write_json

SCHEMA_VERSION = 1
LANGUAGE = "language"
"""Name of the group of all language conditions; the others are grouped by axis."""
CONTROL = "none"
"""The condition of the repeat control."""
METRICS = ("l2_raw", "drift_exec", "xyz_sum", "gripper_flip")
"""The original audit's measure first, then those of `simeval.stats.drift`."""
PROTOCOL = {
    "sampling_noise": "one per frame and seed, shared by the original and all its variants",
    "policy_state": "none: every prediction depends on its own input alone",
    "mean": "over frames",
    "std": "of the sample (n - 1)",
    "l2_raw": "Euclidean norm of the difference of the first actions, gripper included (action units)",
    "drift_exec": "mean over the executed steps of the difference in motion per dimension (drift_unit)",
    "xyz_sum": "norm of the summed translation differences over the executed steps (action units)",
    "gripper_flip": "share of the executed steps at which the gripper is commanded to do the opposite",
}


@dataclass(frozen=True, slots=True)
class SummaryStats:
    """Summary of some numbers; `std` is `None` for fewer than two."""

    mean: float
    std: float | None
    median: float
    max: float


@dataclass(frozen=True, slots=True)
class Metrics:
    """`SummaryStats` of each of `METRICS`."""

    l2_raw: SummaryStats
    drift_exec: SummaryStats
    xyz_sum: SummaryStats
    gripper_flip: SummaryStats


@dataclass(frozen=True, slots=True)
class MiniCondition:
    """A condition and its place in its group.

    Attributes:
        condition: canonical text.
        group: `LANGUAGE` or the name of its axis.
        value: its strength or word.
        identity: the value of its axis that changes nothing.
        aim: camera and settings; may be empty.
    """

    condition: str
    group: str
    value: float | str
    identity: float | str
    aim: str = ""


@dataclass(frozen=True, slots=True)
class SeedSummary:
    """A variant's mean drift over several seeds.

    Attributes:
        variant: the condition.
        frames: measured frames, over all seeds.
        by_seed: statistics over frames, for each seed with measured frames.
        means: statistics of the seeds' means; `None` where nothing was measured.
        reasons: (reason, number of frames) of the missing frames.
    """

    variant: MiniCondition
    frames: int
    by_seed: tuple[tuple[int, Metrics], ...]
    means: Metrics | None
    reasons: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class MiniAudit:
    """All numbers of the small audit.

    Attributes:
        seeds: roots of the random streams.
        frames: number of frames.
        groups: variants by group: language first, then the axes.
        floor: drift between two sampling noises; `None` where it was not measured.
        left_out: conditions of several axes.
    """

    seeds: tuple[int, ...]
    frames: int
    groups: tuple[tuple[str, tuple[SeedSummary, ...]], ...]
    floor: SeedSummary | None
    left_out: tuple[str, ...]


def write_mini(audit_rows: Iterable[DriftRow], out: Path, *, unit: str = "") -> MiniAudit:
    """Write the JSON files of the small audit.

    Args:
        audit_rows: of a finished audit, in any order.
        out: the audit folder.
        unit: description of the unit of `drift_exec`.

    Raises:
        ConfigError: there is no repeat control, or it drifted.
    """
    rows = sorted(audit_rows, key=lambda row: (row.seed, row.suite, row.task or 0, row.cluster, row.step, row.frame))
    audit = summarise_mini(rows)
    for seed in audit.seeds:
        seed_rows = [row for row in rows if row.seed == seed]
        for group, members in audit.groups:
            name = f"{LANGUAGE}_seed{seed}.json" if group == LANGUAGE else f"ood_{group}_seed{seed}.json"
            content = _seed_file(group, seed, [member.variant for member in members], seed_rows)
            write_json(out / name, _with_header(content, unit))
    write_json(out / "mini_summary.json", _with_header(_summary_file(audit), unit))
    return audit


def summarise_mini(rows: Sequence[DriftRow]) -> MiniAudit:
    """Compute the numbers of the small audit.

    Raises:
        ConfigError: there is no repeat control, or it drifted.
    """
    seeds = tuple(sorted({row.seed for row in rows}))
    check_repeats(rows, seeds)
    variants, left_out = [], []
    for condition in {row.condition for row in rows} - {FLOOR}:
        variant = variant_of(condition)
        if variant is None:
            left_out.append(condition)
        else:
            variants.append(variant)
    groups = sorted({variant.group for variant in variants}, key=lambda group: (group != LANGUAGE, group))
    floor = _over_seeds(MiniCondition(FLOOR, FLOOR, FLOOR, FLOOR), rows)
    return MiniAudit(
        seeds,
        len({row.frame for row in rows}),
        tuple(
            (group, tuple(_over_seeds(v, rows) for v in sorted(variants, key=_order) if v.group == group))
            for group in groups
        ),
        floor if floor.means else None,
        tuple(sorted(left_out)),
    )


def check_repeats(rows: Sequence[DriftRow], seeds: Sequence[int]) -> None:
    """Check that two predictions from the same input are equal bit for bit; otherwise no drift can be trusted.

    Raises:
        ConfigError: a repeat drifted, or a seed has no repeat.
    """
    controls = [row for row in rows if row.condition == CONTROL and not row.infeasible]
    missing = [seed for seed in seeds if not any(row.seed == seed for row in controls)]
    if missing or not seeds:
        raise ConfigError(f"mini audit: no repeat control{f' for seed {missing[0]}' if missing else ''}")
    for row in controls:
        drifted = [name for name in METRICS if getattr(row, name) != 0]
        if drifted:
            raise ConfigError(
                f"mini audit: the repeat control drifted, {drifted[0]} = {getattr(row, drifted[0])} on {row.frame}, "
                f"seed {row.seed}, and must be exactly 0: the policy's answer does not depend on its input alone"
            )


def variant_of(condition: str) -> MiniCondition | None:
    """Classify a condition; `None` for conditions of several axes. The control is the `original` instruction."""
    if condition == CONTROL:
        return MiniCondition(condition, LANGUAGE, "original", "original")
    try:
        parsed: Condition = parse(condition)
    except SpecError:
        return None
    if len(parsed.terms) != 1:
        return None
    (term,) = parsed.terms
    group = LANGUAGE if term.info.channel == "language" else term.axis
    plain = f"{term.axis}:{str(term).removeprefix(f'{term.axis}:').partition('@')[0].partition('/')[0]}"
    return MiniCondition(condition, group, term.value, term.info.identity, condition.removeprefix(plain))


def _order(variant: MiniCondition) -> tuple[Any, ...]:
    """Sort key: kinds of instruction in the order of their declaration, strengths by size."""
    if isinstance(variant.value, str):
        kinds = list(KINDS)
        kind = variant.value.partition(":")[0]
        place = kinds.index(kind) if variant.group == LANGUAGE and kind in kinds else len(kinds)
        return variant.aim, place, variant.condition != CONTROL, variant.value
    return variant.aim, variant.value


def _over_seeds(variant: MiniCondition, rows: Sequence[DriftRow]) -> SeedSummary:
    variant_rows = [row for row in rows if row.condition == variant.condition]
    seeds = sorted({row.seed for row in variant_rows})
    measured = [(seed, _metrics([row for row in variant_rows if row.seed == seed])) for seed in seeds]
    by_seed = tuple((seed, metrics) for seed, metrics in measured if metrics is not None)
    means = None
    if by_seed:
        means = Metrics(*(spread([getattr(metrics, name).mean for _, metrics in by_seed]) for name in METRICS))
    return SeedSummary(variant, sum(not row.infeasible for row in variant_rows), by_seed, means, _reasons(variant_rows))


def _metrics(rows: Sequence[DriftRow]) -> Metrics | None:
    measured = [row for row in rows if not row.infeasible]
    if not measured:
        return None
    return Metrics(*(spread([getattr(row, name) for row in measured]) for name in METRICS))


def spread(values: Sequence[float]) -> SummaryStats:
    """Mean, sample standard deviation, median and maximum of at least one number."""
    array = np.asarray(values, float)
    std = float(array.std(ddof=1)) if len(array) > 1 else None
    return SummaryStats(float(array.mean()), std, float(np.median(array)), float(array.max()))


def _reasons(rows: Iterable[DriftRow]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(Counter(row.infeasible for row in rows if row.infeasible).items()))


def _with_header(content: Mapping[str, Any], unit: str) -> dict[str, Any]:
    """A file's content after the header that all files share."""
    protocol = {**PROTOCOL, "drift_unit": unit}
    return {"schema_version": SCHEMA_VERSION, "recipe": "mini", "protocol": protocol, **content}


def _seed_file(group: str, seed: int, variants: Sequence[MiniCondition], rows: Sequence[DriftRow]) -> dict[str, Any]:
    """One group with one seed, JSON-ready."""
    controls = [row for row in rows if row.condition == CONTROL]
    floor = _metrics([row for row in rows if row.condition == FLOOR])
    return {
        "group": group,
        "seed": seed,
        "repeat_control": {
            "n": len(controls),
            "max": {name: max(getattr(r, name) for r in controls) for name in METRICS},
        },
        "noise_floor": asdict(floor) if floor else None,
        "conditions": [
            _condition_record(variant, [r for r in rows if r.condition == variant.condition]) for variant in variants
        ],
    }


def _condition_record(variant: MiniCondition, rows: Sequence[DriftRow]) -> dict[str, Any]:
    metrics = _metrics(rows)
    measured = [row for row in rows if not row.infeasible]
    return {
        "condition": variant.condition,
        "value": variant.value,
        "n": len(measured),
        "infeasible": [{"reason": reason, "frames": frames} for reason, frames in _reasons(rows)],
        "drift": asdict(metrics) if metrics else None,
        "frames": [
            {"frame": row.frame, **{name: getattr(row, name) for name in METRICS}}
            | ({"instruction": row.instruction} if variant.group == LANGUAGE else {"mean_abs": row.mean_abs})
            for row in measured
        ],
    }


def _summary_file(audit: MiniAudit) -> dict[str, Any]:
    """Means and standard deviations over seeds, JSON-ready."""
    return {
        "seeds": list(audit.seeds),
        "frames": audit.frames,
        "repeat_max": 0.0,  # anything else was refused
        "noise_floor": _seed_summary_record(audit.floor) if audit.floor else None,
        "groups": {group: [_seed_summary_record(member) for member in members] for group, members in audit.groups},
        "left_out": list(audit.left_out),
    }


def _seed_summary_record(member: SeedSummary) -> dict[str, Any]:
    drift = None
    if member.means:
        drift = {
            name: {
                "mean": getattr(member.means, name).mean,
                "std": getattr(member.means, name).std,
                "by_seed": {str(seed): getattr(metrics, name).mean for seed, metrics in member.by_seed},
            }
            for name in METRICS
        }
    return {
        "condition": member.variant.condition,
        "value": member.variant.value,
        "frames": member.frames,
        "infeasible": [{"reason": reason, "frames": frames} for reason, frames in member.reasons],
        "drift": drift,
    }
