"""`--policy openpi://HOST:PORT` as users meet it: runs, resumes, audits, recipes, lists and the doctor."""

import itertools
import json

import numpy as np
import pytest
import yaml
from helpers import call, refusal, rows
from policy_servers import Stub, chunk_for, free_port, serving

from simeval.policies.remote import conventions
from simeval.policies.remote.load import SCHEMES

FEW = ("--suite", "toy", "--tasks", "0", "--init-states", "0-1")


@pytest.fixture
def server():
    with serving(Stub(metadata={"model": "tiny"})) as stub:
        yield stub


def run(url, out, *words):
    return call("run", *FEW, "--policy", url, "--out", out, *words)


def test_rows_do_not_depend_on_the_number_of_workers(server, tmp_path):
    assert run(server.url, tmp_path / "one", "--perturb", "noise:0.3", "--workers", 0).code == 0
    assert run(server.url, tmp_path / "two", "--perturb", "noise:0.3", "--workers", 2).code == 0
    assert rows(tmp_path / "one") == rows(tmp_path / "two")
    assert {row["outcome"] for row in rows(tmp_path / "one").values()} == {"failure"}


def test_the_manifest_says_which_server_and_which_convention(server, tmp_path):
    assert run(server.url, tmp_path / "run", "--workers", 0, "--n-action-steps", 8).code == 0
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    policy = manifest["identity"]["policy"]
    assert (policy["url"], policy["n_action_steps"], policy["repeatable"]) == (server.url, 8, True)
    assert policy["convention"] == "openpi_libero"
    assert "torch" not in manifest["identity"]["versions"], "it computes elsewhere"


def test_a_run_folder_or_a_recipe_does_not_send_images_and_keys_anywhere(server, tmp_path):
    out, recipe = tmp_path / "run", tmp_path / "recipe.yaml"
    assert run(server.url, out, "--workers", 0).code == 0
    connections = server.connections
    recipe.write_text(yaml.safe_dump({"suite": "toy", "policy": server.url}))
    for words in (("run", "--resume", out), ("audit", out, "--perturb", "noise:0.1"), ("run", "--config", recipe)):
        assert "name it yourself: --policy openpi://127.0.0.1:" in refusal(*words)
    assert call("show", out).code == 0
    assert server.connections == connections
    assert call("run", "--resume", out, "--policy", server.url).code == 0


def test_a_resume_against_another_model_is_refused(tmp_path):
    port = free_port()
    with serving(Stub(answer=lambda request: {"actions": chunk_for(request)[:, ::1]}), port) as stub:
        assert run(stub.url, tmp_path / "run", "--workers", 0).code == 0
    more = ("--grow", "--init-states", "0-2", "--policy", f"openpi://127.0.0.1:{port}")
    with serving(Stub(answer=lambda request: {"actions": chunk_for(request, shift=0.1)}), port):
        assert "policy.probe" in refusal("run", "--resume", tmp_path / "run", *more)
    with serving(Stub(), port):
        assert call("run", "--resume", tmp_path / "run", *more).code == 0


def test_a_server_that_does_not_repeat_its_answers_is_said(tmp_path):
    count = itertools.count()

    def moody(request):
        chunk = chunk_for(request)
        return {"actions": chunk + np.float32(0.01) * (next(count) % 2)}

    with serving(Stub(answer=moody)) as stub:
        done = run(stub.url, tmp_path / "run", "--workers", 0)
        assert done.code == 0
        assert "not repeatable, noise floor 0.0" in done.out
        assert "not repeatable, noise floor 0.0" in call("show", tmp_path / "run").out
        refused = refusal("audit", tmp_path / "run", "--policy", stub.url, "--perturb", "noise:0.1")
        assert "so drift would be that noise" in refused


def test_its_drift_is_audited(server, tmp_path):
    assert run(server.url, tmp_path / "run", "--workers", 0, "--perturb", "light:0.3").code == 0
    assert call("audit", tmp_path / "run", "--policy", server.url).code == 0


def test_a_card_of_ones_own(server, tmp_path, monkeypatch):
    card = tmp_path / "mine.yaml"
    card.write_text("\n".join(call("list", "conventions", "openpi_libero").out.splitlines()).replace("prompt", "text"))
    monkeypatch.chdir(tmp_path)
    server.answer = lambda request: {"actions": chunk_for(request | {"prompt": request["text"]})}
    assert run(server.url, tmp_path / "run", "--workers", 0, "--convention", "mine.yaml").code == 0
    assert all("text" in request for request in server.requests)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--policy", "opnpi://127.0.0.1:1"), "no protocol 'opnpi'; did you mean 'openpi'?"),
        (("--policy", "openpi://127.0.0.1:99999"), "Port out of range"),
        (("--policy", "openpi://me:secret@host:1"), "a key goes into SIMEVAL_API_KEY"),
        (("--policy", "openpi://h:1", "--convention", "opnpi_libero"), "did you mean 'openpi_libero'?"),
        (("--policy", "openpi://h:1", "--convention", "no.yaml"), "no.yaml"),
        (("--policy", "openpi://h:1", "--dtype", "bfloat16"), "computes where it is served"),
        (("--policy", "seeker", "--convention", "openpi_libero"), "'seeker' is no policy server"),
    ],
)
def test_what_cannot_be_asked_is_one_line_before_anything_starts(tmp_path, words, line):
    assert line in refusal("run", *FEW, "--workers", 0, "--out", tmp_path / "run", *words)


def test_protocols_and_conventions_are_listed():
    listed = call("list", "policies").out
    assert all(f"{scheme}://HOST:PORT" in listed for scheme in SCHEMES)
    assert [line.split()[0] for line in call("list", "conventions").out.splitlines()] == list(conventions.names())
    assert "did you mean 'openpi_libero'?" in refusal("list", "conventions", "openpi_libro")


def test_the_doctor_asks_the_server(server):
    asked = call("doctor", "--only", "checkpoint", "--policy", server.url)
    assert asked.code == 0
    assert "repeatable; sampling noise is up to the server" in asked.out
    odd = call("doctor", "--only", "checkpoint", "--policy", server.url, "--convention", "openpi_libro")
    assert (odd.code, "did you mean 'openpi_libero'?" in odd.out) == (1, True)
    gone = call("doctor", "--only", "checkpoint", "--policy", f"openpi://127.0.0.1:{free_port()}")
    assert gone.code == 1
    assert "start the server, or correct host and port" in gone.out
