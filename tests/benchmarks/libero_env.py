"""Our LIBERO environment against stock LIBERO, alternating: reset, control step, observation, memory.

    python tests/benchmarks/libero_env.py [--suite libero_spatial] [--task 0] [--rounds 5]

Each runs in a process of its own, because robosuite never makes its OpenGL context current again. Needs LIBERO's meshes
(make official). CPU times are those of the process; neighbours disturb them less.
"""

import simeval  # noqa: I001, F401  before NumPy

import argparse
import dataclasses
import multiprocessing
import os
import time

import numpy as np
import psutil
from report import Report

from envs.base import EnvError
from envs.libero.files import resolve_assets

STEPS, LOOKS = 20, 5
ROWS = {"reset": "reset + 10 settle steps", "blind": "control step, no picture", "look": "control step, two pictures"}


@dataclasses.dataclass(frozen=True)
class Reset:
    init_state: int
    env_seed: int = 0
    settle_steps: int = 10


def actions():
    return np.random.default_rng(0).uniform(-1, 1, (STEPS, 7)).astype(np.float32)


class Ours:
    def __init__(self, suite, task):
        from envs.build import make_env

        self.env = make_env(suite, task, 256, resolve_assets(None))
        self.reset()
        self.look()

    def reset(self):
        self.env.reset(Reset(0))

    def prepare(self):
        self.env.reset(Reset(0))
        self.env.goals = ()

    def blind(self):
        self.env.step(actions())

    def look(self):
        for action in actions()[:LOOKS]:
            self.env.step(action[None])
            self.env.observe()

    def seen(self):
        for _ in range(LOOKS):
            self.env.observe()

    def everything(self):
        from envs.sim import rendering

        find = rendering.out_of_view
        rendering.out_of_view = lambda model, *_: np.zeros(model.ngeom, bool)
        self.seen()
        rendering.out_of_view = find


class Stock:
    def __init__(self, suite, task):
        from envs.sim.rendering import select_backend

        select_backend()
        from envs.libero.env import IDLE_ACTION
        from envs.libero.files import import_libero, init_states, silence, use_assets
        from envs.suites import tasks

        chosen = tasks(suite)[task]
        module, self.silence, self.idle = import_libero(), silence, list(IDLE_ACTION)
        use_assets(resolve_assets(None))
        self.state = init_states(chosen.init_states)[0]
        plain = {"has_offscreen_renderer": False, "use_camera_obs": False}
        with silence():
            self.blind_env = module.env_wrapper.ControlEnv(bddl_file_name=str(chosen.bddl), **plain)
            self.env = module.OffScreenRenderEnv(bddl_file_name=str(chosen.bddl), camera_heights=256, camera_widths=256)

    def _reset(self, env):
        with self.silence():
            env.seed(0)
            env.reset()
            env.set_init_state(self.state)
            for _ in range(10):
                env.step(self.idle)

    def reset(self):
        self._reset(self.env)

    def prepare(self):
        self._reset(self.blind_env)

    def blind(self):
        for action in actions():
            self.blind_env.step(action)

    def look(self):
        for action in actions()[:LOOKS]:
            self.env.step(action)


def serve(kind, suite, task, pipe):
    subject = kind(suite, task)
    pipe.send(psutil.Process().memory_info().rss / 1e6)
    while (name := pipe.recv()) is not None:
        if name == "blind":
            subject.prepare()
        start, cpu = time.perf_counter(), time.process_time()
        getattr(subject, name)()
        pipe.send((1000 * (time.perf_counter() - start), 1000 * (time.process_time() - cpu)))
    os._exit(0)


def start(kind, args):
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    context.Process(target=serve, args=(kind, args.suite, args.task, there), daemon=True).start()
    there.close()  # so that a child that dies is an error here and not a wait
    return here, here.recv()


def main():
    os.environ["OMP_NUM_THREADS"] = "1"
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--suite", default="libero_spatial")
    parser.add_argument("--task", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", help="JSON file")
    args = parser.parse_args()
    try:
        resolve_assets("cached")
    except EnvError as error:
        print(f"skipped: {error}")
        return
    report = Report("libero_env", __doc__)
    (ours, memory), (stock, stock_memory) = start(Ours, args), start(Stock, args)
    times = {name: ([], []) for name in ROWS}
    for _ in range(args.rounds):
        for name, (mine, theirs) in times.items():
            calls = {"reset": 1, "blind": STEPS, "look": LOOKS}[name]
            for pipe, found in ((ours, mine), (stock, theirs)):
                pipe.send(name)
                found.append([milliseconds / calls for milliseconds in pipe.recv()])
    rows = []
    for name, label in ROWS.items():
        (wall, cpu), (stock_wall, stock_cpu) = (np.median(found, axis=0).tolist() for found in times[name])
        row = {"": label, "ours ms": wall, "stock ms": stock_wall, "ratio": wall / stock_wall}
        rows.append(row | {"ours CPU ms": cpu, "stock CPU ms": stock_cpu, "CPU ratio": cpu / stock_cpu})
    report.table(f"{args.suite} task {args.task}, 256 px, median of {args.rounds} alternating rounds", rows)
    drawn = {name: [] for name in ("seen", "everything")}
    for _ in range(args.rounds):
        for name, found in drawn.items():
            ours.send(name)
            found.append(ours.recv()[1] / LOOKS)
    middle = {f"{name} CPU ms": float(np.median(found)) for name, found in drawn.items()}
    ratio = middle["seen CPU ms"] / middle["everything CPU ms"]
    report.table("two pictures: what the cameras see, and everything drawn", [{**middle, "ratio": ratio}])
    report.table("memory, MB", [{"ours with OpenGL": memory, "stock with its picture-less twin": stock_memory}])
    ours.send(None), stock.send(None)
    report.write(args.out)


if __name__ == "__main__":
    main()
