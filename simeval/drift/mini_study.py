"""The small audit of several policies side by side: per policy over its sampling seeds, per recipe over trainings.

Non-obvious behaviour:
- Two kinds of seeds: an audit repeats its frames with several seeds of the sampling noise, and a recipe is trained
  with several seeds. The deviation over the first is about the sampler, that over the second about the training.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from simeval.core.drift_row import FLOOR, DriftRow
from simeval.drift.mini import CONTROL, METRICS, MiniAudit, SeedSummary, spread, summarise_mini


@dataclass(frozen=True, slots=True)
class MiniMember:
    """A policy with the rows of its audit.

    Attributes:
        name: of the policy.
        group: its recipe.
        seed: of its training; `None` if that is not known.
        rows: of a complete audit, on one suite.
    """

    name: str
    group: str
    seed: int | None
    rows: tuple[DriftRow, ...]


@dataclass(frozen=True, slots=True)
class MiniCell:
    """One number of the small audit.

    Attributes:
        group: the recipe.
        policy: the policy; empty for a recipe.
        condition: canonical text.
        measure: one of `METRICS`.
        mean: over frames, then over seeds.
        deviation: of the sample of seeds (n - 1); `None` for one seed.
        by_seed: mean over frames, by seed.
    """

    group: str
    policy: str
    condition: str
    measure: str
    mean: float
    deviation: float | None
    by_seed: tuple[tuple[int | None, float], ...]


@dataclass(frozen=True, slots=True)
class MiniStudy:
    """The small audit of several policies on one suite.

    Attributes:
        suite: its name.
        frames: number of frames of each audit.
        conditions: in the order of the small audit; the noise floor last.
        policies: over the seeds of the sampling noise.
        recipes: over training seeds, of the policies' means; a policy without a recipe stands for itself.
    """

    suite: str
    frames: int
    conditions: tuple[str, ...]
    policies: tuple[MiniCell, ...]
    recipes: tuple[MiniCell, ...]


def mini_study(suite: str, members: Sequence[MiniMember]) -> MiniStudy | None:
    """The small audit of policies side by side; `None` if none has rows.

    Raises:
        ConfigError: an audit has no repeat control, or it drifted.
    """
    audits = [(member, summarise_mini(member.rows)) for member in members if member.rows]
    if not audits:
        return None
    policies = [cell for member, audit in audits for cell in _policy(member, audit)]
    recipes = [
        _over_trainings(group, condition, measure, audits, policies)
        for group in dict.fromkeys(member.group for member, _ in audits)
        for condition in dict.fromkeys(cell.condition for cell in policies)
        for measure in METRICS
    ]
    return MiniStudy(
        suite=suite,
        frames=max(audit.frames for _, audit in audits),
        conditions=tuple(dict.fromkeys(cell.condition for cell in policies if cell.condition != FLOOR))
        + ((FLOOR,) if any(cell.condition == FLOOR for cell in policies) else ()),
        policies=tuple(policies),
        recipes=tuple(cell for cell in recipes if cell is not None),
    )


def _policy(member: MiniMember, audit: MiniAudit) -> list[MiniCell]:
    summaries = [one for _, variants in audit.groups for one in variants if one.variant.condition != CONTROL]
    summaries += [audit.floor] if audit.floor else []
    return [_cell(member, one, measure) for one in summaries if one.means for measure in METRICS]


def _cell(member: MiniMember, summary: SeedSummary, measure: str) -> MiniCell:
    stats = getattr(summary.means, measure)
    by_seed = tuple((seed, float(getattr(metrics, measure).mean)) for seed, metrics in summary.by_seed)
    return MiniCell(member.group, member.name, summary.variant.condition, measure, stats.mean, stats.std, by_seed)


def _over_trainings(
    group: str,
    condition: str,
    measure: str,
    audits: Sequence[tuple[MiniMember, MiniAudit]],
    cells: Sequence[MiniCell],
) -> MiniCell | None:
    seeds = {member.name: member.seed for member, _ in audits}
    chosen = [cell for cell in cells if (cell.group, cell.condition, cell.measure) == (group, condition, measure)]
    if not chosen:
        return None
    stats = spread([cell.mean for cell in chosen])
    by_seed = tuple((seeds[cell.policy], cell.mean) for cell in chosen)
    return MiniCell(group, "", condition, measure, stats.mean, stats.std, by_seed)
