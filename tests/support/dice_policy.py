"""A third-party lerobot policy type, `dice`: random chunks from torch's global generator, and no `noise` argument."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from lerobot.configs import FeatureType, NormalizationMode, PolicyFeature, PreTrainedConfig
from lerobot.policies import PreTrainedPolicy
from lerobot.processor import make_default_policy_processor_steps, make_policy_processor_pipelines


@PreTrainedConfig.register_subclass("dice")
@dataclass
class DiceConfig(PreTrainedConfig):
    chunk_size: int = 4
    n_action_steps: int = 2
    swallow: bool = False
    """Fail to load like lerobot's pi0 does: say so, and go on."""

    normalization_mapping: ClassVar = dict.fromkeys(("VISUAL", "STATE", "ACTION"), NormalizationMode.IDENTITY)
    observation_delta_indices = action_delta_indices = reward_delta_indices = None

    def get_optimizer_preset(self): ...

    def get_scheduler_preset(self): ...

    def validate_features(self): ...


class DicePolicy(PreTrainedPolicy):
    config_class = DiceConfig
    name = "dice"

    def __init__(self, config, **_):
        super().__init__(config)
        self.weight = torch.nn.Parameter(torch.ones(1))

    @classmethod
    def from_pretrained(cls, folder, *, config, **options):
        if config.swallow:
            print("Warning: Could not load state dict: shapes differ")
            return cls(config)
        return super().from_pretrained(folder, config=config, **options)

    def predict_action_chunk(self, batch):
        state = batch["observation.state"]
        return torch.randn(len(state), self.config.chunk_size, 7) + state[:, None, :7] * self.weight

    def reset(self): ...

    def get_optim_params(self): ...

    def forward(self, batch): ...

    def select_action(self, batch): ...


def build(out: Path, **overrides) -> Path:
    """Write a checkpoint into a folder."""
    config = DiceConfig(
        device="cpu",
        input_features={"observation.state": PolicyFeature(type=FeatureType.STATE, shape=(8,))},
        output_features={"action": PolicyFeature(type=FeatureType.ACTION, shape=(7,))},
        **overrides,
    )
    steps = make_default_policy_processor_steps(config, None)
    pipelines = make_policy_processor_pipelines(
        input_steps=[steps.rename_observations, steps.add_batch_dim, steps.to_device, steps.normalize],
        output_steps=[steps.unnormalize, steps.to_cpu],
    )
    for part in (DicePolicy(config), *pipelines):
        part.save_pretrained(out)
    return out
