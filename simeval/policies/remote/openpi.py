"""openpi's protocol: WebSocket, msgpack with arrays, one request and one answer at a time.

Non-obvious behaviour:
- The server speaks first, with a map of metadata. A text frame is a traceback, after which the server closes.
- Its event loop stands still while the model computes. So pings are sent, for servers and proxies that close idle
  connections, but no answer to them is expected: the limit is the one of the answer.
- websockets' `recv` has a limit, its `send` has none. A server that does not read is cut off by a timer.
"""

import contextlib
import logging
import os
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

from simeval.core.errors import first_line
from simeval.core.texts import shown
from simeval.policies.remote.channel import (
    API_KEY,
    Address,
    GoneError,
    Limits,
    ServerError,
    refuse_error_map,
    said,
)
from simeval.policies.remote.codec import CodecError, pack, unpack
from simeval.policies.remote.extra import need

_PING_S = 15.0
"""Seconds between pings. vLLM-Omni closes a connection that is idle for 30 s."""
_TOO_BIG, _PROTOCOL = 1009, (1002, 1007)
"""Close codes that our side sends: an answer over the limit, and frames that break the protocol (RFC 6455, 7.4.1)."""

_silent = logging.getLogger("simeval.policies.remote.websockets")
_silent.addHandler(logging.NullHandler())
_silent.propagate = False


class OpenpiChannel:
    """A connection to an openpi server."""

    def __init__(self, address: Address, limits: Limits, *, secure: bool) -> None:
        """Connects, and reads the metadata.

        Raises:
            GoneError: nobody answers, or not now.
            ServerError: something else than such a server answers.
            ConfigError: websockets or msgpack is not installed.
        """
        self._limits, self._exceptions = limits, need("websockets.exceptions")
        url = f"{'wss' if secure else 'ws'}://{address.location}"
        began = time.monotonic()
        self._context, self._connection = self._open(url, limits)
        try:
            left = max(0.05, limits.connect_s - (time.monotonic() - began))
            metadata = self._received(left, "no metadata came")
            if not isinstance(metadata, Mapping):
                raise ServerError(f"its first message is a {type(metadata).__name__}, not a map with metadata")
            refuse_error_map(metadata)
        except BaseException:
            self.close()
            raise
        self.metadata: Mapping[str, Any] = {
            key.decode("utf-8", "replace") if isinstance(key, bytes) else key: value for key, value in metadata.items()
        }

    def ask(self, request: Mapping[str, Any], seconds: float) -> Any:
        """See `Channel.ask`."""
        message, began = _packed(request), time.monotonic()
        with self._cut_after(seconds) as cut:
            try:
                self._connection.send(message)
            except (self._exceptions.ConnectionClosed, OSError) as error:
                if cut.is_set():
                    raise ServerError(f"it did not read the request within {seconds:g} s") from None
                raise self._lost(error) from None
        left = max(0.01, seconds - (time.monotonic() - began))
        answer = self._received(left, "no answer came", seconds)
        refuse_error_map(answer)
        return answer

    def close(self) -> None:
        """See `Channel.close`."""
        with contextlib.suppress(OSError):
            self._connection.socket.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(Exception):
            self._context.__exit__(None, None, None)

    def _open(self, url: str, limits: Limits) -> tuple[Any, Any]:
        """The context manager of a connection, entered, and the connection."""
        key, exceptions = os.environ.get(API_KEY), self._exceptions
        connect = need("websockets.sync.client").connect
        try:
            context = connect(
                url,
                additional_headers={"Authorization": f"Api-Key {key}"} if key else None,
                compression=None,
                open_timeout=limits.connect_s,
                close_timeout=0.2,
                ping_interval=_PING_S,
                ping_timeout=None,
                max_size=limits.max_bytes,
                proxy=None,  # policy servers are in the same network, and HTTP proxies rarely pass WebSockets
                logger=_silent,
            )
            return context, context.__enter__()
        except exceptions.InvalidStatus as error:
            raise _refused(error.response.status_code, has_key=key is not None) from None
        except TimeoutError:
            raise GoneError(f"no handshake within {limits.connect_s:g} s") from None
        except ssl.SSLError as error:
            raise ServerError(f"no secure connection: {shown(first_line(error), 200)}") from None
        except socket.gaierror:
            raise GoneError("no machine has this name") from None
        except OSError as error:
            raise GoneError(f"cannot connect: {error.strerror or shown(first_line(error), 200)}") from None
        except (exceptions.InvalidHandshake, exceptions.InvalidURI, ValueError) as error:
            raise ServerError(f"no WebSocket server: {shown(first_line(error), 200)}") from None
        except exceptions.ConnectionClosed:
            raise GoneError("the connection was closed in the handshake") from None
        except AssertionError:  # websockets 17.4, if a server answers before it is asked
            raise ServerError("no WebSocket server: it speaks before it is asked") from None

    def _received(self, seconds: float, nothing: str, limit: float | None = None) -> Any:
        """The next message, decoded."""
        exceptions = self._exceptions
        try:
            message = self._connection.recv(timeout=seconds)
        except TimeoutError:
            raise ServerError(f"{nothing} within {limit or self._limits.connect_s:g} s") from None
        except (exceptions.ConnectionClosed, OSError) as error:
            raise self._lost(error) from None
        except (exceptions.WebSocketException, UnicodeDecodeError) as error:
            raise ServerError(f"it breaks the WebSocket protocol: {shown(first_line(error), 200)}") from None
        if isinstance(message, str):
            raise ServerError(f"the server failed: {said(message)}")
        try:
            return unpack(message, self._limits.max_bytes)
        except CodecError as error:
            raise ServerError(f"its answer cannot be decoded: {error}") from None

    def _lost(self, error: Any) -> ServerError:
        """What the end of the connection means."""
        if isinstance(error, OSError):
            return GoneError(f"the connection was lost: {error.strerror or shown(first_line(error), 200)}")
        code = None if error.sent is None or error.rcvd_then_sent else error.sent.code
        if code == _TOO_BIG:
            return ServerError(f"its answer has more than {self._limits.max_bytes} bytes")
        if code in _PROTOCOL:
            return ServerError(f"it breaks the WebSocket protocol: {shown(error.sent.reason or code, 200)}")
        told = (
            f" ({error.rcvd.code}{': ' if error.rcvd.reason else ''}{shown(error.rcvd.reason)})" if error.rcvd else ""
        )
        return GoneError(f"the connection was closed{told}")

    @contextlib.contextmanager
    def _cut_after(self, seconds: float) -> Iterator[threading.Event]:
        """Shut the connection down if the body takes longer; the event tells whether that happened."""
        cut = threading.Event()

        def shut() -> None:
            cut.set()
            with contextlib.suppress(OSError):
                self._connection.socket.shutdown(socket.SHUT_RDWR)

        timer = threading.Timer(seconds, shut)
        timer.daemon = True
        timer.start()
        try:
            yield cut
        finally:
            timer.cancel()


def _packed(request: Mapping[str, Any]) -> bytes:
    try:
        return pack(request)
    except CodecError as error:
        raise ServerError(f"the request {error}") from None


def _refused(status: int, *, has_key: bool) -> ServerError:
    if status in (401, 403):
        how = f"it does not accept the key in {API_KEY}" if has_key else f"it wants a key; set {API_KEY}"
        return ServerError(f"HTTP {status}: {how}")
    if status == 404:
        return ServerError("HTTP 404: no policy at this path")
    if status == 429 or status >= 500:
        return GoneError(f"HTTP {status} instead of a connection")
    return ServerError(f"HTTP {status}: a web server, but no WebSocket at this path")
