"""Sockets: time limits for a whole exchange, and what the errors of sockets and HTTP mean."""

import contextlib
import http.client
import socket
import ssl
import threading
from collections.abc import Callable, Iterator

from simeval.core.errors import first_line
from simeval.core.texts import shown
from simeval.policies.remote.channel import API_KEY, Address, GoneError, Limits, ServerError


@contextlib.contextmanager
def cut_after(seconds: float, sock: Callable[[], socket.socket]) -> Iterator[threading.Event]:
    """Shut a socket down if the body takes longer; the event tells whether that happened."""
    cut = threading.Event()

    def shut() -> None:
        cut.set()
        with contextlib.suppress(OSError, AttributeError):
            sock().shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, shut)
    timer.daemon = True
    timer.start()
    try:
        yield cut
    finally:
        timer.cancel()


def refused_status(status: int, *, has_key: bool, wanted: str = "WebSocket") -> ServerError:
    """What an HTTP status other than success means.

    Args:
        status: the status.
        has_key: whether a key was sent.
        wanted: what should be at the path.
    """
    if status in (401, 403):
        how = f"it does not accept the key in {API_KEY}" if has_key else f"it wants a key; set {API_KEY}"
        return ServerError(f"HTTP {status}: {how}")
    if status == 404:
        return ServerError("HTTP 404: no policy at this path")
    if status in (429, 502, 503, 504) or (status >= 500 and wanted == "WebSocket"):
        return GoneError(f"HTTP {status} instead of a connection")
    return ServerError(f"HTTP {status}: a web server, but no {wanted} at this path")


def require_listener(address: Address, limits: Limits) -> None:
    """Check that somebody listens at an address.

    Raises:
        GoneError: nobody does.
    """
    try:
        socket.create_connection((address.host, address.port), limits.connect_s).close()
    except OSError as error:
        raise network_error(error) from None


def network_error(error: Exception) -> ServerError:
    """What an exception of a socket or of http.client means."""
    match error:
        case ssl.SSLError():
            return ServerError(f"no secure connection: {shown(first_line(error), 200)}")
        case socket.gaierror():
            return GoneError("no machine has this name")
        case TimeoutError():
            return GoneError("nobody answers in time")
        case http.client.RemoteDisconnected() | ConnectionResetError() | BrokenPipeError():
            return GoneError("the connection was closed")
        case OSError():
            return GoneError(f"cannot connect: {error.strerror or shown(first_line(error), 200)}")
        case http.client.IncompleteRead():
            return GoneError("the connection was closed in the middle of an answer")
    return ServerError(f"no HTTP server: {shown(first_line(error), 200)}")
