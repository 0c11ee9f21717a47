"""Whatever a server does wrong, there is one line, within the time limits: an error row in a run, an end before one.

`MIDDLE` are faults in the middle of a run: the server is sound until the instruction is "go". `START` are faults that
a server has from the beginning.
"""

import contextlib
import http
import socket
import threading
import time
from pathlib import Path

import msgpack
import numpy as np
import pytest
from openpi_client import msgpack_numpy
from policy_servers import (
    CLOSE,
    HORIZON,
    NOTHING,
    Stub,
    chunk_for,
    error_between,
    free_port,
    given,
    serving,
    tcp,
    upgraded,
)

from simeval.core.errors import ConfigError, EpisodeError
from simeval.policies.remote.channel import Address, GoneError, Limits, ServerError
from simeval.policies.remote.load import load
from simeval.policies.remote.openpi import OpenpiChannel

LIMITS = Limits(connect_s=0.7, start_s=0.15, wait_s=0.3, answer_s=0.5, first_answer_s=0.8, max_bytes=2**20)
SLOWEST = 8.0
"""Seconds that no fault may take: all limits together, and a busy machine."""

TRACEBACK = """Traceback (most recent call last):
  File "policy.py", line 3, in infer
    raise ValueError("no such camera")
ValueError: no such \x1b[31mcamera
and more of it
"""


def actions(value) -> dict:
    return {"actions": value}


def changed(index, value):
    def answer(request, connection):
        chunk = chunk_for(request).astype(np.float64)
        chunk[index] = value
        return actions(chunk)

    return answer


def constant(value):
    return lambda request, connection: value


def array(**changes) -> bytes:
    fields = {b"__ndarray__": True, b"data": bytes(280), b"dtype": "<f4", b"shape": [10, 7]}
    return msgpack.packb({"actions": fields | {key.encode(): value for key, value in changes.items()}})


def raw(*pieces, pause=0.0, end=True):
    """Write bytes past the WebSocket, with pauses, and close if asked to."""

    def answer(request, connection):
        for piece in pieces:
            connection.socket.sendall(piece)
            time.sleep(pause)
        if end:
            connection.socket.shutdown(socket.SHUT_RDWR)
        return NOTHING

    return answer


def closing(code, reason):
    def answer(request, connection):
        connection.close(code, reason)
        return NOTHING

    return answer


def frame(size: int) -> bytes:
    """Header of a binary frame."""
    return b"\x82\x7f" + size.to_bytes(8)


MIDDLE = {
    "text frame with a traceback": (constant(TRACEBACK), "the server failed: ValueError: no such camera"),
    "text frame": (constant("\n  out of \x07memory\nbye"), "the server failed: out of \\x07memory"),
    "empty text frame": (constant(""), "the server failed: an empty message"),
    "vLLM's error": (constant({"type": "error", "message": "bad\nimage"}), "reports an error: bad"),
    "starVLA's error": (constant({"status": "error", "error": {"message": "no"}}), "reports an error: no"),
    "GR00T's error": (constant({"error": "unknown endpoint"}), "reports an error: unknown endpoint"),
    "NaN": (changed((3, 2), np.nan), "one of its actions is not finite"),
    "infinite": (changed((0, 0), -np.inf), "one of its actions is not finite"),
    "beyond float32": (changed((0, 0), 1e300), "one of its actions is too large"),
    "empty map": (constant({}), "its answer has no 'actions', only: nothing"),
    "other key": (constant({"action": [1], "x\x1b": 2}), "its answer has no 'actions', only: action, x\\x1b"),
    "6 dimensions": (constant(actions(np.zeros((HORIZON, 6)))), "have the shape (10, 6), not (H, 7)"),
    "32 dimensions": (constant(actions(np.zeros((HORIZON, 32)))), "have the shape (10, 32), not (H, 7)"),
    "a batch of two": (constant(actions(np.zeros((2, HORIZON, 7)))), "have the shape (2, 10, 7), not (H, 7)"),
    "a number": (constant(actions(0.5)), "have the shape (), not (H, 7)"),
    "no actions": (constant(actions(np.zeros((0, 7)))), "have the shape (0, 7), not (H, 7)"),
    "too short": (constant(actions(np.zeros((4, 7)))), "its chunk has 4 actions, and 5 are executed"),
    "ragged": (constant(actions([[0] * 7, [0] * 6])), "a list of lists of different lengths"),
    "a text": (constant(actions("error")), "its 'actions' is the text 'error'"),
    "texts": (constant(actions([["a"] * 7] * 10)), "has values of type <U1, not real numbers"),
    "nothing": (constant(actions(None)), "has values of type object, not real numbers"),
    "booleans": (constant(actions(np.zeros((10, 7), bool))), "has values of type bool, not real numbers"),
    "complex": (constant(array(dtype="<c8", data=bytes(560))), "arrays of type <c8 are refused"),
    "objects": (constant(array(dtype="|O")), "arrays of type |O are refused"),
    "pickle": (
        constant(b"\x80\x04\x95\x0b\x00\x00\x00\x00"),
        "its answer cannot be decoded: the message is no complete",
    ),
    "shape lies": (constant(array(shape=[100, 7])), "takes 2800 bytes, and 280 came"),
    "shape lies by a lot": (constant(array(shape=[2**36, 7])), "takes 1924145348608 bytes, and 280 came"),
    "garbage": (constant(b"\xc1garbage"), "its answer cannot be decoded: the message is no msgpack"),
    "no bytes": (constant(b""), "its answer cannot be decoded"),
    "cut off": (constant(array()[:-9]), "its answer cannot be decoded: the message is no complete msgpack"),
    "nested 10 000 deep": (constant(b"\x91" * 10_000), "the message is nested too deep"),
    "a million maps": (constant(b"\xdc\xff\xff" * 2 + b"\x80" * 200_000), "more than 100000 maps and lists"),
    "2 MB": (constant(actions(np.zeros((2**18, 1)))), "its answer has more than 1048576 bytes"),
    "1 GB declared": (raw(frame(2**30), end=False), "its answer has more than 1048576 bytes"),
    "never answers": (constant(NOTHING), "no answer came within 0.5 s"),
    "drip by drip": (raw(frame(2**19), *[b"x"] * 40, pause=0.05, end=False), "no answer came within 0.5 s"),
    "fragments drip": (raw(b"\x02\x01a", *[b"\x00\x01b"] * 40, pause=0.05, end=False), "no answer came within 0.5 s"),
    "closed in the middle": (raw(frame(1000), b"x" * 10), "the connection was closed"),
    "closes": (constant(CLOSE), "the connection was closed (1000)"),
    "closes with a reason": (closing(1011, "out of\x1bmemory"), "the connection was closed (1011: out of\\x1bmemory)"),
    "broken frame": (raw(b"\xff\xff\xff\xff", end=False), "it breaks the WebSocket protocol"),
    "compressed frame": (raw(b"\xc2\x01x", end=False), "it breaks the WebSocket protocol"),
    "masked frame": (raw(b"\x82\x81\x00\x00\x00\x00x", end=False), "it breaks the WebSocket protocol"),
}


@pytest.mark.parametrize("case", MIDDLE)
def test_faults_in_the_middle_give_an_error_row(case):
    fault, reason = MIDDLE[case]

    def answer(request, connection):
        return fault(request, connection) if request["prompt"] == "go" else None

    with serving(Stub(fault=answer)) as stub:
        policy = load(stub.url, limits=LIMITS)
        error = error_between(policy, given(), given(instruction="go"), SLOWEST)
        policy.close()
    text = str(error)
    assert error.phase == "policy"
    assert text.startswith(f"{stub.url}: ")
    assert reason in text
    assert_one_line(text)


def test_a_late_answer_is_not_taken_for_the_next_one():
    def answer(request, connection):
        if request["prompt"] == "go":
            time.sleep(0.7)
            return actions(np.ones((HORIZON, 7)))
        return None

    with serving(Stub(fault=answer)) as stub:
        policy = load(stub.url, limits=LIMITS)
        with pytest.raises(EpisodeError, match="no answer came"):
            policy.act([given(instruction="go")])
        time.sleep(0.4)
        assert policy.act([given()])[0].tobytes() != np.ones((HORIZON, 7), np.float32).tobytes()
        policy.close()


def assert_one_line(text: str) -> None:
    assert text.isprintable()
    assert len(text) < 500


def http_server(status: int):
    def respond(connection, request):
        return connection.respond(http.HTTPStatus(status), "no\n")

    return lambda: serving(Stub(), process_request=respond)


def websocket(**options):
    return lambda: serving(Stub(**options))


@contextlib.contextmanager
def at(context):
    """The URL of a server in a context manager that gives its port."""
    with context as port:
        yield f"openpi://127.0.0.1:{port}"


def sends(*pieces, pause=0.0):
    """A TCP server that sends something and waits."""

    def handle(connection):
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(pause)
        connection.recv(1)
        time.sleep(2)

    return lambda: at(tcp(handle))


def sends_and_closes(*pieces):
    return lambda: at(tcp(lambda connection: [connection.recv(2**16), *map(connection.sendall, pieces)]))


def after_handshake(*pieces):
    def handle(connection):
        upgraded(connection)
        for piece in pieces:
            connection.sendall(piece)
        connection.recv(1)

    return lambda: at(tcp(handle))


def nobody():
    return contextlib.nullcontext(f"openpi://127.0.0.1:{free_port()}")


def unknown_name():
    return contextlib.nullcontext("openpi://no-such-machine.invalid:8000")


PLAIN_HTTP = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"
START = {
    "port closed": (nobody, "cannot connect: Connection refused; start the server, or correct host and port"),
    "unknown host": (unknown_name, "no machine has this name"),
    "accepts and says nothing": (sends(), "no handshake within 0.7 s"),
    "handshake drip by drip": (sends(*[b"H"] * 20, pause=0.1), "no handshake within 0.7 s"),
    "no HTTP": (sends_and_closes(b"SSH-2.0-OpenSSH_9.9\r\n"), "no WebSocket server"),
    "speaks before it is asked": (sends(PLAIN_HTTP), ""),
    "plain HTTP": (sends_and_closes(PLAIN_HTTP), "HTTP 200: a web server, but no WebSocket at this path"),
    "401": (http_server(401), "HTTP 401: it wants a key; set SIMEVAL_API_KEY"),
    "403": (http_server(403), "HTTP 403: it wants a key; set SIMEVAL_API_KEY"),
    "404": (http_server(404), "HTTP 404: no policy at this path"),
    "500": (http_server(500), "HTTP 500 instead of a connection"),
    "closes after the handshake": (websocket(metadata=CLOSE), "the connection was closed"),
    "no metadata": (websocket(metadata=NOTHING), "no metadata came within 0.7 s"),
    "metadata are a list": (websocket(metadata=[1]), "its first message is a list, not a map"),
    "metadata are a text": (websocket(metadata="CUDA out of memory"), "the server failed: CUDA out of memory"),
    "metadata are garbage": (websocket(metadata=b"\xc1"), "its answer cannot be decoded: the message is no msgpack"),
    "metadata are an error": (websocket(metadata={"type": "error", "message": "busy"}), "reports an error: busy"),
    "wrong frame first": (after_handshake(b"\xff\xff\xff"), "it breaks the WebSocket protocol"),
    "never answers": (websocket(fault=constant(NOTHING)), "no answer came within 0.8 s"),
    "always fails": (websocket(fault=constant(TRACEBACK)), "the server failed: ValueError: no such camera"),
    "other actions": (websocket(fault=constant(actions(np.zeros((1, 14))))), "have the shape (1, 14), not (H, 7)"),
    "NaN": (websocket(fault=changed(0, np.nan)), "one of its actions is not finite"),
}


@pytest.mark.parametrize("case", START)
def test_faults_at_the_start_end_it_in_one_line(case):
    server, reason = START[case]
    with server() as place:
        url = getattr(place, "url", place)
        began = time.monotonic()
        with pytest.raises(ConfigError) as error:
            load(url, limits=LIMITS)
        assert time.monotonic() - began < SLOWEST
    assert str(error.value).startswith(f"--policy {url}: ")
    assert reason in str(error.value)
    assert_one_line(str(error.value))


def test_a_refused_key_is_told_from_a_missing_one(monkeypatch):
    monkeypatch.setenv("SIMEVAL_API_KEY", "wrong-key")
    with (
        http_server(401)() as stub,
        pytest.raises(ConfigError, match="does not accept the key in SIMEVAL_API") as error,
    ):
        load(stub.url, limits=LIMITS)
    assert "wrong-key" not in str(error.value)


def test_tls_without_a_certificate():
    with serving(Stub()) as stub, pytest.raises(ConfigError, match="no secure connection"):
        load(stub.url.replace("openpi:", "openpis:"), limits=LIMITS)


def test_a_server_that_does_not_read_is_cut_off():
    def handle(connection):
        upgraded(connection)
        connection.sendall(b"\x82\x01\x80")
        time.sleep(5)

    with tcp(handle) as port:
        channel = OpenpiChannel(Address("openpi", "127.0.0.1", port), LIMITS, secure=False)
        began = time.monotonic()
        with pytest.raises(ServerError, match="did not read the request"):
            channel.ask({"image": np.zeros(2**26, np.uint8)}, 0.4)
        channel.close()
    assert time.monotonic() - began < SLOWEST


def test_an_unsendable_request_is_an_error_of_one_line():
    with serving(Stub()) as stub:
        channel = OpenpiChannel(Address("openpi", "127.0.0.1", stub.port), LIMITS, secure=False)
        with pytest.raises(ServerError, match="the request cannot be sent: arrays of object"):
            channel.ask({"image": np.array([None])}, 0.4)
        channel.close()


def test_a_request_that_breaks_the_connection_is_not_sent_forever():
    with serving(Stub(fault=lambda request, connection: CLOSE if request["prompt"] == "go" else None)) as stub:
        policy = load(stub.url, limits=LIMITS)
        policy.act([given()])
        stub.requests.clear()
        with pytest.raises(EpisodeError, match="the connection was closed"):
            policy.act([given(instruction="go")])
    assert 1 < [request["prompt"] for request in stub.requests].count("go") <= 3


def test_no_thread_and_no_socket_stays():
    with serving(Stub()) as stub:
        policy = load(stub.url, limits=LIMITS)
        before = open_files(), threading.active_count()
        for _ in range(5):
            policy.act([given()])
            policy.close()
        time.sleep(0.2)
        assert open_files() <= before[0] + 1
        assert threading.active_count() <= before[1] + 1


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_errors_of_the_channel_say_whether_to_try_again():
    assert issubclass(GoneError, ServerError)
    with pytest.raises(GoneError):
        OpenpiChannel(Address("openpi", "127.0.0.1", free_port()), LIMITS, secure=False)


def test_stubs_use_the_published_codec():
    assert msgpack_numpy.unpackb(array())["actions"].shape == (10, 7)
