"""Verifies that the loaded pipelines use a checkpoint's statistics.

`checkpoint.statistics` reads the files, but lerobot loads them itself and silently ignores missing ones. So known
inputs and actions are sent through the loaded pipelines, and the results are compared with the files' statistics.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simeval.core.errors import ConfigError
from simeval.policies.checkpoint.statistics import NORMALIZERS, UNNORMALIZERS, Scale

_TOLERANCE = 1e-3
"""Relative to the scaled value. lerobot computes in float32, and a narrow width loses digits by cancellation."""


def check_inputs(preprocess: Any, observation: Mapping[str, Any], scales: tuple[Scale, ...], *, name: str) -> None:
    """Send an observation through the preprocessor and check its normalizer's output.

    Args:
        preprocess: the loaded pipeline.
        observation: the input of a call of the network; tensors with a leading batch dimension. Its images are
            uniform, so that a resizing step changes nothing.
        scales: the scaling of each value according to the files.
        name: name of the checkpoint.

    Raises:
        ConfigError: a value is scaled differently or not at all.
    """
    from lerobot.processor import TransitionKey

    transition = preprocess.to_transition(dict(observation))
    after: Mapping[str, Any] = {}
    for step in preprocess.steps:
        transition = step(transition)
        if _registered(step) in NORMALIZERS:
            if _registered(step) != NORMALIZERS[0]:
                return  # a mask deliberately leaves some numbers unscaled
            after = transition[TransitionKey.OBSERVATION]
    for scale in scales:
        raw = _numbers(observation[scale.source])
        scaled = _numbers(after[scale.key]) if scale.key in after else None
        if raw.ndim == 4:
            raw = raw[..., :1, :1]
        elif raw.shape[-1] < scale.low.shape[-1]:
            # EVO1 pads the state before it is scaled.
            raw = np.pad(raw, [(0, 0)] * (raw.ndim - 1) + [(0, scale.low.shape[-1] - raw.shape[-1])])
        _compare(scale.scaled(raw), scaled, f"its preprocessor does not scale {scale.key}", name)


def check_actions(postprocess: Any, scale: Scale | None, *, name: str) -> None:
    """Send known actions through the postprocessor and check its unnormalizer's output.

    Args:
        postprocess: the loaded pipeline.
        scale: the scaling of actions according to the file; `None` checks nothing.
        name: name of the checkpoint.

    Raises:
        ConfigError: they are scaled differently.
    """
    import torch
    from lerobot.processor import TransitionKey

    if scale is None:
        return
    width = scale.low.shape[-1]
    actions = torch.linspace(-0.9, 0.9, 3 * width).reshape(1, 3, width)
    transition = postprocess.to_transition(actions)
    scaled = actual = None
    for step in postprocess.steps:
        if _registered(step) in UNNORMALIZERS:
            if _registered(step) != UNNORMALIZERS[0]:
                return
            scaled = _numbers(transition[TransitionKey.ACTION])
            transition = step(transition)
            actual = _numbers(transition[TransitionKey.ACTION])
            break
        transition = step(transition)
    expected = scale.unscaled(scaled) if scaled is not None else np.zeros(0)
    _compare(expected, actual, "its postprocessor does not scale the actions back", name)


def _compare(expected: NDArray[np.float64], actual: NDArray[np.float64] | None, complaint: str, name: str) -> None:
    if actual is not None and actual.ndim == expected.ndim and actual.shape[:2] == expected.shape[:2]:
        expected = np.broadcast_to(expected, actual.shape)
        close = np.abs(actual - expected) <= _TOLERANCE * np.maximum(1, np.abs(expected))
        if close.all():
            return
        at = int(np.argmin(close.ravel()))
        complaint += f" as its files say (expected {expected.ravel()[at]:.4g}, found {actual.ravel()[at]:.4g})"
    raise ConfigError(f"policy '{name}': {complaint}; save it again with lerobot, processors and all")


def _registered(step: Any) -> str | None:
    return getattr(type(step), "_registry_name", None)


def _numbers(tensor: Any) -> NDArray[np.float64]:
    values: NDArray[np.float64] = tensor.detach().cpu().double().numpy()
    return values
