"""What a planned run can find, and how large it has to be for a wished drop. Imports nothing heavy."""

from collections import defaultdict
from dataclasses import dataclass

from envs.suites import find_suite
from simeval.config.evaluation import EvalConfig
from simeval.config.plan import Plan
from simeval.core.chances import counted, findable, odds
from simeval.core.errors import ConfigError
from simeval.core.types import CLEAN
from simeval.stats.power import ALPHA, Sensitivity, pairs_needed, sensitivity


@dataclass(frozen=True, slots=True)
class Background:
    """Share of pairs that flip without net effect (fraction), and where the number is from, in words."""

    share: float
    source: str


@dataclass(frozen=True, slots=True)
class Wish:
    """A true drop (fraction) that is to be found, and in which share of runs."""

    drop: float | None
    power: float


@dataclass(frozen=True, slots=True)
class Need:
    """The size of a run that finds a drop.

    Attributes:
        drop: the drop (fraction).
        pairs: pairs per condition.
        init_states: initial states per task.
        available: initial states that the suite has per task.
        episodes: of the suite, with `init_states`.
        until_decided: mean number of pairs per condition if each stops as soon as the drop is called; `None` if the
            suite has too few initial states.
    """

    drop: float
    pairs: int
    init_states: int
    available: int
    episodes: int
    until_decided: int | None


@dataclass(frozen=True, slots=True)
class Outlook:
    """What the comparisons of one suite can find.

    Attributes:
        suite: its name.
        conditions: number of perturbed conditions; with none, the numbers are about one that might be added.
        condition: the condition with the fewest tasks, which the numbers are about; empty if all have the same.
        tasks: tasks of that condition.
        repeats: of each initial state. Repeats are no pairs of their own.
        size: what its pairs can find; with repeats, of its initial states.
        need: the size that was asked for; `None` if none was.
    """

    suite: str
    conditions: int
    condition: str
    tasks: int
    repeats: int
    size: Sensitivity
    need: Need | None


def wish_of(drop: float | None, power: float) -> Wish:
    """The wish of `--drop` (points) and `--power` (a share).

    Raises:
        ConfigError: one is out of range.
    """
    if drop is not None and not 0 < drop <= 100:
        raise ConfigError(f"--drop {drop:g}: must be above 0 and at most 100, in points of success")
    if not 0 < power < 1:
        hint = f"; {power:g} % is {power / 100:g}" if 1 < power < 100 else ""
        raise ConfigError(f"--power {power:g}: must be above 0 and below 1, no number of pairs is certain{hint}")
    return Wish(None if drop is None else drop / 100, power)


def outlooks(plan: Plan, config: EvalConfig, background: Background, wish: Wish) -> tuple[Outlook, ...]:
    """One per suite of the plan, as each is tested apart. Without perturbations, as for one that is to come."""
    return tuple(_outlook(plan, config, suite, background, wish) for suite in config.suite)


def _outlook(plan: Plan, config: EvalConfig, suite: str, background: Background, wish: Wish) -> Outlook:
    states: dict[str, set[tuple[int, int]]] = defaultdict(set)
    episodes = 0
    for spec in plan.episodes:
        if spec.suite == suite:
            episodes += 1
            states[spec.condition].add((spec.task, spec.init_state))
    compared = [name for name in states if name != CLEAN]
    tests, fewest = max(1, len(compared)), min(compared or [CLEAN], key=lambda name: len(states[name]))
    tasks, per_task = len({task for task, _ in states[fewest]}), len({state for _, state in states[fewest]})
    need = None
    if wish.drop is not None:
        pairs = pairs_needed(wish.drop, background=background.share, alpha=ALPHA / tests, power=wish.power)
        more = -(-pairs // tasks)
        all_arms = episodes if compared else 2 * episodes
        available = find_suite(suite).init_states
        stops = _until_decided(wish.drop, background, tests, 3 * pairs) if more <= available else None
        need = Need(wish.drop, pairs, more, available, all_arms // per_task * more, stops)
    return Outlook(
        suite=suite,
        conditions=len(compared),
        condition="" if len(states[fewest]) == len(states[CLEAN]) else fewest,
        tasks=tasks,
        repeats=config.repeats,
        size=sensitivity(len(states[fewest]), tests, background=background.share, power=wish.power),
        need=need,
    )


def _until_decided(drop: float, background: Background, tests: int, most: int) -> int:
    from simeval.stats.anytime import expected_pairs  # not earlier: SciPy takes half a second

    share = min(background.share, 1 - drop)
    pairs, _ = expected_pairs(drop, background=share, tests=tests, most=most, runs=simulated_runs(most))
    return round(pairs)


def simulated_runs(most: int) -> int:
    """Runs to simulate, fewer if they are long: a second of work."""
    return min(300, 300_000 // most + 20)


def lines_of(found: tuple[Outlook, ...], background: Background) -> list[str]:
    """What `plan` prints of them."""
    lines = []
    for outlook in found:
        where = f"{outlook.suite}: " if len(found) > 1 else ""
        unit = _unit(outlook)
        size = f"{counted(outlook.size.pairs, unit)} per condition"
        if not outlook.conditions:
            size += ", if one is added"
        if outlook.condition:
            size += f" at least ({outlook.condition}: {counted(outlook.tasks, 'task')})"
        if outlook.repeats > 1:
            size += f", {outlook.repeats} repeats each, which count as one pair: they only make it steadier"
        lines += [f"{where}{size}", f"{where}{findable([outlook.size], unit)}"]
        if outlook.need is not None:
            lines.append(f"{where}{_needed(outlook, outlook.need)}")
    return [
        *lines,
        f"assumes that {100 * background.share:.0f} % of pairs flip without net effect: {background.source}",
    ]


def _unit(outlook: Outlook) -> str:
    return "pair" if outlook.repeats == 1 else "initial state"


def _needed(outlook: Outlook, need: Need) -> str:
    """The size that finds the wished drop, and whether the suite has as much."""
    text = (
        f"to find a true drop of {100 * need.drop:g} points in {odds(outlook.size.power)} such runs takes "
        f"{counted(need.pairs, _unit(outlook))} per condition"
    )
    each = f"of {counted(outlook.tasks, 'task')}"
    if need.init_states <= need.available:
        states, last = counted(need.init_states, "initial state"), need.init_states - 1
        option = f"--init-states {f'0-{last}' if last else 0}"
        size = f"{text}: {states} {each} ({option}), {counted(need.episodes, 'episode')}"
        if need.until_decided is None:
            return size
        return f"{size}; with --until decided about {counted(need.until_decided, 'pair')} on average"
    most = sensitivity(
        need.available * outlook.tasks,
        outlook.size.tests,
        background=outlook.size.background,
        power=outlook.size.power,
    )
    least = "no drop" if most.visible is None else f"drops from {100 * most.visible:.1f} points on"
    return f"{text}; {outlook.suite} has {most.pairs} ({need.available} initial states {each}), which find {least}"
