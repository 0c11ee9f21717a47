"""Each loss against its formula in NumPy, and which way its gradient points."""

import numpy as np
import pytest
import torch

from examples.finetune import losses

M, T, D = 4, 3, 7


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    noise, actions, velocity = (torch.randn(M, T, D, generator=generator) for _ in range(3))
    time = torch.tensor([1.0, 0.7, 0.4, 0.1])
    valid = torch.ones(M, T, dtype=torch.bool)
    valid[1, 2:] = valid[3, 1:] = False
    return noise, actions, velocity, time, valid


def test_flow_matching_is_the_squared_error_of_the_velocity_over_valid_steps(batch):
    noise, actions, velocity, _, valid = (x.numpy() for x in batch)
    errors = (velocity - (noise - actions)) ** 2
    wanted = np.mean([errors[m, t] for m in range(M) for t in range(T) if valid[m, t]])
    found = losses.flow_matching(*map(torch.from_numpy, (velocity, noise, actions, valid)))
    assert found.item() == pytest.approx(wanted, rel=1e-6)


def test_flow_matching_pulls_the_velocity_from_the_action_to_the_noise(batch):
    noise, actions, velocity, _, valid = batch
    velocity.requires_grad_()
    losses.flow_matching(velocity, noise, actions, valid).backward()
    error = velocity.detach() - (noise - actions)
    assert torch.equal(velocity.grad[valid].sign(), error[valid].sign())
    assert not velocity.grad[~valid].any()


def test_the_true_velocity_leads_to_the_actions(batch):
    noise, actions, _, time, valid = batch
    at = time[:, None, None]
    predicted = losses.predicted_chunk(at * noise + (1 - at) * actions, noise - actions, time)
    torch.testing.assert_close(predicted, actions)
    assert losses.l1_regression(predicted, actions, valid).item() == pytest.approx(0, abs=1e-6)


def test_l1_regression_is_the_mean_absolute_error_and_pulls_to_the_action(batch):
    _, actions, predicted, _, valid = batch
    predicted.requires_grad_()
    loss = losses.l1_regression(predicted, actions, valid)
    errors = np.abs(predicted.detach().numpy() - actions.numpy())
    assert loss.item() == pytest.approx(errors[valid.numpy()].mean(), rel=1e-6)
    loss.backward()
    assert torch.equal(predicted.grad[valid].sign(), (predicted.detach() - actions)[valid].sign())


def test_contrast_is_a_squared_hinge_on_the_distance_with_a_margin_that_shrinks_with_the_time(batch):
    _, predicted, _, time, _ = batch
    conflicting = predicted + torch.tensor([0.1, 0.2, 0.3, 0.4])[:, None, None]  # their distances
    margin = 0.6
    wanted = np.mean([max(0, t * margin - d) ** 2 for t, d in zip(time.tolist(), (0.1, 0.2, 0.3, 0.4), strict=True)])
    assert losses.language_contrast(predicted, conflicting, time, margin).item() == pytest.approx(wanted, rel=1e-3)


def test_contrast_drives_the_conflicting_action_away_up_to_the_margin_and_leaves_the_demonstrated_one(batch):
    _, predicted, _, _, _ = batch
    predicted.requires_grad_()
    conflicting = (predicted + torch.tensor([0.1, 0.1, 0.9, 0.9])[:, None, None]).detach().requires_grad_()
    losses.language_contrast(predicted, conflicting, torch.ones(M), margin=0.5).backward()
    assert predicted.grad is None
    assert (conflicting.grad[:2] < 0).all(), "a step against the gradient leads further up, away"
    assert not conflicting.grad[2:].any(), "far enough"


def test_contrast_of_equal_actions_has_a_finite_gradient(batch):
    _, predicted, _, time, _ = batch
    conflicting = predicted.clone().requires_grad_()
    losses.language_contrast(predicted, conflicting, time, margin=0.5).backward()
    assert conflicting.grad.isfinite().all()


def test_consistency_is_the_squared_distance_and_draws_the_changed_view_to_the_clean_one(batch):
    _, predicted, other, _, _ = batch
    predicted.requires_grad_()
    other.requires_grad_()
    loss = losses.visual_consistency(predicted, other)
    difference = other.detach() - predicted.detach()
    assert loss.item() == pytest.approx((difference**2).mean().item(), rel=1e-6)
    loss.backward()
    assert predicted.grad is None
    assert torch.equal(other.grad.sign(), difference.sign())


def test_alignment_is_one_minus_the_cosine_and_turns_features_back():
    before = torch.tensor([[[1.0, 0.0], [0.0, 2.0]]]).requires_grad_()
    features = torch.tensor([[[3.0, 0.0], [1.0, 1.0]]]).requires_grad_()
    loss = losses.feature_alignment(features, before)
    assert loss.item() == pytest.approx((0 + 1 - 0.5**0.5) / 2, abs=1e-6)
    loss.backward()
    assert before.grad is None
    assert features.grad[0, 1, 0] > 0 > features.grad[0, 1, 1], "towards (0, 1)"
    torch.testing.assert_close(features.grad[0, 0], torch.zeros(2), atol=1e-6, rtol=0)
