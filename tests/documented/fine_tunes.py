"""Fine-tunes with and without regularisers: docs/numbers/fine-tunes.md."""

from collections.abc import Callable, Iterator, Mapping
from functools import cache

from documented import ROOT
from documented.claims import Table
from documented.formats import percent, two_decimals
from simeval.analysis.study import SuiteStudy, study_results
from simeval.analysis.study_groups import GroupNumbers
from simeval.analysis.study_scores import OVER_ALL, Measure
from simeval.core.types import CLEAN
from simeval.report.format import p_value
from simeval.store.study import Study

PAGE = "docs/numbers/fine-tunes.md"
GAINS = "| {} | mean | over seeds (95 %) | over episodes (95 %) | p adj. | called |"
RECIPES = {
    "start": "before",
    "flow": "flow",
    "flow+contrast": "+ contrast",
    "flow+consistency": "+ consistency",
    "flow+contrast+consistency": "+ both",
    "flow+augment": "+ augment",
}
"""Recipes of the study, as its page calls them."""
CLOSED: dict[tuple[Measure, str], str] = {
    ("success", CLEAN): "success, clean",
    ("success", "occlusion:0.2"): "success, `occlusion:0.2`",
    ("robustness", OVER_ALL): "change under perturbation",
    ("following", "instruction:counterfactual"): "instruction followed",
}
"""Measures in closed loop, as the page calls them."""
OFFLINE: dict[tuple[Measure, str], str] = {
    ("drift", condition): f"`{condition}`"
    for condition in ("instruction:empty", "instruction:counterfactual", "brightness:0.5", "noise:0.3", "occlusion:0.2")
}
"""Drift, by condition."""


def statements() -> Iterator[Table]:
    closed, offline = (" | ".join(names.values()) for names in (CLOSED, OFFLINE))
    yield Table(PAGE, f"| %, over seeds (each seed) | {closed} |", lambda: recipe_rows(CLOSED, percent))
    yield Table(
        PAGE, GAINS.format("points over `flow`"), lambda: gain_rows(CLOSED, percent, {"no difference shown": "-"})
    )
    yield Table(PAGE, f"| drift | {offline} |", lambda: recipe_rows(OFFLINE, two_decimals))
    drifts = {"no difference shown": "-", "better": "less", "worse": "more"}
    yield Table(PAGE, GAINS.format("less drift than `flow`"), lambda: gain_rows(OFFLINE, two_decimals, drifts))


@cache
def fine_tunes() -> SuiteStudy:
    """The stored study."""
    return study_results(Study.load(ROOT / "results" / "study_finetune")).suites[0]


def recipe_number(group: str, measure: Measure, condition: str) -> GroupNumbers:
    """A number of a recipe, over its training seeds."""
    (found,) = (
        one for one in fine_tunes().groups if (one.group, one.measure, one.condition) == (group, measure, condition)
    )
    return found


def recipe_rows(columns: Mapping[tuple[Measure, str], str], show: Callable[[float], str]) -> dict[str, tuple[str, ...]]:
    """Numbers of each recipe, and in parentheses those of each training seed."""
    found: dict[str, tuple[str, ...]] = {}
    for group, name in RECIPES.items():
        cells = []
        for key in columns:
            values = recipe_number(group, *key).values
            assert values.mean is not None
            seeds = f" ({', '.join(map(show, values.by_seed))})" if len(values.by_seed) > 1 else ""
            cells.append(show(values.mean) + seeds)
        found[name] = tuple(cells)
    return found


def gain_rows(
    rows: Mapping[tuple[Measure, str], str], show: Callable[[float], str], names: Mapping[str, str]
) -> dict[str, tuple[str, ...]]:
    """Gains of the regularised recipes over plain flow matching."""
    found: dict[str, tuple[str, ...]] = {}
    for group in list(RECIPES)[2:]:
        for key, name in rows.items():
            gain = recipe_number(group, *key).gain
            assert gain is not None
            assert gain.gain is not None
            intervals = [
                "-" if one is None else f"{show(one.low)} to {show(one.high)}"
                for one in (gain.over_seeds, gain.over_pairs)
            ]
            called = names.get(gain.direction, gain.direction)
            found[f"{RECIPES[group]}: {name}"] = (show(gain.gain), *intervals, p_value(gain.p_holm), called)
    return found
