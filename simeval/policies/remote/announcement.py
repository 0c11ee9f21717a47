"""What `simeval serve` says about its policy when a client connects; `announced` reads it.

It is the same after a restart with the same policy, since clients take its digest as part of the model's identity.
"""

import hashlib
import json
from typing import Any

from envs.base import ACTION_SIZE
from simeval.policies.base import PolicySpec


def announcement(spec: PolicySpec, *, action_horizon: int, batch_size: int, numerics: str) -> dict[str, Any]:
    """A server's first message.

    Args:
        spec: of the policy that is served.
        action_horizon: actions per chunk.
        batch_size: most requests that are answered in one call of the policy.
        numerics: `portable` or `native`.
    """
    facts = [[name, value if isinstance(value, int | float) else str(value)] for name, value in spec.fingerprint]
    return {
        "simeval": 1,
        "policy": spec.name,
        "fingerprint": hashlib.sha256(json.dumps([spec.name, facts]).encode()).hexdigest(),
        "cameras": list(spec.cameras),
        # vLLM-Omni's word for it; scaling images to it on the client's side saves bytes and a second scaling here.
        "image_resolution": list(spec.image_size) if spec.image_size else None,
        "action_horizon": action_horizon,
        "action_dim": ACTION_SIZE,
        "n_action_steps": spec.n_action_steps,
        "batch": batch_size,
        "numerics": numerics,
        "noise_seed": True,
        "without_noise_seed": "a seed made from the request's content: equal requests get equal answers",
        "spec": {
            "name": spec.name,
            "n_action_steps": spec.n_action_steps,
            "cameras": list(spec.cameras),
            "n_obs_steps": spec.n_obs_steps,
            "memory": spec.memory,
            "state_std": spec.state_std,
            "action_std": spec.action_std,
            "state_limits": spec.state_limits,
            "action_limits": spec.action_limits,
            "fingerprint": facts,
        },
    }
