"""The losses. Each is a mean over the batch; `recipes.Weights` has their weights.

Notation: an observation o, an instruction l, the demonstrated chunk a of T actions with d numbers, Gaussian noise e and
a time t in (0, 1]. The network predicts the velocity v(x_t, t, o, l) at the noisy chunk x_t = t e + (1 - t) a, as
SmolVLA does (arXiv 2506.01844): t = 1 is noise, t = 0 the actions. Actions are in the policy's scaling, with a standard
deviation of 1.

    total = objective + w_contrast contrast + w_consistency consistency + w_augment augment + w_align align

The objective is `flow_matching` or `l1_regression`; `augment` is the objective on changed views, as when images are
augmented. Contrast and consistency compare predicted chunks â = x_t - t v, the point where the velocity leads in one
step. At t = 1 that is the mean action for what was seen and asked. For smaller t the noisy chunk itself tells more and
more of the action, and a difference of velocities counts for less, by a factor t.
"""

import torch
from torch import Tensor
from torch.nn import functional

TINY = 1e-8
"""Added under the square root of a distance, whose gradient is infinite at 0."""


def predicted_chunk(noisy: Tensor, velocity: Tensor, time: Tensor) -> Tensor:
    """â = x_t - t v: `float32[M, T, d]` from two of that shape and `float32[M]`."""
    return noisy - time[:, None, None] * velocity


def flow_matching(velocity: Tensor, noise: Tensor, actions: Tensor, valid: Tensor) -> Tensor:
    """Mean of (v(x_t, t, o, l) - (e - a))^2 over the valid steps and the numbers of an action.

    Conditional flow matching on straight paths: Lipman et al. 2023 (arXiv 2210.02747); for actions: pi0 (Black et al.
    2024, arXiv 2410.24164).

    Args:
        velocity: `float32[M, T, d]`.
        noise: `float32[M, T, d]`.
        actions: `float32[M, T, d]`.
        valid: `bool[M, T]`, false for steps that were not demonstrated.
    """
    return _mean((velocity - (noise - actions)).square(), valid)


def l1_regression(predicted: Tensor, actions: Tensor, valid: Tensor) -> Tensor:
    """Mean of |â - a| with â = e - v(e, 1, o, l), over the valid steps and the numbers of an action.

    L1 regression of the chunk as in OpenVLA-OFT (Kim et al. 2025, arXiv 2502.19645). Here the network keeps its noise
    input, which it learns to ignore, and the checkpoint predicts in one denoising step.

    Args:
        predicted: `float32[M, T, d]`.
        actions: `float32[M, T, d]`.
        valid: `bool[M, T]`.
    """
    return _mean((predicted - actions).abs(), valid)


def language_contrast(predicted: Tensor, conflicting: Tensor, time: Tensor, margin: float) -> Tensor:
    """Mean of max(0, t m - D(â, â'))^2: â' is predicted for a conflicting instruction l', all else equal.

    D is the root mean square difference, m the margin. It is the term for dissimilar pairs of Hadsell, Chopra and LeCun
    2006, with a margin so that instructions are told apart, not actions driven away without bound. â is held fixed: the
    demonstrated instruction is taught by the objective, and only the answer to the other one has to give way.
    Counterfactual instructions for the same observation: CAST (Glossop et al. 2025, arXiv 2508.13446).

    Args:
        predicted: `float32[M, T, d]`, for the demonstrated instruction; gets no gradient.
        conflicting: `float32[M, T, d]`, for the conflicting one, at the same noise and time.
        time: `float32[M]`.
        margin: m, in standard deviations of an action.
    """
    missing = time * margin - distance(predicted.detach(), conflicting)
    return missing.clamp(min=0).square().mean()


def visual_consistency(predicted: Tensor, seen_otherwise: Tensor) -> Tensor:
    """Mean of (â - â")^2: â" is predicted for the same scene under a permitted change of its images, all else equal.

    Stochastic perturbations of the input (Sajjadi et al. 2016, arXiv 1606.04586). â is held fixed, so that the changed
    view is drawn to the clean one and not both to something between. `views` has the permitted changes.

    Args:
        predicted: `float32[M, T, d]`, for the clean images; gets no gradient.
        seen_otherwise: `float32[M, T, d]`, for the changed images, at the same noise and time.
    """
    return (seen_otherwise - predicted.detach()).square().mean()


def feature_alignment(features: Tensor, before: Tensor) -> Tensor:
    """Mean of 1 - cos(f, f_0) over the image tokens: f_0 is what a frozen copy of the starting checkpoint sees.

    Keeps visual representations from degrading, as in "Don't Blind Your VLA" (Kachaev et al. 2025, arXiv 2510.25616).
    Its teacher is another vision model; ours is the policy's own encoder before the fine-tune.

    Args:
        features: `float32[M, tokens, width]`, image tokens as the connector passes them to the language model.
        before: the same of the starting checkpoint; gets no gradient.
    """
    return (1 - functional.cosine_similarity(features.float(), before.detach().float(), dim=-1)).mean()


def distance(one: Tensor, other: Tensor) -> Tensor:
    """D: root mean square difference of chunks, `float32[M]` from two `float32[M, T, d]`."""
    return torch.sqrt((one - other).square().mean((1, 2)) + TINY)


def _mean(errors: Tensor, valid: Tensor) -> Tensor:
    weight = valid[..., None].to(errors.dtype)
    return (errors * weight).sum() / (weight.sum() * errors.shape[-1]).clamp(min=1)
