"""Stubs of three more protocols, made from their schemas: `/act` over HTTP, GR00T's ZeroMQ, vla-eval's WebSocket."""

import base64
import contextlib
import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgpack
import numpy as np
import zmq
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import serve


def json_array(array: np.ndarray) -> dict:
    """As json-numpy 2.1.1 writes an array."""
    data = base64.b64encode(np.ascontiguousarray(array).data).decode()
    return {"__numpy__": data, "dtype": np.lib.format.dtype_to_descr(array.dtype), "shape": list(array.shape)}


def from_json(entries: dict):
    if "__numpy__" not in entries:
        return entries
    data = base64.b64decode(entries["__numpy__"])
    return np.frombuffer(data, np.lib.format.descr_to_dtype(entries["dtype"])).reshape(entries["shape"])


@dataclass
class Recorder:
    """What a stub got, and how it answers.

    Attributes:
        answer: gets the decoded request; returns the answer.
        requests: decoded requests.
        headers: of HTTP requests.
        port: where it listens.
    """

    answer: Callable
    requests: list = field(default_factory=list)
    headers: list = field(default_factory=list)
    port: int = 0


@contextlib.contextmanager
def act_server(answer: Callable) -> Iterator[Recorder]:
    """A server of `/act`; an answer is (status, bytes), or a value that becomes JSON, or a function of the handler."""
    recorder = Recorder(answer)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            recorder.headers.append({**self.headers, "path": self.path})
            recorder.requests.append(json.loads(body, object_hook=from_json))
            result = recorder.answer(recorder.requests[-1])
            if callable(result):
                result(self)
                return
            status, content = (
                result if isinstance(result, tuple) else (200, json.dumps(result, default=json_array).encode())
            )
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None: ...

        def handle(self) -> None:
            with contextlib.suppress(OSError):
                super().handle()

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        recorder.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield recorder
        server.shutdown()


def npy(array: np.ndarray) -> dict:
    """As Isaac-GR00T's MsgSerializer writes an array."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return {"__ndarray_class__": True, "as_npy": file.getvalue()}


def from_npy(entries: dict):
    return np.load(io.BytesIO(entries["as_npy"])) if "__ndarray_class__" in entries else entries


MODALITIES = {"action": {"__ModalityConfig_class__": True, "as_json": '{"delta_indices": [0], "modality_keys": ["x"]}'}}


@contextlib.contextmanager
def gr00t_server(answer: Callable, modalities: object = MODALITIES, port: int | None = None) -> Iterator[Recorder]:
    """A server of GR00T's protocol; an answer is packed, bytes are sent as they are, `None` sends nothing."""
    recorder, over = Recorder(answer), threading.Event()
    context = zmq.Context()
    server = context.socket(zmq.ROUTER)
    server.setsockopt(zmq.LINGER, 0)
    recorder.port = port or 0
    if port:
        server.bind(f"tcp://127.0.0.1:{port}")
    else:
        recorder.port = server.bind_to_random_port("tcp://127.0.0.1")

    def reply(request: dict):
        match request["endpoint"]:
            case "ping":
                return {"status": "ok", "message": "Server is running"}
            case "get_modality_config":
                return modalities
            case "reset":
                return {}
        return recorder.answer(request["data"]["observation"])

    def run() -> None:
        while not over.is_set():
            if not server.poll(20):
                continue
            *envelope, message = server.recv_multipart()
            request = msgpack.unpackb(message, object_hook=from_npy)
            recorder.requests.append(request)
            result = reply(request)
            if result is not None:
                data = result if isinstance(result, bytes) else msgpack.packb(result, default=npy)
                server.send_multipart([*envelope, data])
        server.close(0)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield recorder
    over.set()
    thread.join(5)
    context.term()


def str_array(array: np.ndarray) -> dict:
    """As vla-eval 0.8.0 writes an array that is no image."""
    return {"__ndarray__": True, "data": array.tobytes(), "dtype": array.dtype.str, "shape": list(array.shape)}


def from_str_array(entries: dict):
    if "__ndarray__" not in entries:
        return entries
    return np.frombuffer(entries["data"], np.dtype(entries["dtype"])).reshape(entries["shape"])


@contextlib.contextmanager
def vla_eval_server(answer: Callable, port: int = 0, hello: dict | None = None) -> Iterator[Recorder]:
    """A model server of vla-eval: an answer is the payload of an action, or a whole message with a `type`."""
    recorder = Recorder(answer)

    def handle(connection) -> None:
        def send(kind: str, payload: dict, seq: int) -> None:
            message = {"type": kind, "payload": payload, "seq": seq, "timestamp": time.time()}
            connection.send(msgpack.packb(message, default=str_array))

        with contextlib.suppress(ConnectionClosed):
            for data in connection:
                message = msgpack.unpackb(data, object_hook=from_str_array)
                recorder.requests.append(message)
                match message["type"]:
                    case "hello":
                        greeting = {"harness_version": "0.8.0", "protocol_version": 1, "model_server": "Stub"}
                        send("hello", greeting | (hello or {}), message["seq"])
                    case "observation":
                        result = recorder.answer(message["payload"])
                        if result is None:
                            return
                        if "type" in result:
                            connection.send(msgpack.packb({"payload": {}, "seq": message["seq"]} | result))
                        else:
                            send("action", result, message["seq"])

    with serve(handle, "127.0.0.1", port, compression=None, max_size=None, close_timeout=0.1) as server:
        recorder.port = server.socket.getsockname()[1]
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield recorder
        server.shutdown()
        thread.join(5)
