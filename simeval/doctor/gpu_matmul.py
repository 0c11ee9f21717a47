"""Multiplies two matrices on every GPU and compares with the CPU; run as a separate process."""

import sys


def main() -> int:
    """Print the result; the exit status is 0 if all GPUs compute as the CPU does."""
    import torch

    if not torch.cuda.is_available():
        torch.cuda.init()  # raises with the reason
    torch.backends.cuda.matmul.allow_tf32 = False
    left, right = (torch.randn(256, 256, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    expected = left @ right
    for index in range(torch.cuda.device_count()):
        product = (left.to(f"cuda:{index}") @ right.to(f"cuda:{index}")).cpu()
        error = float((product - expected).abs().max())
        if not error < 1e-2:  # float32 sums of 256 products; also catches NaN
            sys.stderr.write(f"GPU {index} computes wrongly: off by {error:.3g}\n")
            return 1
    sys.stdout.write(f"torch {torch.__version__} computes on {torch.cuda.device_count()} GPUs as on the CPU\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
