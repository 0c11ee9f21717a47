"""simeval's own form of openpi's messages: what `simeval serve` announces, and a request without any loss.

openpi's request has no place for the sampling noise, the episode or the step. simeval adds keys for them, and `simeval:
1`, which also says that the images are upright and of the size at which they were rendered. So an answer over the wire
is, to the bit, that of the same policy in the same process.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from envs.base import ACTION_SIZE
from simeval.policies.base import PolicyInput, PolicySpec

VERSION = 1
"""Of this form; the value of the key `MARK` in announcements and requests."""

MARK = "simeval"
IMAGES: Mapping[str, str] = {"agentview": "observation/image", "wrist": "observation/wrist_image"}
"""openpi's key of each camera. Source: its LIBERO example."""
STATE = "observation/state"
STEP = "observation/step"
PROMPT = "prompt"
PAIR = "pair_id"
CHUNK = "chunk_index"
SEED = "noise_seed"
ACTIONS = "actions"

SEEDS = range(2**63)
"""Values of a noise seed. Source: `simeval.core.seeding.PairStreams.policy_seed`."""


def request_of(item: PolicyInput) -> dict[str, Any]:
    """The request that asks for the answer to an input; the ground-truth state does not travel."""
    observation = item.observation
    return {
        MARK: VERSION,
        **{IMAGES[camera]: image for camera, image in observation.images.items()},
        STATE: observation.state,
        STEP: observation.step,
        PROMPT: item.instruction,
        PAIR: item.pair_id,
        CHUNK: item.chunk_index,
        SEED: item.noise_seed,
    }


def announcement_of(spec: PolicySpec, *, action_horizon: int, batch_size: int, numerics: str) -> dict[str, Any]:
    """A server's first message.

    Args:
        spec: of the policy that is served.
        action_horizon: actions per chunk.
        batch_size: most requests that are answered in one call of the policy.
        numerics: `portable` or `native`.
    """
    facts = [[name, value if isinstance(value, int | float) else str(value)] for name, value in spec.fingerprint]
    return {
        MARK: VERSION,
        "policy": spec.name,
        "cameras": list(spec.cameras),
        "n_action_steps": spec.n_action_steps,
        "action_horizon": action_horizon,
        "action_dim": ACTION_SIZE,
        "image_resolution": list(spec.image_size) if spec.image_size else None,
        "batch": batch_size,
        "numerics": numerics,
        "noise_seed": True,
        "without_noise_seed": "a seed made from the request's content: equal requests get equal answers",
        "requests": ["openpi_libero", "simeval"],
        "fingerprint": hashlib.sha256(json.dumps([spec.name, facts]).encode()).hexdigest(),
        "facts": facts,
        "state_std": spec.state_std,
        "action_std": spec.action_std,
        "state_limits": spec.state_limits,
        "action_limits": spec.action_limits,
    }
