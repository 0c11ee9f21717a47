"""What the terminal says of drift and of two runs: which interval is which, and why one is missing."""

import io
import re
from dataclasses import replace

import numpy as np
import pytest
from drift_studies import simulated
from reports import named, study_result
from rich.console import Console, RenderableType

from simeval.analysis.compare import Comparison, SuiteChange
from simeval.drift.summary import AuditSummary, ConditionDrift
from simeval.report.terminal.audit import render_audit
from simeval.report.terminal.compare import render_comparison
from simeval.report.terminal.drift import render_study
from simeval.stats.change import compare_drift, compare_runs
from simeval.stats.drift import mean_drift
from simeval.stats.resampling import Resampling


def drawn(what: RenderableType, width: int = 80) -> str:
    stream = io.StringIO()
    Console(file=stream, width=width, color_system=None).print(what)
    text = stream.getvalue()
    assert max(len(line) for line in text.splitlines()) <= width
    assert "…" not in text
    return text


def words(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("width", [80, 100])
def test_the_two_intervals_are_named_by_what_they_are_about(width):
    text = drawn(render_study("SmolVLA", study_result(named(simulated(3, families=8, severities=3)))), width)
    assert "perturbations run again" in words(text)
    assert "conditions of 8 kinds" in words(text)
    assert "spearman without that noise" in text
    mmrv = next(line for line in text.splitlines() if line.startswith("mmrv"))
    assert "[" not in mmrv


def test_drift_of_few_episodes_says_why_it_has_no_interval():
    few = render_study("SmolVLA", study_result(named(simulated(3, families=8, severities=3, tasks=1, states=3))))
    assert "3 episodes only: no interval" in words(drawn(few))
    row = ConditionDrift("noise:0.3", mean_drift([0.1, 0.2, 0.3], [0, 1, 2]), 0.3, 0.0, 1.0, 0)
    audit = render_audit(AuditSummary((row,), None, 3, 0, 0), "seeker", ())
    assert "noise:0.3: 3 episodes only: no interval" in drawn(audit)


LONG = "camera.orbit:20deg+occlusion:0.2@agentview+instruction:counterfactual+noise:0.3"


@pytest.mark.parametrize("reason", ["", "480 of 500 pairs are missing or broke; finish the runs"])
def test_long_conditions_of_two_runs_are_folded_and_no_number_is_cut(reason):
    rng, names = np.random.default_rng(9), ("none", LONG)
    runs = [np.column_stack([rng.random(300) < rate, rng.random(300) < rate / 2]).astype(float) for rate in (0.4, 0.9)]
    change = compare_runs(names, *runs, resampling=Resampling(n_permutations=199))
    change = replace(change, success=tuple(replace(gain, reason=reason) for gain in change.success))
    text = drawn(render_comparison(Comparison("before", "after", "no scenes", (SuiteChange("toy", change),))), 80)
    assert "…" not in text
    (table,) = re.findall(r"toy, success *\n(.*?)\n *\n", text, re.DOTALL)
    columns = ("".join(line[:width].strip() for line in table.splitlines()) for width in range(8, 40))
    assert any(LONG in column for column in columns), table
    assert reason.replace(" ", "") in "".join(text.split()) or reason.split()[0] in table


@pytest.mark.parametrize("width", [80, 100])
def test_two_runs_are_compared_on_two_scales(width):
    rng, names = np.random.default_rng(9), ("none", "noise:0.05", "camera.orbit:20deg")
    runs = []
    for rate in (0.35, 0.85):
        clean = rng.random(300) < rate
        runs.append(np.column_stack([clean, clean[:, None] & (rng.random((300, 2)) < 0.5)]).astype(float))
    quick = Resampling(n_permutations=199)
    drift = compare_drift(names[1:], *rng.random((2, 12, 2)), units=np.arange(12), resampling=quick)
    suite = SuiteChange("toy", compare_runs(names, *runs, resampling=quick), drift)
    text = drawn(render_comparison(Comparison("before", "after", "no scenes", (suite,))), width)
    assert "depends on" in text
    assert "success kept of `none`" in text
    assert "p, adjusted" in text
    assert "for 2" in text
    assert "worse under" not in words(text)
