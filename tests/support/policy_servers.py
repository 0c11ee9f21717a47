"""Policy servers on 127.0.0.1 for tests: sound ones in openpi's protocol, and such that misbehave in one way."""

import base64
import contextlib
import hashlib
import logging
import re
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from openpi_client import msgpack_numpy
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from envs.base import Observation
from simeval.core.errors import EpisodeError
from simeval.policies.base import Policy, PolicyInput

HORIZON = 10
CLOSE, NOTHING = object(), object()
"""As an answer: close the connection; send nothing."""

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


def given(seed: int = 0, **changes) -> PolicyInput:
    """An input of its own for each seed."""
    rng = np.random.default_rng(seed)
    images = {camera: rng.integers(0, 256, (64, 64, 3), np.uint8) for camera in ("agentview", "wrist")}
    observation = Observation(images, rng.normal(size=8).astype(np.float32), 5)
    return replace(PolicyInput(observation, "open the drawer", "pair", 2, noise_seed=2**62 + seed), **changes)


def sound(request: dict) -> dict:
    return {"actions": chunk_for(request)}


@dataclass
class Stub:
    """A server in openpi's protocol.

    Attributes:
        answer: makes an answer of a request; a map is packed, bytes and text are sent as they are.
        fault: may give another answer instead; it also gets the connection.
        metadata: its first message, likewise.
        on_connect: called with the connection before everything else; true ends it.
    """

    answer: Callable = sound
    fault: Callable = lambda request, connection: None
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
                answer = self.fault(request, connection)
                if not self.send(connection, self.answer(request) if answer is None else answer):
                    return

    @staticmethod
    def send(connection: ServerConnection, value) -> bool:
        """Send a value; false if the connection is to end."""
        if value is CLOSE:
            return False
        if value is not NOTHING:
            connection.send(value if isinstance(value, str | bytes) else msgpack_numpy.packb(value))
        return True


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


def upgraded(connection: socket.socket) -> None:
    """Read a WebSocket handshake and accept it; then the bytes are the caller's."""
    request = b""
    while not request.endswith(b"\r\n\r\n"):
        request += connection.recv(4096)
    key = re.search(rb"(?i)sec-websocket-key: (\S+)", request)[1]
    accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    connection.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def error_between(policy: Policy, sound: PolicyInput, faulty: PolicyInput, seconds: float) -> EpisodeError:
    """The error of a faulty request, raised in time; the same sound request gets the same answer before and after."""
    (before,) = policy.act([sound])
    began = time.monotonic()
    with pytest.raises(EpisodeError) as error:
        policy.act([faulty])
    assert time.monotonic() - began < seconds
    # The next episode gets its own answer, and not a late one.
    assert policy.act([sound])[0].tobytes() == before.tobytes()
    return error.value
