"""Prove on the loaded pipelines that a checkpoint's statistics arrive where they should.

`checkpoint_stats` reads the files; lerobot loads them by itself, and what it does not find it leaves out in silence. So
known inputs and actions are sent through the pipelines that will be used, and compared with the files' statistics.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simeval.core.errors import ConfigError
from simeval.policies.checkpoint.statistics import NORMALIZERS, UNNORMALIZERS, Scale

_TOLERANCE = 1e-3
"""Of the scaled value. lerobot computes in float32, and a narrow width cancels digits."""


def check_inputs(preprocess: Any, observation: Mapping[str, Any], scales: tuple[Scale, ...], *, name: str) -> None:
    """Send an observation through the preprocessor and compare what its normalizer makes of it.

    Args:
        preprocess: the loaded pipeline.
        observation: as it is handed over for a call of the network; tensors with a leading batch dimension. Its images
            have the same colour everywhere, so that a resizing step changes nothing.
        scales: how the files say that each value is scaled.
        name: of the checkpoint.

    Raises:
        ConfigError: a value comes out otherwise, or not at all.
    """
    from lerobot.processor import TransitionKey

    transition = preprocess.to_transition(dict(observation))
    after: Mapping[str, Any] = {}
    for step in preprocess.steps:
        transition = step(transition)
        if _registered(step) in NORMALIZERS:
            if _registered(step) != NORMALIZERS[0]:
                return  # a mask leaves some numbers as they are, deliberately
            after = transition[TransitionKey.OBSERVATION]
    for scale in scales:
        given = _numbers(observation[scale.source])
        found = _numbers(after[scale.key]) if scale.key in after else None
        if given.ndim == 4:
            given = given[..., :1, :1]
        elif given.shape[-1] < scale.low.shape[-1]:
            # EVO1 pads the state before it is scaled.
            given = np.pad(given, [(0, 0)] * (given.ndim - 1) + [(0, scale.low.shape[-1] - given.shape[-1])])
        _compare(scale.scaled(given), found, f"its preprocessor does not scale {scale.key}", name)


def check_actions(postprocess: Any, scale: Scale | None, *, name: str) -> None:
    """Send known actions through the postprocessor and compare what its unnormalizer makes of them.

    Args:
        postprocess: the loaded pipeline.
        scale: how the file says that actions are scaled; `None` checks nothing.
        name: of the checkpoint.

    Raises:
        ConfigError: they come out otherwise.
    """
    import torch
    from lerobot.processor import TransitionKey

    if scale is None:
        return
    width = scale.low.shape[-1]
    actions = torch.linspace(-0.9, 0.9, 3 * width).reshape(1, 3, width)
    transition = postprocess.to_transition(actions)
    given = found = None
    for step in postprocess.steps:
        if _registered(step) in UNNORMALIZERS:
            if _registered(step) != UNNORMALIZERS[0]:
                return
            given = _numbers(transition[TransitionKey.ACTION])
            transition = step(transition)
            found = _numbers(transition[TransitionKey.ACTION])
            break
        transition = step(transition)
    expected = scale.unscaled(given) if given is not None else np.zeros(0)
    _compare(expected, found, "its postprocessor does not scale the actions back", name)


def _compare(expected: NDArray[np.float64], found: NDArray[np.float64] | None, complaint: str, name: str) -> None:
    if found is not None and found.ndim == expected.ndim and found.shape[:2] == expected.shape[:2]:
        expected = np.broadcast_to(expected, found.shape)
        close = np.abs(found - expected) <= _TOLERANCE * np.maximum(1, np.abs(expected))
        if close.all():
            return
        at = int(np.argmin(close.ravel()))
        complaint += f" as its files say (expected {expected.ravel()[at]:.4g}, found {found.ravel()[at]:.4g})"
    raise ConfigError(f"policy '{name}': {complaint}; save it again with lerobot, processors and all")


def _registered(step: Any) -> str | None:
    return getattr(type(step), "_registry_name", None)


def _numbers(tensor: Any) -> NDArray[np.float64]:
    values: NDArray[np.float64] = tensor.detach().cpu().double().numpy()
    return values
