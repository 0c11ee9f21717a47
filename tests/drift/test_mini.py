"""The small audit: its numbers, its files, and the whole way from a dataset or a run."""

import json
import random
from dataclasses import replace
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from helpers import call, refusal, toy_config

from perturbations.spec import parse_sweep
from simeval.api import evaluate
from simeval.config.audit import audit_from_mapping
from simeval.config.options import load_yaml
from simeval.core.drift_row import FLOOR, DriftRow
from simeval.core.errors import ConfigError
from simeval.drift.mini import METRICS, summarise_mini, variant_of, write_mini
from simeval.report.figures.mini import write_figures

RECIPE = Path(__file__).parents[2] / "configs" / "mini_audit.yaml"
CONDITIONS = ("instruction:empty", "instruction:counterfactual", "noise:0.2", "noise:0.1", "noise:0.2@wrist")
SEEDS = (0, 1, 2)


def measured(frames: int = 5, conditions=CONDITIONS, seeds=SEEDS) -> list[DriftRow]:
    """Rows of an audit whose drifts are drawn."""
    rng = np.random.default_rng(0)
    found = []
    for seed in seeds:
        for condition in ("none", FLOOR, *conditions):
            for frame in range(frames):
                drift = rng.gamma(2, 0.1, 6) * (condition != "none")
                found.append(
                    DriftRow(
                        f"episode {frame}@0", "demo", f"episode {frame}", 0, "", None, None, condition, seed,
                        *map(float, drift), 0.0, None, f"told {condition}",
                    )
                )  # fmt: skip
    return found


def tree(folder) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_there_is_a_file_per_group_and_seed_and_two_figures(tmp_path):
    write_figures(write_mini(measured(), tmp_path), tmp_path / "figures")
    wanted = {f"{name}_seed{seed}.json" for name in ("language", "ood_noise") for seed in SEEDS}
    figures = {"figures/language_sensitivity.png", "figures/ood_sensitivity.png"}
    assert set(tree(tmp_path)) == {*wanted, *figures, "mini_summary.json"}
    for figure in figures:
        picture = iio.imread(tmp_path / figure)[..., :3]
        assert picture.shape[1] == 1600
        assert 0.02 < (picture.mean(-1) < 250).mean() < 0.6, "something is drawn"


def test_the_same_rows_in_any_order_give_the_same_bytes(tmp_path):
    rows = measured()
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        write_figures(write_mini(rows, tmp_path / name), tmp_path / name / "figures")
        random.Random(1).shuffle(rows)
    assert tree(tmp_path / "one") == tree(tmp_path / "other")


def test_the_numbers_are_those_of_the_frames(tmp_path):
    rows = measured()
    write_mini(rows, tmp_path)
    found = json.loads((tmp_path / "ood_noise_seed1.json").read_text())
    assert [entry["condition"] for entry in found["conditions"]] == ["noise:0.1", "noise:0.2", "noise:0.2@wrist"]
    for entry in found["conditions"]:
        mine = [row for row in rows if (row.condition, row.seed) == (entry["condition"], 1)]
        assert entry["n"] == 5
        assert [frame["frame"] for frame in entry["frames"]] == [row.frame for row in mine]
        for name in METRICS:
            values = np.array([getattr(row, name) for row in mine])
            assert [frame[name] for frame in entry["frames"]] == list(values)
            expected = {
                "mean": values.mean(),
                "std": values.std(ddof=1),
                "median": np.median(values),
                "max": values.max(),
            }
            assert entry["drift"][name] == pytest.approx(expected)
    assert found["repeat_control"] == {"n": 5, "max": dict.fromkeys(METRICS, 0.0)}
    floor = [row.drift_exec for row in rows if (row.condition, row.seed) == (FLOOR, 1)]
    assert found["noise_floor"]["drift_exec"]["mean"] == pytest.approx(np.mean(floor))


def test_the_summary_is_over_seeds(tmp_path):
    rows = measured()
    write_mini(rows, tmp_path)
    found = json.loads((tmp_path / "mini_summary.json").read_text())
    assert found["seeds"] == list(SEEDS)
    language = found["groups"]["language"]
    assert [entry["value"] for entry in language] == ["original", "empty", "counterfactual"]
    assert language[0]["drift"]["l2_raw"]["mean"] == 0
    means = [np.mean([r.l2_raw for r in rows if (r.condition, r.seed) == ("instruction:empty", s)]) for s in SEEDS]
    drift = language[1]["drift"]["l2_raw"]
    assert drift["mean"] == pytest.approx(np.mean(means))
    assert drift["std"] == pytest.approx(np.std(means, ddof=1))
    assert list(drift["by_seed"].values()) == pytest.approx(means)


def test_one_seed_has_no_spread_and_no_nan(tmp_path):
    write_mini(measured(frames=1, seeds=(7,)), tmp_path)
    assert all(b"NaN" not in data for name, data in tree(tmp_path).items() if name.endswith(".json"))
    found = json.loads((tmp_path / "mini_summary.json").read_text())
    assert found["groups"]["noise"][0]["drift"]["drift_exec"]["std"] is None


@pytest.mark.parametrize("name", METRICS)
def test_a_repeat_that_drifts_stops_it(tmp_path, name):
    rows = [replace(row, **{name: 1e-9}) if row.key == ("episode 3@0", "none", 2) else row for row in measured()]
    with pytest.raises(ConfigError, match=r"repeat control drifted, .* on episode 3@0, seed 2, .*exactly 0"):
        write_mini(rows, tmp_path)
    assert tree(tmp_path) == {}


def test_without_a_repeat_control_there_is_nothing_to_say(tmp_path):
    rows = [row for row in measured() if (row.condition, row.seed) != ("none", 1)]
    with pytest.raises(ConfigError, match="no repeat control for seed 1"):
        write_mini(rows, tmp_path)
    with pytest.raises(ConfigError, match="no repeat control"):
        write_mini([], tmp_path)


def test_frames_that_cannot_show_a_condition_are_counted(tmp_path):
    nothing = dict.fromkeys(("drift_exec", "drift_first", "drift_chunk", "l2_raw", "xyz_sum", "gripper_flip"))
    rows = [
        replace(row, infeasible="no such object", **nothing)
        if row.condition == "noise:0.1" or (row.condition == "noise:0.2" and row.frame == "episode 0@0")
        else row
        for row in measured()
    ]
    write_mini(rows, tmp_path)
    none, some, _ = json.loads((tmp_path / "mini_summary.json").read_text())["groups"]["noise"]
    assert none["drift"] is None
    assert none["infeasible"] == [{"reason": "no such object", "frames": 15}]
    assert (some["frames"], some["infeasible"][0]["frames"]) == (12, 3)


def test_conditions_of_several_axes_are_left_out_and_named(tmp_path):
    audit = summarise_mini(measured(conditions=("noise:0.1", "brightness:0.5+noise:0.1")))
    assert audit.left_out == ("brightness:0.5+noise:0.1",)
    assert [group for group, _ in audit.groups] == ["language", "noise"]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("none", ("language", "original", "")),
        ("instruction:lang:de", ("language", "lang:de", "")),
        ("noise:0.1", ("noise", 0.1, "")),
        ("occlusion:0.2@wrist/fill=black", ("occlusion", 0.2, "@wrist/fill=black")),
        ("texture.table:draw/seed=3", ("texture.table", "draw", "/seed=3")),
    ],
)
def test_a_condition_finds_its_place(condition, expected):
    variant = variant_of(condition)
    assert variant is not None
    assert (variant.group, variant.value, variant.aim) == expected


def test_any_audit_will_do(tmp_path):
    """Words as values, many axes, no language: still two figures at most, and no error."""
    conditions = ("texture.table:draw", "light:0.3", "blur.gaussian:2", "jpeg:10", "noise.shot:25", "proprio.noise:1")
    write_figures(write_mini(measured(conditions=conditions), tmp_path), tmp_path / "figures")
    assert (tmp_path / "figures" / "ood_sensitivity.png").exists()
    assert not (tmp_path / "figures" / "language_sensitivity.png").exists()
    assert (tmp_path / "ood_texture.table_seed0.json").exists()


def audited(out, *options) -> dict[str, bytes]:
    """The files of the recipe, carried out by the command line."""
    called = call("audit", "--config", RECIPE, "--out", out, *options)
    assert (called.code, called.err) == (0, "")
    return {name: data for name, data in tree(out).items() if name not in ("audit.json", "drift.jsonl")}


def entries(files: dict[str, bytes], name: str) -> dict[str, dict]:
    return {entry["condition"]: entry for entry in json.loads(files[name])["conditions"]}


def test_the_recipe_says_what_the_audit_was():
    config = audit_from_mapping({**load_yaml(str(RECIPE)), "dataset": "anything"})
    conditions = [str(condition) for text in config.perturb for condition in parse_sweep(text)]
    assert conditions[:2] == ["instruction:empty", "instruction:counterfactual"]
    axes = [condition.split(":")[0] for condition in conditions[2:]]
    assert axes == ["brightness"] * 3 + ["noise"] * 3 + ["occlusion"] * 3
    assert (config.recipe, config.max_frames) == ("mini", 120)
    assert config.seed_numbers is not None
    assert len(config.seed_numbers) >= 3


@pytest.fixture(scope="module")
def on_a_dataset(dataset, tmp_path_factory) -> dict[str, bytes]:
    """Four frames of it, the bundled policy, two seeds."""
    return audited(tmp_path_factory.mktemp("mini") / "dataset", *FEW, "--dataset", dataset)


FEW = (
    "--max-frames",
    4,
    "--seeds",
    "0,1",
    "--perturb",
    "instruction:empty,counterfactual",
    "--perturb",
    "noise:0.1,0.4",
)


def test_on_a_dataset_words_and_pictures_move_the_bundled_policy(on_a_dataset):
    for seed in (0, 1):
        language = json.loads(on_a_dataset[f"language_seed{seed}.json"])
        assert language["repeat_control"] == {"n": 4, "max": dict.fromkeys(METRICS, 0.0)}
        assert language["noise_floor"]["drift_exec"]["mean"] > 0
        assert "training actions" in language["protocol"]["drift_unit"]
        by_condition = entries(on_a_dataset, f"language_seed{seed}.json")
        assert list(by_condition) == ["none", "instruction:empty", "instruction:counterfactual"]
        told = {
            condition: [frame["instruction"] for frame in entry["frames"]] for condition, entry in by_condition.items()
        }
        assert set(told["instruction:empty"]) == {""}
        assert all(one != other for one, other in zip(told["none"], told["instruction:counterfactual"], strict=True))
        assert by_condition["instruction:counterfactual"]["drift"]["drift_exec"]["median"] > 0.1
        noise = entries(on_a_dataset, f"ood_noise_seed{seed}.json")
        assert 0 < noise["noise:0.1"]["drift"]["l2_raw"]["mean"] < noise["noise:0.4"]["drift"]["l2_raw"]["mean"]
    assert {"figures/language_sensitivity.png", "figures/ood_sensitivity.png"} <= set(on_a_dataset)


def test_the_same_dataset_gives_the_same_bytes(on_a_dataset, dataset, tmp_path):
    assert audited(tmp_path / "again", *FEW, "--dataset", dataset) == on_a_dataset


def test_another_seed_gives_other_draws(on_a_dataset):
    one, other = (entries(on_a_dataset, f"ood_noise_seed{seed}.json")["noise:0.4"]["frames"] for seed in (0, 1))
    assert [frame["frame"] for frame in one] == [frame["frame"] for frame in other]
    assert [frame["l2_raw"] for frame in one] != [frame["l2_raw"] for frame in other]


@pytest.mark.slow
def test_the_whole_recipe_on_the_whole_dataset(dataset, tmp_path):
    files = audited(tmp_path / "whole", "--dataset", dataset)
    summary = json.loads(files["mini_summary.json"])
    assert (summary["frames"], summary["repeat_max"], summary["left_out"]) == (120, 0.0, [])
    assert set(summary["groups"]) == {"language", "brightness", "noise", "occlusion"}
    for seed in summary["seeds"]:
        for group in ("brightness", "noise", "occlusion"):
            found = entries(files, f"ood_{group}_seed{seed}.json")
            assert [entry["n"] for entry in found.values()] == [120] * 3
            assert json.loads(files[f"ood_{group}_seed{seed}.json"])["repeat_control"]["n"] == 120


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return evaluate(toy_config(tmp_path_factory.mktemp("mini") / "run", perturb=()))


def test_on_the_traces_of_a_run(run, tmp_path):
    options = (run.folder, "--seeds", "0,1", "--max-frames", 6)
    files = audited(tmp_path / "one", *options)
    assert files == audited(tmp_path / "other", *options)
    summary = json.loads(files["mini_summary.json"])
    assert (summary["seeds"], summary["frames"], summary["repeat_max"]) == ([0, 1], 6, 0.0)
    assert {group: len(members) for group, members in summary["groups"].items()} == {
        "language": 3, "brightness": 3, "noise": 3, "occlusion": 3,
    }  # fmt: skip
    told = entries(files, "language_seed0.json")["instruction:counterfactual"]["frames"]
    assert all(frame["instruction"].startswith("touch the ") for frame in told)
    assert summary["groups"]["language"][2]["drift"]["drift_exec"]["mean"] > 0


def test_the_recipe_may_be_asked_for_later(run, tmp_path):
    asked = ("audit", run.folder, "--perturb", "noise:0.3", "--out", tmp_path / "audit")
    assert call(*asked).code == 0
    assert not (tmp_path / "audit" / "mini_summary.json").exists()
    before = (tmp_path / "audit" / "drift.jsonl").read_bytes()
    assert call(*asked, "--recipe", "mini").code == 0
    assert (tmp_path / "audit" / "ood_noise_seed0.json").exists()
    assert (tmp_path / "audit" / "drift.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--dataset", "nothing"), "no such folder"),
        (("--dataset", "."), "it has no meta/info.json"),
        (("--dataset", "HuggingFaceVLA/libero"), "the Hugging Face hub cannot be reached"),
        (("--dataset", "nothing", "--camera-keys", "left=KEY"), "--camera-keys: no camera 'left'"),
        ((), "name a run folder, or a dataset"),
    ],
)
def test_a_dataset_that_is_none_is_one_line(tmp_path, monkeypatch, options, words):
    monkeypatch.chdir(tmp_path)
    assert words in refusal("audit", "--config", RECIPE, "--policy", "zero", *options)
    assert list(tmp_path.iterdir()) == []


def test_options_of_datasets_are_not_for_runs(run):
    assert "--upside-down: is about frames of a dataset" in refusal("audit", run.folder, "--upside-down")
