"""The `/act` protocol: one HTTP POST of JSON per request, arrays as json-numpy writes them (OpenVLA, OpenVLA-OFT).

Non-obvious behaviour:
- It has no handshake and no connection that lasts. So the server is asked the probe again at every episode.
- A request opens its own connection: the servers close idle ones after a few seconds.
- On failure these servers answer the text "error" with status 200, and their log has the reason.
- http.client rather than httpx, whose limits hold for each packet: a slow server can stretch them without end.
"""

import base64
import http.client
import json
import os
import ssl
from collections.abc import Mapping
from typing import Any

import numpy as np

from simeval.core.errors import first_line
from simeval.core.texts import shown
from simeval.policies.remote.channel import API_KEY, Address, Limits, ServerError, refuse_error_map, said
from simeval.policies.remote.codec import CodecError, array
from simeval.policies.remote.network import cut_after, network_error, refused_status, require_listener

PATH = "/act"


class ActChannel:
    """A server with the `/act` protocol."""

    lasting = False
    keeps_state = False

    def __init__(self, address: Address, limits: Limits, *, secure: bool) -> None:
        """Checks that somebody listens there.

        Raises:
            GoneError: nobody does.
        """
        self._address, self._limits, self._secure = address, limits, secure
        self.metadata: Mapping[str, Any] = {}
        require_listener(address, limits)

    def begin_episode(self, instruction: str, seconds: float) -> None:
        """Nothing: these servers answer each request by itself."""

    def ask(self, request: Mapping[str, Any], seconds: float) -> Any:
        """See `Channel.ask`."""
        status, body = self._posted(dumped(request), seconds)
        if status != 200:
            if status >= 500 and status not in (502, 503, 504):
                raise ServerError(f"HTTP {status}: {said(body.decode('utf-8', 'replace'))}")
            raise refused_status(status, has_key=API_KEY in os.environ, wanted="policy")
        answer = loaded(body)
        if isinstance(answer, str):
            if answer == "error":
                raise ServerError("it answers 'error'; its log has the reason")
            answer = loaded(answer.encode())  # some servers encode twice
        refuse_error_map(answer)
        return answer

    def close(self) -> None:
        """Nothing is open."""

    def _posted(self, body: bytes, seconds: float) -> tuple[int, bytes]:
        """Status and body of the answer to a POST."""
        host, port = self._address.host, self._address.port
        connection: http.client.HTTPConnection = http.client.HTTPConnection(host, port, self._limits.connect_s)
        if self._secure:
            connection = http.client.HTTPSConnection(
                host, port, timeout=self._limits.connect_s, context=ssl.create_default_context()
            )
        headers = {"Content-Type": "application/json", "Connection": "close"}
        if key := os.environ.get(API_KEY):
            headers["Authorization"] = f"Bearer {key}"
        most = self._limits.max_bytes
        try:
            with cut_after(seconds, lambda: connection.sock) as cut:
                try:
                    connection.connect()
                    connection.sock.settimeout(None)  # the timer has the limit of the whole exchange
                    connection.request("POST", self._address.path or PATH, body, headers)
                    response = connection.getresponse()
                    content = response.read(most + 1)
                    if response.length and len(content) <= most:  # `read` with a limit does not raise this itself
                        raise http.client.IncompleteRead(content, response.length)
                except (OSError, http.client.HTTPException) as error:
                    if cut.is_set():
                        raise ServerError(f"no answer came within {seconds:g} s") from None
                    raise network_error(error) from None
            if cut.is_set():
                raise ServerError(f"no answer came within {seconds:g} s")
            if len(content) > most:
                raise ServerError(f"its answer has more than {most} bytes")
            return response.status, content
        finally:
            connection.close()


def dumped(request: Mapping[str, Any]) -> bytes:
    """A request as JSON; arrays as `json_numpy.dumps` writes them.

    Raises:
        ServerError: it holds something that JSON cannot.
    """
    try:
        return json.dumps(request, default=_encoded).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ServerError(f"the request cannot be sent: {shown(first_line(error))}") from None


def loaded(body: bytes) -> Any:
    """An answer from JSON, with json-numpy's arrays.

    Raises:
        ServerError: it is no JSON, or an array in it is not what it declares.
    """
    try:
        return json.loads(body, object_hook=_array)
    except CodecError as error:
        raise ServerError(f"its answer cannot be decoded: {error}") from None
    except (ValueError, RecursionError) as error:
        found = shown(body[:60].decode("utf-8", "replace")) or "nothing"
        raise ServerError(f"its answer is no JSON ({shown(first_line(error), 60)}): {found}") from None


def _encoded(value: Any) -> Any:
    if not isinstance(value, np.ndarray | np.generic) or value.dtype.kind not in "biuf":
        raise TypeError(f"no JSON for {type(value).__name__}")
    return {
        "__numpy__": base64.b64encode(value.tobytes()).decode(),
        "dtype": value.dtype.str,
        "shape": list(value.shape),
    }


def _array(entries: dict[str, Any]) -> Any:
    if "__numpy__" not in entries:
        return entries
    try:
        data = base64.b64decode(entries["__numpy__"], validate=True)
    except (TypeError, ValueError):
        raise CodecError("the data of an array are no base64") from None
    return array(entries | {"data": data})
