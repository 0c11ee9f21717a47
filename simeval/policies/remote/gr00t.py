"""GR00T's protocol: ZeroMQ request and reply, msgpack, arrays as the bytes of .npy files (N1.5 to N1.7).

Non-obvious behaviour:
- ZeroMQ connects again by itself, to whoever is there then. So the server is asked the probe again at every episode.
- It has no error for a server that is not there, and drops an answer over the limit without a word. A ping tells.
- A request that was not answered in time blocks its socket. So the socket is closed then.
- The protocol has an endpoint that ends the server, without a password. It is never sent.
"""

import io
import os
import time
from collections.abc import Mapping
from typing import Any, cast

import numpy as np

from simeval.core.texts import shown
from simeval.policies.remote.channel import API_KEY, Address, GoneError, Limits, ServerError, refuse_error_map
from simeval.policies.remote.codec import CodecError, array, decoded, encoded
from simeval.policies.remote.extra import need
from simeval.policies.remote.network import require_listener

_MAX_HEADER = 10_000
"""Longest header of a .npy file. NumPy's own limit for files that it does not trust."""


class Gr00tChannel:
    """A connection to GR00T's inference server."""

    lasting = False
    keeps_state = False

    def __init__(self, address: Address, limits: Limits) -> None:
        """Connects, and asks for the modalities, which are its metadata.

        Raises:
            GoneError: nobody answers.
            ServerError: something else than such a server answers.
            ConfigError: pyzmq or msgpack is not installed.
        """
        self._limits, zmq = limits, need("zmq")
        require_listener(address, limits)
        self._zmq = zmq
        self._socket = zmq.Context.instance().socket(zmq.REQ)
        try:
            for option, value in (
                (zmq.LINGER, 0),
                (zmq.MAXMSGSIZE, limits.max_bytes),
                (zmq.IPV6, int(":" in address.host)),
            ):
                self._socket.setsockopt(option, value)
            self._socket.connect(f"tcp://{address.location}")
            try:
                self._called("ping", None, limits.connect_s)
            except ServerError as error:
                raise GoneError(f"no answer to a ping within {limits.connect_s:g} s: {error}") from None
            self.metadata: Mapping[str, Any] = {
                "modality_config": self._called("get_modality_config", None, limits.first_answer_s)
            }
        except BaseException:
            self.close()
            raise

    def begin_episode(self, instruction: str, seconds: float) -> None:
        """Reset the server's policy."""
        self._called("reset", {"options": None}, seconds)

    def ask(self, request: Mapping[str, Any], seconds: float) -> Any:
        """See `Channel.ask`; the answer is the map of the actions."""
        answer = self._called("get_action", {"observation": request, "options": None}, seconds)
        # N1.6 and later answer [actions, info].
        return answer[0] if isinstance(answer, list) and answer and isinstance(answer[0], Mapping) else answer

    def close(self) -> None:
        """See `Channel.close`."""
        self._socket.close(0)

    def _called(self, endpoint: str, data: Any, seconds: float) -> Any:
        """Call an endpoint of the server."""
        zmq, give_up = self._zmq, time.monotonic() + seconds
        request: dict[str, Any] = {"endpoint": endpoint}
        if data is not None:
            request["data"] = with_npy(data)
        if key := os.environ.get(API_KEY):
            request["api_token"] = key
        message = encoded(request)
        try:
            self._awaited(zmq.POLLOUT, give_up, f"it did not read the request within {seconds:g} s")
            self._socket.send(message, zmq.NOBLOCK)
            self._awaited(zmq.POLLIN, give_up, f"no answer came within {seconds:g} s")
            answer = self._socket.recv(zmq.NOBLOCK)
        except zmq.ZMQError as error:
            raise ServerError(f"ZeroMQ: {shown(error)}") from None
        try:
            result = without_npy(decoded(answer, self._limits.max_bytes))
        except CodecError as error:
            raise ServerError(f"its answer cannot be decoded: {error}") from None
        refuse_error_map(result)
        return result

    def _awaited(self, event: int, give_up: float, nothing: str) -> None:
        left = max(0, int(1000 * (give_up - time.monotonic())))
        if not self._socket.poll(left, event):
            raise ServerError(nothing)


def with_npy(value: Any) -> Any:
    """A value with its arrays as GR00T writes them."""
    if isinstance(value, Mapping):
        return {key: with_npy(part) for key, part in value.items()}
    if isinstance(value, list):
        return [with_npy(part) for part in value]
    if not isinstance(value, np.ndarray):
        return value
    file = io.BytesIO()
    np.save(file, value, allow_pickle=False)
    return {"__ndarray_class__": True, "as_npy": file.getvalue()}


def without_npy(value: Any) -> Any:
    """A decoded value with GR00T's arrays as arrays.

    Raises:
        CodecError: one of them is no .npy file, or not what it declares.
    """
    if isinstance(value, list):
        return [without_npy(part) for part in value]
    if not isinstance(value, dict):
        return value
    if "__ndarray_class__" in value or b"__ndarray_class__" in value:
        return _npy(value.get("as_npy", value.get(b"as_npy")))
    return {key: without_npy(part) for key, part in value.items()}


def _npy(data: Any) -> Any:
    """The array in a .npy file. NumPy's reader would allocate whatever size the header declares."""
    if not isinstance(data, bytes):
        raise CodecError("an array in the message has no .npy file")
    file, form = io.BytesIO(data), cast("Any", np.lib.format)
    try:
        version = form.read_magic(file)
        read = form.read_array_header_1_0 if version == (1, 0) else form.read_array_header_2_0
        shape, fortran, dtype = read(file, max_header_size=_MAX_HEADER)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        raise CodecError("an array in the message is no .npy file") from None
    read_array = array(
        {"data": data[file.tell() :], "dtype": dtype.str, "shape": list(shape[::-1] if fortran else shape)}
    )
    return read_array.T if fortran else read_array
