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
    of its clean sample's first draw. A term needs its inputs in the samples; of changed views, the recipe says which.

    Args:
        network: the network, with its recipe.
        samples: the batch.
        weights: for the margin of the contrast.
    """
    recipe, (draws, size) = network.recipe, samples.time.shape
    others = {"conflicting": samples.conflicting, "changed": samples.changed}
    asked = {name: inputs for name, inputs in others.items() if inputs is not None}
    sizes = [len(inputs.state) for inputs in asked.values()]
    time = torch.ones_like(samples.time) if recipe.is_regression else samples.time
    time = torch.cat([time.flatten(), *(time[0, :few] for few in sizes)])
    noise = torch.cat([samples.noise.flatten(0, 1), *(samples.noise[0, :few] for few in sizes)])
    actions = torch.cat([samples.actions.repeat(draws, 1, 1), *(samples.actions[:few] for few in sizes)])
    noisy = time[:, None, None] * noise + (1 - time[:, None, None]) * actions

    prefix = network.prefix(stacked([samples.clean, *asked.values()]))
    index = torch.arange(size + sum(sizes), device=time.device)
    velocity = network.velocity(prefix.rows(torch.cat([index[:size].repeat(draws), index[size:]])), noisy, time)
    predicted = losses.predicted_chunk(noisy, velocity, time)

    valid = torch.cat([samples.valid.repeat(draws, 1), *(samples.valid[:few] for few in sizes)])

    def objective(rows: slice) -> Tensor:
        if recipe.is_regression:
            return losses.l1_regression(predicted[rows], actions[rows], valid[rows])
        return losses.flow_matching(velocity[rows], noise[rows], actions[rows], valid[rows])

    first = draws * size
    terms = {recipe.objective: objective(slice(first))}
    for name, few in zip(asked, sizes, strict=True):
        rows, first = slice(first, first + few), first + few
        clean = predicted[:few]
        if name == "conflicting":
            margin = (weights or Weights()).margin
            terms["contrast"] = losses.language_contrast(clean, predicted[rows], time[:few], margin)
            continue
        if recipe.has("augment"):
            terms["augment"] = objective(rows)
        if recipe.has("consistency"):
            terms["consistency"] = losses.visual_consistency(clean, predicted[rows])
    if recipe.has("align"):
        terms["align"] = losses.feature_alignment(prefix.vision[:size], network.vision_before(samples.clean.images))
    return terms
