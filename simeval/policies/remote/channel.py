"""What every protocol has in common: an address, time limits, a channel to a server, and how a server can fail."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

from simeval.core.errors import ConfigError
from simeval.core.texts import shown, uncolored

API_KEY = "SIMEVAL_API_KEY"
"""Environment variable with the key that is sent to a server. Never part of a URL, which manifests and logs contain."""

_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]{0,252})?|[0-9a-fA-F:.]+(%[A-Za-z0-9]+)?")


class ServerError(Exception):
    """A server failed; the text is one line with the reason. Asking again would give the same."""


class GoneError(ServerError):
    """There is no connection, or it was lost: worth another try."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a server may take, and how much it may send. Nothing waits longer than these together.

    Attributes:
        connect_s: seconds for one attempt to connect, handshake included.
        start_s: seconds during which a missing server is tried again before a run starts.
        wait_s: seconds during which a lost server is tried again in the middle of a run.
        answer_s: seconds for one answer, its transfer included.
        first_answer_s: the same for the first answer before a run; many servers compile their model then.
        max_bytes: longest answer.
    """

    connect_s: float = 10.0
    start_s: float = 5.0
    wait_s: float = 60.0
    answer_s: float = 60.0
    first_answer_s: float = 300.0
    max_bytes: int = 16 * 2**20

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            if not 0 < value < 1e12:
                raise ConfigError(f"{name}: a number above 0, not {shown(value)}")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is.

    Attributes:
        scheme: name of the protocol.
        host: name or IP address, without brackets.
        port: TCP port.
        path: path with its leading slash; empty for none.
    """

    scheme: str
    host: str
    port: int
    path: str = ""

    @property
    def location(self) -> str:
        """Host and port, and the path."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}{self.path}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.location}"


class Channel(Protocol):
    """An open connection to one server. Used by one thread, one request at a time."""

    metadata: Mapping[str, Any]
    """What the server said about itself when it was connected to; empty if its protocol has no such message."""
    lasting: bool
    """Whether a restart of the server ends the connection; without it the server is checked at every episode."""
    keeps_state: bool
    """Whether the server remembers the episode, so that one cannot go on over another connection."""

    def begin_episode(self, instruction: str, seconds: float) -> None:
        """Tell the server that an episode begins, if its protocol has a message for that; errors as `ask`."""

    def ask(self, request: Mapping[str, Any], seconds: float) -> Any:
        """Send a request and wait for its answer.

        Raises:
            GoneError: the connection was lost.
            ServerError: there is no answer in time, or it is an error, or cannot be decoded.
        """

    def close(self) -> None:
        """Close at once, without waiting for the server."""


def parse_address(url: str, default_port: int) -> Address:
    """Split a URL; needs no network.

    Raises:
        ConfigError: it is not `SCHEME://HOST[:PORT][/PATH]`.
    """
    scheme, _, rest = url.partition("://")
    if "@" in rest:
        raise ConfigError(f"--policy {scheme}://...@...: a key goes into {API_KEY}, not into the URL")
    form = f"--policy {shown(url)}: "
    if any(character.isspace() or not character.isprintable() for character in url):
        raise ConfigError(f"{form}a URL has no spaces or control characters")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ConfigError(f"{form}{shown(error)}; write {scheme}://HOST:PORT") from None
    if not parts.hostname or not _HOST.fullmatch(parts.hostname):
        raise ConfigError(f"{form}no valid host; write {parts.scheme}://HOST:PORT")
    if parts.query or parts.fragment:
        raise ConfigError(f"{form}a policy's URL has no ? or #")
    if port == 0:
        raise ConfigError(f"{form}port 0 is none; write {parts.scheme}://HOST:PORT")
    return Address(parts.scheme, parts.hostname, default_port if port is None else port, parts.path.rstrip("/"))


def said(text: str) -> str:
    """The meaningful line of what a server sent as an error: of a Python traceback the last one, else the first."""
    lines = [line.rstrip() for line in uncolored(text[:100_000]).splitlines() if line.strip()]
    if not lines:
        return "an empty message"
    if any(line.startswith("Traceback (most recent call last)") for line in lines):
        # A multi-line message follows the line with the exception's type, which is not indented.
        last = max(index for index, line in enumerate(lines) if line.startswith("Traceback (most"))
        found = [line for line in lines[last + 1 :] if not line.startswith((" ", "\t"))]
        return shown((found or lines[-1:])[0].strip(), 300)
    return shown(lines[0].strip(), 300)


def refuse_error_map(answer: Any) -> None:
    """Raise what a map says that stands for an error: `type: error`, `error`, or `status: error`.

    Raises:
        ServerError: it does.
    """
    if not isinstance(answer, Mapping):
        return
    plain = {key.decode("utf-8", "replace") if isinstance(key, bytes) else key: part for key, part in answer.items()}
    is_error = plain.get("type") == "error" or plain.get("status") == "error" or plain.get("error")
    if not is_error:
        return
    text = next((plain[key] for key in ("message", "error", "detail") if plain.get(key)), "without a reason")
    if isinstance(text, Mapping):
        text = text.get("message", text)
    raise ServerError(f"the server reports an error: {said(str(text))}")
