"""From a message to a policy's input: openpi's request for LIBERO, and what simeval adds to it.

simeval's own client adds the noise seed, the episode, the chunk, the step, and the mark `simeval: 1`, which says that
the images are as rendered. So an answer over the wire is, to the bit, that of the same policy in the same process.

Non-obvious behaviour:
- openpi's clients turn LIBERO's raw images by 180 degrees. That is how simeval's environments give them, so nothing is
  turned here. They scale them as well, usually to 224 px; here they are scaled to the size of the training images.
- A request without a noise seed gets one that its content determines, so equal requests get equal answers.
- A marked request without its seed, pair, chunk or step is refused: its pairing would be lost in silence.
- Images and state are views of the message, read-only, unless they are scaled or converted.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.base import STATE_SIZE, Observation
from simeval.core.texts import shown
from simeval.policies.base import PolicyInput, PolicySpec

VERSION = 1
"""Of the marked form: the value of `MARK`."""
MARK, SEED, PAIR, CHUNK, STEP = "simeval", "noise_seed", "pair_id", "chunk_index", "step"
EPISODE, PAST = "episode_id", "past"
"""The keys that simeval adds."""
IMAGES: Mapping[str, str] = {"agentview": "observation/image", "wrist": "observation/wrist_image"}
STATE, PROMPT = "observation/state", "prompt"
"""openpi's keys. Source: its LIBERO example."""

SEEDS = range(2**63)
"""Values of a noise seed. Source: `simeval.core.seeding.PairStreams.policy_seed`."""
LONGEST_PROMPT = 20_000
"""Characters of an instruction; a tokenizer takes a second for much more."""


class RequestError(ValueError):
    """A request cannot be answered; the text is one line with the key and what is wrong with it."""


def input_of(message: Any, spec: PolicySpec) -> PolicyInput:
    """A policy's input from a decoded request of either form.

    Args:
        message: the decoded message.
        spec: of the policy; only images of its cameras are looked at.

    Raises:
        RequestError: something is missing, or not what it must be.
    """
    if not isinstance(message, Mapping):
        raise RequestError(f"a request is a map, not {_kind(message)}")
    marked = MARK in message
    if marked and not (type(message[MARK]) is int and message[MARK] == VERSION):
        raise RequestError(f"{MARK}: this server knows version {VERSION}, not {shown(message[MARK], 40)}")
    images = {camera: _image(message, IMAGES[camera]) for camera in spec.cameras}
    state, prompt = _state(message), _prompt(message)
    if marked:
        for key in (SEED, PAIR, CHUNK, STEP):
            _present(message, key)
    else:
        images = {camera: _scaled(image, IMAGES[camera], spec.image_size) for camera, image in images.items()}
    past = _past(message, spec)
    if spec.memory and not message.get(EPISODE):
        raise RequestError(f"'{EPISODE}' is missing: this policy remembers the episode")
    seed = _number(message, SEED) if SEED in message else _seed_of(images, state, prompt)
    pair, episode = _text(message, PAIR), _text(message, EPISODE)
    observation = Observation(images, state, _number(message, STEP))
    return PolicyInput(observation, prompt, pair, _number(message, CHUNK), seed, None, episode, past)


def _past(message: Mapping[Any, Any], spec: PolicySpec) -> tuple[Observation, ...]:
    """The earlier observations, as rendered; other clients than simeval's have none to send."""
    values = message.get(PAST, [])
    if not isinstance(values, list) or not all(isinstance(value, Mapping) for value in values):
        raise RequestError(f"{PAST}: must be a list of maps, not {_kind(values)}")
    if len(values) != spec.n_obs_steps - 1:
        raise RequestError(
            f"{PAST}: must have {spec.n_obs_steps - 1} observations, not {len(values)}: this policy takes "
            f"{spec.n_obs_steps} with the current one"
        )
    return tuple(
        Observation({c: _image(value, IMAGES[c]) for c in spec.cameras}, _state(value), _number(value, STEP))
        for value in values
    )


def _text(message: Mapping[Any, Any], key: str) -> str:
    """A text; empty if it is missing."""
    value = message.get(key, "")
    if not isinstance(value, str):
        raise RequestError(f"{key}: must be a text, not {_kind(value)}")
    return value


def _present(message: Mapping[Any, Any], key: str) -> Any:
    if key not in message:
        raise RequestError(f"'{key}' is missing; the request has {shown(', '.join(map(str, message)), 120) or 'none'}")
    return message[key]


def _number(message: Mapping[Any, Any], key: str) -> int:
    """A whole number; 0 if it is missing."""
    value = message.get(key, 0)
    # `int` first: membership of NumPy's numbers in a range is found by counting.
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or int(value) not in SEEDS:
        raise RequestError(f"{key}: must be a whole number in [0, 2**63), not {shown(value, 40)}")
    return int(value)


def _prompt(message: Mapping[Any, Any]) -> str:
    value = _present(message, PROMPT)
    if not isinstance(value, str | np.str_):
        raise RequestError(f"{PROMPT}: must be a text, not {_kind(value)}")
    if len(value) > LONGEST_PROMPT:
        raise RequestError(f"{PROMPT}: {len(value)} characters; at most {LONGEST_PROMPT} are taken")
    return str(value)


def _image(message: Mapping[Any, Any], key: str) -> NDArray[np.uint8]:
    value = _present(message, key)
    if not isinstance(value, np.ndarray) or value.dtype != np.uint8:
        raise RequestError(f"{key}: must be an array of type uint8, not {_kind(value)}")
    if value.ndim != 3 or value.shape[2] != 3 or 0 in value.shape:
        raise RequestError(f"{key}: must have the shape [height, width, 3], not {list(value.shape)}")
    return value


def _state(message: Mapping[Any, Any]) -> NDArray[np.float32]:
    value = _present(message, STATE)
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiu":
        raise RequestError(f"{STATE}: must be an array of real numbers, not {_kind(value)}")
    if value.shape != (STATE_SIZE,):
        raise RequestError(f"{STATE}: must have the shape [{STATE_SIZE}], not {list(value.shape)}")
    with np.errstate(over="ignore"):
        state = value.astype(np.float32, copy=False)
    if not np.isfinite(state).all():
        raise RequestError(f"{STATE}: it contains a number that is not finite")
    return state


def _scaled(image: NDArray[np.uint8], key: str, size: tuple[int, int] | None) -> NDArray[np.uint8]:
    """Scale an image to `size` (height, width; px)."""
    if size is None or size == image.shape[:2]:
        return image
    height, width = image.shape[:2]
    if height * size[1] != width * size[0]:
        raise RequestError(f"{key}: {height} x {width} px cannot be scaled to the policy's {size[0]} x {size[1]}")
    import cv2

    how = cv2.INTER_AREA if height > size[0] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, size[::-1], interpolation=how), np.uint8)


def _seed_of(images: Mapping[str, NDArray[np.uint8]], state: NDArray[np.float32], prompt: str) -> int:
    digest = hashlib.blake2b(prompt.encode("utf-8", "surrogatepass"), digest_size=8)
    digest.update(state.tobytes())
    for image in images.values():
        digest.update(image)
    return int.from_bytes(digest.digest(), "big") >> 1


def _kind(value: Any) -> str:
    """What a value is, in a few words."""
    if isinstance(value, np.ndarray):
        return f"an array of type {value.dtype}"
    return f"a value of type {type(value).__name__}"
