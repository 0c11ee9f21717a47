"""Messages with NumPy arrays in msgpack, as openpi writes them. Never pickle, and nothing that can run code.

An array is a map with the bytes keys `__ndarray__`, `data`, `dtype` and `shape`; a NumPy scalar has `__npgeneric__`.

Non-obvious behaviour:
- Other projects write the same map with str keys, or msgpack-numpy's own keys (`nd`, `type`, `data`). All are read.
- What a message occupies once it is decoded is bounded too: a byte of msgpack can be a map of 64 bytes in Python.
- Decoded arrays are read-only views of the message.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from simeval.core.errors import first_line
from simeval.core.texts import shown
from simeval.policies.remote.channel import ServerError
from simeval.policies.remote.extra import need

MAX_BYTES = 64 * 2**20
"""Largest message that is decoded by default."""

_MAX_CONTAINERS = 100_000
"""Maps and lists of one message together."""
_MAX_ENTRIES = 65_536
"""Entries of one list or map. msgpack allocates a list as long as its header says before it reads an entry."""
_MAX_DIMENSIONS = 32

_REFUSED = "VOc"
_DTYPE = re.compile(r"[<>|=]?[biufSU][0-9]{1,9}|\|b1|\?")
"""Numbers, booleans and texts of a fixed width; no records, objects or complex numbers."""


class CodecError(ValueError):
    """A message cannot be encoded or decoded; the text is one line with the reason."""


def pack(obj: Any) -> bytes:
    """Encode maps, lists, texts, numbers and arrays, to the byte as `openpi_client.msgpack_numpy.packb` does.

    Raises:
        CodecError: it contains something else, or an array of records, objects or complex numbers.
        ConfigError: msgpack is not installed.
    """
    try:
        packed: bytes = need("msgpack").packb(obj, default=_encoded)
    except CodecError:
        raise
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise CodecError(f"cannot be sent: {shown(first_line(error))}") from None
    return packed


def unpack(message: bytes, max_bytes: int = MAX_BYTES) -> Any:
    """Decode a message.

    Args:
        message: one complete message.
        max_bytes: longest message that is accepted.

    Raises:
        CodecError: it is too long, cut off, nested too deep, no msgpack, or an array in it is not what it declares.
        ConfigError: msgpack is not installed.
    """
    if len(message) > max_bytes:
        raise CodecError(f"the message has {len(message)} bytes, more than {max_bytes}")
    msgpack, hooks = need("msgpack"), _Hooks()
    try:
        return msgpack.unpackb(
            message,
            object_hook=hooks.map,
            list_hook=hooks.list,
            ext_hook=hooks.extension,
            max_array_len=_MAX_ENTRIES,
            max_map_len=_MAX_ENTRIES,
            max_ext_len=16,
        )
    except CodecError:
        raise
    except msgpack.StackError:
        raise CodecError("the message is nested too deep") from None
    except msgpack.FormatError:
        raise CodecError("the message is no msgpack") from None
    except UnicodeDecodeError:
        raise CodecError("a text in the message is not UTF-8") from None
    except (TypeError, ValueError, OverflowError, RecursionError, MemoryError) as error:
        raise CodecError(f"the message is no complete msgpack ({shown(first_line(error))})") from None


def encoded(request: Any) -> bytes:
    """`pack`, as part of a conversation.

    Raises:
        ServerError: it cannot be sent.
    """
    try:
        return pack(request)
    except CodecError as error:
        raise ServerError(f"the request {error}") from None


def decoded(message: bytes, max_bytes: int) -> Any:
    """`unpack`, as part of a conversation.

    Raises:
        ServerError: it cannot be decoded.
    """
    try:
        return unpack(message, max_bytes)
    except CodecError as error:
        raise ServerError(f"its answer cannot be decoded: {error}") from None


class _Hooks:
    """What msgpack calls for the parts of one message; counts them."""

    def __init__(self) -> None:
        self._containers = 0

    def map(self, entries: dict[Any, Any]) -> Any:
        """A decoded map, or the array that it stands for."""
        self._count()
        if "__ndarray__" in entries or b"__ndarray__" in entries:
            return array(_named(entries), "dtype")
        if "__npgeneric__" in entries or b"__npgeneric__" in entries:
            return _scalar(_named(entries))
        if ("nd" in entries or b"nd" in entries) and len(entries) >= 3:
            named = _named(entries)
            if "type" in named and "data" in named:
                return array(named, "type") if named["nd"] is True else array(named | {"shape": []}, "type")[()]
        return entries

    def list(self, entries: list[Any]) -> Any:
        """A decoded list."""
        self._count()
        return entries

    def extension(self, code: int, data: bytes) -> Any:
        """Refuse msgpack's extension types: no protocol here has any."""
        raise CodecError(f"the message contains an extension type ({code})")

    def _count(self) -> None:
        self._containers += 1
        if self._containers > _MAX_CONTAINERS:
            raise CodecError(f"the message has more than {_MAX_CONTAINERS} maps and lists")


def _encoded(value: Any) -> Any:
    """What msgpack writes for a value that it does not know.

    Raises:
        CodecError: there is nothing to write for it.
    """
    if not isinstance(value, np.ndarray | np.generic):
        raise CodecError(f"cannot be sent: no msgpack for {shown(type(value).__name__)}")
    if value.dtype.kind in _REFUSED:
        raise CodecError(f"cannot be sent: arrays of {shown(value.dtype)} are refused")
    if isinstance(value, np.ndarray):
        return {
            b"__ndarray__": True,
            b"data": value.tobytes(),
            b"dtype": value.dtype.str,
            b"shape": value.shape,
        }
    return {b"__npgeneric__": True, b"data": value.item(), b"dtype": value.dtype.str}


def _named(entries: Mapping[Any, Any]) -> dict[str, Any]:
    return {key.decode("latin-1") if isinstance(key, bytes) else key: value for key, value in entries.items()}


def _dtype(value: Any) -> np.dtype[Any]:
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    if not isinstance(text, str) or not _DTYPE.fullmatch(text):
        raise CodecError(f"arrays of type {shown(text, 40)} are refused")
    try:
        dtype = np.dtype(text)
    except (TypeError, ValueError, OverflowError):
        raise CodecError(f"arrays of type {shown(text, 40)} are unknown") from None
    if dtype.itemsize == 0:
        raise CodecError(f"arrays of type {shown(text, 40)} are refused")
    return dtype


def array(entries: Mapping[str, Any], type_key: str = "dtype") -> Any:
    """The array that a map describes (`data`, `shape` and its type), as a read-only view of its data.

    Raises:
        CodecError: the map is incomplete, or its numbers do not agree.
    """
    missing = [key for key in ("data", type_key, "shape") if key not in entries]
    if missing:
        raise CodecError(f"an array in the message has no {missing[0]}")
    dtype, shape, data = _dtype(entries[type_key]), entries["shape"], entries["data"]
    if entries.get("kind") not in (None, "", b""):
        raise CodecError(f"arrays of kind {shown(entries['kind'], 40)} are refused")
    if not isinstance(shape, list) or len(shape) > _MAX_DIMENSIONS:
        raise CodecError(f"an array in the message has the shape {shown(shape, 40)}")
    if not all(type(length) is int and 0 <= length < 2**40 for length in shape):
        raise CodecError(f"an array in the message has the shape {shown(shape, 40)}")
    if not isinstance(data, bytes):
        raise CodecError(f"the data of an array in the message are {type(data).__name__}, not bytes")
    declared = math.prod(shape) * dtype.itemsize
    if declared != len(data):
        raise CodecError(
            f"an array of shape {shown(shape, 60)} and type {dtype.str} takes {declared} bytes, and {len(data)} came"
        )
    try:
        return np.ndarray(shape, dtype, data)
    except ValueError:
        raise CodecError(f"an array in the message has the shape {shown(shape, 40)}") from None


def _scalar(entries: Mapping[str, Any]) -> Any:
    if "data" not in entries or "dtype" not in entries:
        raise CodecError("a scalar in the message has no data or no dtype")
    dtype, value = _dtype(entries["dtype"]), entries["data"]
    expected = {"S": bytes, "U": str}.get(dtype.kind, int | float)
    if not isinstance(value, expected):
        raise CodecError(f"a scalar of type {dtype.str} in the message is {shown(value, 40)}")
    try:
        return dtype.type(value)
    except (TypeError, ValueError, OverflowError):
        raise CodecError(f"a scalar of type {dtype.str} in the message is {shown(value, 40)}") from None
