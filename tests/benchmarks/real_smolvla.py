"""A SmolVLA of the real size with random weights, built offline: `python tests/benchmarks/real_smolvla.py OUT`.

450 million parameters, 1.8 GB: the shape of SmolVLM2-500M, of whose 32 text layers SmolVLA keeps 16, and chunks of 50.
It is as fast and as large as the public checkpoints, and knows nothing.
"""

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PARAMETERS = 450_046_176


def build(out: Path) -> Path:
    """Write the checkpoint into a folder."""
    sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]
    from tiny_smolvla import LIKE_THE_PUBLIC_ONES, STATS

    from simeval.policies.bundled.architecture import Shape, save
    from simeval.policies.bundled.architecture import build as build_policy

    shape = Shape(
        text=960,
        text_inside=2560,
        text_layers=16,
        heads=(15, 5),
        vision=768,
        vision_inside=3072,
        vision_layers=12,
        vision_head=64,
        activation="gelu_pytorch_tanh",
        edge=512,
        scale=4,
        vocabulary=1024,
        table=49_280,
    )
    policy = build_policy(out / "vlm", shape=shape, **LIKE_THE_PUBLIC_ONES)
    found = sum(weight.numel() for weight in policy.parameters())
    if found != PARAMETERS:
        raise SystemExit(f"{found} parameters, not {PARAMETERS}")
    save(policy, out, STATS)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="folder of the checkpoint")
    print(build(parser.parse_args().out))


if __name__ == "__main__":
    main()
