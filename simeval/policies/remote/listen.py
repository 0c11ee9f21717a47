"""The address at which a server listens: reserved before anything slow, opened when the policy can answer."""

import errno
import ipaddress
import socket

from simeval.core.errors import ConfigError
from simeval.core.texts import shown

_BACKLOG = 128
_SEND_BUFFER = 256 * 2**10
"""Bytes of answers that a client may leave unread before its requests are no longer read; an answer has 1 to 30 kB."""


def bind(host: str, port: int) -> socket.socket:
    """Reserve an address. Clients are refused, and may try again, until `listen`.

    Args:
        host: name or address of a network interface of this machine.
        port: 0 for any free one.

    Raises:
        ConfigError: it is no address of this machine, or taken.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"--host '{shown(host)}': no such address ({_reason(error)})") from None
    family, kind, _, _, address = found[0]
    bound = socket.socket(family, kind)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a server that was ended can be started again
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)  # accepted connections inherit it
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise _cannot(error, host, port) from None
    return bound


def listen(bound: socket.socket) -> None:
    """Let clients connect.

    Raises:
        ConfigError: another program has begun to listen there since `bind`.
    """
    try:
        bound.listen(_BACKLOG)
    except OSError as error:
        host, port = bound.getsockname()[:2]
        raise _cannot(error, host, port) from None


def location(bound: socket.socket, host: str) -> str:
    """`HOST:PORT` for clients; of a server on all networks with the name of this machine."""
    own, port = bound.getsockname()[:2]
    name = socket.gethostname() if ipaddress.ip_address(own).is_unspecified else host
    return f"[{name}]:{port}" if ":" in name else f"{name}:{port}"


def is_local(bound: socket.socket) -> bool:
    """Whether only programs on this machine can reach it."""
    return ipaddress.ip_address(bound.getsockname()[0]).is_loopback


def _cannot(error: OSError, host: str, port: int) -> ConfigError:
    if error.errno == errno.EADDRINUSE:
        text = f"--port {port}: another program listens there; choose another port, or 0 for any free one"
        return ConfigError(text)
    if error.errno == errno.EADDRNOTAVAIL:
        return ConfigError(f"--host {shown(host)}: no address of this machine; 0.0.0.0 stands for all it has")
    return ConfigError(f"--host {shown(host)} --port {port}: cannot listen there ({_reason(error)})")


def _reason(error: BaseException) -> str:
    return str(getattr(error, "strerror", None) or type(error).__name__)
