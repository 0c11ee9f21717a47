"""What a recipe minimises: the losses of a batch, from one pass of the network."""

import torch
from torch import Tensor

from examples.finetune import losses
from examples.finetune.frames import Samples, stacked
from examples.finetune.network import Network
from examples.finetune.recipes import Weights


def loss_terms(network: Network, samples: Samples, weights: Weights | None = None) -> dict[str, Tensor]:
    """The objective and the regularisers, unweighted, each a scalar; the objective comes first.

    Conflicting instructions and changed views are one batch with the clean samples, and each has the noise and the time
    of its clean sample's first draw. Which of them there are is the samples' choice.

    Args:
        network: the network, with its recipe.
        samples: the batch.
        weights: for the margin of the contrast.
    """
    recipe, (draws, size) = network.recipe, samples.time.shape
    others = {"contrast": samples.conflicting, "consistency": samples.changed}
    asked = {name: inputs for name, inputs in others.items() if inputs is not None}
    sizes = [len(inputs.state) for inputs in asked.values()]
    time = torch.ones_like(samples.time) if recipe.is_regression else samples.time
    time = torch.cat([time.flatten(), *(time[0, :few] for few in sizes)])
    noise = torch.cat([samples.noise.flatten(0, 1), *(samples.noise[0, :few] for few in sizes)])
    actions = torch.cat([samples.actions.repeat(draws, 1, 1), *(samples.actions[:few] for few in sizes)])
    noisy = time[:, None, None] * noise + (1 - time[:, None, None]) * actions

    prefix = network.prefix(stacked([samples.clean, *asked.values()]))
    rows = torch.arange(size + sum(sizes), device=time.device)
    velocity = network.velocity(prefix.rows(torch.cat([rows[:size].repeat(draws), rows[size:]])), noisy, time)
    predicted = losses.predicted_chunk(noisy, velocity, time)

    many, valid = draws * size, samples.valid.repeat(draws, 1)
    if recipe.is_regression:
        terms = {"l1": losses.l1_regression(predicted[:many], actions[:many], valid)}
    else:
        terms = {"flow": losses.flow_matching(velocity[:many], noise[:many], actions[:many], valid)}
    for name, chunk in zip(asked, predicted[many:].split(sizes), strict=True):
        clean = predicted[: len(chunk)]
        if name == "contrast":
            margin = (weights or Weights()).margin
            terms[name] = losses.language_contrast(clean, chunk, time[: len(chunk)], margin)
        else:
            terms[name] = losses.visual_consistency(clean, chunk)
    if recipe.has("align"):
        terms["align"] = losses.feature_alignment(prefix.vision[:size], network.vision_before(samples.clean.images))
    return terms
