"""Numbers in the documentation that come from stored rows, and the one script that writes them.

    python tests/stored_numbers.py            write them into MODEL_CARD.md and the pages of docs/

A claim is a piece of text with `{names}` for the numbers; white space in it stands for any. It must occur once in its
file. A table is found by its header line. `tests/test_stored_numbers.py` holds that nothing would be rewritten.
"""

import simeval  # noqa: I001, F401  before NumPy

import io
import json
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from rich.console import Console

from envs.suites import tasks
from simeval.analysis import success
from simeval.api import evaluate
from simeval.store.audit import Audit
from simeval.config.evaluation import from_mapping
from simeval.config.options import load_yaml
from simeval.analysis.correlate import correlate
from simeval.analysis.study import SuiteStudy, study_results
from simeval.analysis.study_groups import GroupNumbers
from simeval.analysis.study_scores import OVER_ALL, Measure
from simeval.stats.correlation import Correlation
from simeval.stats.intervals import Interval
from simeval.store.run import Run
from simeval.store.study import Study
from simeval.report.format import p_value
from simeval.report.terminal.run import print_tables
from simeval.core.types import CLEAN

ROOT = Path(__file__).resolve().parents[1]
README = "README.md"
CARD = "simeval/policies/bundled/MODEL_CARD.md"
START, DRIFT, METHODS = "docs/get-started.md", "docs/how-to/drift.md", "docs/reference/methods.md"
SPEED, SCENES = "docs/numbers/speed.md", "docs/reference/scenes.md"
LATENCY = "docs/how-to/latency.md"
THRESHOLDS, IN_CI = "docs/how-to/thresholds.md", "docs/how-to/use-in-ci.md"
FINETUNES = "docs/numbers/fine-tunes.md"
WIDTH = 80
"""Columns of the tables that are shown as a terminal prints them."""

_NUMBER = r"-?[0-9]+(?:\.[0-9]+)?"


@dataclass(frozen=True)
class Claim:
    """A piece of text with numbers in it; `values` are filled in where `text` has `{names}`."""

    file: str
    text: str
    values: Mapping[str, str]

    def written(self, content: str) -> str:
        """The content of the file with these numbers.

        Raises:
            ValueError: the text does not occur exactly once.
        """
        parts = re.split(r"\{(\w+)\}", self.text)
        pattern = "".join(
            _NUMBER if i % 2 else r"\s+".join(map(re.escape, re.split(r"\s+", part))) for i, part in enumerate(parts)
        )
        found = list(re.finditer(pattern, content))
        if len(found) != 1:
            raise ValueError(f"{self.file}: {len(found)} times instead of once: {self.text}")
        (match,) = found
        return content[: match.start()] + self._filled(match[0], parts) + content[match.end() :]

    def _filled(self, old: str, parts: Sequence[str]) -> str:
        """The old text with new numbers: its line breaks stay."""
        pattern = "".join(
            f"({_NUMBER})" if i % 2 else "(" + r"\s+".join(map(re.escape, re.split(r"\s+", part))) + ")"
            for i, part in enumerate(parts)
        )
        match = re.fullmatch(pattern, old)
        assert match is not None
        return "".join(self.values[parts[i]] if i % 2 else match[i + 1] for i in range(len(parts)))


@dataclass(frozen=True)
class Table:
    """A Markdown table below a header line: what its rows say, by their first cells."""

    file: str
    header: str
    rows: Callable[[], Mapping[str, Sequence[str]]]

    def written(self, content: str) -> str:
        """The content of the file with these rows.

        Raises:
            ValueError: there is not exactly one such table.
        """
        head, *rest = content.split(self.header + "\n")
        if len(rest) != 1:
            raise ValueError(f"{self.file}: {len(rest)} tables with the header {self.header}")
        lines = rest[0].split("\n")
        end = next(i for i, line in enumerate(lines) if not line.startswith("|"))
        rows = [f"| {' | '.join([first, *cells])} |" for first, cells in self.rows().items()]
        return "\n".join([head + self.header, lines[0], *rows, *lines[end:]])


@dataclass(frozen=True)
class Screen:
    """A block of terminal output below a line of text, from its first line that starts with `first`."""

    file: str
    below: str
    screen: Callable[[], str]

    def written(self, content: str) -> str:
        """The content of the file with this block.

        Raises:
            ValueError: there is not exactly one such block.
        """
        pattern = re.escape(self.below) + r"\s+```\n(.*?)```"
        found = list(re.finditer(pattern, content, re.DOTALL))
        if len(found) != 1:
            raise ValueError(f"{self.file}: {len(found)} blocks below: {self.below}")
        return content[: found[0].start(1)] + self.screen() + content[found[0].end(1) :]


@cache
def run(name: str) -> Run:
    """A stored run."""
    return Run.load(ROOT / "results" / name)


@cache
def analysed(name: str) -> success.RunAnalysis:
    return success.analyse(run(name).table(success.USED))


def percent(value: float | None) -> str:
    assert value is not None
    return f"{100 * value:.1f}"


def span(interval: Interval | None) -> str:
    assert interval is not None
    return f"{percent(interval.low)} to {percent(interval.high)}"


def clean(name: str) -> success.ConditionRate:
    return next(row for row in analysed(name).rates if row.condition == CLEAN)


def whole(name: str) -> dict[str, str]:
    """The unperturbed rate of a run."""
    row = clean(name)
    low, high = span(row.interval).split(" to ")
    return {"wins": str(row.successes), "n": str(row.n), "rate": percent(row.rate), "low": low, "high": high}


def wins(row: success.TaskRate) -> int:
    assert row.rate is not None
    return round(row.rate * row.n)


def task_rows(name: str, header: str) -> dict[str, tuple[str, ...]]:
    """Successes by task, with the labels that the table has now."""
    labels = task_labels(CARD, header)
    found = {row.task: row for row in success.task_table(run(name).episodes) if row.condition == CLEAN}
    return {
        f"{task} {label}": (str(wins(found[task])), span(found[task].interval)) for task, label in enumerate(labels)
    }


def task_labels(file: str, header: str) -> list[str]:
    """How a table calls its tasks."""
    below = (ROOT / file).read_text().split(header + "\n")[1].split("\n")
    return [line.split("|")[1].strip().split(" ", 1)[1] for line in below[1:11]]


def condition_rows(name: str) -> dict[str, tuple[str, ...]]:
    rates = {row.condition: row for row in analysed(name).rates}
    rows = {}
    for drop in analysed(name).drops:
        rate = rates[drop.condition]
        rows[drop.condition] = (percent(rate.rate), f"{percent(drop.drop)} ({span(drop.interval)})")
    return rows


def language(name: str, condition: str) -> dict[str, str]:
    row = next(row for row in analysed(name).language if row.condition == condition)
    shares = {"followed": row.followed, "ignored": row.ignored, "approached": row.approached}
    return {key: percent(share.rate) for key, share in shares.items()}


def rate_of(name: str, condition: str) -> str:
    return percent(next(row for row in analysed(name).rates if row.condition == condition).rate)


def first_grasps(name: str) -> dict[str, str]:
    """Of the failures: at how many the gripper first closed at something that the goal names, or at something else."""
    failed = [result for result in run(name).results if result.outcome == "failure"]
    right = other = 0
    for result in failed:
        goal = tasks(result.spec.suite)[result.spec.task].goal
        if result.approached is not None:
            named = any(word.startswith(result.approached) for atom in goal for word in atom[1:])
            right, other = right + named, other + (not named)
    return {"right": str(right), "other": str(other), "failures": str(len(failed))}


def held(name: str) -> dict[str, str]:
    """Of the failures: at how many the gripper first closed at the object that is to be moved."""
    failed = [result for result in run(name).results if result.outcome == "failure"]
    moved = [tasks(result.spec.suite)[result.spec.task].goal[0][1] for result in failed]
    return {
        "right": str(sum(result.approached == name for result, name in zip(failed, moved, strict=True))),
        "failures": str(len(failed)),
    }


@cache
def study() -> Correlation:
    (found,) = correlate(run("correlation"), Audit.load(run("correlation").folder / "audit"))
    return found.correlation


def two(value: float | None) -> str:
    assert value is not None
    return f"{value:.2f}"


def drift() -> dict[str, str]:
    """How well drift predicts the drop."""
    found = study()
    (loco,) = (row for row in found.loco if row.scheme == "family")
    (auroc,) = (row for row in found.aurocs if row.stratum == "within task x condition")
    (pixels,) = (row.association for row in found.ranking if row.name == PIXELS)
    spearman = found.between[0].association
    values = {"k": str(found.k), "families": str(found.families), "more": str(found.verdict.more_kinds)}
    values |= {"p": p_value(found.between_families.p)}
    values |= {"mae": percent(loco.mae), "naive": percent(loco.mae_naive)}
    for name, value, interval in (
        ("rho", spearman.value, spearman.ci_conditions),
        ("auroc", auroc.value, auroc.interval),
        ("pixels", pixels.value, pixels.ci_conditions),
    ):
        assert interval is not None
        values |= {name: two(value), f"{name}_low": two(interval.low), f"{name}_high": two(interval.high)}
    return values


def printed(run_: Run, width: int = WIDTH) -> str:
    stream = io.StringIO()
    print_tables(Console(file=stream, width=width, color_system=None), run_)
    return stream.getvalue()


def first_run() -> str:
    lines = printed(run("quickstart")).splitlines(keepends=True)
    start = next(i for i, line in enumerate(lines) if line.startswith("libero_spatial"))
    return "".join(line for line in lines[start:] if not line.startswith("run folder"))


@cache
def toy() -> str:
    config = load_yaml(str(ROOT / "configs" / "toy.yaml"))
    with tempfile.TemporaryDirectory() as folder:
        done = evaluate(from_mapping({**config, "workers": 0, "traces": "none", "out": f"{folder}/toy"}))
        lines = printed(done).splitlines(keepends=True)
    start = next(i for i, line in enumerate(lines) if line.startswith("toy "))
    return "".join([*lines[start : start + 10], "...\n"])


@cache
def benchmark(name: str) -> dict[str, list[dict]]:
    """The rows of a stored benchmark, by the heading of their tables."""
    content = json.loads((ROOT / "results" / "benchmarks" / f"{name}.json").read_text())
    return {table["title"]: table["rows"] for table in content["tables"]}


def measured() -> dict[str, list[dict]]:
    """Error rates, by the heading of their tables."""
    return benchmark("error_rates")


def graph_rows() -> dict[str, tuple[str, ...]]:
    """What the table of CUDA graphs says, by dtype and batch."""
    (rows,) = benchmark("gpu_graphs").values()
    by_way: dict[str, dict] = {}
    for row in rows:
        name = f"{'float32' if row['dtype'] == "checkpoint's" else row['dtype']}, {row['batch']}"
        by_way.setdefault(name, {})[row["kernels"]] = row
    return {
        name: (f"{ways['one by one']['ms']:.0f}", f"{ways['graphs']['ms']:.0f}", f"{ways['graphs']['chunks/s']:.0f}")
        for name, ways in by_way.items()
    }


def gpu_claims() -> Iterator[Claim | Table]:
    """What the page on speed says of a GPU."""
    yield Table(SPEED, GRAPHS, graph_rows)
    episodes = next(rows for title, rows in benchmark("gpu_server").items() if title.startswith("episodes"))
    rates = {row["n_action_steps"]: f"{row['ep/min']:.0f}" for row in episodes}
    yield Claim(
        SPEED,
        "at {long} per minute with 50 actions of a chunk and {short} with 10",
        {"long": rates[50], "short": rates[10]},
    )
    (rows,) = benchmark("many_workers").values()
    shares = sorted(row["share"] for row in rows)
    yield Claim(
        SPEED,
        "One batching server answers {low} to {high} of the requests that are possible at best",
        {"low": two(shares[0]), "high": two(shares[-1])},
    )


CASES = {
    "official-10": "official scenes, 10 actions of a chunk executed",
    "official-50": "official scenes, 50 actions",
    "bundled-10": "bundled scenes, 10 actions",
}
"""Names of the cases of `against_lerobot_eval.py` on the page on speed."""


def against_rows() -> dict[str, tuple[str, ...]]:
    """How many times faster than `lerobot-eval`, by case: once started, and the whole command."""
    rows = {}
    for case, name in CASES.items():
        ratios = {
            row["in"]: row["median"] for row in benchmark("against_lerobot_eval")[f"{case}: how many times faster"]
        }
        rows[name] = tuple(f"{ratios[f'ep/min {part}']:.1f}" for part in ("steady", "whole"))
    return rows


def cpu_claims() -> Iterator[Claim | Table]:
    """What pages say of speed and memory without a GPU."""
    yield Table(SPEED, AGAINST, against_rows)
    costs = {title.partition(":")[0]: rows for title, rows in benchmark("cost_breakdown").items()}
    *_, two_workers = costs["efficiency per core and scaling"]
    parts = {row["ms per episode"]: row for row in costs["parts against their limits, one process"]}
    over = {name: f"{1 / parts[name]['limit / product']:.2f}" for name in ("control steps", "chunks")}
    yield Claim(
        SPEED,
        "Two workers play {rate} episodes of the bundled policy per minute, {times} times as many as one worker. "
        "That is {share} % of what",
        {
            "rate": f"{two_workers['ep/min steady']:.0f}",
            "times": f"{two_workers['x one worker']:.2f}",
            "share": f"{100 * two_workers['of the limit, as many at once']:.0f}",
        },
    )
    yield Claim(
        SPEED,
        "A control step takes {steps} times its calls of MuJoCo, a chunk {chunks} times its passes",
        {"steps": over["control steps"], "chunks": over["chunks"]},
    )
    yield from scene_claims()
    times = {
        (title.partition("-")[0], row[""]): f"{row['median']:.2f}"
        for title, rows in benchmark("against_checkout").items()
        if title.endswith("times before")
        for row in rows
    }
    yield Claim(
        SPEED,
        "A run plays {bundled} times the control steps per second of commit 21705c6, from before numerics were pinned, "
        "in the bundled scenes and {official} times in the official ones; with `--numerics native` {bundled_native} "
        "and {official_native} times",
        {scenes: times[scenes, "now"] for scenes in ("bundled", "official")}
        | {f"{scenes}_native": times[scenes, "now, native"] for scenes in ("bundled", "official")},
    )
    start, memory = benchmark("startup").values()
    best = {row["command"]: f"{row['best s']:.1f}" for row in start}
    yield Claim(
        SPEED,
        "after {alone} s in one process, after {ray} s with Ray (best of five)",
        {
            "alone": best["run on toy, this process, first episode"],
            "ray": best["run on toy, 2 workers, first episode"],
        },
    )
    shows = {"help": best["--help"], "show": best["show, 8 rows"], "many": best["show, 100000 rows"]}
    yield Claim(SPEED, "`--help` takes {help} s, a small table {show} s, a table of 100 000 episodes {many} s", shows)
    actor = {row["scenes"]: row for row in memory if row["policy in"] == "actor"}
    megabytes = {
        f"{scenes}_{word}": f"{row[key]:.0f}"
        for scenes, row in actor.items()
        for word, key in (("one", "worker RSS MB"), ("more", "a further worker MB"))
    }
    yield Claim(
        SPEED,
        "has {bundled_one} MB resident, {official_one} MB in the official scenes. Workers share libraries, so a "
        "further one takes {bundled_more} and {official_more} MB of the machine.",
        megabytes,
    )


def scene_claims() -> Iterator[Claim | Table]:
    """What pages say of one official scene, in stock LIBERO and here."""
    steps, drawn, memory = benchmark("libero_env").values()
    reset, blind, look = steps
    pages = {"look": f"{look['ours ms']:.0f}", "stock_look": f"{look['stock ms']:.0f}"}
    blinds = {"blind": f"{blind['ours ms']:.1f}", "stock_blind": f"{blind['stock ms']:.1f}"}
    yield Claim(SPEED, "control step with images: {look} ms, and {stock_look} ms in stock", pages)
    yield Claim(SPEED, "which takes {saved} % off", {"saved": f"{100 * (1 - drawn[0]['ratio']):.0f}"})
    yield Claim(SPEED, "without images takes {blind} ms, in stock LIBERO {stock_blind} ms", blinds)

    def rows() -> dict[str, tuple[str, ...]]:
        gigabytes = tuple(f"{value / 1000:.1f} GB" for value in memory[0].values())
        return {
            "reset and 10 settling steps": tuple(f"{reset[key] / 1000:.2g} s" for key in ("ours ms", "stock ms")),
            "control step without images": tuple(f"{value} ms" for value in blinds.values()),
            "control step with an image of each camera": tuple(f"{value} ms" for value in pages.values()),
            "memory of the process": gigabytes,
        }

    yield Table(SCENES, OFFICIAL, rows)


def missed(row: Mapping) -> bool:
    """Whether a simulated share is beyond what was aimed at by more than two standard errors."""
    if row["nominal"] is None:
        return False
    beyond = row["simulated"] - row["nominal"]
    signed = {"at least": -beyond, "at most": beyond, "about": abs(beyond)}[row["aim"]]
    return signed > 2 * row["error"]


def measured_rows(title: str) -> dict[str, tuple[str, ...]]:
    """What a table of error rates says, by world."""
    rows = {}
    for row in measured()[title]:
        aim = "-" if row["nominal"] is None else f"{row['aim']} {100 * row['nominal']:.3g}"
        found = percent(row["simulated"])
        found = f"**{found}** ± {percent(row['error'])}" if missed(row) else f"{found} ± {percent(row['error'])}"
        rows[row["world"]] = (aim, found, str(row["runs"]))
    return rows


def rate_claims() -> Iterator[Claim]:
    """Error rates that pages beside that of the methods name."""
    found = {row["world"]: percent(row["simulated"]) for rows in measured().values() for row in rows}
    for axis, row in AXES.items():
        true = found[f"{axis}, rates of `results/correlation`"]
        yield Claim(THRESHOLDS, f"{row} {{true}} % |", {"true": true})
    yield Claim(
        IN_CI,
        "six conditions of {pairs} pairs pass together in {rate} % of runs",
        {"pairs": "263", "rate": found["an equal candidate passes, 6 conditions, 263 pairs"]},
    )


AXES = {
    "light": "| light | 0.58 | 0.60 [0.54, 0.67] |",
    "occlusion": "| occlusion | 0.27 | 0.33 [0.21, 0.43] |",
    "noise": "| noise | 0.97 | beyond 0.78 |",
}
"""Rows of the table of thresholds, without their rates."""


def latency_rows() -> dict[str, tuple[str, ...]]:
    """Success and drop by latency, for each mode."""
    rates = {row.condition: row for row in analysed("latency").rates}
    drops = {row.condition: row for row in analysed("latency").drops}
    rows = {"0": (percent(clean("latency").rate), "", *[""] * 4)}
    for steps in (1, 2, 4, 8):
        cells: list[str] = []
        for mode in ("", "/mode=async", "/mode=rtc"):
            name = f"latency:{steps}{mode}"
            cells += [percent(rates[name].rate), f"{percent(drops[name].drop)} ({span(drops[name].interval)})"]
        rows[f"{50 * steps} ms"] = tuple(cells)
    return rows


@cache
def fine_tunes() -> SuiteStudy:
    """The study of fine-tunes with and without regularisers."""
    return study_results(Study.load(ROOT / "results" / "study_finetune")).suites[0]


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
OFFLINE: dict[tuple[Measure, str], str] = {
    ("drift", condition): f"`{condition}`"
    for condition in ("instruction:empty", "instruction:counterfactual", "brightness:0.5", "noise:0.3", "occlusion:0.2")
}


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


def fine_tune_tables() -> Iterator[Table]:
    """The tables of the page about fine-tunes."""
    closed, offline = (" | ".join(names.values()) for names in (CLOSED, OFFLINE))
    yield Table(FINETUNES, f"| %, over seeds (each seed) | {closed} |", lambda: recipe_rows(CLOSED, percent))
    yield Table(
        FINETUNES, GAINS.format("points over `flow`"), lambda: gain_rows(CLOSED, percent, {"no difference shown": "-"})
    )
    yield Table(FINETUNES, f"| drift | {offline} |", lambda: recipe_rows(OFFLINE, two))
    drifts = {"no difference shown": "-", "better": "less", "worse": "more"}
    yield Table(FINETUNES, GAINS.format("less drift than `flow`"), lambda: gain_rows(OFFLINE, two, drifts))


GAINS = "| {} | mean | over seeds (95 %) | over episodes (95 %) | p adj. | called |"
LATENCIES = "| latency | block, % | drop, points (95 % interval) | async, % | drop | rtc, % | drop |"
TASKS = "| {} | successes of 50 | 95 % interval, % |"
CONDITIONS = "| condition | success, % | drop, points (95 % interval) |"
AGAINST = "| scenes and chunk | once started | whole command, 8 episodes |"
OFFICIAL = "| | simeval | stock LIBERO |"
GRAPHS = "| dtype, batch | kernels one by one | graphs | chunks per second |"
MEASURED = "| {} | aimed at | simulated | runs |"
PIXELS = "mean_abs"


def study_claims() -> Iterator[Claim]:
    """What is said of drift as a predictor."""
    yield Claim(
        DRIFT,
        "rank correlation {rho} (95 % interval for other perturbations like these {rho_low} to {rho_high})",
        drift(),
    )
    yield Claim(DRIFT, "about {more} more kinds of perturbation could decide", drift())
    yield Claim(DRIFT, "Kinds, not only strengths of one kind, are ordered (p {p})", drift())
    yield Claim(DRIFT, "predicted from drift alone with an error of {mae} points on average", drift())
    yield Claim(DRIFT, "where the mean of the other kinds is off by {naive}.", drift())
    yield Claim(DRIFT, "(AUROC within task and condition {auroc}, {auroc_low} to {auroc_high})", drift())
    yield Claim(DRIFT, "The change of the pixels alone says little ({pixels}, {pixels_low} to {pixels_high})", drift())
    yield Claim(DRIFT, "![Drift against drop: {k} conditions of {families} families]", drift())


def statements() -> Iterator[Claim | Table | Screen]:
    """Everything that is written from rows."""
    dark = {"dark": rate_of("correlation", "light:0.4"), **whole("spatial")}
    both = {"object": percent(clean("object").rate), "goal": percent(clean("goal").rate)}
    for file in (README, START):
        yield Screen(file, "`make run` ends like this:", first_run)
    yield Screen(START, "It prints this table:", toy)
    yield Claim(START, "perturbations cost it success: {rate} % clean over {n} published initial", dark)
    yield Claim(START, "(`simeval show results/spatial`), {dark} % under `light:0.4`", dark)
    yield Claim(START, "reach {object} and {goal} % (`simeval show results/object`", both)
    yield from study_claims()
    yield from cpu_claims()
    yield from gpu_claims()
    yield Table(LATENCY, LATENCIES, latency_rows)
    yield from fine_tune_tables()
    yield from rate_claims()
    for title in measured():
        yield Table(METHODS, MEASURED.format(title), partial(measured_rows, title))
    for name in ("spatial", "object", "goal"):
        yield Claim(
            CARD,
            f"--out results/{name}`): **{{wins}} of {{n}}**, {{rate}} % (95 % interval {{low}} to {{high}}).",
            whole(name),
        )
    yield Table(CARD, TASKS.format("bowl"), lambda: task_rows("spatial", TASKS.format("bowl")))
    yield Table(CARD, TASKS.format("object"), lambda: task_rows("object", TASKS.format("object")))
    yield Table(CARD, TASKS.format("goal"), lambda: task_rows("goal", TASKS.format("goal")))
    yield Claim(CARD, "(50 pairs each, clean {rate} %; rows in `results/correlation`", whole("correlation"))
    yield Table(CARD, CONDITIONS, lambda: condition_rows("correlation"))
    other = {"pairs": str(clean("correlation").n)} | language("correlation", "instruction:counterfactual")
    yield Claim(
        CARD,
        "(`instruction:counterfactual`, {pairs} pairs), it brought the other bowl in {followed} %, the original one in "
        "{ignored} %; the gripper first closed next to what the instruction names in {approached} %.",
        other,
    )
    yield Claim(
        CARD, "In {right} of the {failures} failures above it had first closed its gripper at the right", held("object")
    )
    yield Claim(
        CARD, "In {other} of the {failures} failures the gripper first closed at something else", first_grasps("goal")
    )


def main() -> int:
    """Rewrite the files; the exit code is 1 if a statement has no place in its file."""
    for statement in statements():
        path = ROOT / statement.file
        try:
            content = statement.written(path.read_text())
        except ValueError as error:
            sys.stderr.write(f"{error}\n")
            return 1
        path.write_text(content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
