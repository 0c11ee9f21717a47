"""Views drawn by workers: the same rows as in this process, whatever becomes of the workers.

Ray takes seconds to start, so all tests but those of the command line share one session of it.
"""

import contextlib
import json
import os
import pickle
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from itertools import islice
from pathlib import Path
from queue import SimpleQueue

import numpy as np
import psutil
import pytest
from helpers import call, exchange_trace, toy_config

from perturbations import base
from perturbations.spec import parse
from simeval import EvalConfig, evaluate
from simeval.config.audit import AuditConfig
from simeval.core import plugins
from simeval.core.errors import ConfigError
from simeval.drift.frames import render_pool
from simeval.drift.frames.base import Frame, FrameSource, Renderer, ViewRequest
from simeval.drift.frames.from_run import RunFrames
from simeval.drift.frames.render_pool import ATTEMPTS, RenderPool, default_workers
from simeval.drift.measure import Measurement, keys, measure
from simeval.drift.session import _build_request, _workers
from simeval.policies.base import PolicySpec
from simeval.policies.scripted import SeekerPolicy
from simeval.runner.session import ray_session
from simeval.stats.drift import ActionScale
from simeval.store.assets import assets_of
from simeval.store.audit import ROWS, Audit
from simeval.store.run import Run

CONDITIONS = ("noise:0.3", "light:0.1", "instruction:counterfactual", "freeze:0.5", "occlusion:0.2/target=teapot_1")

AXIS = """
import os
from perturbations.base import CAMERAS, FRACTION, AxisInfo, Stage, register

@register(AxisInfo(name="NAME", stage=Stage.SENSOR, family="V", unit=FRACTION, value_means="how inverted it is",
                   bounds=(0.0, 1.0), identity=0.0, presets=(0.2, 0.4, 0.6, 0.8, 1.0), source="this test",
                   cameras=CAMERAS, draws=False))
def invert(pixels, value, rng):
    BODY
    return pixels + value * (255 - 2 * pixels)
"""


@pytest.fixture(scope="module", autouse=True)
def session():
    with ray_session(None, 3):
        yield


@pytest.fixture(autouse=True)
def registry(monkeypatch):
    for name in ("_axes", "_functions", "_parameters"):
        monkeypatch.setattr(base, name, dict(getattr(base, name)))


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    return evaluate(toy_config(tmp_path_factory.mktemp("drawing") / "run", init_states="0-2", perturb=()))


@pytest.fixture
def source(run) -> RunFrames:
    return RunFrames.open(run, None, policy=SeekerPolicy.spec, kind="replay", per_episode=3)


@pytest.fixture
def own_axis(tmp_path):
    """An axis of the user's own, loaded here."""

    def written(body: str) -> tuple[str, tuple[plugins.Plugin, ...]]:
        name = f"own.{re.sub('[^a-z]', '', tmp_path.name)}"
        path = tmp_path / "mine.py"
        path.write_text(AXIS.replace("NAME", name).replace("BODY", body))
        read = plugins.read([str(path)])
        plugins.load(read)
        return name, read

    return written


def wanted(*conditions: str, **options) -> Measurement:
    chosen = tuple(parse(text) for text in conditions or CONDITIONS)
    return Measurement(chosen, (0, 7), ActionScale((1.0,) * 6, SeekerPolicy.spec.n_action_steps), **options)


def audited(source: FrameSource, what: Measurement, draw: Renderer | None = None, done=()) -> list[bytes]:
    """The lines of an audit of the seeker."""
    found = measure(source, SeekerPolicy(), what, done=done, renderer=draw)
    return [json.dumps(one.row.row()).encode() for together in found for one in together]


def workers_of(process: psutil.Process) -> list[psutil.Process]:
    found = []
    for child in process.children(recursive=True):
        with contextlib.suppress(psutil.Error):
            found += [child] if child.name().startswith("ray::RenderWork") else []
    return found


def workers(number: int) -> list[psutil.Process]:
    """The workers of this process, once there are so many: those of an earlier test take a moment to end."""
    until = time.monotonic() + 30
    while len(found := workers_of(psutil.Process())) != number:
        assert time.monotonic() < until, found
        time.sleep(0.05)
    return found


def has_torch(process: psutil.Process) -> bool:
    return "torch" in Path(f"/proc/{process.pid}/maps").read_text()


@pytest.mark.parametrize("number", [1, 3])
def test_the_number_of_workers_changes_no_byte(source, number):
    here = audited(source, wanted(batch_size=4))
    assert any(b"no such object" in line for line in here)
    pool = RenderPool(source, (), number)
    assert audited(source, wanted(batch_size=4), pool.render) == here
    assert not any(map(has_torch, workers(number)))
    assert has_torch(psutil.Process()) == ("torch" in sys.modules), "it is seen where it is"


def test_what_is_there_is_not_drawn_again(source):
    what = wanted("noise:0.3", "light:0.1")
    whole, order = audited(source, what), keys(source.frames(), what)
    pool, asked = RenderPool(source, (), 2), []

    def draw(blocks):
        asked[:] = [request for block in blocks for request in block]
        return pool.render(blocks)

    for done in (1, 7, 50, len(order)):
        assert audited(source, what, draw, order[:done]) == whole[done:]
        drawn = sum(len(request.frames) for request in asked)
        assert len(order) - done <= drawn <= (len(order) - done) * 5 / 4 + 3, "with the clean views that they need"


def test_workers_are_ahead_of_the_policy_but_not_far(source, monkeypatch):
    monkeypatch.setattr(render_pool, "MAX_PENDING_VIEWS", 8)
    pool, block = RenderPool(source, (), 2), 3 * 7
    waiting = []
    for _ in measure(source, SeekerPolicy(), wanted("noise:0.3", "light:0.1"), renderer=pool.render):
        waiting.append(sum(worker.pending_views for worker in pool._workers))
    assert max(waiting) <= 2 * (8 + block)
    assert np.mean(waiting[:-block]) > 8
    assert waiting[-1] == 0


def test_a_worker_that_is_killed_changes_no_row(source, monkeypatch):
    here = audited(source, wanted())
    monkeypatch.setattr(render_pool, "MAX_PENDING_VIEWS", 8)
    pool = RenderPool(source, (), 2)
    before = []

    def draw(blocks):
        for number, view in enumerate(pool.render(blocks)):
            if number == 30:
                before.extend(workers(2))
                before[0].kill()
            yield view

    assert audited(source, wanted(), draw) == here
    assert len(before) == 2
    assert not before[0].is_running()
    assert before[1] in workers(2)


def test_a_view_that_kills_every_worker_is_one_line_and_what_came_before_is_kept(source, own_axis):
    name, own = own_axis("os._exit(1)")
    what, pool = wanted("noise:0.3", f"{name}:1"), RenderPool(source, own, 2)
    kept = []
    with pytest.raises(ConfigError, match=f"^toy/0/init00/r0@0, {name}:1: broke {ATTEMPTS} workers: ") as caught:
        kept.extend(
            one.row.condition for found in measure(source, SeekerPolicy(), what, renderer=pool.render) for one in found
        )
    assert "\n" not in str(caught.value)
    assert kept == ["noise:0.3"] * 3


def test_an_answer_that_a_dying_worker_took_with_it_is_not_held_against_the_view(source, own_axis, monkeypatch):
    send = RenderPool._send

    def first_answer_lost(self, asked):
        asked = list(asked)
        send(self, asked)
        if len(asked) > 1:
            asked[0].reply = SimpleQueue()
            asked[0].reply.put(RuntimeError("lost"))

    monkeypatch.setattr(RenderPool, "_send", first_answer_lost)
    name, own = own_axis("os._exit(1)")
    with pytest.raises(ConfigError, match=f"^toy/0/init00/r0@0, {name}:1: broke {ATTEMPTS} workers: "):
        audited(source, wanted("noise:0.3", f"{name}:1", "light:0.1"), RenderPool(source, own, 2).render)


def test_axes_of_ones_own_work_in_workers(source, own_axis):
    name, own = own_axis("")
    assert audited(source, wanted(f"{name}:1"), RenderPool(source, own, 2).render) == audited(
        source, wanted(f"{name}:1")
    )


def test_errors_are_the_same_line_as_in_this_process(source, run, own_axis, tmp_path):
    def refused(frames: RunFrames, what: Measurement, own=()) -> set[str]:
        said = set()
        for draw in (None, RenderPool(frames, own, 1).render):
            with pytest.raises(ConfigError) as caught:
                list(measure(frames, SeekerPolicy(), what, renderer=draw))
            said.add(str(caught.value))
        return said

    name, own = own_axis("raise ValueError('cannot\\nsee')")
    assert refused(source, wanted(f"{name}:1"), own) == {f"toy/0/init00/r0@0, {name}:1: ValueError: cannot see"}
    for file in ("manifest.json", "episodes.jsonl"):
        (tmp_path / file).write_text((run.folder / file).read_text())
    spec = run.results[0].spec
    exchange_trace(tmp_path, spec, replace(run.trace(spec), states=np.zeros((200, 5))))
    damaged = RunFrames.open(Run.load(tmp_path), None, policy=SeekerPolicy.spec)
    (said,) = refused(damaged, wanted())
    assert said.startswith("toy/0/init00/r0@0, none: a state of this scene has shape")


@pytest.mark.timeout(300)
def test_workers_draw_libero_as_this_process_does(tmp_path):
    """Scenes, executed episodes and perturbations of all kinds, byte for byte, without what a policy needs."""
    out = str(tmp_path / "run")
    done = evaluate(EvalConfig(tasks="0-1", init_states="0", policy="random", workers=0, out=out))
    both = PolicySpec("eyes", n_action_steps=10, cameras=("agentview", "wrist"))
    source = RunFrames.open(done, assets_of(done), policy=both, kind="replay", per_episode=2)
    shown = ("none", "light:0.4", "texture.table:draw", "camera.orbit:10@agentview", "noise:0.2", "none")
    blocks = [[ViewRequest(source.frames()[i : i + 2], parse(text), 0) for text in shown] for i in (0, 2)]

    def contents(views) -> list[tuple]:
        seen = [(view, view.request, view.request.observation) for view in views]
        return [
            (
                view.frame,
                view.mean_abs,
                view.psnr,
                request.noise_seed,
                seen.state.tobytes(),
                *map(bytes, seen.images.values()),
            )
            for view, request, seen in seen
        ]

    here = contents(v for block in blocks for r in block for v in source.views(r.frames, r.condition, r.seed))
    source.close()
    assert contents(RenderPool(source, (), 2).render(blocks)) == here
    assert len(here) == 24
    assert len({content[5] for content in here}) == 20, "perturbed each in its way; clean views are there twice"
    assert not any(map(has_torch, workers(2)))


def test_views_can_be_written_to(source):
    request = ViewRequest(source.frames()[:1], parse("none"), 0)
    (view,) = RenderPool(source, (), 1).render([[request]])
    (here,) = source.views(request.frames, request.condition, 0)
    flags = [v.request.observation.images["agentview"].flags.writeable for v in (view, here)]
    assert flags == [True, True]


def test_a_block_goes_to_who_has_least_to_do_for_it():
    def frame(task: int, init_state: int) -> Frame:
        cluster = f"toy/{task}/init{init_state:02d}"
        return Frame(f"{cluster}/r0@0", "start", cluster, 0, suite="toy", task=task, pair_id=f"{cluster}/r0")

    def chosen(last: list[Frame | None], waiting: list[int], new: Frame) -> int | None:
        found = [render_pool._Worker(0, None, count, before) for count, before in zip(waiting, last, strict=True)]
        worker = render_pool._pick_worker(found, [ViewRequest((new,), parse("none"), 0)], 10)
        return found.index(worker) if worker else None

    last = [frame(0, 0), frame(0, 1), frame(2, 0), None]
    assert chosen(last, [9, 0, 0, 0], frame(0, 0)) == 0, "it has executed the episode"
    assert chosen(last, [10, 5, 0, 0], frame(0, 0)) == 1, "it has built the scene"
    assert chosen(last, [10, 10, 4, 3], frame(0, 0)) == 3, "it has least to do"
    assert chosen(last, [10, 10, 10, 12], frame(0, 0)) is None


def test_by_default_workers_draw_where_that_pays(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    many = render_pool.MIN_VIEWS
    assert default_workers(many - 1, gpu=True) == default_workers(many - 1, gpu=False) == 0
    assert (default_workers(many, gpu=True), default_workers(many, gpu=False)) == (4, 3)
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    assert (default_workers(many, gpu=True), default_workers(many, gpu=False)) == (1, 0)
    monkeypatch.setattr(os, "cpu_count", lambda: 200)
    assert default_workers(many, gpu=True) == default_workers(many, gpu=False) == render_pool.MAX_WORKERS


def test_workers_that_were_asked_for_draw_if_anything_is_left(run, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    asked = AuditConfig(run=str(run.folder), perturb=("noise:0.3",), device="cpu")
    toy = _build_request(asked)
    libero = replace(toy, run_config=EvalConfig())
    assert [_workers(subject, 10**6) for subject in (toy, libero)] == [0, 3]
    seven = replace(toy, config=replace(asked, workers=7))
    assert [_workers(seven, left) for left in (1, 0)] == [7, 0]
    assert _workers(replace(libero, config=replace(asked, workers=0)), 10**6) == 0
    assert _workers(replace(libero, run=None), 10**6) == 0


# From the command line, which starts Ray itself


def command(run: Run, out: Path, number: int) -> list[str]:
    words = ["audit", run.folder, "--frames", "replay", "--seeds", ",".join(map(str, range(10)))]
    conditions = [word for text in CONDITIONS for word in ("--perturb", text)]
    return [sys.executable, "-m", "simeval.cli", *map(str, [*words, *conditions, "--workers", number, "--out", out])]


@pytest.fixture(scope="module")
def whole(run, tmp_path_factory) -> bytes:
    """An audit without workers that nothing interrupted."""
    out = tmp_path_factory.mktemp("whole")
    assert call(*command(run, out, 0)[3:]).code == 0
    return (out / ROWS).read_bytes()


def stopped(command: list[str], rows: Path, number: signal.Signals) -> tuple[int, str, float]:
    """Start an audit and send it a signal once it has more rows: its exit code, what it said, how long it took."""
    enough = (rows.stat().st_size if rows.exists() else 0) + 3000
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, **pipes, process_group=0)
    while not (rows.exists() and rows.stat().st_size > enough):
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(workers_of(psutil.Process(process.pid))) == 2
    start = time.monotonic()
    if number == signal.SIGKILL:
        process.kill()
    else:
        os.killpg(process.pid, number)  # as a terminal does
    out, said = process.communicate(timeout=60)
    took = time.monotonic() - start
    assert "predictions, rendered by 2 workers -> " in out
    # Ray's own agents look after their parent only now and then, and stay for a minute.
    working = [child for child in children if child.is_running() and "Agent" not in child.name()]
    _, alive = psutil.wait_procs(working, timeout=30)
    assert alive == []
    return process.returncode, said.strip(), took


@pytest.mark.timeout(300)
def test_an_audit_stopped_twice_leaves_no_process_and_goes_on_to_the_same_bytes(run, whole, tmp_path):
    code, _, _ = stopped(command(run, tmp_path, 2), tmp_path / ROWS, signal.SIGKILL)
    assert code == -signal.SIGKILL
    killed = (tmp_path / ROWS).stat().st_size
    code, said, took = stopped(command(run, tmp_path, 2), tmp_path / ROWS, signal.SIGINT)
    assert (code, said) == (130, "interrupted; the same command resumes")
    assert took < 20
    assert killed < (tmp_path / ROWS).stat().st_size < len(whole)
    assert not Audit.load(tmp_path).complete
    assert call(*command(run, tmp_path, 0)[3:]).code == 0
    assert (tmp_path / ROWS).read_bytes() == whole


def test_a_finished_audit_starts_no_ray(run, tmp_path):
    words = ["audit", str(run.folder), "--perturb", "noise:0.3", "--out", str(tmp_path), "--workers"]
    assert call(*words, 0).code == 0
    again = f"from simeval.cli.app import app; app({[*words, '2']}, standalone_mode=False)"
    code = f"import sys; {again}; sys.exit('ray' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)


def test_frames_are_pickled_without_what_they_have_built_and_rows_they_do_not_need(source):
    list(islice(source.views(source.frames(), parse("none"), 0), 3))
    copy = pickle.loads(pickle.dumps(source))
    assert copy.frames() == source.frames()
    assert "results" not in vars(copy.run)
    assert copy._replay is None
