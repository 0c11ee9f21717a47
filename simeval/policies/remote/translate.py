"""Translates by a convention: an observation into a request, and an answer into actions of the environment."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.base import ACTION_SIZE, Observation
from simeval.core.texts import shown
from simeval.policies.base import ActionChunk, PolicyInput
from simeval.policies.remote.conventions import Convention, ImageForm
from simeval.policies.remote.state import arranged


class AnswerError(ValueError):
    """An answer holds no usable actions; the text is one line with the reason."""


def request(convention: Convention, given: PolicyInput) -> dict[str, Any]:
    """The request for an action chunk, as the convention wants it; without keys of the protocol."""
    lead = convention.leading_axes
    flat: dict[str, Any] = dict(convention.constants) | observed(convention, given.observation)
    text: Any = convention.template.replace("{instruction}", given.instruction)
    text = text.replace("{instruction_lower}", given.instruction.lower())
    for _ in range(lead):
        text = [text]
    flat[convention.instruction_key] = text
    return _nested(flat, convention.nested_at) if convention.nested_at else flat


def observed(convention: Convention, observation: Observation) -> dict[str, Any]:
    """The images and the state of an observation, as the convention wants them."""
    lead, flat = convention.leading_axes, {}
    for camera, key in convention.images:
        if camera in observation.images:
            flat[key] = _lifted(prepared(observation.images[camera], convention.image), lead)
    for key, parts in convention.state:
        flat[key] = _lifted(arranged(observation.state, parts, convention.state_dtype), lead)
    return flat


def prepared(image: NDArray[np.uint8], form: ImageForm) -> NDArray[np.uint8]:
    """An image as it is sent.

    Args:
        image: `uint8[H, W, 3]`, upright.
        form: what the model wants.

    Returns:
        `uint8[size, size, 3]`, or `[H, W, 3]` without a size.
    """
    if form.orientation == "raw":
        image = image[::-1, ::-1]
    if form.size is not None and image.shape[:2] != (form.size, form.size):
        image = _resized(np.ascontiguousarray(image), form)
    return _cropped(image, form) if form.crop < 1 else np.ascontiguousarray(image)


def actions(convention: Convention, answer: Any) -> ActionChunk:
    """The actions in an answer, in the environment's units: `float32[H, 7]`.

    Raises:
        AnswerError: it has none, or others than `answered` takes.
    """
    return executable(convention, answered(convention, answer))


def answered(convention: Convention, answer: Any) -> NDArray[Any]:
    """The actions in an answer, in the server's own numbers.

    Args:
        convention: what the answer means.
        answer: a map with the actions, or the actions: `[H, 7]`, `[1, H, 7]` or `[7]`, of any real type.

    Returns:
        `[H, 7]`, finite.

    Raises:
        AnswerError: it has none, or others than these.
    """
    chunk = _joined(convention, answer)
    if chunk.shape == (ACTION_SIZE,):
        chunk = chunk[np.newaxis]
    if chunk.ndim != 2 or chunk.shape[1] != ACTION_SIZE or len(chunk) == 0:
        raise AnswerError(f"its actions have the shape {_shape(chunk)}, not (H, {ACTION_SIZE})")
    if not np.isfinite(chunk).all():
        raise AnswerError("one of its actions is not finite")
    return chunk


def executable(convention: Convention, chunk: NDArray[Any]) -> ActionChunk:
    """Actions as the environment takes them, `float32[H, 7]`: the gripper from -1 (open) to 1 (closed).

    Raises:
        AnswerError: one is too large.
    """
    form = convention.actions
    with np.errstate(over="ignore"):
        if (form.gripper_open, form.gripper_closed) == (-1.0, 1.0) and not form.gripper_binary:
            result = chunk.astype(np.float32)
        else:
            values = chunk.astype(np.float64)
            share = (values[:, -1] - form.gripper_open) / (form.gripper_closed - form.gripper_open)
            # As vla-eval's LIBERO: what is neither open nor closed closes.
            values[:, -1] = np.where(share < 0.5, -1, 1) if form.gripper_binary else 2 * share - 1
            result = values.astype(np.float32)
    if not np.isfinite(result).all():
        raise AnswerError("one of its actions is too large")
    return result


def _joined(convention: Convention, answer: Any) -> NDArray[Any]:
    """The actions of an answer as one array, without the axis of a batch of one."""
    keys = convention.actions.keys
    if not isinstance(answer, Mapping):
        return _one(_numbers(answer, "its answer"))
    plain = {key.decode("utf-8", "replace") if isinstance(key, bytes) else key: part for key, part in answer.items()}
    wanted = keys or ("actions",)
    missing = [key for key in wanted if key not in plain]
    if missing:
        there = ", ".join(map(str, plain)) or "nothing"
        raise AnswerError(f"its answer has no '{shown(missing[0], 40)}', only: {shown(there)}")
    parts = [_one(_numbers(plain[key], f"its '{shown(key, 40)}'")) for key in wanted]
    if len(parts) == 1:
        return parts[0]
    columns = [part[:, np.newaxis] if part.ndim == 1 else part for part in parts]
    if len({column.shape[:-1] for column in columns}) > 1 or not all(part.ndim for part in parts):
        raise AnswerError(f"its parts of an action do not fit together: {', '.join(_shape(part) for part in parts)}")
    return np.concatenate(columns, axis=-1)


def _one(array: NDArray[Any]) -> NDArray[Any]:
    return array[0] if array.ndim == 3 and len(array) == 1 else array


def _numbers(value: Any, what: str) -> NDArray[Any]:
    """A value of an answer as an array of real numbers.

    Raises:
        AnswerError: it is text, ragged, or something else.
    """
    if isinstance(value, str | bytes):
        raise AnswerError(f"{what} is the text '{shown(value)}', not an array of actions")
    try:
        array = np.asarray(value)
    except ValueError:
        raise AnswerError(f"{what} is a list of lists of different lengths, not an array of actions") from None
    if array.dtype.kind not in "iuf":
        raise AnswerError(f"{what} has values of type {shown(array.dtype, 40)}, not real numbers")
    return array


def _shape(array: NDArray[Any]) -> str:
    return f"({', '.join(map(str, array.shape))})"


def _lifted(array: NDArray[Any], axes: int) -> NDArray[Any]:
    return array.reshape((1,) * axes + array.shape)


def _nested(flat: Mapping[str, Any], separator: str) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for key, value in flat.items():
        outer, found, inner = key.partition(separator)
        if found:
            nested.setdefault(outer, {})[inner] = value
        else:
            nested[key] = value
    return nested


def _resized(image: NDArray[np.uint8], form: ImageForm) -> NDArray[np.uint8]:
    """Pillow's resizing; with `pad` equal to the byte to openpi_client's `resize_with_pad`."""
    from PIL import Image

    size, picture = form.size or 0, Image.fromarray(image)
    how = Image.Resampling[form.filter.upper()]
    if form.resize == "stretch":
        return np.asarray(picture.resize((size, size), how))
    ratio = max(picture.width / size, picture.height / size)
    small = picture.resize((int(picture.width / ratio), int(picture.height / ratio)), how)
    padded = Image.new(picture.mode, (size, size), 0)
    padded.paste(small, (max(0, int((size - small.width) / 2)), max(0, int((size - small.height) / 2))))
    return np.asarray(padded)


def _cropped(image: NDArray[np.uint8], form: ImageForm) -> NDArray[np.uint8]:
    from PIL import Image

    height, width = image.shape[:2]
    side = float(np.sqrt(form.crop))
    left, top = width * (1 - side) / 2, height * (1 - side) / 2
    box = (left, top, width - left, height - top)
    picture = Image.fromarray(np.ascontiguousarray(image))
    return np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR, box=box))
