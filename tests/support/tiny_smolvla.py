"""A small random SmolVLA, built offline with lerobot's own classes: `python tests/support/tiny_smolvla.py OUT`.

About 1.5 million parameters, 6 MB. The same seed gives the same bytes. The folder may be moved. Chunk, state and action
sizes are those of the public checkpoints.
"""

import sys
from pathlib import Path

import torch
from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy

from simeval.policies.bundled.architecture import Shape, save
from simeval.policies.bundled.architecture import build as build_policy

SHAPE = Shape(text=128, text_inside=256, vision=64, vision_inside=128, vision_layers=2, scale=4, vocabulary=768)
LIKE_THE_PUBLIC_ONES = {
    "chunk_size": 50,
    "n_action_steps": 10,
    "num_steps": 10,
    "max_state_dim": 32,
    "max_action_dim": 32,
    "freeze_vision_encoder": True,
    "train_expert_only": True,
}

# Order of magnitude of the HuggingFaceVLA/libero dataset.
STATS = {
    "observation.state": {
        "mean": [-0.05, 0.03, 0.75, 2.97, -0.2, -0.13, 0.027, -0.027],
        "std": [0.10, 0.15, 0.38, 0.35, 0.9, 0.33, 0.014, 0.014],
    },
    "action": {
        "mean": [0.06, 0.09, -0.09, 0.0, 0.0, 0.0, 0.0],
        "std": [0.33, 0.37, 0.46, 0.04, 0.06, 0.08, 1.0],
    },
}


def _amplify(policy: SmolVLAPolicy, gain: float = 1.5) -> None:
    """Make random weights listen: with transformers' default scale the chunk is almost the noise itself."""
    core = policy.model.vlm_with_expert
    with torch.no_grad():
        for name, weight in core.named_parameters():
            if weight.ndim >= 2 and "embed" not in name:
                weight.normal_(0.0, gain / weight[0].numel() ** 0.5)
        core.get_vlm_model().text_model.embed_tokens.weight.normal_(0.0, 1.0 / 8)


def build(out: Path, *, seed: int = 0, **overrides) -> Path:
    """Write the checkpoint into a folder; `overrides` are fields of `SmolVLAConfig`."""
    policy = build_policy(out / "vlm", shape=SHAPE, seed=seed, **(LIKE_THE_PUBLIC_ONES | overrides))
    _amplify(policy)
    save(policy, out, STATS)
    return out


if __name__ == "__main__":
    print(build(Path(sys.argv[1])))
