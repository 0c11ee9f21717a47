"""From a message to a policy's input: simeval's own form of a request (`native`), and openpi's for LIBERO.

openpi's LIBERO clients rotate both images by 180 degrees and scale them, usually to 224 px. Here they are turned back
and scaled to the size of the policy's training images.

Non-obvious behaviour:
- A request without a noise seed gets one that its content determines, so equal requests get equal answers.
- A native request without its seed, pair, chunk or step is refused: its pairing would be lost in silence.
- Images and state of a native request are views of the message, read-only.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.base import STATE_SIZE, Observation
from simeval.core.texts import shown
from simeval.policies.base import PolicyInput, PolicySpec
from simeval.policies.remote.native import CHUNK, IMAGES, MARK, PAIR, PROMPT, SEED, SEEDS, STATE, STEP, VERSION

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
    native = MARK in message
    if native and not (type(message[MARK]) is int and message[MARK] == VERSION):
        raise RequestError(f"{MARK}: this server knows version {VERSION}, not {shown(message[MARK], 40)}")
    images = {camera: _image(message, IMAGES[camera]) for camera in spec.cameras}
    state, prompt = _state(message), _prompt(message)
    if not native:
        images = {camera: _upright(image, IMAGES[camera], spec.image_size) for camera, image in images.items()}
        seed = _number(message, SEED) if SEED in message else _seed_of(images, state, prompt)
        return PolicyInput(Observation(images, state, 0), prompt, "", 0, seed)
    pair = _present(message, PAIR)
    if not isinstance(pair, str):
        raise RequestError(f"{PAIR}: a text is wanted, not {_kind(pair)}")
    observation = Observation(images, state, _number(message, STEP))
    return PolicyInput(observation, prompt, pair, _number(message, CHUNK), _number(message, SEED))


def _present(message: Mapping[Any, Any], key: str) -> Any:
    if key not in message:
        raise RequestError(f"'{key}' is missing; the request has {shown(', '.join(map(str, message)), 120) or 'none'}")
    return message[key]


def _number(message: Mapping[Any, Any], key: str) -> int:
    value = _present(message, key)
    # `int` first: membership of NumPy's numbers in a range is found by counting.
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or int(value) not in SEEDS:
        raise RequestError(f"{key}: a whole number in [0, 2**63) is wanted, not {shown(value, 40)}")
    return int(value)


def _prompt(message: Mapping[Any, Any]) -> str:
    value = _present(message, PROMPT)
    if not isinstance(value, str | np.str_):
        raise RequestError(f"{PROMPT}: a text is wanted, not {_kind(value)}")
    if len(value) > LONGEST_PROMPT:
        raise RequestError(f"{PROMPT}: {len(value)} characters; at most {LONGEST_PROMPT} are taken")
    return str(value)


def _image(message: Mapping[Any, Any], key: str) -> NDArray[np.uint8]:
    value = _present(message, key)
    if not isinstance(value, np.ndarray) or value.dtype != np.uint8:
        raise RequestError(f"{key}: an array of type uint8 is wanted, not {_kind(value)}")
    if value.ndim != 3 or value.shape[2] != 3 or 0 in value.shape:
        raise RequestError(f"{key}: the shape [height, width, 3] is wanted, not {list(value.shape)}")
    return value


def _state(message: Mapping[Any, Any]) -> NDArray[np.float32]:
    value = _present(message, STATE)
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiu":
        raise RequestError(f"{STATE}: an array of real numbers is wanted, not {_kind(value)}")
    if value.shape != (STATE_SIZE,):
        raise RequestError(f"{STATE}: the shape [{STATE_SIZE}] is wanted, not {list(value.shape)}")
    with np.errstate(over="ignore"):
        state = value.astype(np.float32, copy=False)
    if not np.isfinite(state).all():
        raise RequestError(f"{STATE}: it contains a number that is not finite")
    return state


def _upright(image: NDArray[np.uint8], key: str, size: tuple[int, int] | None) -> NDArray[np.uint8]:
    """Turn an image of openpi's form back and scale it to `size` (height, width; px)."""
    turned = np.ascontiguousarray(image[::-1, ::-1])
    if size is None or size == image.shape[:2]:
        return turned
    height, width = image.shape[:2]
    if height * size[1] != width * size[0]:
        raise RequestError(f"{key}: {height} x {width} px cannot be scaled to the policy's {size[0]} x {size[1]}")
    import cv2

    shrinks = height > size[0]
    scaled = cv2.resize(turned, size[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return np.asarray(scaled, np.uint8)


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
