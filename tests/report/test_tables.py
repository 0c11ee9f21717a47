"""What is printed: complete at 80 and 100 columns, plain when piped, in words where there is no number."""

import io
import re
from dataclasses import replace

import pytest
from rich.console import Console, RenderableType

from simeval.analysis.by_category import ALL_SUITES, CategoryRate
from simeval.analysis.success import (
    ConditionDrop,
    ConditionRate,
    LanguageRate,
    OverallRate,
    RunAnalysis,
    Share,
    TaskRate,
)
from simeval.report import headline, print_run, render_by_task
from simeval.report.format import verdicts
from simeval.stats.intervals import Interval
from simeval.stats.power import sensitivity

ASSETS = "toy scenes: not LIBERO results"
ORBIT = "camera.orbit:20deg"


def ci(low: float, high: float) -> Interval:
    return Interval(low, high, 0.95, "test")


CLEAN = ConditionRate(
    "libero_spatial", "none", 10, 500, 437, 0, 0.874, ci(0.842, 0.9), ci(0.8, 0.94), 110.5, None, None
)
TURNED = replace(CLEAN, condition=ORBIT, successes=282, rate=0.564, interval=ci(0.52, 0.607))
NOISY = replace(CLEAN, condition="noise:0.05", n=499, errors=1, rate=0.868, interval=ci(0.835, 0.895))
NOISY = replace(NOISY, rate_if_errors_fail=0.866, rate_if_errors_succeed=0.868)
ORBIT_DROP = ConditionDrop(
    "libero_spatial",
    ORBIT,
    500,
    0,
    160,
    5,
    0.874,
    0.564,
    0.31,
    ci(0.27, 0.35),
    1e-30,
    2e-30,
    0.645,
    0.041,
    "drop",
    sensitivity=sensitivity(500, 2),
)
NOISE_DROP = replace(
    ORBIT_DROP,
    condition="noise:0.05",
    pairs=499,
    missing=1,
    harmed=6,
    helped=4,
    drop=0.004,
    interval=ci(-0.0104, 0.0184),
    p=0.754,
    p_holm=0.754,
    verdict="within margin",
    sensitivity=sensitivity(499, 2),
)
SHARE = Share(50, 0.1, ci(0.077, 0.129))
RUN = RunAnalysis(
    rates=(CLEAN, TURNED, NOISY),
    drops=(ORBIT_DROP, NOISE_DROP),
    tasks=(TaskRate("libero_spatial", 3, "none", 50, 0, 0.9, ci(0.786, 0.957)),),
    language=(),
    overall=(),
    margin=0.05,
)


def on_two_suites() -> RunAnalysis:
    goal = tuple(replace(row, suite="libero_goal") for row in RUN.rates)
    worse = replace(ORBIT_DROP, suite="libero_goal", pairs=100, drop=0.4, sensitivity=sensitivity(100, 2))
    overall = (
        OverallRate("none", 2, 0.874, ci(0.85, 0.89)),
        OverallRate(ORBIT, 2, 0.564, ci(0.53, 0.59)),
    )
    language = (LanguageRate("libero_goal", "instruction:counterfactual", 500, 0, SHARE, SHARE, SHARE),)
    return replace(RUN, rates=RUN.rates + goal, drops=(*RUN.drops, worse), overall=overall, language=language)


def printed(run: RunAnalysis, width: int) -> str:
    file = io.StringIO()
    print_run(Console(file=file, width=width), run, policy="SmolVLA", assets=ASSETS)
    return file.getvalue()


def drawn(renderable: RenderableType) -> str:
    file = io.StringIO()
    Console(file=file, width=80).print(renderable)
    return file.getvalue()


def words(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("width", [80, 100])
@pytest.mark.parametrize("run", [RUN, on_two_suites()], ids=["one suite", "two suites"])
def test_fits_the_width_and_is_plain(run, width):
    text = printed(run, width)
    assert max(len(line) for line in text.splitlines()) <= width
    assert "\x1b" not in text
    assert "…" not in text
    assert "nan" not in text.lower()


@pytest.mark.parametrize("width", [80, 100])
def test_shows_the_numbers(width):
    text = printed(RUN, width)
    row = next(line for line in text.splitlines() if line.startswith("camera.orbit:"))
    assert (
        re.sub(r" +", " ", row).split(" ", 1)[1].strip() == "500 56.4 [52.0, 60.7] 31.0 [27.0, 35.0] 160 / 5 <0.001 0"
    )
    assert "0.4 [-1.0, 1.8]" in text
    assert "0.754" in text
    flat = words(text)
    assert "drop: camera.orbit:20deg | costs less than 5.0 points (each at 5 % risk): noise:0.05" in flat
    assert "With 499 to 500 pairs a true drop of 6.5 points would be found in 8 of 10 such runs, half of it in" in flat
    assert "1 error left out; success would be 86.6 % if all had failed, 86.8 % if all had succeeded" in flat
    assert flat.endswith(ASSETS)


def test_long_conditions_are_folded_not_cut():
    long = "brightness:1.5+noise:0.05@wrist+occlusion:0.2/mode=static"
    text = printed(replace(RUN, rates=(CLEAN, replace(TURNED, condition=long)), drops=()), 80)
    first_column = "".join(line.split(" ")[0] for line in text.splitlines())
    assert long in first_column


@pytest.mark.parametrize("width", [80, 100])
def test_categories_have_a_table_per_suite_and_one_for_all(width):
    rows = (
        CategoryRate("libero_goal_plus", "camera", "none", 408, 408, 0, 0.25, ci(0.21, 0.294)),
        CategoryRate("libero_goal_plus", "robot", "none", 0, 0, 3, None, ci(0, 1)),
        CategoryRate(ALL_SUITES, "camera", "none", 1599, 1599, 0, 0.5, ci(0.476, 0.524)),
    )
    text = printed(replace(RUN, categories=rows), width)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    first, second = lines.index("libero_goal_plus, by category"), lines.index("the tasks of all suites, by category")
    assert first < lines.index("camera none 408 25.0 [21.0, 29.4] 0") < second
    assert second < lines.index("camera none 1599 50.0 [47.6, 52.4] 0")
    assert any(line.startswith("robot none 0 ") and line.endswith(" 3") for line in lines)
    assert "intervals by Wilson over the tasks of a category" in words(text)
    assert "by category" not in printed(RUN, width)


def test_headline():
    assert headline("SmolVLA", RUN) == (
        "SmolVLA on libero_spatial: 87.4 % (84.2 to 90.0) clean; `camera.orbit:20deg` costs 31.0 points "
        "(27.0 to 35.0), 160 harmed, 5 helped of 500; 1 episode broke."
    )
    assert words(printed(RUN, 80)).startswith(headline("SmolVLA", RUN))


def test_headline_of_several_suites_names_the_suite_of_the_worst():
    text = headline("SmolVLA", on_two_suites())
    assert text.startswith(
        "SmolVLA on 2 suites: 87.4 % (85.0 to 89.0) clean; `camera.orbit:20deg` on libero_goal costs 40.0"
    )


def test_headline_does_not_claim_what_was_not_shown():
    assert headline("SmolVLA", replace(RUN, drops=(NOISE_DROP,))).endswith(
        "clean; no drop is established; the largest estimate is `noise:0.05` with 0.4 points (-1.0 to 1.8), 6 harmed, "
        "4 helped of 499 (within margin); 1 episode broke."
    )
    assert headline("SmolVLA", replace(RUN, drops=())).endswith("(84.2 to 90.0) clean; 1 episode broke.")


def test_an_interval_without_zero_beside_cannot_tell_is_explained():
    """20.0 [2.3, 36.1] alone, but one of 28: the headline and the header of the columns say so."""
    one = replace(
        ORBIT_DROP, pairs=50, harmed=12, helped=2, drop=0.2, interval=ci(0.023, 0.361), p=0.028, p_holm=0.786,
        verdict="undecided", sensitivity=sensitivity(50, 28), more_pairs=90,
    )  # fmt: skip
    run = replace(RUN, drops=(one,))
    assert "(2.3 to 36.1), 12 harmed, 2 helped of 50 (cannot tell: p 0.786 after adjusting for 28 comparisons)" in (
        headline("SmolVLA", run)
    )
    text = printed(run, 80)
    heads = " ".join(text.split("─")[0].split())
    assert "points [95 % CI," in heads
    assert "unadjusted]" in heads
    assert "p adj." in heads
    assert "for 28" in heads
    flat = words(text)
    cost = "cannot tell: camera.orbit:20deg may cost up to 36.1 points"
    assert f"{cost}; about 90 more pairs, of other initial states, would decide" in flat
    assert "A drop is called from 22.0 observed points on (11 harmed, 0 helped; fewer beside other drops)" in flat
    assert "could not see" not in flat
    assert "p by McNemar's exact test, adjusted for the number of comparisons in a suite (Holm)." in flat


def test_points_are_not_counted_in_pairs_where_tasks_are_unequal():
    size = replace(sensitivity(50, 1), equal=False)
    flat = words(printed(replace(RUN, drops=(replace(NOISE_DROP, pairs=50, sensitivity=size),)), 80))
    assert "observed points on" not in flat
    assert "With 50 pairs, if tasks had equally many, a true drop of" in flat
    assert "A drop takes at least 6 harmed pairs (0 helped); their points depend on their tasks." in flat


def test_one_comparison_is_adjusted_for_nothing():
    text = printed(replace(RUN, drops=(replace(NOISE_DROP, sensitivity=sensitivity(499, 1)),)), 80)
    assert "adj" not in text


@pytest.mark.parametrize("count", [1, 3, 4])
def test_undecided_conditions_say_what_they_may_cost(count):
    names = [f"noise:0.{place + 1}" for place in range(count)]
    rows = tuple(
        replace(
            NOISE_DROP, condition=name, verdict="undecided", interval=ci(-0.153, 0.244), more_pairs=100 + 20 * place
        )
        for place, name in enumerate(names)
    )
    each = "; ".join(f"{name} may cost up to 24.4 points or gain 15.3" for name in names)
    named = f"cannot tell: {each}" if count <= 3 else f"cannot tell, see their intervals: {', '.join(names)}"
    about = "about 100 more" if count == 1 else f"about 100 to {80 + 20 * count} more"
    assert verdicts(rows, 0.05) == f"{named}; {about} pairs, of other initial states, would decide"


def test_a_refused_comparison_says_so():
    refused = ConditionDrop(
        "libero_spatial", ORBIT, 480, 20, 150, 5, 0.87, 0.57, note="n/a: more than 2 % of pairs missing"
    )
    text = printed(replace(RUN, drops=(refused,)), 80)
    assert "no comparison is possible" in words(text)
    assert "n/a: more than 2 % of pairs missing (480 pairs, 20 missing)" in words(text)
    assert "n/a: camera.orbit:20deg" in text
    assert "No comparison was made." in words(text)


def test_a_run_of_errors_only_and_an_empty_run():
    broken = replace(CLEAN, tasks=0, n=0, successes=0, errors=12, rate=None, interval=ci(0, 1), across_tasks=None)
    text = printed(replace(RUN, rates=(broken,), drops=()), 80)
    assert "SmolVLA: no episode ran to its end (12 errors)." in text
    empty = printed(RunAnalysis((), (), (), (), (), 0.05), 80)
    assert "no episode ran to its end (0 errors)." in empty


def test_too_few_pairs_for_any_drop():
    few = replace(NOISE_DROP, pairs=4, harmed=1, helped=0, drop=0.25, interval=None, sensitivity=sensitivity(4, 1))
    text = words(printed(replace(RUN, drops=(replace(few, verdict="undecided"),)), 80))
    assert "25.0 (n < 6)" in text
    assert "cannot tell: noise:0.05 (too few pairs: 4)" in text
    assert "With 4 pairs no drop can be called: that takes at least 6 harmed pairs." in text


def test_two_suites_have_the_mean_and_language_following():
    text = printed(on_two_suites(), 100)
    assert "mean of the suites" in text
    assert "With 100 to 500 pairs a true drop of 6.5 to 17.8 points would be found in 8 of 10 such runs" in words(text)
    assert "10.0 [7.7, 12.9]" in text
    assert "followed:" in text


def test_by_task():
    text = drawn(render_by_task(RUN))
    assert re.search(r"^3 +none +50 +90.0 \[78.6, 95.7\] +0", text, re.MULTILINE)
    assert "none: mean 87.4 %; for other tasks like these 80.0 to 94.0 % (t interval)." in text


def test_ascii_terminals_get_ascii():
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding="ascii")
    print_run(Console(file=file, width=80), RUN, policy="SmolVLA", assets=ASSETS)
    file.flush()
    assert b"camera.orbit" in raw.getvalue()


def test_repeats_are_named_in_the_footnote(tmp_path):
    """Four states of five repeats: interval, test and verdict are about the states, and the line says so."""
    from helpers import call

    words = ("run", "--suite", "toy", "--tasks", "0-1", "--init-states", "0-1", "--policy", "seeker", "--workers", "0")
    called = call(*words, "--repeats", "5", "--perturb", "noise:0.3", "--out", tmp_path / "run")
    said = " ".join(called.out.split())
    assert "drop by t over 4 initial states); p by the exact sign-flip test over these states" in said
    assert "McNemar" not in said
    assert "With 4 initial states no drop can be called: that takes at least 6 harmed initial states." in said
    once = " ".join(call(*words, "--perturb", "noise:0.3", "--out", tmp_path / "once").out.split())
    assert "drop by Bonett-Price on pairs); p by McNemar's exact test." in once


def test_ten_states_of_ten_repeats_agree_with_themselves(tmp_path):
    """Drop, interval, p, verdict and the smallest visible drop are all of ten states; the same if repeats end alike."""
    from helpers import call

    words = ("run", "--suite", "toy", "--tasks", "0-1", "--init-states", "0-4", "--policy", "seeker", "--workers", "0")
    differ = call(*words, "--repeats", "10", "--perturb", "noise:0.3", "--out", tmp_path / "differ").out
    assert re.search(r"noise:0\.3 100 +76\.0 \[55\.5, 89\.0\] +24\.0 \[6\.7, 41\.3\] +24 / 0 +0\.008 +0", differ)
    assert "drop: noise:0.3" in differ
    said = " ".join(differ.split())
    assert "drop by t over 10 initial states); p by the exact sign-flip test over these states" in said
    assert (
        "With 10 initial states a true drop of 24.0 points would be found in 8 of 10 such runs, half of it in" in said
    )
    assert "A drop is called" not in said
    alike = " ".join(call(*words, "--repeats", "10", "--perturb", "light:0.1", "--out", tmp_path / "alike").out.split())
    assert "light:0.1 100 0.0 [0.0, 27.8] 100.0 [52.1, 100.0] 100 / 0 0.002 0" in alike
    assert "drop by Bonett-Price over 10 initial states); p by the exact sign-flip test over these states" in alike
    assert "McNemar" not in differ + alike
    planned = " ".join(call("plan", *words[1:], "--repeats", "10", "--perturb", "noise:0.3").out.split())
    assert "10 initial states per condition, 10 repeats each, which count as one pair" in planned
    assert "With 10 initial states a true drop of 80.0 points would be found in 8 of 10 such runs" in planned
