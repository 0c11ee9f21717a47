"""Compare two policies on the same episodes, for instance before and after a fine-tune.

    python examples/compare_checkpoints.py results/zero-or-seeker zero seeker

The same call resumes: episodes that are in the folder are not played again. For checkpoints name their folders or hub
ids, a suite of LIBERO, more initial states, and leave `workers` out.
"""

import sys
from pathlib import Path

from simeval import EvalConfig, Run, compare, evaluate


def play(policy: str, folder: Path) -> Run:
    """The episodes of one policy; which these are does not depend on the policy."""
    perturb = ("noise:0.3", "light:0.3")
    config = EvalConfig(suite=("toy",), init_states="0-1", perturb=perturb, policy=policy, workers=0, out=str(folder))
    return evaluate(config)


def main(folder: Path, before: str, after: str) -> None:
    """Play both, and print what changed."""
    comparison = compare(play(before, folder / "before"), play(after, folder / "after"))
    print(f"{comparison.a} -> {comparison.b} ({comparison.assets})")
    for suite in comparison.suites:
        for gain in suite.change.success:
            if gain.gain is None or gain.interval is None:
                print(f"{suite.suite} {gain.condition}: {gain.reason}")
                continue
            low, high = 100 * gain.interval.low, 100 * gain.interval.high
            points = f"{100 * gain.gain:+.1f} points ({low:+.1f} to {high:+.1f})"
            print(f"{suite.suite} {gain.condition}: {points}, {gain.n} pairs: {gain.direction}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:4])
