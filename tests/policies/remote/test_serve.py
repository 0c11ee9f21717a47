"""`simeval serve`, driven by openpi's published client, by simeval's own, and by clients that misbehave."""

import contextlib
import pickle
import socket
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from openpi_client.msgpack_numpy import packb
from openpi_client.websocket_client_policy import WebsocketClientPolicy
from served_policy import as_openpi, marked, observed, served
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import connect

from simeval.core.errors import ConfigError, EpisodeError
from simeval.policies.base import PolicySpec
from simeval.policies.expert.policy import LiberoExpert
from simeval.policies.lerobot import load
from simeval.policies.remote import load as remote
from simeval.policies.remote import serve
from simeval.policies.remote.serve import PolicyServer
from simeval.policies.scripted import RandomPolicy

CAMERAS = ("agentview", "wrist")


class Listening:
    """Answers from everything in an input; waits, breaks or answers nonsense if the instruction says so."""

    spec = PolicySpec("listening", n_action_steps=2, cameras=CAMERAS, fingerprint=(("sha256", "abc"),))

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.seen: list[str] = []
        self.go = threading.Event()

    def act(self, inputs):
        texts = [item.instruction for item in inputs]
        self.batches.append(len(inputs))
        self.seen += texts
        if "wait" in texts:
            assert self.go.wait(20)
        if "break" in texts:
            raise FileNotFoundError(2, "No such file or directory", "/home/somebody/models/pi/weights.bin")
        return [self._answer(item) for item in inputs]

    def _answer(self, item):
        chunk = np.random.default_rng(item.noise_seed).normal(size=(3, 7)).astype(np.float32)
        chunk[0, :2] = [image.mean() for image in item.observation.images.values()]
        chunk[1] = item.observation.state[:7]
        chunk[2, :3] = item.chunk_index, item.observation.step, len(item.pair_id)
        return np.full_like(chunk, np.nan) if item.instruction == "nonsense" else chunk


@pytest.fixture(scope="module")
def policy():
    return Listening()


@pytest.fixture(scope="module")
def port(policy):
    with served(policy, batch_size=4) as number:
        yield number


def client(port: int) -> WebsocketClientPolicy:
    return WebsocketClientPolicy("127.0.0.1", port)


@contextlib.contextmanager
def raw(port: int, **options):
    with connect(f"ws://127.0.0.1:{port}", compression=None, max_size=None, close_timeout=1, **options) as connection:
        yield connection


def in_process(item) -> bytes:
    return Listening()._answer(item).tobytes()


def test_openpis_client_gets_the_chunk_of_the_same_policy_in_process(port):
    asking = client(port)
    told = asking.get_server_metadata()
    assert (told["simeval"], told["noise_seed"], told["batch"]) == (1, True, 4)
    assert (told["action_horizon"], told["action_dim"], told["n_action_steps"]) == (3, 7, 2)
    assert (told["policy"], told["cameras"], told["numerics"]) == ("listening", [*CAMERAS], "portable")
    for seed in range(3):
        answer = asking.infer(marked(observed(seed)))
        assert (answer["actions"].dtype, answer["actions"].shape) == (np.float32, (3, 7))
        assert answer["actions"].tobytes() == in_process(observed(seed))
    assert answer["server_timing"]["infer_ms"] > 0
    assert answer["server_timing"]["prev_total_ms"] > 0


def test_openpis_own_request_is_answered_the_same_each_time(port):
    one, other = (client(port).infer(as_openpi(observed(5)))["actions"] for _ in range(2))
    assert one.tobytes() == other.tobytes()
    assert client(port).infer(as_openpi(observed(5)) | {"noise_seed": 1})["actions"].tobytes() != one.tobytes()


def test_a_reset_is_confirmed_as_vllm_omni_does(port):
    asking = client(port)
    assert asking.infer({"endpoint": "reset", "session_id": "abc"}) == {"status": "reset successful"}
    assert asking.infer(marked(observed(0)) | {"endpoint": "infer"})["actions"].tobytes() == in_process(observed(0))


def test_simevals_client_takes_the_servers_facts_and_gets_the_same_chunks(port):
    policy = remote.load(f"openpi://127.0.0.1:{port}")
    assert (policy.spec.name, policy.spec.n_action_steps, policy.spec.cameras) == ("listening", 2, CAMERAS)
    assert policy.report.repeatable
    assert dict(policy.spec.fingerprint)["noise"] == "seeded"
    assert dict(policy.spec.fingerprint)["convention"] == "simeval"
    items = [observed(seed, side=48) for seed in range(3)]
    assert [chunk.tobytes() for chunk in policy.act(items)] == [*map(in_process, items)]
    policy.close()


def deep() -> bytes:
    return b"\x91" * 5000 + b"\xc0"


def with_data(**changes) -> bytes:
    array = {"__ndarray__": True, "data": b"\x00" * 192, "dtype": "|u1", "shape": [8, 8, 3]} | changes
    plain = {key: value for key, value in marked(observed(0)).items() if key != "observation/image"}
    return packb(plain | {"observation/image": {key.encode(): value for key, value in array.items()}})


def changed(**changes) -> bytes:
    return packb(marked(observed(0)) | {key.replace("__", "/"): value for key, value in changes.items()})


WRONG = {
    "text frame": ("infer", "binary frame with msgpack, not a text frame"),
    "garbage": (b"\xc1\xff\x00garbage", "no msgpack"),
    "nothing": (b"", "no complete msgpack"),
    "cut off": (changed()[:1000], "no complete msgpack"),
    "trailing bytes": (packb({}) + b"\x01", "msgpack"),
    "nested": (deep(), "nested too deep"),
    "no map": (packb([1, 2, 3]), "a request is a map"),
    "no keys": (packb({"a": 1}), "'observation/image' is missing; the request has a"),
    "wrong shape": (changed(observation__image=np.zeros((3, 8, 8), np.uint8)), "the shape [height, width, 3]"),
    "wrong dtype": (changed(observation__image=np.zeros((8, 8, 3), np.float32)), "must be an array of type uint8"),
    "NaN state": (changed(observation__state=np.full(8, np.nan)), "not finite"),
    "state of 9": (changed(observation__state=np.zeros(9)), "the shape [8]"),
    "too little data": (with_data(shape=[9, 8, 3]), "takes 216 bytes, and 192 came"),
    "negative shape": (with_data(shape=[-8, -8, 3]), "shape"),
    "objects": (with_data(dtype="|O8"), "refused"),
    "records": (with_data(dtype="|V192", shape=[1]), "refused"),
    "seed below 0": (changed(noise_seed=-1), "noise_seed"),
    "prompt": (changed(prompt=7), "prompt: must be a text"),
    "newer form": (changed(simeval=2), "version 1, not 2"),
    "endpoint": (packb({"endpoint": "kill"}), "endpoint: must be 'infer' or 'reset', not kill"),
    "endpoint as array": (packb({"endpoint": np.zeros(3)}), "endpoint: must be 'infer' or 'reset', not"),
    "policy breaks": (
        changed(prompt="break"),
        "the policy cannot answer: FileNotFoundError: [Errno 2] No such file or directory: '.../weights.bin'",
    ),
    "policy answers nonsense": (changed(prompt="nonsense"), "the policy cannot answer: its actions are not finite"),
    "terminal codes": (packb({"endpoint": "\x1b[31m"}), "not \\x1b[31m"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_request_that_cannot_be_answered_ends_its_connection_alone(port, name):
    message, line = WRONG[name]
    bystander = client(port)
    with raw(port) as connection:
        connection.recv()
        connection.send(message)
        said = connection.recv(timeout=10)
        with pytest.raises(ConnectionClosedError) as closed:
            connection.recv(timeout=10)
    assert isinstance(said, str)
    assert line in said
    assert "\n" not in said
    assert len(said) < 600
    assert "/home" not in said
    assert closed.value.rcvd.code == 1011
    assert bystander.infer(marked(observed(1)))["actions"].tobytes() == in_process(observed(1))


def test_a_message_that_is_too_large_is_not_read_to_its_end(port):
    with raw(port) as connection:
        connection.recv()
        with contextlib.suppress(ConnectionClosedError):
            connection.send(bytes(serve.MAX_BYTES + 1))
        with pytest.raises(ConnectionClosedError) as closed:
            connection.recv(timeout=10)
    assert closed.value.rcvd.code == 1009
    assert client(port).infer(marked(observed(1)))["actions"].tobytes() == in_process(observed(1))


def test_openpis_client_raises_what_the_server_says(port):
    with pytest.raises(RuntimeError, match="'prompt' is missing"):
        client(port).infer({key: value for key, value in marked(observed(0)).items() if key != "prompt"})


def test_simevals_client_makes_an_episodes_error_of_it(port):
    policy = remote.load(f"openpi://127.0.0.1:{port}")
    with pytest.raises(EpisodeError, match="the policy cannot answer: FileNotFoundError"):
        policy.act([replace(observed(0), instruction="break")])
    assert policy.act([observed(0)])[0].tobytes() == in_process(observed(0))


def test_requests_of_four_connections_form_batches_and_get_their_own_answers(policy, port):
    def ask(start: int) -> list[bytes]:
        asking = client(port)
        return [asking.infer(marked(observed(start + seed)))["actions"].tobytes() for seed in range(20)]

    policy.batches.clear()
    with ThreadPoolExecutor(5) as pool:
        policy.go.clear()
        blocker = pool.submit(client(port).infer, marked(replace(observed(999), instruction="wait")))
        answers = [pool.submit(ask, 100 * index) for index in range(4)]
        until = time.monotonic() + 10
        while policy.batches != [1] or not all(future.running() for future in answers):
            assert time.monotonic() < until
            time.sleep(0.01)
        time.sleep(0.3)  # the first requests of all four wait
        policy.go.set()
        assert blocker.result(10)["actions"].tobytes() == in_process(observed(999))
        for index, future in enumerate(answers):
            assert future.result(30) == [in_process(observed(100 * index + seed)) for seed in range(20)]
    assert sum(policy.batches) == 81
    assert policy.batches[:2] == [1, 4]
    assert max(policy.batches) == 4


def test_a_client_that_leaves_leaves_no_work_behind(policy, port):
    policy.go.clear()
    policy.seen.clear()
    with ThreadPoolExecutor(1) as pool:
        blocker = pool.submit(client(port).infer, marked(replace(observed(0), instruction="wait")))
        until = time.monotonic() + 10
        while "wait" not in policy.seen:
            assert time.monotonic() < until
            time.sleep(0.01)
        for _ in range(5):
            with raw(port) as connection:
                connection.recv()
                connection.send(changed(prompt="of a dead client"))
                time.sleep(0.05)
                connection.socket.shutdown(socket.SHUT_RDWR)
        time.sleep(0.3)
        policy.go.set()
        blocker.result(10)
    assert client(port).infer(marked(observed(1)))["actions"].tobytes() == in_process(observed(1))
    assert "of a dead client" not in policy.seen


def test_a_client_that_does_not_read_holds_up_nobody(port):
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(("127.0.0.1", port))
        key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13"
        deaf.sendall(
            f"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{key}\r\n\r\n".encode()
        )
        body = packb({"endpoint": "reset"})
        frame = bytes([0x82, 0x80 | len(body), 0, 0, 0, 0]) + body
        deaf.setblocking(False)
        sent = 0
        with contextlib.suppress(BlockingIOError):
            while sent < 100 * 2**20:
                sent += deaf.send(frame * 4096)
        assert sent < 100 * 2**20  # the server has stopped to read
        assert client(port).infer(marked(observed(1)))["actions"].tobytes() == in_process(observed(1))


def status(port: int, path: str = "/healthz", **headers) -> int:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_it_answers_about_its_health_and_refuses_what_is_no_connection(port):
    assert status(port) == 200
    assert status(port, "/") == 426


def test_pages_of_a_browser_are_refused(port):
    with pytest.raises(InvalidStatus) as refused, raw(port, origin="http://example.org"):
        pass
    assert refused.value.response.status_code == 403


def test_there_is_an_end_to_connections(port, monkeypatch):
    monkeypatch.setattr(serve, "MAX_CONNECTIONS", 2)
    with served(RandomPolicy()) as other, raw(other) as first, raw(other) as second:
        with pytest.raises(InvalidStatus) as refused, raw(other):
            pass
        assert refused.value.response.status_code == 503
        assert status(other) == 200
        first.recv()
        second.recv()
        second.close()
        until = time.monotonic() + 10
        while True:
            try:
                with raw(other):
                    break
            except InvalidStatus:
                assert time.monotonic() < until
                time.sleep(0.02)


def test_a_key_is_required_if_there_is_one(monkeypatch):
    with served(RandomPolicy(), key="s3cret") as port:
        assert status(port) == 200
        for headers in ({}, {"Authorization": "Api-Key s3cre"}, {"Authorization": "Bearer s3cret"}):
            with pytest.raises(InvalidStatus) as refused, raw(port, additional_headers=headers):
                pass
            assert refused.value.response.status_code == 401
        asking = WebsocketClientPolicy("127.0.0.1", port, api_key="s3cret")
        assert asking.get_server_metadata()["policy"] == "random"
        monkeypatch.delenv("SIMEVAL_API_KEY", raising=False)
        with pytest.raises(ConfigError, match="it wants a key; set SIMEVAL_API_KEY"):
            remote.load(f"openpi://127.0.0.1:{port}")
        monkeypatch.setenv("SIMEVAL_API_KEY", "s3cret")
        assert remote.load(f"openpi://127.0.0.1:{port}").spec.name == "random"


def test_the_bundled_policy_gives_the_same_chunks_over_the_wire():
    policy = load("bundled", device="cpu", batch_size=2)
    items = [observed(seed, side=256) for seed in range(6)]
    alone = [policy.act([item])[0].tobytes() for item in items]
    with served(policy, batch_size=2) as port, ThreadPoolExecutor(3) as pool:
        one = remote.load(f"openpi://127.0.0.1:{port}")
        clients = [pickle.loads(pickle.dumps(one)) for _ in range(3)]
        answers = list(pool.map(lambda index: clients[index].act(items[index::3]), range(3)))
    for name in ("name", "n_action_steps", "cameras", "state_std", "action_std", "state_limits", "action_limits"):
        assert getattr(one.spec, name) == getattr(policy.spec, name), name
    for index, chunks in enumerate(answers):
        assert [chunk.tobytes() for chunk in chunks] == alone[index::3]


class Short(Listening):
    def act(self, inputs):
        return [np.zeros((1, 7), np.float32) for _ in inputs]


class Broken(Listening):
    def act(self, inputs):
        raise ValueError("no\nweights")


@pytest.mark.parametrize(
    ("policy", "line"),
    [
        (LiberoExpert(), "--policy expert: it sees the simulator's state"),
        (Short(), r"chunks of shape \[1, 7\], must be at least 2 actions of size 7"),
        (Broken(), "policy 'listening' cannot predict: ValueError: no weights"),
    ],
)
def test_a_policy_that_cannot_be_served_is_refused(policy, line):
    with pytest.raises(ConfigError, match=line):
        PolicyServer(policy)
