"""Policy servers on 127.0.0.1 for tests: sound ones in openpi's protocol, and such that misbehave in one way."""

import contextlib
import logging
import socket
import threading
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from openpi_client import msgpack_numpy
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

HORIZON = 10

logging.getLogger("websockets.server").setLevel(logging.CRITICAL)


def chunk_for(request: dict, shift: float = 0.0) -> np.ndarray:
    """`float32[10, 7]`: depends on each part of a request in openpi's form, and opens the gripper."""
    image = sum(float(request[key].mean()) / 255 for key in request if key.endswith("image"))
    words = zlib.crc32(request["prompt"].encode()) % 1000 / 1000
    chunk = np.zeros((HORIZON, 7), np.float32)
    chunk[:, 0] = np.linspace(-0.5, 0.5, HORIZON) * image / 2 + shift
    chunk[:, 1] = words / 2
    chunk[:, 2:5] = request["observation/state"][:3] / 4
    chunk[:, 6] = -1
    return chunk


def sound(request: dict) -> dict:
    return {"actions": chunk_for(request)}


@dataclass
class Stub:
    """A server in openpi's protocol.

    Attributes:
        answer: a map is packed, bytes and text are sent as they are, `None` sends nothing.
        metadata: its first message, likewise.
        on_connect: called with the connection before everything else; true ends it.
    """

    answer: Callable = sound
    metadata: object = field(default_factory=dict)
    on_connect: Callable[[ServerConnection], bool] = lambda connection: False
    requests: list = field(default_factory=list)
    headers: list = field(default_factory=list)
    connections: int = 0
    port: int = 0

    @property
    def url(self) -> str:
        return f"openpi://127.0.0.1:{self.port}"

    def handle(self, connection: ServerConnection) -> None:
        self.connections += 1
        self.headers.append(dict(connection.request.headers))
        with contextlib.suppress(ConnectionClosed, OSError):
            if self.on_connect(connection) or not self.send(connection, self.metadata):
                return
            for message in connection:
                request = msgpack_numpy.unpackb(message)
                self.requests.append(request)
                answer = self.answer
                if len(signature(answer)) == 2:
                    answer = answer(request, connection)
                else:
                    answer = answer(request)
                if not self.send(connection, answer):
                    return

    @staticmethod
    def send(connection: ServerConnection, value) -> bool:
        """Send a value; false if the connection is to end."""
        if value is CLOSE:
            return False
        if value is not None:
            connection.send(value if isinstance(value, str | bytes) else msgpack_numpy.packb(value))
        return True


CLOSE = object()
"""As an answer: close the connection."""


def signature(function: Callable) -> tuple[str, ...]:
    code = function.__code__
    names = code.co_varnames[: code.co_argcount]
    return names[1:] if names[:1] == ("self",) else names


@contextlib.contextmanager
def serving(stub: Stub, port: int = 0, **options) -> Iterator[Stub]:
    """Run a stub in a thread."""
    options = {"compression": None, "max_size": None, "close_timeout": 0.1} | options
    with serve(stub.handle, "127.0.0.1", port, **options) as server:
        stub.port = server.socket.getsockname()[1]
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield stub
        server.shutdown()
        thread.join(5)


@contextlib.contextmanager
def tcp(handle: Callable[[socket.socket], None]) -> Iterator[int]:
    """A TCP server that calls `handle` for every connection; yields its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=handled, args=(connection,), daemon=True).start()

        def handled(connection: socket.socket) -> None:
            with connection, contextlib.suppress(OSError):
                handle(connection)

        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1]
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]
