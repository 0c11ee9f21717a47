"""Which cells and episodes a run has planned, as its manifest says it: without the suites, which may not be here."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from simeval.core.rounds import Cell, round_key
from simeval.core.types import CLEAN

if TYPE_CHECKING:
    from simeval.config.plan import Plan

RUN = "run"
SEARCH = "threshold"
"""Key of a manifest, with the record of a search for thresholds; see `simeval.config.threshold`."""
WORST = "worst"
"""The same of a search for a bad condition; see `simeval.config.worst`. Each key is the verb that makes the run."""


class Planned(NamedTuple):
    """What tells an episode from the others of its run."""

    suite: str
    task: int
    init_state: int
    condition: str
    repeat: int


def layout_of(plan: "Plan") -> dict[str, Any]:
    """What a manifest says of a plan, JSON-ready.

    Returns:
        By suite its `tasks` and `init_states`, and by condition the tasks where it cannot be made (`left_out`).
    """
    suites: dict[str, dict[str, Any]] = {}
    run: dict[tuple[str, str], set[int]] = {}
    for spec in plan.episodes:
        layout = suites.setdefault(spec.suite, {"tasks": {}, "init_states": {}})
        layout["tasks"][spec.task] = layout["init_states"][spec.init_state] = None
        run.setdefault((spec.suite, spec.condition), set()).add(spec.task)
    for suite, layout in suites.items():
        tasks, layout["init_states"] = list(layout["tasks"]), list(layout["init_states"])
        missing = {name: [task for task in tasks if task not in run.get((suite, name), ())] for name in plan.conditions}
        layout |= {"tasks": tasks, "left_out": {name: numbers for name, numbers in missing.items() if numbers}}
    return suites


def is_search(manifest: Mapping[str, Any]) -> bool:
    """Whether a run is a search: its plan is what may be chosen, and its outcomes chose."""
    return verb_of(manifest) != RUN


def verb_of(manifest: Mapping[str, Any]) -> str:
    """The verb that made a run and goes on with it: `run`, `threshold` or `worst`."""
    return next((verb for verb in (SEARCH, WORST) if manifest.get(verb)), RUN)


def is_sequential(manifest: Mapping[str, Any]) -> bool:
    """Whether the size of a run may depend on its outcomes: it stops when it is decided, or it grew.

    Manifests of older versions do not say what a run grew from: for them it is false.
    """
    known = all(step.get("layout") for step in (manifest, *manifest.get("grown", ())))
    return known and bool(manifest["config"].get("until") or manifest.get("grown"))


def planned(manifest: Mapping[str, Any]) -> Iterator[tuple[Cell, list[Planned]]]:
    """The cells of a run in their order, each with its episodes.

    What was added later (`--grow`) comes later, so that it cannot change what was decided before.
    """
    seen: set[Cell] = set()
    for step in (*manifest.get("grown", ()), manifest):
        cells = [cell for cell in _cells(step["layout"]) if cell not in seen]
        seen.update(cells)
        for cell in sorted(cells, key=lambda cell: round_key(cell, manifest["config"]["seed"])):
            yield cell, list(_episodes(cell, manifest))


def _cells(layout: Mapping[str, Any]) -> Iterable[Cell]:
    for suite, part in layout.items():
        for task in part["tasks"]:
            for init_state in part["init_states"]:
                yield suite, task, init_state


def _episodes(cell: Cell, manifest: Mapping[str, Any]) -> Iterator[Planned]:
    suite, task, init_state = cell
    left_out = manifest["layout"][suite]["left_out"]
    for condition in manifest["conditions"]:
        if condition == CLEAN or task not in left_out.get(condition, ()):
            for repeat in range(manifest["config"]["repeats"]):
                yield Planned(suite, task, init_state, condition, repeat)
