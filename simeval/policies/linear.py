"""Linear layers by oneDNN instead of MKL: the same bits on every x86-64-v3 processor, at full speed.

torch multiplies float32 matrices with MKL. MKL's only branch that is the same on all vendors' processors (COMPATIBLE)
does not use AVX. oneDNN's AVX2 kernels are the same on all of them, and as fast as MKL's; see
`tests/benchmarks/numerics_price.py`. Half of a chunk's time is in linear layers; only the products inside attention
stay with MKL.

Non-obvious behaviour:
- Like MKL's COMPATIBLE branch, oneDNN adds in a different order at the end of a matrix than in its middle. A sample's
  bits then depend on its position in the batch, so with portable numerics a CPU gets one sample per call.
"""

from types import MethodType
from typing import Any

from envs import numerics


def by_onednn(model: Any, device: str) -> bool:
    """Make a network's linear layers use oneDNN, if numerics are portable and it runs on the CPU.

    Args:
        model: a `torch.nn.Module`; its layers get another `forward`, its weights do not change.
        device: where it runs.

    Returns:
        Whether the layers use oneDNN.
    """
    import torch

    if device != "cpu" or not numerics.pinned():
        return False
    for layer in model.modules():
        # No subclasses: adapter layers and quantised layers compute something else.
        if type(layer) is torch.nn.Linear:
            layer.forward = MethodType(_forward, layer)
    return True


def _forward(layer: Any, x: Any) -> Any:
    import torch

    # Autocast chooses a product's dtype by the name of the function, so keep torch's own under autocast. The other
    # function has no derivative, which real-time chunking may ask for.
    kept = torch.is_autocast_enabled("cpu") or torch.is_grad_enabled()
    if kept or x.dtype is not torch.float32 or layer.weight.dtype is not torch.float32:
        return torch.nn.functional.linear(x, layer.weight, layer.bias)
    return torch.ops.mkldnn._linear_pointwise(x, layer.weight, layer.bias, "none", [], "")
