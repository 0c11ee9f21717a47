"""The switches and kernels of torch that a policy's bits depend on."""

import os
from typing import Any

from simeval.core import kernels


def kernels_in_use(device: str, *, linear_by_onednn: bool) -> tuple[tuple[str, Any], ...]:
    """The kernels that a device uses, for the fingerprint."""
    import torch

    if device == "cuda":
        settings = {
            "deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
            "TF32": torch.backends.cuda.matmul.allow_tf32 or torch.backends.cudnn.allow_tf32,
            "cuDNN autotuning": torch.backends.cudnn.benchmark,
        }
        words = ", ".join(f"{name} {'on' if on else 'off'}" for name, on in settings.items())
        return (("gpu", torch.cuda.get_device_name()), ("determinism", words), ("kernels", kernels.of_torch()))
    linear = ", linear layers by oneDNN" if linear_by_onednn else ""
    return (("kernels", kernels.of_torch() + linear),)


def pin(device: str) -> None:
    """Switch off everything that makes outputs irreproducible; cheap enough for every call."""
    import torch

    if device == "cpu":
        torch.set_num_threads(1)
    if device == "cuda":
        # cuBLAS reads this when it starts. Source: torch.use_deterministic_algorithms.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(mode=True, warn_only=True)
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.benchmark = False


def generator_states(device: str) -> list[Any]:
    """States of the global generators that a policy on this device may draw from."""
    import torch

    own = {"cuda": torch.cuda.get_rng_state, "mps": torch.mps.get_rng_state}
    return [torch.get_rng_state(), *([own[device]()] if device in own else [])]
