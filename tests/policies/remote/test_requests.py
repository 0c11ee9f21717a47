"""From messages to a policy's inputs: nothing is lost in simeval's own form, and openpi's is understood."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from served_policy import as_openpi, marked, observed

from simeval.core import seeding
from simeval.policies.base import PolicySpec
from simeval.policies.remote.announced import announced
from simeval.policies.remote.announcement import announcement
from simeval.policies.remote.codec import pack, unpack
from simeval.policies.remote.conventions import read_convention
from simeval.policies.remote.requests import SEEDS, RequestError, input_of
from simeval.policies.remote.translate import request

SPEC = PolicySpec("somebody's", 4, ("agentview", "wrist"), image_size=(32, 32))


def sent(message: dict) -> dict:
    return unpack(pack(message))


def same(one, other) -> bool:
    """Equal in every field, arrays in type and bytes."""
    images = [one.observation.images, other.observation.images]
    assert set(images[0]) == set(images[1])
    arrays = [(images[0][key], images[1][key]) for key in images[0]]
    arrays.append((one.observation.state, other.observation.state))
    equal = all((a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes()) for a, b in arrays)
    rest = [(item.observation.step, replace(item, observation=None)) for item in (one, other)]
    return equal and rest[0] == rest[1]


@pytest.mark.parametrize("seed", [0, 1, 2**31])
def test_every_field_survives_the_marked_form(seed):
    item = observed(seed)
    assert same(input_of(sent(marked(item)), SPEC), item)


def test_what_simevals_client_sends_is_the_marked_form():
    item = observed(3)
    extras = ("noise_seed", "pair_id", "chunk_index", "step")
    message = request(read_convention("simeval"), item) | {key: marked(item)[key] for key in extras}
    assert set(message) == set(marked(item))
    assert same(input_of(sent(message), SPEC), item)


def test_states_that_float32_can_hold_survive_float64():
    state = np.array([0.1, -0.0, 1e-45, 3.4e38, 1 / 3, -2, 5e-324, 7], np.float32)
    item = observed(0)
    item = replace(item, observation=replace(item.observation, state=state))
    message = marked(item) | {"observation/state": state.astype(">f8")}
    assert same(input_of(sent(message), SPEC), item)


def test_only_cameras_of_the_policy_are_looked_at():
    message = marked(observed(0)) | {"observation/wrist_image": "nothing"}
    assert set(input_of(message, replace(SPEC, cameras=("agentview",))).observation.images) == {"agentview"}
    assert input_of(message, replace(SPEC, cameras=())).observation.images == {}


def test_openpis_images_are_scaled_to_the_training_images_and_not_turned():
    item = observed(0, side=64)
    found = input_of(sent(as_openpi(item)), SPEC)
    for camera, image in item.observation.images.items():
        assert np.array_equal(found.observation.images[camera], cv2.resize(image, (32, 32), None, 0, 0, cv2.INTER_AREA))
    for size in (None, (64, 64)):
        found = input_of(sent(as_openpi(item)), replace(SPEC, image_size=size))
        assert np.array_equal(found.observation.images["wrist"], item.observation.images["wrist"])
    assert found.observation.state.tobytes() == item.observation.state.tobytes()
    assert (found.pair_id, found.chunk_index, found.observation.step) == ("", 0, 0)
    larger = input_of(as_openpi(item), replace(SPEC, image_size=(96, 96)))
    assert larger.observation.images["wrist"].shape == (96, 96, 3)


def test_without_a_seed_equal_requests_get_an_equal_one_and_others_another():
    def seed(item):
        return input_of(sent(as_openpi(item)), SPEC).noise_seed

    item = observed(0)
    state = replace(item.observation, state=item.observation.state + np.float32(1e-3))
    wrist = dict(item.observation.images) | {"wrist": observed(1).observation.images["wrist"]}
    others = (
        replace(item, instruction="put the bowl on the stove"),
        replace(item, observation=state),
        replace(item, observation=replace(item.observation, images=wrist)),
    )
    assert seed(item) == seed(observed(0))
    assert len({seed(item), *map(seed, others)}) == 4
    assert seed(item) in SEEDS
    assert input_of(as_openpi(item) | {"noise_seed": 7}, SPEC).noise_seed == 7


def test_every_seed_of_a_run_is_allowed():
    streams = seeding.PairStreams(2**62, (1, 2, 3, 4))
    assert all(streams.policy_seed(chunk) in SEEDS for chunk in range(100))


ONE = marked(observed(0))
WRONG = {
    "a list": ([1, 2], "a request is a map, not a value of type list"),
    "nothing": (None, "a request is a map, not a value of type NoneType"),
    "an empty map": ({}, "'observation/image' is missing; the request has none"),
    "no wrist image": (
        {"observation/wrist_image": ...},
        "'observation/wrist_image' is missing; the request has simeval",
    ),
    "no state": ({"observation/state": ...}, "'observation/state' is missing"),
    "no prompt": ({"prompt": ...}, "'prompt' is missing"),
    "no seed": ({"noise_seed": ...}, "'noise_seed' is missing"),
    "no pair": ({"pair_id": ...}, "'pair_id' is missing"),
    "no chunk": ({"chunk_index": ...}, "'chunk_index' is missing"),
    "no step": ({"step": ...}, "'step' is missing"),
    "float image": ({"observation/image": np.zeros((8, 8, 3))}, "must be an array of type uint8, not .* float64"),
    "channels first": (
        {"observation/image": np.zeros((3, 8, 8), np.uint8)},
        r"must have the shape \[height, width, 3\], not \[3, 8, 8\]",
    ),
    "batched image": ({"observation/image": np.zeros((1, 8, 8, 3), np.uint8)}, r"not \[1, 8, 8, 3\]"),
    "empty image": ({"observation/image": np.zeros((0, 8, 3), np.uint8)}, r"not \[0, 8, 3\]"),
    "image as text": ({"observation/image": "image"}, "not a value of type str"),
    "state of 7": ({"observation/state": np.zeros(7)}, r"must have the shape \[8\], not \[7\]"),
    "state as list": ({"observation/state": [0.0] * 8}, "must be an array of real numbers, not a value of type list"),
    "state of texts": ({"observation/state": np.array(["a"] * 8)}, "must be an array of real numbers"),
    "NaN state": ({"observation/state": np.full(8, np.nan)}, "not finite"),
    "huge state": ({"observation/state": np.full(8, 1e300)}, "not finite"),
    "prompt as bytes": ({"prompt": b"open"}, "prompt: must be a text, not a value of type bytes"),
    "long prompt": ({"prompt": "a" * 20_001}, "prompt: 20001 characters; at most 20000"),
    "negative seed": ({"noise_seed": -1}, r"noise_seed: must be a whole number in \[0, 2\*\*63\), not -1"),
    "large seed": ({"noise_seed": 2**63}, "noise_seed: .* not 9223372036854775808"),
    "large NumPy seed": ({"noise_seed": np.uint64(2**63)}, "noise_seed: .* not 9223372036854775808"),
    "seed as float": ({"noise_seed": 1.0}, "noise_seed: .* not 1.0"),
    "seed as bool": ({"noise_seed": True}, "noise_seed: .* not True"),
    "pair as number": ({"pair_id": 3}, "pair_id: must be a text, not a value of type int"),
    "negative step": ({"step": -3}, "step: .* not -3"),
    "newer form": ({"simeval": 2}, "simeval: this server knows version 1, not 2"),
    "mark as bool": ({"simeval": True}, "simeval: this server knows version 1, not True"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said_in_one_line(name):
    changes, line = WRONG[name]
    message = changes
    if isinstance(changes, dict) and changes:
        message = {key: value for key, value in (ONE | changes).items() if value is not ...}
    with pytest.raises(RequestError, match=line) as caught:
        input_of(message, SPEC)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_images_of_another_shape_than_the_training_images_are_refused():
    message = as_openpi(observed(0)) | {"observation/image": np.zeros((24, 32, 3), np.uint8)}
    with pytest.raises(RequestError, match="24 x 32 px cannot be scaled to the policy's 32 x 32"):
        input_of(message, SPEC)


def test_numpys_numbers_are_numbers():
    message = sent(marked(observed(0)) | {"noise_seed": np.uint64(2**62), "step": np.int32(4)})
    found = input_of(message, SPEC)
    assert (type(found.noise_seed), found.noise_seed, found.observation.step) == (int, 2**62, 4)


def test_what_is_announced_is_read_by_simevals_client():
    spec = PolicySpec(
        name="somebody's",
        n_action_steps=4,
        cameras=("wrist",),
        state_std=(0.1,) * 8,
        action_std=(0.5,) * 7,
        state_limits=((-1.0, 1.0),) * 8,
        action_limits=((-0.9, 0.9),) * 7,
        image_size=(32, 32),
        fingerprint=(("sha256", "abc"), ("num_steps", 10), ("vlm", None)),
    )
    metadata = sent(announcement(spec, action_horizon=10, batch_size=8, numerics="portable"))
    found = announced(metadata)
    for name in ("name", "n_action_steps", "cameras", "state_std", "action_std", "state_limits", "action_limits"):
        assert getattr(found, name) == getattr(spec, name), name
    assert (metadata["simeval"], metadata["noise_seed"], metadata["batch"], metadata["action_horizon"]) == (
        1,
        True,
        8,
        10,
    )
    others = (replace(spec, name="other"), replace(spec, fingerprint=(("sha256", "bca"),)))
    digests = {announcement(s, action_horizon=10, batch_size=8, numerics="portable")["fingerprint"] for s in others}
    assert metadata["fingerprint"] not in digests
