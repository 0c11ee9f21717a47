"""What latency cost: rates of a handful of episodes, by hand, and the largest latency within a margin."""

import json

import pandas as pd
import pytest
from rich.console import Console

from simeval.analysis.latency import EXECUTION, latency_limits, latency_table
from simeval.analysis.success import ConditionDrop, analyse, success_table, summary
from simeval.core.types import EpisodeResult, EpisodeSpec, Execution
from simeval.report.terminal.latency import limit_lines
from simeval.report.terminal.tables import render_tables
from simeval.stats.intervals import Interval
from simeval.store.dataframe import to_dataframe


def result(condition, init_state, execution=None, *, outcome="success", suite="toy", steps=40):
    spec = EpisodeSpec(suite, 0, init_state, condition, 0, 0, 0, 60, 10, 128)
    return EpisodeResult(spec, outcome, steps=steps, execution=execution)


def table(*results) -> pd.DataFrame:
    rows = [EpisodeResult.from_row(r.row()) for r in results]
    frame = pd.DataFrame([{**r.row(), **r.row()["spec"], **_execution(r)} for r in rows])
    conditions = list(dict.fromkeys(frame["condition"]))
    return frame.assign(condition=pd.Categorical(frame["condition"], conditions))


def _execution(r) -> dict:
    if r.execution is None:
        return dict.fromkeys(EXECUTION)
    numbers = {name: getattr(r.execution, name) for name in EXECUTION}
    return numbers | {"latencies": json.dumps(list(r.execution.latencies))}


def test_shares_and_rates_are_over_all_control_steps():
    episodes = table(
        result("none", 0),
        result("latency:2", 0, Execution((2, 2, 2, 2), 0, 0, 8)),
        result("latency:2", 1, Execution((2,), 0, 0, 2), steps=10),
        result("latency:2", 2, outcome="error"),
        result("latency:4/mode=async/threshold=0.5", 0, Execution((4, 4), 1, 6, 4)),
    )
    first, second = latency_table(episodes, success_table(episodes))
    assert (first.condition, first.way, first.steps, first.mean_steps, first.step_ms) == (
        "latency:2",
        "block",
        2,
        2,
        50,
    )
    assert (first.idle, first.stale, first.replans) == (10 / 50, 0, 0)
    assert (first.control_hz, first.asked_hz) == pytest.approx((16, 20 * 5 / 50))
    assert (second.way, second.idle, second.stale, second.replans) == ("async, threshold 0.5", 0.1, 0.15, 1)
    assert second.control_hz == pytest.approx(18)


def test_a_run_without_latency_has_no_such_table():
    episodes = table(result("none", 0), result("noise:0.1", 0))
    assert analyse(episodes).latency == ()
    assert "latency" not in summary(episodes)
    assert "latency_limits" not in summary(episodes)
    assert latency_table(episodes.drop(columns=["latencies"]), ()) == ()


def test_the_columns_of_a_run_are_those_that_the_table_reads():
    assert set(EXECUTION) < set(to_dataframe([], suites=["toy"], conditions=["none"]).columns)


def drop(condition, value, interval, verdict):
    limits = Interval(*interval, 0.95, "test") if interval else None
    return ConditionDrop("toy", condition, 9, 0, 0, 0, 1.0, 1.0, value, limits, verdict=verdict)


def limits_of(*drops):
    episodes = table(*(result(d.condition, 0, Execution((1,), 0, 0, 1)) for d in drops))
    return latency_limits(latency_table(episodes, success_table(episodes)), drops, 0.05)


def test_the_largest_latency_is_the_last_before_the_first_that_costs_more_than_the_margin():
    (limit,) = limits_of(
        drop("latency:8", 0.02, (-0.1, 0.2), "undecided"),
        drop("latency:1", 0.0, (-0.01, 0.01), "within margin"),
        drop("latency:2", 0.04, (0.0, 0.08), "undecided"),
        drop("latency:4", 0.07, (0.01, 0.13), "drop"),
        drop("latency:16", 0.5, (0.4, 0.6), "drop"),
    )
    assert (limit.tested, limit.largest, limit.low, limit.high) == ((1, 2, 4, 8, 16), 2, 1, 8)
    assert limit_lines([limit], 0.05) == [
        "toy, block: success stays within 5 points of none up to 2 control steps (100 ms); shown up to 1, "
        "not excluded up to 8 (95 %, unadjusted)."
    ]


def test_a_limit_may_be_nothing_or_all_that_was_tested():
    nothing, everything = limits_of(
        drop("latency:1", 0.5, (0.4, 0.6), "drop"),
        drop("latency:1/mode=async", 0.0, None, "within margin"),
    )
    assert (nothing.largest, nothing.low, nothing.high) == (0, 0, 0)
    assert (everything.way, everything.largest, everything.low, everything.high) == ("async", 1, 1, 1)
    assert "not excluded up to 1, the largest tested" in limit_lines([everything], 0.05)[0]
    assert limits_of(drop("latency:1", None, None, None))[0].largest == 0


def test_the_terminal_table_shows_the_control_frequency_reached():
    episodes = table(result("none", 0), result("latency:2", 0, Execution((2, 2), 0, 0, 4)))
    console = Console(width=100)
    with console.capture() as shown:
        console.print(render_tables(analyse(episodes), policy="seeker", assets="toy scenes"))
    (line,) = [line.split() for line in shown.get().splitlines() if line.startswith("latency:2 ") and " 18.0 " in line]
    assert line == ["latency:2", "2.0", "1.0", "18.0", "10.0", "0.0", "0.0"]
