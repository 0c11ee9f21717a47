"""The viewer in a browser, as a person uses it: from the runs to a flip's videos, by stage, and along a live run."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers import CONDITIONS, call
from playwright.sync_api import Browser, Page, expect, sync_playwright
from viewers import viewing

from simeval.store.run import outcomes
from simeval.store.stages import SUCCESS, read_stages

BROWSERS = ("chromium", "google-chrome")
FLIP = "toy/0/init00/light=0.1/r0"
SLOW = 120_000
"""Patience (ms): the machine may be busy, and software draws."""

expect.set_options(timeout=SLOW)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    assert program, f"none of {', '.join(BROWSERS)} is installed; make browser installs one"
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=["--disable-gpu", "--disable-dev-shm-usage"])
        yield started
        started.close()


@pytest.fixture
def page(browser) -> Iterator[Page]:
    opened = browser.new_page(viewport={"width": 1280, "height": 900})
    opened.set_default_timeout(SLOW)
    problems = []
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
    yield opened
    opened.close()
    assert problems == []


@pytest.fixture(scope="module")
def site(results, tmp_path_factory) -> Iterator[str]:
    """The viewer over a run whose stages are stored; not to be changed."""
    folder = tmp_path_factory.mktemp("site") / "results"
    shutil.copytree(results / "toy", folder / "toy")
    assert call("show", folder / "toy", "--stages").code == 0
    with viewing(folder, tmp_path_factory.mktemp("site-cache")) as address:
        yield address


def video_steps(page: Page) -> list[int]:
    """The control step that each video shows; a frame per step, 20 a second."""
    return [
        int(page.locator(".arm video").nth(index).evaluate("video => Math.floor(video.currentTime * 20)"))
        for index in range(page.locator(".arm video").count())
    ]


def wait_for_videos(page: Page) -> None:
    page.wait_for_load_state()  # before, a page has no videos to wait for
    expect(page.locator(".arm .status:not([hidden])")).to_have_count(0, timeout=SLOW)


def at(page: Page) -> int:
    return int(page.locator("#at").inner_text().split("/")[0])


def lengths(page: Page) -> tuple[int, int]:
    """Control steps of the longer arm, and of the clean one."""
    return tuple(int(page.locator(place).first.get_attribute("data-steps")) for place in ("#player", ".arm"))


def seek_done(page: Page, steps: list[int]) -> None:
    deadline = time.monotonic() + 20
    while video_steps(page) != steps:
        assert time.monotonic() < deadline, (video_steps(page), steps)
        page.wait_for_timeout(50)


def test_from_the_runs_to_a_flip_and_its_videos(site, page):
    page.goto(site)
    page.get_by_role("link", name="toy", exact=True).click()
    expect(page.locator("#conditions table")).to_be_visible()
    page.get_by_role("link", name="Flips").click()
    expect(page.locator("#count")).to_have_text(re.compile(r"^\d+ of 20 episodes$"))
    page.locator("table.list a").first.click()
    expect(page.locator(".arm figcaption b").first).to_have_text("clean")
    expect(page.locator(".arm .outcome").first).to_have_text("success")
    expect(page.locator(".arm .outcome").last).to_have_text("failure")
    wait_for_videos(page)
    steps, short = lengths(page)
    assert short < steps, "the twin that succeeds ends earlier"

    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    assert at(page) == 11
    seek_done(page, [11, 11])
    assert "step=11" in page.url, "where one is can be passed on"
    page.keyboard.press("ArrowLeft")
    seek_done(page, [10, 10])

    page.keyboard.press("End")
    seek_done(page, [short, steps])
    page.keyboard.press("Home")
    assert at(page) == 0
    assert "step" not in page.url


def test_twins_play_in_step_and_where_they_diverged_is_a_click_away(site, page):
    page.goto(f"{site}episode?run=toy&id={FLIP}")
    wait_for_videos(page)
    steps, short = lengths(page)
    page.locator("#speed").select_option("0.5")
    page.locator("#play").click()
    together = []
    while at(page) < short - 2 and len(together) < 200:
        if not page.locator(".arm video").first.evaluate("video => video.seeking"):
            together.append(video_steps(page))
        page.wait_for_timeout(40)
    assert len({steps for pair in together for steps in pair}) > 4, "they move"
    apart = sorted(abs(a - b) for a, b in together)
    assert apart[len(apart) // 2] <= 2, together
    page.locator("#speed").select_option("4")
    expect(page.locator("#at")).to_have_text(f"{steps} / {steps}", timeout=SLOW)
    expect(page.locator("#play")).to_have_text("play")
    seek_done(page, [short, steps])

    page.locator(".marks button.diverged").click()
    left = int(page.locator(".marks button.diverged").get_attribute("data-go"))
    assert at(page) == left
    page.get_by_role("link", name="large").click()
    expect(page).to_have_url(re.compile(rf"view=large&step={left}$|step={left}&view=large$"))
    wait_for_videos(page)
    assert page.locator(".arm video").last.evaluate("video => video.videoWidth") == 1024
    seek_done(page, [min(left, short), left])


def test_a_link_opens_at_its_step_and_the_keyboard_walks_among_the_chosen(site, page):
    page.goto(f"{site}episode?run=toy&id={FLIP}&outcome=failure&step=7")
    wait_for_videos(page)
    seek_done(page, [7, 7])
    first = page.locator("h1").inner_text()
    page.keyboard.press("n")
    expect(page.locator("h1")).not_to_have_text(first)
    assert "outcome=failure" in page.url
    page.wait_for_load_state("load")
    page.keyboard.press("p")
    expect(page.locator("h1")).to_have_text(first)
    wait_for_videos(page)
    page.keyboard.press(" ")
    expect(page.locator("#play")).to_have_text("pause")
    page.keyboard.press(" ")
    expect(page.locator("#play")).to_have_text("play")


def test_a_chart_is_a_scrubber(site, page):
    page.goto(f"{site}episode?run=toy&id={FLIP}")
    wait_for_videos(page)
    steps = int(page.locator("#player").get_attribute("data-steps"))
    plot = page.locator(".plot").first
    plot.click(position={"x": plot.bounding_box()["width"] / 2, "y": 10})
    assert abs(at(page) - steps / 2) <= 1


def test_a_cell_of_the_map_and_a_filter_by_stage(site, page, results):
    page.goto(f"{site}run?run=toy")
    page.locator("table.map td a").nth(3).click()
    expect(page.locator("table.list tbody tr")).to_have_count(2)
    page.goto(f"{site}episodes?run=toy")
    options = page.locator("select[name=stage] option").evaluate_all("all => all.map(one => one.value)")
    chosen = next(value for value in options if value not in ("", SUCCESS))
    page.locator("select[name=stage]").select_option(chosen)
    expect(page).to_have_url(re.compile("stage="))
    assert "outcome=" not in page.url, "only what was chosen"
    expect(page.locator("select[name=stage]")).to_have_value(chosen)
    texts = set(page.locator("table.list tbody tr td:nth-child(5)").all_inner_texts())
    assert texts == {chosen}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_window(site, browser, width, scheme):
    opened = browser.new_page(viewport={"width": width, "height": 844}, color_scheme=scheme)
    inks = []
    for address in ("", "run?run=toy", "episodes?run=toy", f"episode?run=toy&id={FLIP}"):
        opened.goto(site + address)
        assert opened.evaluate("() => document.documentElement.scrollWidth") <= width, address
        inks.append(opened.evaluate("() => getComputedStyle(document.body).backgroundColor"))
    opened.close()
    assert set(inks) == {"rgb(255, 255, 255)" if scheme == "light" else "rgb(21, 24, 28)"}


def background(page: Page) -> str:
    return page.evaluate("() => getComputedStyle(document.body).backgroundColor")


def test_colours_are_those_of_the_system_until_one_chooses_and_the_choice_is_remembered(site, browser):
    light, dark = "rgb(255, 255, 255)", "rgb(21, 24, 28)"
    with browser.new_context(color_scheme="dark", viewport={"width": 390, "height": 844}) as context:
        page, other = context.new_page(), context.new_page()
        for one in (page, other):
            one.goto(site)
            assert background(one) == dark
        page.locator("#theme").select_option("light")
        assert background(page) == light
        other.wait_for_function(f"() => getComputedStyle(document.body).backgroundColor === '{light}'")
        for address in ("", "run?run=toy", f"episode?run=toy&id={FLIP}"):
            page.goto(site + address)
            assert background(page) == light
            expect(page.locator("#theme")).to_have_value("light")
        page.locator("#theme").select_option("")
        assert background(page) == dark
        page.emulate_media(color_scheme="light")
        assert background(page) == light, "it follows the system again"
        page.locator("#theme").select_option("dark")
        page.reload()
        assert background(page) == dark


def start_run(folder: Path) -> subprocess.Popen:
    words = ["run", "--suite", "toy", "--policy", "seeker", "--workers", "0", "--init-states", "0-9", "--out", folder]
    words += [word for condition in CONDITIONS for word in ("--perturb", condition)]
    command = [sys.executable, "-m", "simeval.cli", *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=os.environ, text=True)


def wait_for_rows(folder: Path, count: int, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 120
    while len(outcomes(folder)) < count:
        assert time.monotonic() < deadline
        assert process.poll() is None or len(outcomes(folder)) >= count, process.stderr.read()
        time.sleep(0.05)


def test_two_browsers_follow_a_run_that_is_killed_and_resumed(browser, tmp_path):
    """The page moves by itself, and neither reading nor killing disturbs the other."""
    folder = tmp_path / "results" / "live"
    folder.parent.mkdir()
    with viewing(tmp_path / "results", tmp_path / "cache") as site:
        pages = [browser.new_page() for _ in range(2)]
        for one in pages:
            one.set_default_timeout(SLOW)
            one.goto(site)
            expect(one.get_by_text("There is no run here yet")).to_be_visible()
        first = start_run(folder)
        wait_for_rows(folder, 3, first)
        first.send_signal(signal.SIGSTOP)
        for one in pages:
            expect(one.get_by_role("link", name="live")).to_be_visible(timeout=SLOW)
        pages[0].get_by_role("link", name="live").click()
        pages[1].goto(f"{site}episodes?run=live&condition=none")
        first.send_signal(signal.SIGCONT)
        wait_for_rows(folder, 10, first)
        first.send_signal(signal.SIGSTOP)  # a fast machine would be done before the page is read
        expect(pages[0].locator(".progress span")).to_contain_text(re.compile(r"^[1-9]\d+ of \d+ episodes, running"))
        first.send_signal(signal.SIGKILL)
        first.wait()
        with (folder / "episodes.jsonl").open("ab") as file:
            file.write(b'{"id":"toy/0')  # as if killed in the middle of a line
        pages[0].reload()
        expect(pages[0].locator(".progress span")).to_contain_text("episodes")
        second = start_run(folder)
        _, error = second.communicate(timeout=300)
        assert second.returncode == 0, error
        planned = len(outcomes(folder))
        done = f"{planned} of {planned} episodes, finished"
        expect(pages[0].locator(".progress span")).to_have_text(done, timeout=SLOW)
        expect(pages[1].locator("#count")).to_have_text(f"{planned // 5} of {planned} episodes", timeout=SLOW)
        expect(pages[0].locator("#conditions table")).to_be_visible()
        assert not read_stages(folder), "nothing is computed by looking"
        for one in pages:
            one.close()
