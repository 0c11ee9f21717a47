"""What the harness costs: `evaluate` in this process against a bare loop of the same calls.

    python tests/benchmarks/harness_overhead.py [--episodes 200] [--repetitions 5] [--policy zero]

The bare loop resets, observes, asks the policy and steps, and does nothing else. What `evaluate` takes longer is the
harness: plan, manifest, perturbation bookkeeping, random streams, digests, compressed traces, fsynced rows. Both are
measured in turn, so that a busy machine slows both down. Printed per episode: the median over the repetitions, the
least of both sides against each other, and the same in CPU time, which neighbours disturb less.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from envs.sim.rendering import select_backend

select_backend()

from envs.build import EnvCache  # noqa: E402  MuJoCo reads its backend when it is imported
from envs.suites import tasks  # noqa: E402
from simeval.api import evaluate  # noqa: E402
from simeval.config.evaluation import EvalConfig  # noqa: E402
from simeval.config.plan import Plan, make_plan  # noqa: E402
from simeval.policies.base import Policy, PolicyInput  # noqa: E402
from simeval.policies.registry import PolicyChoice, load_policy  # noqa: E402


def clocks() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def since(start: tuple[float, float]) -> tuple[float, float]:
    return time.perf_counter() - start[0], time.process_time() - start[1]


def bare(plan: Plan, policy: Policy) -> tuple[float, float]:
    """Wall and CPU seconds for the episodes of a plan without the harness."""
    start = clocks()
    envs, size = EnvCache(None), policy.spec.n_action_steps
    for spec in plan.episodes:
        env = envs.get(spec.suite, spec.task, spec.resolution)
        env.reset(spec)
        steps, reached, chunks = 0, (False,), 0
        while steps < spec.max_steps and not any(reached):
            observation = env.observe(policy.spec.cameras)
            request = PolicyInput(observation, tasks(spec.suite)[spec.task].instruction, spec.pair_id, chunks, chunks)
            (chunk,) = policy.act([request])
            result = env.step(chunk[: min(size, spec.max_steps - steps)])
            steps, reached, chunks = steps + result.steps, result.reached, chunks + 1
    seconds = since(start)
    envs.discard()
    return seconds


def harness(config: EvalConfig) -> tuple[float, float]:
    """Wall and CPU seconds for the same episodes with `evaluate`, traces of all of them included."""
    with tempfile.TemporaryDirectory() as folder:
        start = clocks()
        evaluate(EvalConfig(**{**vars(config), "out": str(Path(folder) / "run")}))
        return since(start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--episodes", type=int, default=200, help="at most 200: 4 tasks with 50 initial states")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--policy", choices=["zero", "random", "seeker"], action="append")
    wanted = parser.parse_args()
    for name in wanted.policy or ["zero", "seeker"]:
        config = EvalConfig(
            suite=("toy",), init_states=f"0-{wanted.episodes // 4 - 1}", policy=name, workers=0, traces="all"
        )
        plan, policy = make_plan(config), load_policy(PolicyChoice(name))
        episodes = len(plan.episodes)
        bare(plan, policy), harness(config)  # Imports and shader caches.
        pairs = [(bare(plan, policy), harness(config)) for _ in range(wanted.repetitions)]
        for kind, label in enumerate(("wall", "CPU")):
            alone = [1000 * pair[0][kind] / episodes for pair in pairs]
            whole = [1000 * pair[1][kind] / episodes for pair in pairs]
            median = statistics.median(total - rest for rest, total in zip(alone, whole, strict=True))
            least = min(whole) - min(alone)
            print(
                f"{name}, {label}, ms per episode: harness {median:.2f} (median), {least:.2f} (least); "
                f"bare loop {min(alone):.2f}, evaluate {min(whole):.2f} (least of {len(pairs)})"
            )


if __name__ == "__main__":
    main()
