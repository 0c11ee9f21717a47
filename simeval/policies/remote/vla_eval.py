"""vla-eval's protocol: WebSocket, msgpack with str keys, typed messages, one action per observation.

The server keeps the episode: it executes its chunks itself. So an episode cannot go on over another connection.
"""

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from simeval.core.texts import shown
from simeval.policies.remote.channel import Address, Limits, ServerError, said
from simeval.policies.remote.codec import decoded, encoded
from simeval.policies.remote.websocket import WebSocket

_VERSION = 1


class VlaEvalChannel:
    """A connection to one of vla-eval's model servers."""

    lasting = True
    keeps_state = True

    def __init__(self, address: Address, limits: Limits) -> None:
        """Connects, and exchanges greetings; the server's is its metadata.

        Raises:
            GoneError: nobody answers.
            ServerError: something else than such a server answers, or it speaks another version.
            ConfigError: websockets or msgpack is not installed.
        """
        self._max_bytes, self._number, self._started = limits.max_bytes, 0, False
        self._socket = WebSocket(address, limits, secure=False)
        try:
            greeting = {"harness_version": "simeval", "protocol_version": _VERSION}
            payload = self._answered("hello", greeting, "hello", limits.connect_s)
            version = shown(payload.get("protocol_version"), 20)
            if version != str(_VERSION):
                raise ServerError(f"it speaks version {version} of vla-eval's protocol, not {_VERSION}")
            parameters = payload.get("observation_params")
            if isinstance(parameters, Mapping) and parameters.get("absolute_action"):
                raise ServerError("its actions are absolute, and the environments take changes of the pose only")
        except BaseException:
            self.close()
            raise
        self.metadata: Mapping[str, Any] = payload

    def begin_episode(self, instruction: str, seconds: float) -> None:
        """End the episode before, and begin one; the server does not answer to either."""
        if self._started:
            self._sent("episode_end", {}, seconds)
        self._sent("episode_start", {"task": {"name": instruction}}, seconds)
        self._started = True

    def ask(self, request: Mapping[str, Any], seconds: float) -> Any:
        """See `Channel.ask`."""
        payload = self._answered("observation", request, "action", seconds)
        action = payload.get("actions", payload.get("action"))
        if action is None:
            raise ServerError(f"its answer has no 'actions', only: {shown(', '.join(map(str, payload)) or 'nothing')}")
        return action

    def close(self) -> None:
        """See `Channel.close`."""
        self._socket.close()

    def _sent(self, kind: str, payload: Mapping[str, Any], seconds: float) -> None:
        self._number += 1
        message = {"type": kind, "payload": _with_str_keys(payload), "seq": self._number, "timestamp": time.time()}
        self._socket.send(encoded(message), seconds)

    def _answered(self, kind: str, payload: Mapping[str, Any], wanted: str, seconds: float) -> Mapping[str, Any]:
        """Send a message; the payload of the answer to it."""
        began = time.monotonic()
        self._sent(kind, payload, seconds)
        left = max(0.01, seconds - (time.monotonic() - began))
        answer = decoded(self._socket.receive(left, f"no answer came within {seconds:g} s"), self._max_bytes)
        if not isinstance(answer, Mapping) or not isinstance(answer.get("payload"), Mapping):
            raise ServerError("its answer is no message of vla-eval's protocol")
        content: Mapping[str, Any] = answer["payload"]
        if answer.get("type") == "error":
            raise ServerError(f"the server reports an error: {said(str(content.get('error', 'without a reason')))}")
        if answer.get("type") != wanted:
            raise ServerError(f"it answers with '{shown(answer.get('type'), 40)}', not '{wanted}'")
        if answer.get("seq") != self._number:
            raise ServerError(f"it answers message {shown(answer.get('seq'), 20)}, not {self._number}")
        return content


def _with_str_keys(value: Any) -> Any:
    """A value with its arrays as vla-eval writes them; images without compression."""
    if isinstance(value, Mapping):
        return {key: _with_str_keys(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_with_str_keys(part) for part in value]
    if not isinstance(value, np.ndarray):
        return value
    return {
        "__ndarray__": True,
        "data": value.tobytes(),
        "dtype": value.dtype.str,
        "shape": list(value.shape),
    }
