"""The whole chain, run -> audit -> report, through the command line, and what ties its parts together."""

import csv
import json
from pathlib import Path

import pytest
from helpers import call, refusal, toy_config

from simeval.analysis.correlate import correlate
from simeval.api import evaluate
from simeval.report.collect import report_data
from simeval.report.page import write_report
from simeval.report.terminal.drift import render_study
from simeval.stats.correlation import Options
from simeval.stats.resampling import Resampling
from simeval.store.audit import Audit, same_policy
from simeval.store.run import Run

QUICK = Options(resampling=Resampling(n_resamples=99, n_permutations=199))
SWEEPS = (
    "noise:0.1,0.2,0.3",
    "brightness:0.7,0.5,0.3",
    "light:0.8,0.5,0.2",
    "occlusion:0.1,0.2,0.4",
    "contrast:0.7,0.4,0.2",
    "blur.gaussian:1,3,6",
    "saturation:0.7,0.3,0",
    "action.noise:0.3",
    "instruction:counterfactual",
)


@pytest.fixture(scope="module")
def chain(tmp_path_factory) -> Path:
    """A folder with `run`, `run/audit` and `run/report`, made by three commands."""
    folder = tmp_path_factory.mktemp("chain") / "run"
    perturb = [word for sweep in SWEEPS for word in ("--perturb", sweep)]
    where = ["--suite", "toy", "--tasks", "0,2", "--init-states", "0-3", "--workers", 0, "--out", folder]
    assert call("run", *where, *perturb).code == 0
    assert call("audit", folder).code == 0
    assert call("report", folder).code == 0
    return folder


def test_three_commands_make_a_page_with_a_verdict(chain):
    page = (chain / "report" / "report.html").read_text()
    record = json.loads((chain / "report" / "correlation.json").read_text())
    (study,) = record["studies"]
    assert (study["k"], study["families"]) == (21, 7)
    assert study["verdict"]["word"] in ("useful for ranking", "not predictive", "undecided")
    assert study["verdict"]["word"] in page
    assert study["scale"]["n_action_steps"] == Run.load(chain).manifest["identity"]["policy"]["n_action_steps"]


def test_the_drops_of_the_correlation_are_those_of_the_table(chain):
    record = json.loads((chain / "report" / "correlation.json").read_text())
    drops = {row["condition"]: row for row in json.loads(call("show", chain, "--json").out)["drops"]}
    points = {point["condition"]: point for point in record["studies"][0]["points"]}
    assert set(points) == set(drops)
    for name, point in points.items():
        assert point["drop"] == pytest.approx(drops[name]["drop"])
        assert (point["harmed"], point["helped"]) == (drops[name]["harmed"], drops[name]["helped"])


def test_what_drift_cannot_say_is_left_out_with_its_reason(chain):
    record = json.loads((chain / "report" / "correlation.json").read_text())
    reasons = {point["condition"]: point["reason"] for point in record["studies"][0]["points"] if point["excluded"]}
    assert set(reasons) == {"action.noise:0.3", "instruction:counterfactual"}
    assert "drift cannot see it" in reasons["action.noise:0.3"]
    assert "meaning changed" in reasons["instruction:counterfactual"]


def test_the_json_of_correlate_is_that_of_the_report(chain):
    alone = json.loads(call("correlate", chain, "--json").out)
    beside = json.loads((chain / "report" / "correlation.json").read_text())
    assert alone["studies"] == beside["studies"]


def test_the_terminal_shows_the_verdict_first(chain):
    from rich.console import Console

    (result,) = correlate(Run.load(chain), Audit.load(chain / "audit"), QUICK)
    console = Console(width=80, record=True)
    console.print(render_study("seeker", result))
    text = console.export_text()
    assert text.startswith("seeker on toy: drift is ")
    assert "nan" not in text.lower()
    assert "None" not in text


def test_a_report_is_rebuilt_bit_for_bit(chain, tmp_path):
    first, second = (tmp_path / name for name in ("first", "second"))
    for folder in (first, second):
        write_report(report_data([Run.load(chain)], options=QUICK), folder)
    names = sorted(str(path.relative_to(first)) for path in first.rglob("*") if path.is_file())
    assert names == sorted(str(path.relative_to(second)) for path in second.rglob("*") if path.is_file())
    assert len(names) > 20
    for name in names:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


def test_the_numbers_behind_the_scatter_are_a_table(chain):
    (path,) = (chain / "report" / "data").glob("toy-points.csv")
    rows = list(csv.DictReader(path.open()))
    drift = {row["condition"]: row for row in rows}
    measured = [row.drift_exec for row in Audit.load(chain / "audit").rows if row.condition == "noise:0.3"]
    assert float(drift["noise:0.3"]["drift_mean"]) == pytest.approx(sum(measured) / len(measured))


def test_a_run_without_an_audit_says_how_to_get_one(chain, tmp_path):
    small = evaluate(toy_config(tmp_path / "small")).folder
    assert call("report", small).code == 0
    assert "simeval audit" in (small / "report" / "report.html").read_text()
    assert "no audit here" in refusal("correlate", small)


def test_an_audit_of_another_policy_is_refused(chain, tmp_path):
    other = evaluate(toy_config(tmp_path / "other", policy="random"))
    assert not same_policy(other, Audit.load(chain / "audit"))
    for verb in ("correlate", "report"):
        said = refusal(verb, other.folder, "--audit", chain / "audit")
        assert "policy 'seeker'" in said
        assert "a run of 'random'" in said


def test_two_runs_are_a_comparison_and_need_a_place(chain, tmp_path):
    other = evaluate(toy_config(tmp_path / "other", policy="random", perturb=("noise:0.1,0.2,0.3",)))
    assert "--out" in refusal("report", chain, other.folder)
    write_report(report_data([Run.load(chain), other], options=QUICK), tmp_path / "both")
    record = json.loads((tmp_path / "both" / "compare.json").read_text())
    assert (record["a"], record["b"]) == ("seeker", "random")
    gains = {gain["condition"]: gain for gain in record["suites"][0]["change"]["success"]}
    assert gains["none"]["gain"] < 0


def test_videos_and_the_preview_are_on_the_page(chain, tmp_path):
    from PIL import Image

    flips = call("video", chain, "--flips", "--compare", "--limit", 1, "--size", 64)
    assert flips.code == 0
    Image.new("RGB", (8, 8)).save(chain / "preview.png")
    (section,) = report_data([Run.load(chain)], options=QUICK).sections
    assert [video.file.name for video in section.videos] == [Path(flips.out.strip()).name]
    assert section.preview == chain / "preview.png"


def test_the_same_from_python(chain):
    import simeval

    run, audit = simeval.Run.load(chain), simeval.Audit.load(chain / "audit")
    (found,) = simeval.correlate(run, audit, QUICK)
    assert found.correlation.k == 21
    assert simeval.compare(run, run).notes == ()
