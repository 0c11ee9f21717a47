"""The price of portable numerics: the same work in both modes, in processes that take turns.

    python tests/benchmarks/numerics_price.py [--rounds 3] [--real FOLDER]

A ratio above 1 means that portable is slower. What is timed: a chunk of the bundled policy, a control step and a
picture of both cameras in a bundled scene, an episode of the toy suite. With `--real`, a checkpoint of the real size
(`real_smolvla.py FOLDER`), a chunk of it as well, in float32 and with `--dtype bfloat16`, and in float32 with MKL's
AVX2 branch, which is the same on all processors of one maker alone.
"""

import argparse
import json
import os
import subprocess
import time
from collections.abc import Callable
from statistics import median

from report import PYTHON, Report, environment

MODES = ("portable", "native")
SECONDS = 2.0
"""Each piece of work is repeated for so long in one process."""


def timed(work: Callable[[], object]) -> float:
    """Median duration (ms), after a first time that does not count."""
    work()
    took: list[float] = []
    while sum(took) < SECONDS or len(took) < 2:
        begin = time.perf_counter()
        work()
        took.append(time.perf_counter() - begin)
    return 1000 * median(took)


def chunk(policy: str, dtype: str | None = None) -> float:
    from policy_batch import inputs

    from simeval.policies.registry import PolicyChoice, load_policy

    loaded = load_policy(PolicyChoice(policy, "cpu", None, 1, dtype))
    (one,) = inputs(loaded.spec.cameras, 1)
    return timed(lambda: loaded.act([one]))


def scene() -> dict[str, float]:
    import numpy as np

    from envs.base import ResetOptions
    from envs.build import make_env
    from envs.libero.files import resolve_assets

    env = make_env("libero_spatial", 0, 256, resolve_assets("bundled"))
    env.reset(ResetOptions(0, 0, 10))
    actions = np.random.default_rng(0).uniform(-0.3, 0.3, (10, 7)).astype(np.float32)
    return {"10 control steps": timed(lambda: env.step(actions)), "picture": timed(env.observe)}


def toy_episode() -> float:
    from simeval.config.evaluation import EvalConfig
    from simeval.config.plan import make_plan
    from simeval.policies.registry import PolicyChoice
    from simeval.runner.worker import EpisodeWorker, WorkerSetup

    (spec,) = make_plan(EvalConfig(suite=("toy",), tasks="0", init_states="0")).episodes
    worker = EpisodeWorker(WorkerSetup(PolicyChoice("seeker"), None, "none"))
    return timed(lambda: worker.run(spec))


def measure(real: str | None, only: str) -> dict[str, float]:
    """What one process measures (ms)."""
    if only == "real":
        assert real is not None
        return {"chunk, real size, float32": chunk(real)}
    if only == "bfloat16":
        assert real is not None
        return {"chunk, real size, bfloat16": chunk(real, "bfloat16")}
    return {"chunk, bundled": chunk("bundled"), **scene(), "toy episode": toy_episode()}


def in_turns(
    rounds: int, real: str | None, only: str, variants: dict[str, dict[str, str]]
) -> dict[str, dict[str, float]]:
    """Best time of each piece of work in each variant (ms), the variants taking turns."""
    best: dict[str, dict[str, float]] = {}
    for _ in range(rounds):
        for name, variables in variants.items():
            # A process of its own: libraries choose their kernels once.
            command = [PYTHON, __file__, "--measure", only, *(["--real", real] if real else [])]
            clean = {key: value for key, value in environment().items() if key not in _pins()}
            done = subprocess.run(command, env=clean | variables, capture_output=True, text=True, check=True)
            for work, took in json.loads(done.stdout.splitlines()[-1]).items():
                times = best.setdefault(work, {})
                times[name] = min(took, times.get(name, took))
    return best


def _pins() -> set[str]:
    from envs import numerics

    return {*numerics.pins(), numerics.VARIABLE, "SIMEVAL_NUMERICS_BEFORE"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--real", help="a checkpoint of the real size")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--out", help="JSON file")
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.real, options.measure)))
        return
    from envs import numerics

    os.environ.update(environment())
    report = Report("numerics_price", __doc__)
    modes = {mode: {numerics.VARIABLE: mode} for mode in MODES}
    found = in_turns(options.rounds, options.real, "small", modes)
    if options.real:
        # The branch that would be in use if all processors were of one maker.
        avx2 = {numerics.VARIABLE: "native", **numerics.pins(), "MKL_CBWR": "AVX2"}
        found |= in_turns(options.rounds, options.real, "real", {**modes, "MKL's AVX2": avx2})
        found |= in_turns(1, options.real, "bfloat16", modes)
    rows = [
        {"work": work, **{f"{name} ms": took for name, took in times.items()}}
        | {"portable / native": times["portable"] / times["native"]}
        for work, times in found.items()
    ]
    report.table("price of portable numerics", rows)
    report.write(options.out)


if __name__ == "__main__":
    main()
