"""Representation drift of a real small policy: what must be 0 is, what changed is seen, and sets of frames."""

from dataclasses import replace

import numpy as np
import pytest
from tiny_requests import request

from simeval.drift.representation import DISTANCES, SET_DISTANCES, distances, pooled, set_distances
from simeval.policies.base import PolicyInput
from simeval.policies.lerobot import load
from simeval.policies.representations import Representation
from simeval.stats.representation import linear_cka


@pytest.fixture(scope="module")
def policy(tiny_smolvla):
    return load(str(tiny_smolvla), device="cpu", batch_size=2)


def dark(item: PolicyInput) -> PolicyInput:
    images = {camera: image // 4 for camera, image in item.observation.images.items()}
    return replace(item, observation=replace(item.observation, images=images))


def drift(policy, clean: PolicyInput, perturbed: PolicyInput) -> dict[str, float]:
    found = distances(*policy.represent([clean, perturbed]))
    assert tuple(name for name, _ in found) == DISTANCES
    return dict(found)


def test_the_same_view_is_exactly_0_apart(policy):
    assert drift(policy, request(), request()) == dict.fromkeys(DISTANCES, 0.0)


def test_each_change_moves_what_it_reaches(policy):
    told = drift(policy, request(), request(text="open the drawer"))
    assert told["vision_cosine"] == 0.0
    assert min(told[name] for name in DISTANCES if name != "vision_cosine") > 0
    seen = drift(policy, request(), dark(request()))
    assert seen["language_cosine"] == 0.0
    assert min(seen[name] for name in DISTANCES if name != "language_cosine") > 0


def made(attention, language: float, words=((1.0, 0.0), (0.0, 1.0), (9.0, 9.0)), there=(True, True, False)):
    """A representation by hand: two cameras of two tokens."""
    vision = np.array([[[1, 0], [1, 0]], [[0, 1], [0, 1]]], np.float32)
    prefix, mask = np.array([[3, 4], [50, 50]], np.float32), np.array([True, False])
    attention, rest = np.array(attention, np.float32), 1 - np.sum(attention) - language
    chunk = np.zeros((1, 7), np.float32)
    words = np.array(words, np.float32)
    return Representation(
        chunk, ("agentview", "wrist"), vision, words, np.array(there), prefix, mask, attention, language, float(rest)
    )


def test_distances_by_hand():
    a = made([[[0.2, 0.2]], [[0.1, 0.1]]], 0.3)
    b = made([[[0.1, 0.1]], [[0.1, 0.1]]], 0.1, there=(True, False, False))
    found = dict(distances(a, b))
    assert pooled(a).tolist() == [[0.5, 0.5], [0.5, 0.5], [3, 4]]
    assert pooled(b).tolist() == [[0.5, 0.5], [1, 0], [3, 4]]
    assert found["language_cosine"] == pytest.approx(1 - 0.5**0.5)
    # Of the attention on pictures, agentview had 2/3 and has 1/2.
    assert found["attention_shift"] == pytest.approx(1 / 6)
    assert found["attention_language"] == pytest.approx(0.2)
    assert (found["vision_cosine"], found["prefix_cosine"]) == (0.0, 0.0)


def test_no_words_at_all_are_a_distance_of_1():
    a, b = (made([[[0.5, 0]], [[0, 0]]], 0.1, there=there) for there in ((True, True, False), (False, False, False)))
    assert dict(distances(a, b))["language_cosine"] == 1.0
    assert dict(distances(b, b))["language_cosine"] == 0.0


def frames(count: int) -> list[PolicyInput]:
    return [request(index, f"put the bowl on the {('plate', 'stove')[index % 2]}") for index in range(count)]


def test_sets_of_frames(policy):
    clean, again, changed = (
        np.array([pooled(r) for r in policy.represent(items)])
        for items in (frames(6), frames(6), [dark(item) for item in frames(6)])
    )
    assert set_distances(clean, again) == tuple((name, 0.0) for name in SET_DISTANCES)
    found = dict(set_distances(clean, changed))
    assert found["language_cka"] == 0.0
    assert found["vision_cka"] == 1 - linear_cka(clean[:, 0], changed[:, 0], debiased=True)
    assert min(found["vision_cka"], found["prefix_cka"]) > 0.01
    # All were told the same: there is nothing to compare, which is not the same as no drift.
    changed[:, 1] = changed[0, 1]
    assert dict(set_distances(clean, changed))["language_cka"] is None
    assert set_distances(clean[:3], changed[:3]) == tuple((name, None) for name in SET_DISTANCES)
