"""Puts the observations of the last control steps into a lerobot policy's own queue.

`select_action` of the types in `checkpoint.calls.WINDOWED` appends the current observation to a queue at every control
step, and predicts from the queue when its actions are used up. Filling the queue and predicting gives the same chunk,
and keeps nothing between chunks. `predict_action_chunk` alone reads the batch without a queue for Diffusion only.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from simeval.policies.base import PolicyInput


def split(inputs: Sequence[PolicyInput], n_obs_steps: int) -> list[list[PolicyInput]]:
    """The inputs at each moment of their windows, oldest first: each has that moment's observation.

    Raises:
        ValueError: an input has not `n_obs_steps` observations.
    """
    for item in inputs:
        if len(item.past) + 1 != n_obs_steps:
            raise ValueError(f"it takes {n_obs_steps} observations, and was given {len(item.past) + 1}")
    windows = [[replace(item, observation=seen) for seen in (*item.past, item.observation)] for item in inputs]
    return [list(moment) for moment in zip(*windows, strict=True)]


def observe(model: Any, window: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Fill the queue of a policy that was just reset; `predict_action_chunk` of the result then predicts from it.

    Args:
        model: lerobot's policy.
        window: preprocessed batches, one for each observation, oldest first; not empty.

    Returns:
        The last batch, with its images stacked under lerobot's key.
    """
    import torch
    from lerobot.policies.utils import populate_queues
    from lerobot.utils.constants import ACTION, OBS_IMAGES

    batch: dict[str, Any] = {}
    for moment in window:
        batch = {key: value for key, value in moment.items() if key != ACTION}
        if model.config.image_features:
            batch[OBS_IMAGES] = torch.stack([batch[key] for key in model.config.image_features], dim=-4)
        model._queues = populate_queues(model._queues, batch)
    return batch
