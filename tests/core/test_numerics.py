"""The same bits on every x86-64-v3 processor, and a record of what really computed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from envs import numerics
from envs.libero.files import resolve_assets
from simeval.api import evaluate
from simeval.config.evaluation import EvalConfig
from simeval.config.plan import make_plan
from simeval.core import kernels, provenance
from simeval.core.errors import ConfigError
from simeval.policies.registry import PolicyChoice
from simeval.runner.worker import EpisodeWorker, WorkerSetup

HERE = Path(__file__).parents[1] / "numerics"
PROBE = HERE / "probe.py"
STORED = json.loads((HERE / "digests.json").read_text())
ZEN3 = [json.loads(line) for line in (HERE / "zen3_rows.jsonl").read_text().splitlines()]
"""Rows that a processor without AVX-512 made, with MKL's AVX2 branch; see `test_rows_of_zen_3`."""
TOY = ("--suite", "toy", "--policy", "seeker", "--tasks", "0", "--init-states", "0", "--workers", "0")

portable_processor = pytest.mark.skipif(
    numerics.level() != numerics.LEVEL, reason=f"pins are for {numerics.LEVEL}; this is {numerics.level()}"
)


def unpinned(**more: str) -> dict[str, str]:
    """The environment as a person has it: nothing of what this test process has set."""
    dropped = {*numerics.pins(), numerics.VARIABLE, "SIMEVAL_NUMERICS_BEFORE"}
    return {name: value for name, value in os.environ.items() if name not in dropped} | more


def python(code: str, **variables: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=unpinned(**variables))


def simeval(*words: object, **variables: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "simeval.cli", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env=unpinned(**variables))


@portable_processor
def test_chunks_motion_images_and_axes_are_those_of_every_other_processor():
    done = subprocess.run([sys.executable, PROBE], capture_output=True, text=True, check=True, env=unpinned())
    found = json.loads(done.stdout)
    if provenance.gl_renderer() != "egl: llvmpipe (LLVM 15.0.6, 256 bits)":
        # Another renderer draws other pixels, and says so in each manifest; nothing else may differ.
        for name in ("image agentview", "image wrist"):
            assert found["scene"].pop(name), name
            STORED["scene"].pop(name)
    # The C library is that of the system, not of the lock.
    assert found["kernels"].pop("libm")
    STORED["kernels"].pop("libm", None)
    assert found == STORED


@portable_processor
def test_the_expert_repeats_the_rows_of_a_processor_without_avx512():
    """Motion alone: no network, so neither torch nor MKL's branch matters."""
    stored = min((row for row in ZEN3 if row["policy"] == "expert"), key=lambda row: row["steps"])
    worker = EpisodeWorker(WorkerSetup(PolicyChoice("expert"), resolve_assets("bundled"), "none"))
    result = worker.run(spec_of(stored)).result
    assert (result.outcome, result.steps, result.state_digest) == tuple(
        stored[key] for key in ("outcome", "steps", "state_digest")
    )


@portable_processor
@pytest.mark.slow
def test_rows_of_zen_3(tmp_path):
    """All rows of another AMD processor, by its four variables and without NumPy's AVX-512 loops.

    MKL's branch is AVX2 here, as it was there; that branch is another one on Intel's processors, where this must fail.
    """
    variables = {**numerics.pins(), "MKL_CBWR": "AVX2", numerics.VARIABLE: "native"}
    again = {}
    for policy in sorted({row["policy"] for row in ZEN3}):
        suite = "libero_object" if policy == "bundled-object" else "libero_spatial"
        out = tmp_path / policy
        words = ("run", "--suite", suite, "--policy", policy, "--tasks", "0-4", "--init-states", "3", "--workers", "0")
        done = simeval(*words, "--perturb", "noise:0.05", "--numerics", "native", "--out", out, **variables)
        assert done.returncode == 0, done.stderr
        for line in (out / "episodes.jsonl").read_text().splitlines():
            row = json.loads(line)
            again[policy, row["id"]] = row
    for stored in ZEN3:
        row = again[stored["policy"], stored["id"]]
        assert {key: row[key] for key in ("outcome", "steps", "state_digest")} == {
            key: stored[key] for key in ("outcome", "steps", "state_digest")
        }, stored["id"]


def spec_of(row):
    suite, task, init_state, condition, _ = row["id"].split("/")
    config = EvalConfig(
        suite=(suite,), tasks=task, init_states=init_state.removeprefix("init"), policy=row["policy"],
        perturb=() if condition == "none" else (condition.replace("=", ":"),),
    )  # fmt: skip
    (spec,) = (spec for spec in make_plan(config).episodes if spec.id == row["id"])
    return spec


@portable_processor
def test_importing_simeval_pins_what_is_loaded_later():
    done = python("import simeval, json; from simeval.core import kernels; print(json.dumps(kernels.of_simulation()))")
    assert json.loads(done.stdout) | {"libm": ""} == STORED["kernels"] | {"libm": ""}
    assert done.stderr == ""


@portable_processor
def test_a_policy_says_with_which_kernels_it_computes():
    done = python("import simeval; from simeval.core import kernels; print(kernels.of_torch())")
    assert done.stdout.strip() == "ATen AVX2, MKL COMPATIBLE, oneDNN AVX2"


@portable_processor
def test_what_was_set_before_is_overruled():
    done = python(
        "import simeval; from simeval.core import kernels; print(kernels.of_simulation()['OpenBLAS'])",
        OPENBLAS_CORETYPE="Nehalem",
    )
    assert done.stdout.strip() == "Haswell"


@portable_processor
def test_numpy_imported_first_gives_one_warning_and_is_recorded():
    code = "import numpy; import simeval; from simeval.core import kernels; print(kernels.of_simulation()['OpenBLAS'])"
    done = python(code, OPENBLAS_CORETYPE="Nehalem")
    # OpenCV has a BLAS of its own, which is loaded later.
    assert done.stdout.strip() == "Haswell+Nehalem", "the record says what computed, not what was asked for"
    assert done.stderr.count("RuntimeWarning") == 1
    assert "numpy imported before simeval" in done.stderr
    assert "Import simeval first" in done.stderr


def test_native_leaves_everything_as_it_was():
    code = "import os, simeval; print(*(os.environ.get(name) for name in ('OPENBLAS_CORETYPE', 'MKL_CBWR')))"
    done = python(code, **{numerics.VARIABLE: "native", "OPENBLAS_CORETYPE": "Nehalem"})
    assert done.stdout.split() == ["Nehalem", "None"]


@portable_processor
def test_a_native_process_below_a_pinned_one_gets_back_what_the_person_had_set():
    inner = "import os, simeval; print(*(os.environ.get(name) for name in ('OPENBLAS_CORETYPE', 'MKL_CBWR')))"
    outer = (
        "import simeval, os, subprocess, sys; assert os.environ['MKL_CBWR'] == 'COMPATIBLE'; "
        f"subprocess.run([sys.executable, '-c', {inner!r}], env=os.environ | {{'{numerics.VARIABLE}': 'native'}})"
    )
    assert python(outer, OPENBLAS_CORETYPE="Nehalem").stdout.split() == ["Nehalem", "None"]


def test_an_unknown_mode_is_one_warning_and_portable():
    done = python("import simeval; from envs import numerics; print(numerics.mode())", **{numerics.VARIABLE: "fast"})
    assert done.stdout.strip() == "portable"
    assert f"{numerics.VARIABLE}=fast: must be portable or native" in done.stderr


@pytest.mark.parametrize(
    ("machine", "flags", "name"),
    [
        ("x86_64", numerics._V3_FLAGS, "x86-64-v3"),
        ("x86_64", numerics._V3_FLAGS - {"avx2", "fma"}, "x86_64 without avx2, fma"),
        ("aarch64", frozenset(), "aarch64"),
    ],
)
def test_a_processor_is_named_as_what_it_is(monkeypatch, machine, flags, name):
    monkeypatch.setattr(numerics.platform, "machine", lambda: machine)
    monkeypatch.setattr(numerics, "processor_flags", lambda: flags)
    for function in (numerics.level, numerics.pins):
        function.cache_clear()
    try:
        assert numerics.level() == name
        assert bool(numerics.pins()) == (name == numerics.LEVEL)
        assert "OPENCV_CPU_DISABLE" not in numerics.pins(), "OpenCV complains where there is nothing to disable"
    finally:
        monkeypatch.undo()
        for function in (numerics.level, numerics.pins):
            function.cache_clear()


def test_a_run_of_other_numerics_is_refused_in_one_line(tmp_path):
    out = tmp_path / "run"
    assert simeval("run", *TOY, "--out", out).returncode == 0
    other = simeval("run", *TOY, "--out", out, "--numerics", "native")
    assert other.returncode == 2
    assert other.stderr.strip() == (
        f"simeval: --out {out}: holds a different run (numerics: portable -> native); choose another --out"
    )
    settled = simeval("run", "--resume", out, "--numerics", "native")
    assert settled.returncode == 2
    assert "--numerics is settled by the run" in settled.stderr


def test_a_native_run_resumes_by_itself_and_is_flagged_beside_a_portable_one(tmp_path):
    for mode in numerics.MODES:
        assert simeval("run", *TOY, "--numerics", mode, "--out", tmp_path / mode).returncode == 0
    manifest = json.loads((tmp_path / "native" / "manifest.json").read_text())
    assert manifest["identity"]["numerics"]["mode"] == "native"
    assert "processor" in manifest["identity"]["numerics"]
    assert simeval("run", "--resume", tmp_path / "native").returncode == 0
    compared = " ".join(simeval("compare", tmp_path / "portable", tmp_path / "native").stdout.split())
    assert compared.count("made with different numerics, so the same episode may differ: portable (") == 1
    assert "-> native (" in compared


def test_the_new_process_of_a_native_run_prints_json_to_standard_output(tmp_path):
    done = simeval("run", *TOY, "--numerics", "native", "--json", "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    events = [json.loads(line)["event"] for line in done.stdout.splitlines()]
    assert events.count("episode") > 0
    assert events[-1] == "summary"
    again = simeval("run", "--resume", tmp_path / "run", "--json")
    assert json.loads(again.stdout.splitlines()[-1])["event"] == "summary"
    assert done.stderr == again.stderr == ""


def test_a_process_cannot_change_its_numerics(tmp_path):
    with pytest.raises(ConfigError, match="this process runs with portable numerics; set SIMEVAL_NUMERICS=native"):
        evaluate(EvalConfig(suite=("toy",), numerics="native", workers=0, out=str(tmp_path / "run")))


PINNED = {"mode": "portable", "OpenBLAS": "Haswell", "NumPy": "AVX2"}
NATIVE = {"mode": "native", "OpenBLAS": "SkylakeX", "NumPy": "AVX512_ICL"}


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ({"numerics": PINNED}, {"numerics": PINNED}, None),
        ({"numerics": PINNED}, {"numerics": PINNED | {"OpenBLAS": "Zen"}}, "OpenBLAS Haswell -> Zen"),
        ({}, {"numerics": PINNED}, "not pinned -> portable (OpenBLAS Haswell, NumPy AVX2)"),
        (
            {"numerics": PINNED},
            {"numerics": NATIVE},
            "portable (OpenBLAS Haswell, NumPy AVX2) -> native (OpenBLAS SkylakeX, NumPy AVX512_ICL)",
        ),
        (
            {"numerics": PINNED, "policy": {"kernels": "MKL COMPATIBLE", "gpu": "A"}},
            {"numerics": PINNED, "policy": {"kernels": "MKL AVX2", "gpu": "B"}},
            "the policy's kernels MKL COMPATIBLE -> MKL AVX2; the policy's gpu A -> B",
        ),
        ({"numerics": PINNED, "policy": {"kernels": "MKL COMPATIBLE"}}, {"numerics": PINNED, "policy": {}}, None),
    ],
)
def test_a_difference_names_both_sides(first, second, said):
    assert kernels.difference(first, second) == said


def test_an_audit_of_a_run_with_other_numerics_is_noted():
    note = kernels.audit_note({"numerics": NATIVE}, {"numerics": PINNED})
    assert note is not None
    assert note.startswith("other numerics than the run's, so predictions may differ from the rollout's: native (")
    assert kernels.audit_note({"numerics": PINNED}, {"numerics": PINNED}) is None
