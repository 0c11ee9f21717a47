"""The first chapter of a run's report: the answer, one figure, and videos of flips."""

import re
from pathlib import Path

import pytest
from helpers import toy_config

from simeval.api import evaluate
from simeval.report.collect import report_data
from simeval.report.page import FLIPS, write_report
from simeval.store.run import Run


def chapter(page: Path, title: str) -> str:
    """The HTML of a chapter and of those below it."""
    found = re.search(
        rf"<h2>{re.escape(title)}</h2>(.*?)(<section id=\"c\d+\" class=\"l2\"|</main>)", page.read_text(), re.S
    )
    assert found, title
    return found[1]


def film(run: Run, result) -> None:
    """A video of an episode beside its clean twin; the page only copies its bytes."""
    path = run.folder / "videos" / f"{result.spec.id.replace('/', '_')}_compare.mp4"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(result.spec.id.encode())


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    """The seeker, which light:0.1 makes fail; noise:0.3 changes nothing for it."""
    done = evaluate(toy_config(tmp_path_factory.mktemp("first") / "run", perturb=("noise:0.3", "light:0.1")))
    for result in done.results:
        if result.spec.condition != "none":
            film(done, result)
    return Run.load(done.folder)


def test_flips_come_first_and_other_videos_last(run, tmp_path):
    flips = [r for r in run.results if r.spec.condition == "light:0.1" and r.outcome == "failure"]
    assert len(flips) > FLIPS
    page = write_report(report_data([run]), tmp_path)
    first = chapter(page, "Result")
    assert first.count("<video") == FLIPS
    assert re.findall(r"<figcaption>(toy\S+): failure, clean beside perturbed", first) == [
        r.spec.id for r in flips[:FLIPS]
    ]
    assert page.read_text().count("<video") == sum(r.spec.condition != "none" for r in run.results)
    assert "simeval video" not in first


def test_the_figure_of_success_stands_in_the_first_chapter_alone(run, tmp_path):
    page = write_report(report_data([run]), tmp_path)
    assert "figures/toy-success.svg" in chapter(page, "Result")
    assert page.read_text().count("figures/toy-success.svg") == 1


def test_the_scenes_are_named_beside_the_answer(run, tmp_path):
    data = report_data([run])
    assert data.sections[0].assets.lower() in chapter(write_report(data, tmp_path), "Result").lower()


def test_provenance_is_folded(run, tmp_path):
    page = chapter(write_report(report_data([run]), tmp_path), "seeker")
    folded = re.search(
        r"<details class=\"table\"><summary>Policy, plan and software</summary>(.*?)</details>", page, re.S
    )
    assert folded
    assert "<dt>plan (SHA-256)</dt>" in folded[1]


def test_without_videos_the_command_that_makes_them_is_named(tmp_path):
    done = evaluate(toy_config(tmp_path / "run", perturb=("light:0.1",)))
    assert "<code>simeval video RUN --flips --compare</code>" in chapter(
        write_report(report_data([done]), tmp_path / "out"), "Result"
    )


def test_two_runs_have_their_figures_in_their_chapters(run, tmp_path):
    other = evaluate(toy_config(tmp_path / "zero", policy="zero", perturb=("noise:0.3", "light:0.1")))
    page = write_report(report_data([run, other]), tmp_path / "out")
    assert "<video" not in chapter(page, "Result")
    assert "1-seeker-toy-success.svg" in chapter(page, "seeker")


def test_rows_of_an_axis_stand_together_in_a_run_that_grew(tmp_path):
    first = toy_config(tmp_path / "run", tasks="0", perturb=("noise:0.3", "light:0.1"))
    evaluate(first)
    grown = evaluate(
        toy_config(tmp_path / "run", tasks="0", perturb=("noise:0.3", "light:0.1", "noise:0.5", "noise:0.4")), grow=True
    )
    page = write_report(report_data([grown]), tmp_path / "out").read_text()
    success = page[page.index("<h4>Success</h4>") : page.index("<h4>Drop against none</h4>")]
    assert re.findall(r"<th scope=\"row\">(.*?)</th>", success.replace("<wbr>", "")) == [
        "none",
        "noise:0.3",
        "noise:0.4",
        "noise:0.5",
        "light:0.1",
    ]
