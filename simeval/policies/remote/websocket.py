"""A WebSocket to a policy server: time limits for everything, and one line for whatever goes wrong.

Non-obvious behaviour:
- A server's event loop stands still while its model computes. So pings are sent, for servers and proxies that close
  idle connections, but no answer to them is expected: the limit is the one of the answer.
- websockets' `recv` has a limit, its `send` has none. A server that does not read is cut off by a timer.
"""

import contextlib
import logging
import os
import socket
import ssl
import time
from typing import Any

from simeval.core.errors import first_line
from simeval.core.texts import shown
from simeval.policies.remote.channel import API_KEY, Address, GoneError, Limits, ServerError, said
from simeval.policies.remote.extra import need
from simeval.policies.remote.network import cut_after, refused_status

_PING_S = 15.0
"""Seconds between pings. vLLM-Omni closes a connection that is idle for 30 s."""
_TOO_BIG, _PROTOCOL = 1009, (1002, 1007)
"""Close codes that our side sends: an answer over the limit, and frames that break the protocol (RFC 6455, 7.4.1)."""

_silent = logging.getLogger("simeval.policies.remote.websockets")
_silent.addHandler(logging.NullHandler())
_silent.propagate = False


class WebSocket:
    """An open WebSocket that carries binary messages."""

    def __init__(self, address: Address, limits: Limits, *, secure: bool) -> None:
        """Connects.

        Raises:
            GoneError: nobody answers, or not now.
            ServerError: something else than a WebSocket server answers.
            ConfigError: websockets is not installed.
        """
        self._limits, self._exceptions = limits, need("websockets.exceptions")
        url = f"{'wss' if secure else 'ws'}://{address.location}"
        self._context, self._connection = self._open(url, limits)

    def exchange(self, message: bytes, seconds: float) -> bytes:
        """Send a message and wait for the next one.

        Raises:
            GoneError: the connection was lost.
            ServerError: nothing came in time, or text, which stands for an error, or a message came before the
                request: it and all later answers would be taken for those to the request after their own.
        """
        began = time.monotonic()
        if self._next(0) is not None:
            raise ServerError("it sent a message that nobody asked for")
        self.send(message, seconds)
        return self.receive(max(0.01, seconds - (time.monotonic() - began)), f"no answer came within {seconds:g} s")

    def send(self, message: bytes, seconds: float) -> None:
        """Send a message; errors as `exchange`."""
        with cut_after(seconds, lambda: self._connection.socket) as cut:
            try:
                self._connection.send(message)
            except (self._exceptions.ConnectionClosed, OSError) as error:
                if cut.is_set():
                    raise ServerError(f"it did not read the request within {seconds:g} s") from None
                raise self._lost(error) from None

    def receive(self, seconds: float, nothing: str) -> bytes:
        """Wait for a message; errors as `exchange`.

        Args:
            seconds: the limit.
            nothing: text of the error if none comes.
        """
        message = self._next(seconds)
        if message is None:
            raise ServerError(nothing)
        return message

    def _next(self, seconds: float) -> bytes | None:
        """The next message; `None` if there is none within `seconds`; errors as `exchange`."""
        exceptions = self._exceptions
        try:
            message: str | bytes = self._connection.recv(timeout=seconds)
        except TimeoutError:
            return None
        except (exceptions.ConnectionClosed, OSError) as error:
            raise self._lost(error) from None
        except (exceptions.WebSocketException, UnicodeDecodeError) as error:
            raise ServerError(f"it breaks the WebSocket protocol: {shown(first_line(error), 200)}") from None
        if isinstance(message, str):
            raise ServerError(f"the server failed: {said(message)}")
        return message

    def close(self) -> None:
        """Close at once, without waiting for the server."""
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
            raise refused_status(error.response.status_code, has_key=key is not None) from None
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
