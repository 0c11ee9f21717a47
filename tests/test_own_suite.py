"""A suite in a file of one's own, or of an installed package, goes through every command."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from helpers import call, refusal

from envs import suites
from envs.suite import Limits
from envs.suites import find_suite, register_suite
from envs.tasks import SceneContents
from envs.toy.tasks import toy_tasks

EXAMPLE = Path(__file__).parents[1] / "examples" / "my_suite.py"

EXPERT = """
import numpy as np
from simeval.policies.base import PolicySpec

class PadExpert:
    spec = PolicySpec("pad expert", n_action_steps=5, cameras=("agentview",), privileged=True, fingerprint=(("v", 1),))

    def act(self, inputs):
        chunks = []
        for request in inputs:
            truth = request.privileged
            chunk = np.zeros((5, 7), np.float32)
            chunk[:, :2] = np.clip(10 * (truth.objects[truth.goal[0][1]].pos - truth.hand.pos)[:2], -1, 1)
            chunks.append(chunk)
        return chunks

def make():
    return PadExpert()
"""


def simeval(*words, code=0):
    """What the command prints, in a process of its own: what a plugin registers stays in its process."""
    command = [sys.executable, "-m", "simeval.cli", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "200"})
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


@pytest.fixture(scope="module")
def policy(tmp_path_factory):
    path = tmp_path_factory.mktemp("policy") / "expert.py"
    path.write_text(EXPERT)
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory, policy):
    folder = tmp_path_factory.mktemp("run") / "run"
    perturb = ("--perturb", "instruction:counterfactual", "--perturb", "noise:0.2", "--perturb", "layout.shift:0.03")
    words = ("--suite", "reach", "--plugin", EXAMPLE, "--policy", policy, "--init-states", "0-2", *perturb)
    simeval("run", *words, "--workers", "2", "--out", folder)
    return folder


def episodes(folder):
    return [json.loads(line) for line in (folder / "episodes.jsonl").read_text().splitlines()]


def test_workers_play_it(run):
    found = episodes(run)
    assert len(found) == 3 * 3 * 4
    told = [row for row in found if row["spec"]["condition"] == "instruction:counterfactual"]
    assert {row["reached"] for row in told} == {"counterfactual"}, "the policy follows what it is told"
    assert all(row["outcome"] == "success" for row in found if row not in told)
    assert {row["instruction"] for row in told} <= {f"move over the {color} pad" for color in ("red", "green", "blue")}


def test_workers_change_no_row(run, policy, tmp_path):
    words = ("--suite", "reach", "--plugin", EXAMPLE, "--policy", policy, "--init-states", "0-2")
    simeval("run", *words, "--workers", "0", "--out", tmp_path / "run")
    serial = {row["id"]: row["state_digest"] for row in episodes(tmp_path / "run")}
    parallel = {row["id"]: row["state_digest"] for row in episodes(run)}
    assert serial == {name: parallel[name] for name in serial}
    assert len(serial) == 9


def test_a_table_needs_no_plugin(run):
    said = simeval("show", run)
    assert "reach scenes: not LIBERO results" in said
    assert re.search(r"^noise:0\.2 +9 +100\.0", said, re.MULTILINE)


def test_what_executes_it_wants_it_named(run, policy):
    resumed = ("run", "--resume", run, "--policy", policy)
    for words in (("video", run), ("report", run), resumed, ("audit", run, "--policy", policy)):
        line = simeval(*words, code=2)
        assert line.count("\n") == 1
        assert "was made with the plugin my_suite.py" in line


def test_resume_report_audit_and_video(run, policy, tmp_path):
    before = (run / "episodes.jsonl").read_bytes()
    named = ("--plugin", EXAMPLE)
    simeval("run", "--resume", run, *named, "--policy", policy)
    assert (run / "episodes.jsonl").read_bytes() == before
    simeval("audit", run, *named, "--policy", EXAMPLE.with_name("my_policy.py"), "--out", tmp_path / "audit")
    assert len((tmp_path / "audit" / "drift.jsonl").read_text().splitlines()) > 18
    simeval("report", run, *named, "--out", tmp_path / "report")
    page = (tmp_path / "report" / "report.html").read_text()
    assert "move over the green pad" in page
    simeval("video", run, *named, "--successes", "--compare", "--limit", "1")
    assert len(list((run / "videos").iterdir())) == 1


def test_a_preview_needs_no_policy(tmp_path):
    simeval("preview", "--suite", "reach", "--plugin", EXAMPLE, "--out", tmp_path / "reach.png")
    assert (tmp_path / "reach.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--suite", "reach"), "--suite: no suite 'reach'; known: libero_spatial"),
        (("--suite", "reech", "--plugin", EXAMPLE), "--suite: no suite 'reech'; did you mean 'reach'?"),
        (("--suite", "reach", "--plugin", EXAMPLE), "--policy: name one; reach has no default policy"),
        (
            ("--suite", "reach", "--plugin", EXAMPLE, "--policy", "zero", "--init-states", "20"),
            "--init-states 20: must be within 0..19",
        ),
        (("--suite", "reach", "--plugin", EXAMPLE, "--policy", "zero", "--tasks", "3"), "--tasks 3"),
    ],
)
def test_refusals(words, line):
    said = simeval("plan", *words, code=2)
    assert said.count("\n") == 1
    assert line in said


def test_a_scripted_policy_that_cannot_do_it(tmp_path):
    words = ("--suite", "reach", "--plugin", EXAMPLE, "--policy", "seeker", "--out", tmp_path / "run")
    assert "--policy seeker: it only touches blocks of the toy suite, not reach task 0" in simeval(
        "run", *words, code=2
    )


def test_a_plugin_without_anything(tmp_path):
    path = tmp_path / "nothing.py"
    path.write_text("x = 1\n")
    assert "it registers no axis and no suite" in refusal("plan", "--suite", "toy", "--plugin", str(path))


def test_a_plugin_that_fails_leaves_no_suite(tmp_path):
    path = tmp_path / "half.py"
    path.write_text(EXAMPLE.read_text().split("if __name__")[0] + "\n1 / 0\n")
    assert "ZeroDivisionError" in refusal("plan", "--suite", "reach", "--plugin", str(path))
    assert not suites.is_suite("reach")


TASKS = tuple(replace(task, suite="mine") for task in toy_tasks())


def changed(**fields):
    return replace(find_suite("toy"), **({"name": "mine", "tasks": lambda: TASKS} | fields))


@pytest.mark.parametrize(
    ("suite", "line"),
    [
        (lambda: changed(name="toy"), "the name is taken"),
        (lambda: changed(name="My Suite"), "lower-case letters"),
        (lambda: changed(name="../mine"), "lower-case letters"),
        (lambda: changed(name="m" * 41), "at most 40"),
        (lambda: changed(limits=Limits(0, 0, 128)), "max_steps is 0; it must be a whole number of at least 1"),
        (lambda: changed(limits=Limits(60, -1, 128)), "settle_steps is -1"),
        (lambda: changed(limits=Limits(60, 0, 128.0)), "resolution is 128.0"),
        (lambda: changed(init_states=0), "init_states is 0"),
        (lambda: changed(scenes_kept=0), "scenes_kept is 0"),
        (lambda: changed(protocol_limits={"openvl": Limits(1, 0, 64)}), "no protocol 'openvl'; there are openvla"),
        (lambda: changed(tasks=tuple), "has no tasks"),
        (lambda: changed(tasks=lambda: TASKS[1:]), "its task number 0 says that it is mine task 1"),
        (lambda: changed(tasks=toy_tasks), "its task number 0 says that it is toy task 0"),
        (lambda: changed(tasks=lambda: (replace(TASKS[0], instruction=" "),)), "task 0 has no instruction"),
        (lambda: changed(tasks=lambda: (replace(TASKS[0], goal=()),)), "task 0 has no goal"),
        (
            lambda: changed(tasks=lambda: (replace(TASKS[0], scenery=SceneContents(frozenset(), {})),)),
            "the goal of task 0 names 'red_block', which its scene lacks",
        ),
    ],
)
def test_suites_that_contradict_themselves(suite_registry, suite, line):
    with pytest.raises(ValueError, match=re.escape(line)):
        register_suite(suite())
    assert not suites.is_suite("mine")


def package(folder, entry, source):
    """An installed package with an entry point, as pip would leave it."""
    info = folder / "lab_suites-1.2.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lab-suites\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(f"[simeval.suites]\n{entry}\n")
    (folder / "lab_suites.py").write_text(source)


@pytest.fixture
def installed(suite_registry, tmp_path, monkeypatch):
    suites.installed_suites.cache_clear()
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    suites.installed_suites.cache_clear()
    sys.modules.pop("lab_suites", None)


OFFERED = (
    EXAMPLE.read_text()
    .split("if __name__")[0]
    .replace("register_suite(Suite(", "SUITE = (Suite(")
    .replace("from envs.suites import register_suite\n", "")
)


def test_a_package_offers_a_suite(installed):
    package(installed, "reach = lab_suites:SUITE", OFFERED)
    words = ("--suite", "reach", "--tasks", "0", "--init-states", "0", "--policy", "zero", "--workers", "0")
    assert call("run", *words, "--out", installed / "run").code == 0
    manifest = json.loads((installed / "run" / "manifest.json").read_text())
    assert manifest["identity"]["versions"]["suite reach"] == "lab-suites 1.2"
    assert re.search(r"^reach +3 tasks$", call("list", "suites").out, re.MULTILINE)
    (installed / "lab_suites-1.2.dist-info" / "entry_points.txt").write_text("")
    suites.installed_suites.cache_clear()
    suites.unregister_suites_but(frozenset(suites.BUILT_IN))
    assert "reach scenes" in call("show", installed / "run").out


@pytest.mark.parametrize(
    ("entry", "source", "line"),
    [
        ("reach = lab_suites:SUITE", "1 / 0", "suite 'reach' of lab-suites 1.2: ZeroDivisionError"),
        ("reach = lab_suites:SUIT", OFFERED, "AttributeError"),
        ("other = lab_suites:SUITE", OFFERED, "the entry point lab_suites:SUITE is not the Suite of that name"),
    ],
)
def test_a_package_whose_suite_is_broken(installed, entry, source, line):
    package(installed, entry, source)
    assert line in refusal("plan", "--suite", entry.split()[0], "--policy", "zero")


def test_pairs_of_an_unseeded_reset_are_said_to_start_differently(tmp_path):
    seeded = "np.random.default_rng([init_state, self.task.index])"
    text = EXAMPLE.read_text()
    assert seeded in text
    path = tmp_path / "reach.py"
    path.write_text(text.replace(seeded, "np.random.default_rng()"))
    out = tmp_path / "run"
    words = ("--suite", "reach", "--policy", "random", "--workers", 0, "--init-states", "0-2", "--perturb", "noise:0.1")
    simeval("run", *words, "--plugin", path, "--out", out)
    line = "9 of 9 pairs on reach do not start alike, although nothing is to change their start: a reset that does not"
    assert line in simeval("show", out)
    simeval("report", out, "--plugin", path)
    assert line in " ".join((out / "report" / "report.html").read_text().split())


HALF = """
    def observe(self, cameras=None):
        from dataclasses import replace

        seen = super().observe(*[cameras] * (cameras is not None))
        return replace(seen, images={camera: image[::2, ::2] for camera, image in seen.images.items()})

    def place("""


@pytest.mark.parametrize("workers", [0, 1])
def test_images_of_another_size_than_the_suite_declares_are_refused(tmp_path, policy, workers):
    path = tmp_path / "reach.py"
    path.write_text(EXAMPLE.read_text().replace("\n    def place(", HALF, 1))
    words = ("--suite", "reach", "--policy", policy, "--workers", workers, "--init-states", "0", "--plugin", path)
    line = simeval("run", *words, "--out", tmp_path / "run", code=2)
    assert "image of agentview has the shape [64, 64, 3], its suite's limits say 128 x 128 pixels" in line


def test_stages_of_a_plugins_suite_ask_for_the_plugin_and_are_computed_with_it(tmp_path):
    out, words = tmp_path / "run", ("--suite", "reach", "--policy", "zero", "--workers", 0, "--init-states", "0-1")
    simeval("run", *words, "--plugin", EXAMPLE, "--out", out)
    assert "the suite reach is of the plugin my_suite.py; name it by --plugin" in simeval("show", out, "--stages")
    named = simeval("show", out, "--stages", "--plugin", EXAMPLE)
    assert "name it by --plugin" not in named
    assert "the environments of reach do not tell what moved" in named
    assert "plugin" in simeval("show", out, "--plugin", __file__, code=2)


@pytest.mark.parametrize(
    ("before", "after", "line"),
    [
        ("[init_state, self.task.index]", "[self.task.index]",
         "6 initial states of 9 on reach start like another one of the same task"),
        ("< REACH", "< 9",
         "9 of 9 clean episodes on reach reach their goal at the first control step: the goal may hold from the start"),
    ],
)  # fmt: skip
def test_initial_states_that_test_nothing_are_said_to(tmp_path, before, after, line):
    text, path, out = EXAMPLE.read_text(), tmp_path / "reach.py", tmp_path / "run"
    assert before in text
    path.write_text(text.replace(before, after))
    words = ("--suite", "reach", "--policy", "zero", "--workers", 0, "--init-states", "0-2", "--perturb", "noise:0.1")
    simeval("run", *words, "--plugin", path, "--out", out)
    assert line in " ".join(simeval("show", out).split())
    simeval("run", *words, "--plugin", EXAMPLE, "--out", tmp_path / "sound")
    sound = simeval("show", tmp_path / "sound")
    assert "start like" not in sound
    assert "first control step" not in sound


def test_a_scene_axis_is_infeasible_without_a_model():
    from envs.base import Scene
    from perturbations.base import Infeasible
    from perturbations.spec import parse

    with pytest.raises(Infeasible, match=r"light:0\.5: this scene has no MuJoCo model"):
        parse("light:0.5").apply_scene(Scene(None, {"agentview": 0}), lambda *_: None)


def test_episodes_of_a_few_steps_are_exported_as_video(tmp_path):
    path, out, dataset = tmp_path / "reach.py", tmp_path / "run", tmp_path / "dataset"
    late = '(self.data.time > 0.04 + 0.05 * (round(1e4 * self.data.body("green_pad").xpos[0]) % 4))'
    path.write_text(EXAMPLE.read_text().replace("return float(np.linalg.norm(away)) < REACH", f"return bool{late}"))
    words = ("--suite", "reach", "--policy", "zero", "--workers", 0, "--init-states", "0-7")
    simeval("run", *words, "--plugin", path, "--out", out)
    simeval("export", out, "--to", "lerobot", "--plugin", path, "--out", dataset, "--cameras", "agentview")
    assert json.loads((dataset / "meta" / "info.json").read_text())["total_episodes"] == 24
