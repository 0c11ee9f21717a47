"""Speed and memory: docs/numbers/speed.md. What it says of one scene is in scenes.py."""

from collections.abc import Iterator

from documented.benchmarks import benchmark
from documented.claims import Claim, Statement, Table
from documented.formats import two_decimals

PAGE = "docs/numbers/speed.md"
AGAINST = "| scenes and chunk | once started | whole command, 8 episodes |"
CASES = {
    "official-10": "official scenes, 10 actions of a chunk executed",
    "official-50": "official scenes, 50 actions",
    "bundled-10": "bundled scenes, 10 actions",
}
"""Names of the cases of `against_lerobot_eval.py` on the page."""
GRAPHS = "| dtype, batch | kernels one by one | graphs | chunks per second |"


def statements() -> Iterator[Statement]:
    yield Table(PAGE, AGAINST, against_rows)
    yield from cost_claims()
    yield checkout_claim()
    yield change_claim()
    yield from startup_claims()
    yield Table(PAGE, GRAPHS, graph_rows)
    yield from server_claims()


def against_rows() -> dict[str, tuple[str, ...]]:
    """How many times faster than `lerobot-eval`, by case: once started, and the whole command."""
    rows = {}
    for case, name in CASES.items():
        ratios = {
            row["in"]: row["median"] for row in benchmark("against_lerobot_eval")[f"{case}: how many times faster"]
        }
        rows[name] = tuple(f"{ratios[f'ep/min {part}']:.1f}" for part in ("steady", "whole"))
    return rows


def cost_claims() -> Iterator[Claim]:
    """Episodes per minute, and what the parts of an episode take beside what they call."""
    costs = {title.partition(":")[0]: rows for title, rows in benchmark("cost_breakdown").items()}
    *_, two_workers = costs["efficiency per core and scaling"]
    yield Claim(
        PAGE,
        "Two workers play {rate} episodes of the bundled policy per minute, {times} times as many as one worker. "
        "That is {share} % of what",
        {
            "rate": f"{two_workers['ep/min steady']:.0f}",
            "times": f"{two_workers['x one worker']:.2f}",
            "share": f"{100 * two_workers['of the limit, as many at once']:.0f}",
        },
    )
    parts = {row["ms per episode"]: row for row in costs["parts against their limits, one process"]}
    over = {name: f"{1 / parts[name]['limit / product']:.2f}" for name in ("control steps", "chunks")}
    yield Claim(
        PAGE,
        "A control step takes {steps} times its calls of MuJoCo, a chunk {chunks} times its passes",
        {"steps": over["control steps"], "chunks": over["chunks"]},
    )


def checkout_claim() -> Claim:
    """How many times faster than an earlier commit."""
    times = {
        (title.partition("-")[0], row[""]): f"{row['median']:.2f}"
        for title, rows in benchmark("against_checkout").items()
        if title.endswith("times before")
        for row in rows
    }
    return Claim(
        PAGE,
        "A run plays {bundled} times the control steps per second of commit 21705c6, from before numerics were pinned, "
        "in the bundled scenes and {official} times in the official ones; with `--numerics native` {bundled_native} "
        "and {official_native} times",
        {scenes: times[scenes, "now"] for scenes in ("bundled", "official")}
        | {f"{scenes}_native": times[scenes, "now, native"] for scenes in ("bundled", "official")},
    )


def change_claim() -> Claim:
    """What a change of task costs a worker."""
    bundled, official, (page,) = benchmark("scene_change").values()

    def average(rows: list[dict], kind: str = "", column: str = "change CPU s", digits: int = 1) -> str:
        chosen = [row for row in rows if kind in row["to"]]
        total = sum(row["changes"] * row[column] for row in chosen)
        return f"{round(total / sum(row['changes'] for row in chosen), digits):.{max(digits, 0)}f}"

    return Claim(
        PAGE,
        "that takes it {same} s of CPU time where the scene is the same (all of libero_spatial, all of libero_goal), "
        "and {other} s where it is another (libero_object, most of libero_10); in the bundled scenes {bundled} s "
        "(`python tests/benchmarks/scene_change.py`). Of the {other} s the system takes {system} s, mostly for {pages} "
        "pages of memory that are used for the first time, at up to {us} µs each on this virtual machine.",
        {
            "same": average(official, "same"),
            "other": average(official, "another"),
            "bundled": average(bundled),
            "system": average(official, "another", "of it system s"),
            "pages": average(official, "another", "page faults", -3),
            "us": f"{page['us of CPU']:.1f}",
        },
    )


def startup_claims() -> Iterator[Claim]:
    """What passes before a first episode or table, and the memory of workers."""
    start, memory = benchmark("startup").values()
    best = {row["command"]: f"{row['best s']:.1f}" for row in start}
    yield Claim(
        PAGE,
        "after {alone} s in one process, after {ray} s with Ray (best of five)",
        {
            "alone": best["run on toy, this process, first episode"],
            "ray": best["run on toy, 2 workers, first episode"],
        },
    )
    shows = {"help": best["--help"], "show": best["show, 8 rows"], "many": best["show, 100000 rows"]}
    yield Claim(PAGE, "`--help` takes {help} s, a small table {show} s, a table of 100 000 episodes {many} s", shows)
    actor = {row["scenes"]: row for row in memory if row["policy in"] == "actor"}
    megabytes = {
        f"{scenes}_{word}": f"{row[key]:.0f}"
        for scenes, row in actor.items()
        for word, key in (("one", "worker RSS MB"), ("more", "a further worker MB"))
    }
    yield Claim(
        PAGE,
        "has {bundled_one} MB resident, {official_one} MB in the official scenes. Workers share libraries and "
        "large scenes, so a further one takes {bundled_more} and {official_more} MB of the machine.",
        megabytes,
    )


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


def server_claims() -> Iterator[Claim]:
    """How many episodes and requests one policy on a GPU serves."""
    episodes = next(rows for title, rows in benchmark("gpu_server").items() if title.startswith("episodes"))
    rates = {row["n_action_steps"]: f"{row['ep/min']:.0f}" for row in episodes}
    yield Claim(
        PAGE,
        "at {long} per minute with 50 actions of a chunk and {short} with 10",
        {"long": rates[50], "short": rates[10]},
    )
    (rows,) = benchmark("many_workers").values()
    shares = sorted(row["share"] for row in rows)
    yield Claim(
        PAGE,
        "One batching server answers {low} to {high} of the requests that a simulated best schedule answers",
        {"low": two_decimals(shares[0]), "high": two_decimals(shares[-1])},
    )
