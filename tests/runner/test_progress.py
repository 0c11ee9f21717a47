"""What is shown while a run goes on: counts over the finished prefix of the plan, never over what finished first."""

import io
import json
from pathlib import Path

import pytest
import rich.progress
from helpers import toy_config
from rich.console import Console

from simeval.config.decisions import RunDecisions
from simeval.config.evaluation import EvalConfig
from simeval.config.layout import layout_of, planned
from simeval.config.plan import make_plan
from simeval.core.progress_bar import TimeLeft
from simeval.core.rounds import in_rounds
from simeval.core.types import EpisodeResult
from simeval.runner.progress import JsonProgress, LiveProgress, PlainProgress, RunCounts, Silent

PLAN = make_plan(toy_config(Path("x"), tasks="0,1", init_states="0-1", perturb=("noise:0.3",)))


def result(index: int, outcome: str = "success") -> EpisodeResult:
    broken = {"error_phase": "policy", "error_text": "ValueError: [red]no[/red] :smile:"} if outcome == "error" else {}
    return EpisodeResult(PLAN.episodes[index], outcome, **broken)


def test_rates_count_the_finished_prefix_of_each_task():
    """Eight episodes: none, noise, none, noise of task 0, then of task 1."""
    counts = RunCounts(PLAN)
    assert counts.prefix_counts() == {"none": (0, 0), "noise:0.3": (0, 0)}
    counts.add(result(2), fresh=True)
    counts.add(result(3), fresh=True)
    assert counts.prefix_counts() == {"none": (0, 0), "noise:0.3": (0, 0)}
    counts.add(result(4, "failure"), fresh=True)
    assert counts.prefix_counts() == {"none": (0, 1), "noise:0.3": (0, 0)}
    counts.add(result(0), fresh=True)
    assert counts.prefix_counts() == {"none": (1, 2), "noise:0.3": (0, 0)}
    counts.add(result(1, "failure"), fresh=True)
    assert counts.prefix_counts() == {"none": (2, 3), "noise:0.3": (1, 2)}
    assert (counts.done, counts.total, counts.errors) == (5, 8, 0)


def test_errors_move_the_prefix_on_and_count_neither_way():
    counts = RunCounts(PLAN)
    for index, outcome in enumerate(["error", "success", "success"]):
        counts.add(result(index, outcome), fresh=True)
    assert counts.prefix_counts() == {"none": (1, 1), "noise:0.3": (1, 1)}
    assert (counts.done, counts.errors) == (3, 1)


def test_the_rate_is_that_of_this_session():
    counts = RunCounts(PLAN)
    counts.add(result(0), fresh=False)
    assert counts.eta is None
    counts.add(result(1), fresh=True)
    assert counts.eta > 0
    assert counts.per_minute > 0


@pytest.mark.parametrize("kind", [PlainProgress, LiveProgress])
def test_people_see_errors_the_count_and_the_rates(kind):
    out = io.StringIO()
    console = Console(file=out, width=200, force_terminal=kind is LiveProgress, color_system=None)
    progress = kind(console)
    progress.start(PLAN, [result(0)], "a note")
    for index in range(1, 8):
        progress.update(result(index, "error" if index == 5 else "success" if index % 2 else "failure"))
    if kind is LiveProgress:
        console.print(progress)
    progress.stop()
    text = out.getvalue()
    assert "a note" in text
    assert "error in toy/1/init00/noise=0.3/r0 (policy): ValueError: [red]no[/red] :smile:" in text
    assert ("8/8 episodes, 1 errors" in text) or ("8/8 episodes" in text and "1 in error" in text)
    assert ("none 25.0 %  noise:0.3 100.0 %" in text) or ("1/4" in text and "3/3" in text)


def screen(width, height, conditions, done=None):
    """The lines of the live display after some episodes of a plan with many conditions."""
    perturb = (f"noise:{','.join(str(k / 100) for k in range(1, conditions))}",)
    plan = make_plan(toy_config(Path("x"), tasks="0", init_states="0-1", perturb=perturb))
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None)
    progress = LiveProgress(console)
    progress.start(plan, [], "toy: a note")
    for spec in plan.episodes[:done]:
        progress.update(EpisodeResult(spec, "success"))
    progress.stop()
    lines = console.render_lines(progress, pad=False)
    return ["".join(segment.text for segment in line).rstrip() for line in lines]


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("done", [0, 1, 13, 26])
def test_the_bar_has_one_line_as_wide_as_the_terminal_and_each_condition_one_below_it(width, done):
    note, bar, pace, head, *rows = screen(width, 24, 13, done)
    assert note == "toy: a note"
    assert len(bar) in (width, width - 1)
    assert f"{done}/26 episodes {'0:00:0' if done else 'starting'}" in bar
    drawn = width - len(bar.lstrip("━╸╺ ")) - 2
    assert drawn > width / 3
    assert bar.count("━") == pytest.approx(drawn * done / 26, abs=2)
    assert pace.endswith("per minute" if done else "")
    assert head.split() == ["condition", "so", "far", "success", "%"]
    assert [row.split()[0] for row in rows] == ["none", *(f"noise:{k / 100}" for k in range(1, 13))]
    if done == 26:
        assert {tuple(row.split()[1:]) for row in rows} == {("2/2", "100.0")}


def test_conditions_go_side_by_side_where_they_are_more_than_lines():
    lines = screen(120, 24, 40)
    assert len(lines) < 24
    shown = " ".join(lines[3:]).split()
    assert {f"noise:{k / 100}" for k in range(1, 40)} < set(shown)
    assert shown.count("100.0") == shown.count("2/2") == shown.count("%") == 40
    assert lines[3].startswith("none ")
    assert lines[4].startswith("noise:0.01 "), "downwards first"


def test_the_time_left_is_at_the_mean_rate_of_this_session():
    """Ten of twenty were there before, so five in a minute leave a minute for the other five."""
    now = 0.0
    progress = rich.progress.Progress(TimeLeft(), get_time=lambda: now)
    task = progress.add_task("", total=20, completed=10, earlier=10)
    assert TimeLeft().render(progress.tasks[0]).plain == "starting"
    now = 60.0
    progress.advance(task, 5)
    assert TimeLeft().render(progress.tasks[0]).plain == "0:01:00 left"


def test_plain_progress_is_a_line_at_the_start_and_at_the_end_not_per_episode():
    out = io.StringIO()
    progress = PlainProgress(Console(file=out, width=200))
    progress.start(PLAN, [], "a note")
    for index in range(8):
        progress.update(result(index))
    progress.stop()
    assert len(out.getvalue().splitlines()) == 2


def test_machines_get_one_object_per_line(capsys):
    progress = JsonProgress()
    progress.start(PLAN, [result(0)], "a note")
    progress.update(result(1, "error"))
    progress.stop()
    start, episode = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert start == {"event": "start", "episodes": 8, "finished": 1, "note": "a note"}
    assert (episode["event"], episode["id"], episode["outcome"]) == ("episode", PLAN.episodes[1].id, "error")


def test_silence_says_nothing(capsys):
    progress = Silent()
    progress.start(PLAN, [], "a note")
    progress.update(result(0))
    progress.stop()
    assert capsys.readouterr() == ("", "")


def test_what_is_left_of_a_run_that_stops_shrinks_with_every_decision():
    config = EvalConfig(suite=("toy",), perturb=("noise:0.9", "light:0.9"), until="decided", max_pairs=40, workers=0)
    plan = make_plan(config)
    manifest = {"conditions": plan.conditions, "config": config.to_dict(), "layout": layout_of(plan)}
    decisions = RunDecisions(planned(manifest), 0.05, max_pairs=40)
    counts = RunCounts(plan, decisions)
    assert counts.most == 120
    for spec in in_rounds(plan.episodes)[:60]:
        outcome = "failure" if spec.condition == "noise:0.9" else "success"
        decisions.record(spec, outcome)
        counts.add(EpisodeResult(spec, outcome), fresh=True)
    assert counts.newly_decided() == [("toy", "noise:0.9")]
    assert counts.newly_decided() == []
    assert counts.evidence("noise:0.9") == "drop, after 9 pairs"
    assert counts.evidence("light:0.9").startswith("e 1 of 40, about ")
    assert counts.evidence("none") == ""
    assert counts.most == 60 + 2 * 20
