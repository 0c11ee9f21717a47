"""Linear layers by oneDNN where torch would take MKL: the same bits on every x86-64-v3 processor, at full speed.

torch multiplies float32 matrices with MKL, whose only branch that is the same on processors of all makers (COMPATIBLE)
knows no AVX. oneDNN's AVX2 kernels are the same on all, and as fast as MKL's: see `tests/benchmarks/numerics_price.py`.
Half of a chunk's time is in linear layers; what stays with MKL are the products inside attention.

Non-obvious behaviour:
- oneDNN, as MKL's COMPATIBLE branch, adds in another order at the end of a matrix than in its middle. A sample's bits
  then hang on its position among others, so with portable numerics a CPU gets one sample per call.
"""

from types import MethodType
from typing import Any

from envs import numerics


def by_onednn(model: Any, device: str) -> bool:
    """Have a network's linear layers computed by oneDNN, where numerics are portable and it runs on the CPU.

    Args:
        model: a `torch.nn.Module`; its layers get another `forward`, its weights stay as they are.
        device: where it runs.

    Returns:
        Whether they are.
    """
    import torch

    if device != "cpu" or not numerics.pinned():
        return False
    for layer in model.modules():
        # Not what is derived from it: an adapter's layer or a quantised one computes something else.
        if type(layer) is torch.nn.Linear:
            layer.forward = MethodType(_forward, layer)
    return True


def _forward(layer: Any, x: Any) -> Any:
    import torch

    # Autocast chooses the type of a product by the name of its function.
    if x.dtype is not torch.float32 or layer.weight.dtype is not torch.float32 or torch.is_autocast_enabled("cpu"):
        return torch.nn.functional.linear(x, layer.weight, layer.bias)
    return torch.ops.mkldnn._linear_pointwise(x, layer.weight, layer.bias, "none", [], "")
