"""A study's recipes, over their training seeds: their numbers, their gains over the baseline, their ranks."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from simeval.analysis.ranks import span
from simeval.analysis.study_scores import OVER_ALL, Measure, Scores, UsedPolicy
from simeval.stats.change import ALPHA, Gain
from simeval.stats.ranks import rank_sets
from simeval.stats.resampling import Resampling
from simeval.stats.seeds import SeedGain, SeedMean, adjusted_gains, seed_gain, seed_mean


@dataclass(frozen=True, slots=True)
class GroupNumbers:
    """A number of a group of policies, and its gain over the baseline.

    Attributes:
        seeds: training seeds of `values.by_seed`.
        gain: `None` for the baseline itself.
        gain_seeds: training seeds of `gain.by_seed`.
    """

    group: str
    measure: Measure
    condition: str
    seeds: tuple[int | None, ...]
    values: SeedMean
    gain: SeedGain | None
    gain_seeds: tuple[int | None, ...] = ()


def _by_group(used: Sequence[UsedPolicy]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for number, one in enumerate(used):
        found.setdefault(one.group, []).append(number)
    return found


def _matched(used: Sequence[UsedPolicy], a: Sequence[int], b: Sequence[int]) -> list[tuple[int, int]]:
    """Policies of two groups with equal training seeds; one without a seed is matched with each of the other group."""
    if any(used[i].seed is None for i in (*a, *b)):
        return [(i, j) for i in a for j in b]
    seeds = {used[j].seed: j for j in b}
    return [(i, seeds[used[i].seed]) for i in a if used[i].seed in seeds]


def _seeds(used: Sequence[UsedPolicy], a: Sequence[int], b: Sequence[int]) -> tuple[int | None, ...]:
    """The training seed of each matched pair."""
    return tuple(used[i].seed if used[j].seed is None else used[j].seed for i, j in _matched(used, a, b))


def _other_seeds(used: Sequence[UsedPolicy], a: Sequence[int], b: Sequence[int]) -> str:
    """A remark if a gain leaves out training seeds, so that it is not the difference of the means beside it."""
    shared = sorted({seed for seed in _seeds(used, a, b) if seed is not None})
    known = {used[i].seed for i in (*a, *b)}
    if None in known or not shared or known == set(shared):
        return ""
    which = f"seed {shared[0]}" if len(shared) == 1 else f"the seeds {', '.join(map(str, shared))}"
    return f"the gain is over {which}, which both have; the means are over all seeds"


def group_numbers(
    used: Sequence[UsedPolicy], scores: Sequence[Scores], baseline: str, resampling: Resampling | None
) -> tuple[GroupNumbers, ...]:
    """All numbers of the groups of policies, in the order of the scores.

    Gains are adjusted over all of them; those in drift, which is measured offline, for themselves.
    """
    groups = _by_group(used)
    others = [name for name in groups if name != baseline] if baseline in groups else []
    gains: dict[tuple[Measure, str, str], SeedGain] = {}
    for family in (
        [one for one in scores if one.measure != "drift"],
        [one for one in scores if one.measure == "drift"],
    ):
        keys = [(score, name) for score in family for name in others]
        adjusted = adjusted_gains(
            _gain(used, score, groups[baseline], groups[name], resampling) for score, name in keys
        )
        gains |= {
            (score.measure, score.condition, name): one for (score, name), one in zip(keys, adjusted, strict=True)
        }
    found: list[GroupNumbers] = []
    for score in scores:
        for name, members in groups.items():
            means = [(used[i].seed, mean) for i in members if (mean := score.mean(i)) is not None]
            gain: SeedGain | None = gains.get((score.measure, score.condition, name))
            if gain and score.measure == "robustness":
                gain = _on_both_scales(gain, scores, _matched(used, groups[baseline], members))
            values, seeds = seed_mean([mean for _, mean in means], limits=score.limits), tuple(s for s, _ in means)
            of_gain = _seeds(used, groups[baseline], members) if gain and gain.by_seed else ()
            if gain and (remark := _other_seeds(used, groups[baseline], members)):
                gain = replace(gain, reason=f"{gain.reason}; {remark}" if gain.reason else remark)
            found.append(GroupNumbers(name, score.measure, score.condition, seeds, values, gain, of_gain))
    return tuple(found)


def _gain(
    used: Sequence[UsedPolicy], score: Scores, a: Sequence[int], b: Sequence[int], resampling: Resampling | None
) -> SeedGain:
    matched = _matched(used, a, b)
    if not matched:
        return seed_gain((), Gain(score.condition, 0, 0, reason="no training seed that both have"))
    pairs, by_seed = score.gain([i for i, _ in matched], [j for _, j in matched], resampling)
    step = 0.0 if score.measure == "drift" else 1 / max(1, pairs.n)
    low, high = score.limits
    return seed_gain(by_seed, pairs, step=step, limits=(low - high, high - low))


def _on_both_scales(gain: SeedGain, scores: Sequence[Scores], matched: Sequence[tuple[int, int]]) -> SeedGain:
    """A loss in points punishes the policy that is better everywhere: the share that is kept must say the same."""
    if gain.direction == "no difference shown":
        return gain
    kept = [_kept(scores, members) for members in zip(*matched, strict=True)]
    agrees = None not in kept and (kept[1] > kept[0]) == (gain.direction == "better")  # type: ignore[operator]
    return gain if agrees else replace(gain, direction="depends on the scale")


def _kept(scores: Sequence[Scores], members: Sequence[int]) -> float | None:
    """Share of clean success that a group keeps, on average over the conditions."""
    success = [score for score in scores if score.measure == "success"]
    means = [[score.mean(i) or 0.0 for i in members] for score in success]
    clean = sum(means[0])
    return sum(map(sum, means[1:])) / (len(means) - 1) / clean if clean else None


def group_ranks(
    used: Sequence[UsedPolicy], scores: Sequence[Scores], resampling: Resampling | None
) -> tuple[tuple[str, str], ...]:
    """The groups and their sets of ranks by mean success over the conditions, the best first."""
    groups = _by_group(used)
    names, success = list(groups), [score for score in scores if score.measure == "success"]
    values = np.mean([score.values for score in success], axis=0)
    mean = replace(success[0], condition=OVER_ALL, values=values)
    pairs = list(combinations(range(len(names)), 2))
    gains = adjusted_gains(_gain(used, mean, groups[names[i]], groups[names[j]], resampling) for i, j in pairs)
    shown = []
    for (i, j), gain in zip(pairs, gains, strict=True):
        if gain.p_holm is not None and gain.p_holm < ALPHA and gain.direction != "no difference shown":
            shown.append((j, i) if gain.direction == "better" else (i, j))
    ranks = rank_sets(len(names), shown)
    order = sorted(range(len(names)), key=lambda i: ranks[i])
    return tuple((names[i], span(*ranks[i])) for i in order)
