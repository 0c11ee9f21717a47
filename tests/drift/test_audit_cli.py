"""`simeval audit`: from one command to a folder and a table, and the same bytes whatever happened on the way."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import fields

import dataset_fixture
import pytest
import yaml
from helpers import call, refusal, toy_config

from simeval import evaluate
from simeval.api import audit
from simeval.config.audit import AuditConfig, audit_from_mapping
from simeval.config.options import flag
from simeval.core.errors import ConfigError
from simeval.store.audit import ROWS, Audit
from simeval.store.run import Run

CONDITIONS = ("noise:0.3", "light:0.1", "instruction:counterfactual", "friction:0.5")


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    return evaluate(toy_config(tmp_path_factory.mktemp("cli") / "run", perturb=CONDITIONS))


@pytest.fixture(scope="module")
def whole(run, tmp_path_factory) -> Audit:
    """An audit that nothing interrupted."""
    out = str(tmp_path_factory.mktemp("whole") / "audit")
    return audit(AuditConfig(run=str(run.folder), frames="replay", per_episode=2, seeds="0,7", out=out))


def again(run, out) -> list[object]:
    """The command that makes `whole` in another folder."""
    return ["audit", run.folder, "--frames", "replay", "--per-episode", 2, "--seeds", "0,7", "--out", out]


def bytes_of(folder) -> bytes:
    return (folder / ROWS).read_bytes()


def test_one_command_audits_a_run_beside_it_and_says_what_it_does(run):
    called = call("audit", run.folder)
    assert (called.code, called.err) == (0, "")
    done = Audit.load(run.folder / "audit")
    assert done.complete
    assert done.conditions == CONDITIONS[:3]
    assert [(one.condition, "holds" in one.reason or "state" in one.reason) for one in done.left_out] == [
        ("friction:0.5", True)
    ]
    text = " ".join(called.out.split())
    assert "seeker: 4 frames x 3 conditions x 1 seed, with clean view, repeat control and noise floor 24" in text
    assert "friction:0.5 is left out; it changes how objects stand or move" in text
    assert "repeat control: 4 clean views were predicted twice, and none drifted." in text
    assert "reproduces the rollout's chunks: 4 of 4, bit for bit." in text
    assert "toy scenes: not LIBERO results" in text
    # Long names are folded.
    for condition in (*CONDITIONS[:2], "floor"):
        assert re.search(rf"{condition} 4 \d\.\d{{3}} ", text), condition
    assert "4 episodes only: no interval" in text


def test_the_manifest_says_what_the_numbers_depend_on(whole, run):
    manifest, identity = whole.manifest, whole.manifest["identity"]
    assert identity["policy"] == run.manifest["identity"]["policy"]
    assert (identity["seeds"], identity["conditions"]) == ([0, 7], list(CONDITIONS[:3]))
    assert identity["frames"]["plan"] == run.manifest["identity"]["plan"]
    assert {"mujoco", "numpy"} <= identity["versions"].keys()
    assert manifest["rows"] == len(whole.rows) == 8 * 2 * 5
    assert manifest["facts"]["reproduces_rollout"] == {"equal": 8, "compared": 8}
    assert manifest["facts"]["repeat_control"] == {"views": 16, "largest_drift": 0.0}
    assert "does not know" in whole.sigma_source
    assert manifest["git"]


def test_the_same_request_gives_the_same_bytes_and_is_not_measured_twice(run, whole, tmp_path):
    assert call(*again(run, tmp_path / "a")).code == 0
    assert bytes_of(tmp_path / "a") == bytes_of(whole.folder)
    before = (tmp_path / "a" / ROWS).stat().st_mtime_ns
    called = call(*again(run, tmp_path / "a"))
    assert called.code == 0
    assert "reproduces the rollout's chunks: 8 of 8" in called.out
    assert (tmp_path / "a" / ROWS).stat().st_mtime_ns == before


@pytest.mark.parametrize("share", [0.0, 0.3, 0.62, 0.99])
def test_a_resumed_audit_equals_an_uninterrupted_one_byte_for_byte(run, whole, tmp_path, share):
    out = tmp_path / "audit"
    assert call(*again(run, out)).code == 0
    data = bytes_of(out)
    (out / ROWS).write_bytes(data[: int(share * len(data))])
    assert call(*again(run, out)).code == 0
    assert bytes_of(out) == bytes_of(whole.folder)
    assert Audit.load(out).manifest["facts"] == whole.manifest["facts"]


def test_a_killed_audit_goes_on_where_it_was(run, whole, tmp_path):
    out = tmp_path / "audit"
    command = [sys.executable, "-m", "simeval.cli", *map(str, again(run, out))]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONUNBUFFERED": "1"}) as process:
        for _ in range(6000):
            if (out / ROWS).exists() and (out / ROWS).stat().st_size > 2000:
                break
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not Audit.load(out).complete
    left = bytes_of(out)
    assert 0 < len(left) < len(bytes_of(whole.folder))
    assert call(*again(run, out)).code == 0
    assert bytes_of(out) == bytes_of(whole.folder)


def test_json_for_machines(run, tmp_path):
    called = call("audit", run.folder, "--perturb", "noise:0.1,0.3", "--out", tmp_path, "--json")
    start, summary = map(json.loads, called.out.splitlines())
    assert (start["event"], start["rows"], start["done"]) == ("start", 16, 0)
    assert (summary["event"], summary["kind"], summary["n_action_steps"]) == ("summary", "start frames", 6)
    table = {row["condition"]: row for row in summary["conditions"]}
    assert list(table) == ["noise:0.1", "noise:0.3", "floor"]
    assert table["noise:0.1"]["drift"]["mean"] < table["noise:0.3"]["drift"]["mean"]
    assert table["floor"]["drift"]["mean"] == summary["floor"] == 0
    assert table["noise:0.3"]["drift"]["clusters"] == 4


def test_another_policy_can_be_audited_on_the_same_frames(run, tmp_path):
    words = ["audit", run.folder, "--policy", "random", "--perturb", "noise:0.3", "--out", tmp_path, "--json"]
    summary = json.loads(call(*words).out.splitlines()[-1])
    assert (summary["policy"], summary["compared"]) == ("random", 0)
    assert summary["floor"] > 0.1
    assert summary["conditions"][0]["drift"]["over_floor"] == 0


def test_axes_of_ones_own_work_and_those_of_the_run_are_named_again(tmp_path):
    plugin = tmp_path / "axes.py"
    plugin.write_text(
        "from perturbations.base import AxisInfo, MULTIPLIER, Stage, register\n"
        "@register(AxisInfo(name='halved', stage=Stage.EXPOSURE, family='V', unit=MULTIPLIER, value_means='light left',"
        " identity=1.0, source='a test', bounds=(0.0, 1.0), presets=(0.9, 0.8, 0.7, 0.6, 0.5), draws=False,"
        " cameras=('agentview', 'wrist')))\n"
        "def halved(pixels, value, rng):\n    return pixels * value\n"
    )
    done = evaluate(toy_config(tmp_path / "run", perturb=("halved:0.1",), plugin=(str(plugin),)))
    command = [sys.executable, "-c", "from simeval.cli.app import main; main()", "audit", str(done.folder)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 2
    assert ran.stderr.endswith(f"a plugin is code, so name it yourself: --plugin {plugin}\n")
    ran = subprocess.run([*command, "--plugin", str(plugin)], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    found = Audit.load(done.folder / "audit")
    assert max(row.drift_exec for row in found.rows if row.condition == "halved:0.1") > 0.1
    assert list(found.manifest["identity"]["plugins"]) == ["axes.py"]


def test_the_small_audit_is_a_recipe(run, tmp_path):
    recipe = tmp_path / "mine.yaml"
    wanted = {"perturb": ["noise:0.1,0.3", "instruction:empty"], "seeds": [0, 1], "recipe": "mini", "max_frames": 3}
    recipe.write_text(yaml.safe_dump(wanted))
    called = call("audit", run.folder, "--config", recipe, "--out", tmp_path / "audit")
    assert (called.code, called.err) == (0, "")
    names = {path.name for path in (tmp_path / "audit").iterdir()}
    assert {"language_seed0.json", "language_seed1.json", "ood_noise_seed0.json", "mini_summary.json"} <= names
    assert len({row.frame for row in Audit.load(tmp_path / "audit").rows}) == 3


def test_a_checkpoint_says_its_unit_and_what_it_makes_of_a_frame(run, tiny_smolvla, tmp_path):
    words = ["--policy", tiny_smolvla, "--perturb", "noise:0.38", "--perturb", "instruction:empty", "--max-frames", 4]
    options = ["--representation", "--batch-size", 3, "--device", "cpu", "--out", tmp_path / "audit"]
    called = call("audit", run.folder, *words, *options)
    assert (called.code, called.err) == (0, "")
    found = Audit.load(tmp_path / "audit")
    assert found.sigma_source == "standard deviations of the training actions, from the checkpoint"
    assert found.manifest["identity"]["action_std"] == pytest.approx([0.33, 0.37, 0.46, 0.04, 0.06, 0.08, 1.0])
    assert found.fingerprint["batch_size"] == 3
    assert found.manifest["facts"]["reproduces_rollout"] == {"equal": 0, "compared": 0}, "it is not the run's policy"
    by = {row.condition: dict(row.representation) for row in found.rows if row.frame == found.rows[0].frame}
    assert by["noise:0.38"]["vision_cosine"] > 0 == by["noise:0.38"]["language_cosine"]
    assert by["instruction:empty"]["language_cosine"] > 0 == by["instruction:empty"]["vision_cosine"]
    assert set(by["none"].values()) == {0.0}
    assert [one["condition"] for one in found.manifest["facts"]["representation"]] == list(found.conditions)
    assert {path.name for path in (tmp_path / "audit" / "attention").iterdir()} == {
        "noise=0.38.png",
        "instruction=empty.png",
    }
    whole = bytes_of(found.folder)
    (found.folder / ROWS).write_bytes(whole[: len(whole) // 2])
    assert call("audit", run.folder, *words, *options).code == 0
    assert bytes_of(found.folder) == whole
    assert Audit.load(found.folder).manifest["facts"] == found.manifest["facts"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "audit: name a run folder, or a dataset with --dataset, and not both"),
        (["RUN", "--dataset", "x/y"], "audit: name a run folder, or a dataset with --dataset, and not both"),
        (["nowhere"], "nowhere: no such folder"),
        (["RUN", "--perturb", "niose:0.1"], "--perturb: unknown perturbation 'niose'; did you mean 'noise'?"),
        (["RUN", "--perturb", "none"], "--perturb: name at least one condition"),
        (["RUN", "--perturb", "friction:0.5"], "--perturb: nothing can be seen on these frames; friction:0.5: it"),
        (["RUN", "--seeds", "0,x"], "--seeds '0,x': write numbers in [0, 2**63)"),
        (["RUN", "--seeds", "1,1"], "--seeds 1,1: a seed is given twice"),
        (["RUN", "--seeds", "9223372036854775808"], "--seeds '9223372036854775808': write numbers in"),
        (["RUN", "--frames", "strat"], "--frames: no 'strat'; did you mean 'start'?"),
        (["RUN", "--per-episode", "0"], "--per-episode 0: must be in [1, 1000000]"),
        (["RUN", "--batch-size", "0"], "--batch-size 0: must be in [1, 4096]"),
        (["RUN", "--episodes", "0-3"], "--episodes: is about frames of a dataset"),
        (["RUN", "--policy", "seekr"], "--policy: no policy or folder 'seekr'; did you mean 'seeker'?"),
        (["RUN", "--policy", "expert"], "--policy expert: it cannot do toy task 0"),
        (["RUN", "--n-action-steps", "3"], "--n-action-steps: 'seeker' is scripted"),
        (["RUN", "--representation"], "policy 'seeker' does not expose representations"),
        (["RUN", "--recipe", "maxi"], "--recipe: no 'maxi'"),
        (["RUN", "--workers", "-1"], "--workers -1: must be in [0, 1024]"),
        (["--dataset", "x/y", "--workers", "2"], "--workers 2: is about frames of a run, and these are of a dataset"),
    ],
)
def test_impossible_requests_are_one_line(run, tmp_path, words, said):
    words = [str(run.folder) if word == "RUN" else word for word in words]
    assert said in refusal("audit", *words, "--out", tmp_path / "audit")
    assert not (tmp_path / "audit").exists()


def test_a_policy_that_sees_no_pixels_is_refused(tmp_path):
    done = evaluate(
        toy_config(tmp_path / "run", suite=("libero_spatial",), tasks="0", init_states="0", policy="expert", perturb=())
    )
    said = refusal("audit", done.folder, "--perturb", "noise:0.1")
    assert "--policy expert: it is given the simulator's state and sees no images" in said


def test_a_changed_request_is_refused_with_what_changed(run, whole):
    before = bytes_of(whole.folder)
    said = refusal(*again(run, whole.folder)[:-4], "--seeds", "0,8", "--out", whole.folder)
    assert "holds a different audit (seeds: [0, 7] -> [0, 8]); choose another --out" in said
    assert bytes_of(whole.folder) == before


def test_a_damaged_audit_is_refused(run, whole, tmp_path):
    assert call(*again(run, tmp_path / "a")).code == 0
    (tmp_path / "a" / ROWS).write_bytes(b"nonsense\n" + bytes_of(whole.folder))
    assert "line 1 is not a row of an audit" in refusal(*again(run, tmp_path / "a"))


@pytest.mark.parametrize("item", fields(AuditConfig), ids=lambda item: item.name)
def test_every_option_explains_itself(item):
    text = item.metadata["help"]
    assert re.fullmatch(r"\w.{10,}[.\])]", text), text
    assert item.name == "run" or flag(item.name) in call("audit", "--help").out


def test_settings_survive_a_round_trip_through_yaml():
    full = AuditConfig(
        run="there", perturb=("noise:0.1",), frames="replay", per_episode=3, max_frames=9, seeds="0,4", policy="zero",
        n_action_steps=2, device="cpu", batch_size=2, representation=True, recipe="mini", plugin=("mine.py",), out="o",
        workers=2,
    )  # fmt: skip
    for config in (full, AuditConfig(dataset="a/b", episodes="0-3", frame_seed=2)):
        assert audit_from_mapping(yaml.safe_load(yaml.safe_dump(config.to_dict()))) == config
    with pytest.raises(ConfigError, match="--representation: 'maybe' is neither true nor false"):
        audit_from_mapping({"run": "x", "representation": "maybe"})
    with pytest.raises(ConfigError, match="no option 'perturbb'; did you mean 'perturb'"):
        audit_from_mapping({"run": "x", "perturbb": "noise:0.1"})


@pytest.mark.parametrize("name", ["meta/tasks.parquet", "data", "videos/observation.images.image2"])
@pytest.mark.parametrize("offline", ["1", "0"])
def test_a_local_dataset_that_lacks_a_part_is_one_line_that_names_it(
    tmp_path, tiny_smolvla, monkeypatch, name, offline
):
    """Whether the hub may be asked or not: a folder is not completed from there."""
    monkeypatch.setenv("HF_HUB_OFFLINE", offline)
    dataset = dataset_fixture.write(tmp_path / "mine", dataset_fixture.gray(["fold", "open"], size=64), video=True)
    lost = dataset / name
    shutil.rmtree(lost) if lost.is_dir() else lost.unlink()
    words = ("--policy", tiny_smolvla, "--perturb", "noise:0.1", "--max-frames", "4", "--out", tmp_path / "audit")
    said = refusal("audit", "--dataset", dataset, *words)
    assert said == f"dataset 'mine' is incomplete: {name} is missing; copy the whole folder again"
    assert not (tmp_path / "audit").exists()
