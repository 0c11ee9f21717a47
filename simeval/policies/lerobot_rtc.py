"""Real-time chunking of flow-matching checkpoints, by lerobot's own `RTCProcessor`.

An answer that continues the rest of the last chunk is guided towards it while it is sampled, most strongly where that
rest will be executed before the answer is there.

Non-obvious behaviour:
- lerobot keeps the rest as the network gave it. Here a policy keeps nothing between calls, so the rest comes as it is
  executed and is scaled again by the checkpoint's own normalizer, as lerobot does it for relative actions.
- Parameters are those of `rtc_config` in the checkpoint's configuration, by default lerobot's. The rest is not padded
  with zeros to the execution horizon, as lerobot's rollout engine does it for compiled networks: the processor shortens
  the horizon instead.
- The guidance needs gradients with respect to the sample, which `torch.inference_mode` would forbid.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from simeval.policies.base import PolicyInput
from simeval.policies.lerobot_build import Parts

_TYPES = frozenset({"smolvla", "pi0", "pi05"})
"""Types whose sampling takes the rest as an argument. Source: `flow_matching.euler_integrate` in lerobot 0.6.1."""


def can_continue(parts: Parts) -> bool:
    """Whether a checkpoint can continue the rest of its last chunk: its type can, and its actions are absolute."""
    from lerobot.processor import RelativeActionsProcessorStep

    # pi0 and its kin always have the step, and most of their checkpoints do not use it.
    relative = any(isinstance(step, RelativeActionsProcessorStep) and step.enabled for step in parts.preprocess.steps)
    return parts.config.type in _TYPES and bool(parts.model.supports_rtc()) and not relative


@contextlib.contextmanager
def continuing(parts: Parts, item: PolicyInput, device: str) -> Iterator[dict[str, Any]]:
    """Real-time chunking inside; yields the arguments of `predict_action_chunk`, none if there is no rest."""
    import torch

    if item.rest is None:
        with torch.inference_mode():
            yield {}
        return
    from lerobot.policies.rtc.configuration_rtc import RTCConfig

    saved = parts.config.rtc_config
    parts.config.rtc_config = replace(saved, enabled=True) if saved else RTCConfig()
    try:
        parts.model.init_rtc_processor()
        with torch.no_grad():
            rest = _scaled(parts, torch.from_numpy(item.rest).to(device))
            yield {"inference_delay": min(item.latency, len(item.rest)), "prev_chunk_left_over": rest}
    finally:
        parts.config.rtc_config = saved


def _scaled(parts: Parts, rest: Any) -> Any:
    """Actions as the network predicts them, from actions as they are executed."""
    from lerobot.processor import NormalizerProcessorStep, TransitionKey, create_transition

    transition = create_transition(action=rest)
    for step in parts.preprocess.steps:
        if isinstance(step, NormalizerProcessorStep):
            transition = step(transition)
    return transition[TransitionKey.ACTION]
