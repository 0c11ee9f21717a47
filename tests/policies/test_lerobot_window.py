"""Policies that look at several past observations: the actions of an episode are lerobot's own, bit for bit."""

from dataclasses import replace
from pathlib import Path

import families
import numpy as np
import pytest
import torch

from envs.base import Observation
from simeval.core.errors import ConfigError
from simeval.policies.base import PolicyInput
from simeval.policies.lerobot import LerobotPolicy, load

TEXT = "touch the red block"
STEPS, EDGE = 20, 32
"""Control steps of an episode (its last chunk is cut short), and the side of its images (px)."""
KINDS = {
    "diffusion": (families.save_diffusion, {}, 2, 12, "global"),
    "diffusion by DDIM": (
        families.save_diffusion,
        {"noise_scheduler_type": "DDIM", "n_obs_steps": 3},
        3,
        12,
        "explicit",
    ),
    "diffusion from one": (families.save_diffusion, {"n_obs_steps": 1, "n_action_steps": 16}, 1, 16, "global"),
    "multi_task_dit": (families.save_multi_task_dit, {"n_action_steps": 7}, 2, 7, "global"),
    "vqbet": (families.save_vqbet, {}, 3, 4, "global"),
}


@pytest.fixture(scope="module", params=KINDS)
def loaded(request, hub, tmp_path_factory) -> tuple[str, LerobotPolicy]:
    save, fields, *_ = KINDS[request.param]
    return request.param, load(
        str(save(tmp_path_factory.mktemp("window"), edge=EDGE, **fields)), device="cpu", batch_size=2
    )


@pytest.fixture(scope="module")
def diffusion(tmp_path_factory) -> Path:
    return families.save_diffusion(tmp_path_factory.mktemp("window"), edge=EDGE, noise_scheduler_type="DDIM")


def observations(seed: int = 0, number: int = STEPS) -> list[Observation]:
    random = np.random.default_rng(seed)
    return [
        Observation(
            {camera: random.integers(0, 256, (EDGE, EDGE, 3), np.uint8) for camera in ("agentview", "wrist")},
            random.normal(size=8).astype(np.float32) / 2,
            step,
        )
        for step in range(number)
    ]


def requests(policy: LerobotPolicy, seen: list[Observation], seed: int = 0) -> list[PolicyInput]:
    """What the loop asks in an episode with these observations, see `simeval.rollout.observations`."""
    spec, asked = policy.spec, []
    for chunk, step in enumerate(range(0, len(seen), spec.n_action_steps)):
        *past, now = (seen[max(0, step - age)] for age in reversed(range(spec.n_obs_steps)))
        asked.append(PolicyInput(now, TEXT, "pair", chunk, noise_seed=1000 * seed + chunk, past=tuple(past)))
    return asked


def by_lerobot(policy: LerobotPolicy, seen: list[Observation], asked: list[PolicyInput]) -> np.ndarray:
    """lerobot's own loop: `select_action` at every control step, with the queues that it keeps itself."""
    parts, actions = policy._parts, []
    parts.model.reset()
    with torch.inference_mode():
        for step, observation in enumerate(seen):
            batch = parts.preprocess(policy._observations([replace(asked[0], observation=observation)]))
            chunk, within = divmod(step, policy.spec.n_action_steps)
            options = {"noise": policy._sampling_noise([asked[chunk]])} if policy._noise == "explicit" else {}
            if within == 0:
                torch.manual_seed(asked[chunk].noise_seed)
            actions.append(parts.postprocess(parts.model.select_action(batch, **options)).numpy()[0])
    return np.stack(actions)


def executed(policy: LerobotPolicy, asked: list[PolicyInput], number: int) -> np.ndarray:
    chunks = [chunk[: policy.spec.n_action_steps] for item in asked for chunk in policy.act([item])]
    return np.concatenate(chunks)[:number]


def test_an_episodes_actions_are_those_of_lerobots_own_loop(loaded):
    name, policy = loaded
    *_, n_obs_steps, n_action_steps, noise = KINDS[name]
    facts = dict(policy.spec.fingerprint)
    assert (policy.spec.n_obs_steps, policy.spec.n_action_steps, facts["noise"]) == (
        n_obs_steps,
        n_action_steps,
        noise,
    )
    assert facts.get("n_obs_steps", 1) == n_obs_steps
    seen = observations()
    asked = requests(policy, seen)
    ours, theirs = executed(policy, asked, STEPS), by_lerobot(policy, seen, asked)
    assert ours.shape == (STEPS, 7)
    assert np.array_equal(ours, theirs)
    assert np.array_equal(executed(policy, asked, STEPS), ours)


def test_every_observation_of_the_window_matters(loaded):
    _, policy = loaded
    item = requests(policy, observations())[-1]
    (chunk,) = policy.act([item])
    for place in range(len(item.past)):
        past = list(item.past)
        past[place] = observations(seed=9)[0]
        assert not np.array_equal(policy.act([replace(item, past=tuple(past))])[0], chunk), place


def test_episodes_in_one_batch_do_not_mix(diffusion):
    policy = load(str(diffusion), device="cpu", batch_size=2)
    one, two = (requests(policy, observations(seed), seed) for seed in (1, 2))
    for pair in zip(one, two, strict=True):
        alone = [policy.act([item])[0] for item in pair]
        assert np.array_equal(policy.act(pair), alone)
        assert not np.array_equal(*alone)


def test_fewer_or_more_observations_than_it_takes_are_an_error(diffusion):
    policy = load(str(diffusion), device="cpu")
    item = requests(policy, observations())[-1]
    for past in ((), item.past * 2):
        with pytest.raises(ValueError, match=f"takes 2 observations, and was given {len(past) + 1}"):
            policy.act([replace(item, past=past)])


def test_no_more_actions_than_the_horizon_has_after_now(diffusion):
    assert load(str(diffusion), device="cpu", n_action_steps=15).spec.n_action_steps == 15
    with pytest.raises(ConfigError, match=r"n_action_steps is 16, it must be in 1\.\.15 \(its horizon of 16 begins 1"):
        load(str(diffusion), device="cpu", n_action_steps=16)


def test_images_of_another_size_are_refused(diffusion):
    policy = load(str(diffusion), device="cpu")
    (item,) = requests(policy, observations(number=1))
    small = replace(item.observation, images={camera: np.zeros((64, 64, 3), np.uint8) for camera in ("agentview",)})
    with pytest.raises(ConfigError, match="its images have 32x32 px and these 64x64, and 'diffusion' resizes none"):
        policy.act([replace(item, observation=small)])
