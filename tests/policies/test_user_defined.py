"""Policies of the user: a Python file, an installed entry point, an object."""

import json
import re
import time
from dataclasses import replace

import numpy as np
import pytest
from helpers import call, lines, refusal, rows, toy_config

from simeval.api import evaluate
from simeval.core.errors import ConfigError
from simeval.policies.base import PolicySpec
from simeval.policies.repeatable import same
from simeval.policies.scripted import SeekerPolicy
from simeval.store.run import Run

FEW = ("--suite", "toy", "--tasks", "0", "--init-states", "0-1")
SEEKER = """
from simeval.policies.scripted import SeekerPolicy

def make():
    return SeekerPolicy()
"""


@pytest.fixture
def mine(tmp_path):
    """Writes a policy's file."""

    def write(text: str = SEEKER, name: str = "mine.py"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


# A file


@pytest.mark.parametrize("workers", [0, 2])
def test_its_rows_are_those_of_the_same_policy_by_name(mine, tmp_path, workers):
    words = (*FEW, "--perturb", "noise:0.3", "--workers", workers)
    assert call("run", *words, "--policy", mine(), "--out", tmp_path / "file").code == 0
    assert call("run", *words, "--policy", "seeker", "--out", tmp_path / "name").code == 0
    assert rows(tmp_path / "file") == rows(tmp_path / "name")


def test_the_manifest_says_which_text_made_it(mine, tmp_path):
    path = mine()
    assert call("run", *FEW, "--workers", 0, "--policy", f"{path}:make", "--out", tmp_path / "run").code == 0
    policy = json.loads((tmp_path / "run" / "manifest.json").read_text())["identity"]["policy"]
    assert (policy["name"], policy["file"], len(policy["file_sha256"])) == ("seeker", "mine.py:make", 64)


def test_a_run_is_resumed_with_the_same_text_only(mine, tmp_path):
    path, out = mine(), tmp_path / "run"
    assert call("run", *FEW, "--workers", 0, "--policy", path, "--out", out).code == 0
    (tmp_path / "elsewhere").mkdir()
    moved = mine(SEEKER, "elsewhere/mine.py")
    assert call("run", "--resume", out, "--policy", moved).code == 0
    mine(SEEKER + "# changed\n")
    assert "policy_file" in refusal("run", "--resume", out, "--policy", path)
    assert "policy_file" in refusal("run", *FEW, "--workers", 0, "--policy", path, "--out", out)
    assert len(lines(out)) == 2


def test_a_run_folder_does_not_make_simeval_execute_it(mine, tmp_path):
    path, out, marker = mine(), tmp_path / "run", tmp_path / "executed"
    assert call("run", *FEW, "--workers", 0, "--policy", path, "--out", out).code == 0
    path.write_text(f"open({str(marker)!r}, 'w')\n" + SEEKER)
    for words in (("run", "--resume", out), ("audit", out, "--perturb", "noise:0.1")):
        assert "it is code, so name it yourself: --policy " in refusal(*words)
    assert call("show", out).code == 0
    assert not marker.exists()


def test_a_recipe_does_not_make_simeval_execute_it(mine, tmp_path):
    path, recipe = mine(), tmp_path / "recipe.yaml"
    recipe.write_text(f"suite: toy\ntasks: 0\ninit_states: 0\nworkers: 0\nout: {tmp_path / 'run'}\npolicy: {path}\n")
    assert "it" in (said := refusal("run", "--config", recipe))
    assert said.endswith(f"the policy is code, so name it yourself: --policy {path}")
    assert call("run", "--config", recipe, "--policy", path).code == 0


def test_planning_reads_and_does_not_execute_it(mine):
    assert call("plan", *FEW, "--policy", mine("raise SystemExit(0)\ndef make(): pass\n")).code == 0


def test_it_gets_the_options_that_its_maker_takes(mine, tmp_path):
    text = """
from dataclasses import replace
from simeval.policies.scripted import SeekerPolicy

class Mine(SeekerPolicy):
    def __init__(self, n_action_steps=1, device="nowhere"):
        fingerprint = (("device", device), ("list", (1, 2)))
        self.spec = replace(SeekerPolicy.spec, n_action_steps=n_action_steps, fingerprint=fingerprint)
"""
    words = (*FEW, "--workers", 0, "--policy", f"{mine(text)}:Mine", "--n-action-steps", 1, "--out", tmp_path / "run")
    assert call("run", *words).code == 0
    assert call("run", *words).code == 0, "and it is complete"
    policy = json.loads((tmp_path / "run" / "manifest.json").read_text())["identity"]["policy"]
    assert (policy["device"], policy["n_action_steps"], policy["list"]) == ("auto", 1, [1, 2])


def test_it_can_be_audited(mine, tmp_path):
    path, out = mine(), tmp_path / "run"
    assert call("run", *FEW, "--workers", 0, "--policy", path, "--perturb", "light:0.3", "--out", out).code == 0
    assert call("audit", out, "--policy", path).code == 0


CLASS = """
from dataclasses import replace
import numpy as np
from simeval.policies.scripted import SeekerPolicy

class make(SeekerPolicy):
    spec = replace(SeekerPolicy.spec, CHANGE)
"""


def spec(change: str) -> str:
    return CLASS.replace("CHANGE", change)


@pytest.mark.parametrize(
    ("text", "maker", "line"),
    [
        ("def make(:\n", "", "SyntaxError"),
        ("x = 1\n", "", "the file defines no 'make'"),
        (SEEKER, ":maker", "the file defines no 'maker'; did you mean 'make'?"),
        ("", "", "the file defines no 'make'"),
        ("import numpy, no_such_package\n" + SEEKER, "", "no module named 'no_such_package'; install it, or put"),
        ("raise ValueError('bad\\nweather')\n" + SEEKER, "", "ValueError: bad weather (line 1)"),
        ("raise SystemExit(0)\n" + SEEKER, "", "SystemExit: 0 (line 1)"),
        ("def make():\n    1/0\n", "", "ZeroDivisionError: division by zero (line 2)"),
        ("make = 3\n", "", "is of type int, not a function, a class or a policy"),
        ("def make(): return 3\n", "", "type int is no policy: it has no method act"),
        ("class make:\n    def act(self, inputs): pass\n", "", "its spec is a NoneType, not a"),
        (spec("name=''"), "", "spec.name is '', must be a printable text"),
        (spec("n_action_steps=0"), "", "spec.n_action_steps is 0, must be a whole number in [1, 1000]"),
        (spec("n_action_steps='4'"), "", "spec.n_action_steps is '4', must be"),
        (spec("n_obs_steps=-1"), "", "spec.n_obs_steps is -1, must be a whole number in [1, 64]"),
        (spec("cameras=('front',)"), "", "spec.cameras is ('front',), must be a tuple of names from agentview"),
        (spec("state_std=np.ones(3)"), "", "spec.state_std is array([1., 1., 1.]), must be 8 numbers"),
        (spec("state_std=(-1.0,) * 8"), "", "must not be negative"),
        (spec("image_size=224"), "", "spec.image_size is 224, must be (height, width) in pixels, each in [1, 4096]"),
        (spec("memory='no'"), "", "spec.memory is 'no', must be True or False"),
        (spec("noise_floor='x'"), "", "spec.noise_floor is 'x', must be a number from 0"),
        (spec("action_limits=((1, -1),) * 7"), "", "must be pairs of the lowest and the highest number"),
        (spec("fingerprint=(('a', 1), ('a', 2))"), "", "spec.fingerprint has the key 'a' more than once"),
        (spec("state_std=(1.0, 2.0)"), "", "spec.state_std is (1.0, 2.0), must be 8 numbers"),
        (spec("action_std=(-1.0,) * 7"), "", "must not be negative"),
        (spec("action_limits=((0, 1),)"), "", "spec.action_limits is ((0, 1),), must be 7 pairs of numbers"),
        (spec("fingerprint={'a': 1}"), "", "spec.fingerprint is {'a': 1}, must be pairs"),
        (spec("fingerprint=(('a', object),)"), "", "spec.fingerprint['a'] is <class 'object'>, must be pairs"),
        (spec("fingerprint=(('a', float('nan')),)"), "", "spec.fingerprint['a'] is nan, must be pairs"),
        (spec("fingerprint=(('name', 1),)"), "", "has the key 'name', which the manifest uses itself"),
    ],
)
@pytest.mark.parametrize("workers", [0])
def test_what_is_wrong_with_it_is_one_line(mine, tmp_path, text, maker, line, workers):
    words = ("--policy", f"{mine(text)}{maker}", "--workers", workers, "--out", tmp_path / "run")
    assert line in refusal("run", *FEW, *words)
    assert not (tmp_path / "run").exists()


def test_in_workers_it_is_one_line_as_well(mine, tmp_path):
    words = ("--policy", mine("def make():\n    1/0\n"), "--workers", 1, "--out", tmp_path / "run")
    assert "ZeroDivisionError: division by zero (line 2)" in refusal("run", *FEW, *words)


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (("--n-action-steps", 4), "--n-action-steps: "),
        (("--dtype", "bfloat16"), "--dtype: "),
        (("--policy", "no/such.py"), "--policy no/such.py: No such file or directory"),
        (("--policy", "nobody"), "--policy: no policy or folder 'nobody'"),
        (("--policy", "object:mine"), "is an object of a Python program"),
    ],
)
def test_what_does_not_fit_is_one_line(mine, tmp_path, flags, line):
    assert line in refusal("run", *FEW, "--workers", 0, "--policy", mine(), "--out", tmp_path / "run", *flags)


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        ("None", "it returned a NoneType for 1 input, not a list of 1 action chunk"),
        ("{'action': chunk}", "it returned a dict for 1 input, not a list of 1 action chunk"),
        ("'chunk'", "it returned a str for 1 input"),
        ("__import__('torch').tensor(1.0)", "it returned a Tensor for 1 input"),
        ("[]", "it returned 0 for 1 input"),
        ("[chunk, chunk]", "it returned 2 for 1 input"),
        ("[chunk[:, :6]]", "it returned an action chunk of shape ("),
        ("[chunk * float('nan')]", "it returned an action that is not finite"),
        ("[np.ma.array(chunk, mask=True)]", "it returned an action that is masked, so no number"),
        ("[np.ma.masked_where(chunk == chunk.max(), chunk)]", "it returned an action that is masked, so no number"),
        ("[[np.ma.array(row, mask=True) for row in chunk]]", "it returned an action that is masked, so no number"),
        ("np.ma.array([chunk], mask=True)", "it returned an action that is masked, so no number"),
    ],
)
def test_a_wrong_answer_is_an_error_row(mine, tmp_path, answer, line):
    text = f"""
import numpy as np
from simeval.policies.scripted import SeekerPolicy

class make(SeekerPolicy):
    def act(self, inputs):
        (chunk,) = super().act(inputs)
        return {answer}
"""
    assert call("run", *FEW, "--policy", mine(text), "--workers", 0, "--out", tmp_path / "run").code == 1
    results = Run.load(tmp_path / "run").results
    assert {(r.outcome, r.error_phase) for r in results} == {("error", "policy")}
    assert all(line in r.error_text for r in results)


@pytest.mark.parametrize(
    "kind", ["torch.stack(list(map(torch.from_numpy, chunks)))", "np.stack(chunks)", "tuple(chunks)"]
)
def test_a_batch_may_be_one_tensor_or_array(mine, tmp_path, kind):
    text = f"""
import numpy as np, torch
from simeval.policies.scripted import SeekerPolicy

class make(SeekerPolicy):
    def act(self, inputs):
        chunks = super().act(inputs)
        return {kind}
"""
    assert call("run", *FEW, "--policy", mine(text), "--workers", 0, "--out", tmp_path / "file").code == 0
    assert call("run", *FEW, "--policy", "seeker", "--workers", 0, "--out", tmp_path / "name").code == 0
    assert rows(tmp_path / "file") == rows(tmp_path / "name")


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_row_says_the_line_of_the_file(mine, tmp_path, workers):
    text = """
from simeval.policies.scripted import SeekerPolicy

class make(SeekerPolicy):
    def act(self, inputs):
        return [item.observation.images["front"] for item in inputs]
"""
    assert call("run", *FEW, "--policy", mine(text), "--workers", workers, "--out", tmp_path / "run").code == 1
    assert {r.error_text for r in Run.load(tmp_path / "run").results} == {"KeyError: 'front' (mine.py line 6)"}


# An installed package


def test_an_installed_package_offers_one(tmp_path, monkeypatch):
    info = tmp_path / "lab-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lab\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text("[simeval.policies]\nlab-best = lab_policies:make\n")
    (tmp_path / "lab_policies.py").write_text(SEEKER)
    monkeypatch.syspath_prepend(tmp_path)
    listed = call("list", "policies")
    assert "lab-best" in listed.out
    assert "offered by the installed package lab 1.2" in listed.out
    out = tmp_path / "run"
    assert call("run", *FEW, "--workers", 0, "--policy", "lab-best", "--out", out).code == 0
    policy = json.loads((out / "manifest.json").read_text())["identity"]["policy"]
    assert (policy["entry_point"], policy["package"]) == ("lab_policies:make", "lab 1.2")
    assert call("run", "--resume", out).code == 0
    assert "did you mean 'lab-best'?" in refusal("run", *FEW, "--policy", "lab-bset", "--out", tmp_path / "other")


# An object


class Training(SeekerPolicy):
    """A model in training: better after some steps."""

    def __init__(self, step: int | None) -> None:
        fingerprint = () if step is None else (("step", step),)
        self.spec = replace(SeekerPolicy.spec, name="training", fingerprint=fingerprint)
        self.step = step

    def act(self, inputs):
        chunks = super().act(inputs)
        return chunks if self.step else [np.zeros_like(chunk) for chunk in chunks]


def test_an_object_is_evaluated_as_it_is_now(tmp_path):
    wanted = toy_config(tmp_path / "run", perturb=(), policy=None)
    before, after = (
        evaluate(replace(wanted, out=str(tmp_path / str(step))), policy=Training(step)) for step in (0, 1000)
    )
    assert before.episodes.outcome.eq("failure").all()
    assert after.episodes.outcome.eq("success").all()
    assert after.manifest["identity"]["policy"] == {
        "name": "training", "n_action_steps": SeekerPolicy.spec.n_action_steps, "step": 1000, "object": "Training",
    }  # fmt: skip


def test_an_object_that_was_trained_since_is_refused_as_another(tmp_path):
    wanted = toy_config(tmp_path / "run", perturb=(), policy=None)
    evaluate(wanted, policy=Training(0))
    assert evaluate(wanted, policy=Training(0)).episodes.outcome.eq("failure").all()
    with pytest.raises(ConfigError, match="step"):
        evaluate(wanted, policy=Training(1000))


def test_an_object_without_a_fingerprint_is_no_reason_to_believe_old_rows(tmp_path):
    wanted = toy_config(tmp_path / "run", perturb=(), policy=None)
    evaluate(wanted, policy=Training(None))
    with pytest.raises(ConfigError, match=r"nothing tells whether this policy object made it.*spec\.fingerprint"):
        evaluate(wanted, policy=Training(None))


def test_a_run_of_an_object_is_resumed_where_the_object_is(tmp_path):
    evaluate(toy_config(tmp_path / "run", perturb=(), policy=None), policy=Training(0))
    assert "is an object of a Python program" in refusal("run", "--resume", tmp_path / "run")
    assert call("show", tmp_path / "run").code == 0


def test_workers_ask_the_object_and_the_rows_are_the_same(tmp_path):
    for workers, batch in ((0, None), (2, 4)):
        out = tmp_path / str(workers)
        evaluate(toy_config(out, policy=None, workers=workers, batch_size=batch), policy=Remembering())
    assert rows(tmp_path / "0") == rows(tmp_path / "2")
    identities = [json.loads((tmp_path / n / "manifest.json").read_text())["identity"]["policy"] for n in "02"]
    assert identities[0] == identities[1]


class Remembering(SeekerPolicy):
    """Moves with what it saw first, and two observations ago."""

    spec = replace(SeekerPolicy.spec, name="remembering", memory=True, n_obs_steps=3, fingerprint=(("version", 1),))

    def __init__(self) -> None:
        self.first = {}

    def act(self, inputs):
        chunks = super().act(inputs)
        for item, chunk in zip(inputs, chunks, strict=True):
            if item.chunk_index == 0:
                self.first[item.episode_id] = item.observation.state[:3]
            chunk[:, :3] += self.first[item.episode_id] - item.past[0].state[:3]
        return chunks


@pytest.mark.parametrize(
    ("changes", "policy", "line"),
    [
        ({"ray_address": "auto", "workers": None}, Training(0), "runs on this machine"),
        ({"policy": "seeker"}, Training(0), "a policy object is given as well"),
        ({"n_action_steps": 7}, Training(0), "that is its spec.n_action_steps"),
        ({}, object(), "no method act"),
    ],
)
def test_an_object_that_does_not_fit_is_one_line(tmp_path, changes, policy, line):
    with pytest.raises(ConfigError, match=line):
        evaluate(toy_config(tmp_path / "run", **{"policy": None, "perturb": (), **changes}), policy=policy)


def test_numpy_in_a_spec_becomes_plain(mine, tmp_path):
    text = spec("n_action_steps=np.int64(5), action_std=np.full(7, 0.5), state_limits=[[-1, 1]] * 8, noise_floor=0")
    assert call("run", *FEW, "--policy", mine(text), "--workers", 0, "--out", tmp_path / "run").code == 0
    assert call("run", "--resume", tmp_path / "run", "--policy", mine(text)).code == 0


# What the contract asks for


class Dice(SeekerPolicy):
    """Draws from a generator that it keeps, or from one of the request's seed."""

    def __init__(self, *, kept: bool) -> None:
        self.spec = replace(SeekerPolicy.spec, name="dice", fingerprint=(("kept", kept),))
        self.kept = np.random.default_rng(0) if kept else None

    def act(self, inputs):
        chunks = super().act(inputs)
        for item, chunk in zip(inputs, chunks, strict=True):
            chunk[:, :3] += (self.kept or np.random.default_rng(item.noise_seed)).normal(0, 0.1, 3)
        return chunks


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("kept", [False, True])
def test_an_answer_that_changes_from_call_to_call_is_flagged(tmp_path, kept, workers):
    done = evaluate(toy_config(tmp_path / "run", policy=None, workers=workers), policy=Dice(kept=kept))
    assert {result.spec.condition for result in done.results if "not_repeatable" in result.flags} == (
        {"none"} if kept else set()
    )
    shown = call("show", tmp_path / "run").out
    assert ("got other actions for the same request, so pairs differ by more than" in " ".join(shown.split())) == kept


class Small(Dice):
    """All its actions are within 0.03; `part` of that is drawn anew in every call, or is a rest of float noise."""

    def __init__(self, part: float) -> None:
        super().__init__(kept=True)
        self.part = part

    def act(self, inputs):
        chunks = [chunk + self.part * self.kept.uniform(-1, 1, chunk.shape) for chunk in SeekerPolicy.act(self, inputs)]
        return [(0.03 * chunk).clip(-0.03, 0.03) for chunk in chunks]


@pytest.mark.parametrize(("part", "flagged"), [(0.5, True), (0.01, False), (1e-5, False)])
def test_small_answers_are_held_against_what_they_span(tmp_path, part, flagged):
    done = evaluate(toy_config(tmp_path / "run", policy=None), policy=Small(part))
    assert any("not_repeatable" in result.flags for result in done.results) == flagged


def test_a_model_of_small_answers_is_not_taken_for_another_one():
    rng = np.random.default_rng(0)
    one, other = rng.normal(0, 0.005, (2, 8, 7)).astype(np.float32)
    assert same(one, one + np.float32(1e-4))
    assert not same(one, other)
    assert same(np.zeros((8, 7)), np.full((8, 7), 1e-4))
    assert not same(one, one[:4])


class SlowAgain(SeekerPolicy):
    """Takes a second when it is asked the same again."""

    def __init__(self) -> None:
        self.asked = None

    def act(self, inputs):
        (item,) = inputs
        if (item.episode_id, item.chunk_index) == self.asked:
            time.sleep(1)
        self.asked = item.episode_id, item.chunk_index
        return super().act(inputs)


def test_the_time_of_the_second_answer_does_not_count(tmp_path):
    done = evaluate(toy_config(tmp_path / "run", policy=None, tasks="0", init_states="0"), policy=SlowAgain())
    assert all(result.timings.inference < 1 for result in done.results)


class Scribbling(SeekerPolicy):
    """Writes into what it was given, after it has looked at it."""

    spec = replace(SeekerPolicy.spec, n_obs_steps=2)

    def __init__(self, *, writes: bool = True) -> None:
        self.writes = writes

    def act(self, inputs):
        chunks = super().act(inputs)
        for item, chunk in zip(inputs, chunks, strict=True):
            # Depends on all that it gets, so that a trace of an earlier call would be seen.
            chunk[:, 1] += item.past[0].state[0] + item.past[0].images["agentview"].mean() / 2000
            for observation in (item.observation, *item.past) if self.writes else ():
                observation.state[:] = 9
                observation.images["agentview"][:] = 0
        return chunks


@pytest.mark.parametrize("condition", ["obs.drop:0.5", "proprio.freeze:0.5", "obs.delay:4"])
def test_what_a_policy_writes_into_its_observation_reaches_no_later_request(tmp_path, condition):
    found = {}
    for writes in (False, True):
        words = {"policy": None, "perturb": (condition,), "tasks": "0", "init_states": "0-1"}
        evaluate(toy_config(tmp_path / str(writes), **words), policy=Scribbling(writes=writes))
        found[writes] = rows(tmp_path / str(writes))
    assert found[True] == found[False]


class Typed(SeekerPolicy):
    """Answers in a type of numbers."""

    def __init__(self, dtype) -> None:
        self.dtype = dtype

    def act(self, inputs):
        return [chunk.astype(self.dtype) for chunk in super().act(inputs)]


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("dtype", [bool, complex])
def test_answers_that_are_no_real_numbers_are_error_rows_or_refused(tmp_path, dtype, workers):
    config = toy_config(tmp_path / "run", policy=None, workers=workers, perturb=(), tasks="0", init_states="0")
    if workers:
        with pytest.raises(ConfigError, match=r"it returned actions of type (bool|complex128), not real numbers"):
            evaluate(config, policy=Typed(dtype))
    else:
        (result,) = evaluate(config, policy=Typed(dtype)).results
        assert re.search(r"it returned actions of type (bool|complex128), not real numbers", result.error_text)


# What the contract gives


class Watching:
    """Keeps what it is asked."""

    def __init__(self, **changes) -> None:
        self.spec = replace(PolicySpec("watching", 4, ("agentview",)), **changes)
        self.requests = []

    def act(self, inputs):
        self.requests += inputs
        return [np.full((4, 7), 0.1, np.float32) for _ in inputs]


def test_each_request_says_its_episode_and_where_it_begins(tmp_path):
    policy = Watching(memory=True)
    done = evaluate(toy_config(tmp_path / "run", perturb=("noise:0.3",), policy=None), policy=policy)
    episodes = [row["id"] for row in lines(done.folder)]  # in the order in which they ran
    begun = [request.episode_id for request in policy.requests if request.chunk_index == 0]
    assert list(dict.fromkeys(begun)) == episodes
    asked = {(result.spec.condition, begun.count(result.spec.id)) for result in done.results}
    assert asked == {("none", 2), ("noise:0.3", 1)}


@pytest.mark.parametrize("condition", ["none", "noise:0.3", "obs.delay:3", "proprio.noise:0.1"])
def test_past_observations_are_those_of_the_control_steps_before(tmp_path, condition):
    """Each is what a policy with one action per chunk gets at that step."""
    words = {"tasks": "0", "init_states": "0", "perturb": () if condition == "none" else (condition,), "policy": None}
    now, past = Watching(n_action_steps=1), Watching(n_obs_steps=3)
    for policy in (now, past):
        done = evaluate(toy_config(tmp_path / str(policy.spec.n_obs_steps), **words), policy=policy)
    episode = done.results[-1].spec.id
    each = list({r.chunk_index: r.observation for r in now.requests if r.episode_id == episode}.values())
    asked = [request for request in past.requests if request.episode_id == episode]
    assert len(asked) > 5
    for request in asked:
        step = 4 * request.chunk_index
        window = [each[max(0, step - age)] for age in (2, 1, 0)]
        for observation, expected in zip((*request.past, request.observation), window, strict=True):
            assert observation.step == expected.step
            assert observation.state.tobytes() == expected.state.tobytes()
            assert observation.images["agentview"].tobytes() == expected.images["agentview"].tobytes()
