"""openpi's protocol: WebSocket, msgpack with arrays, one request and one answer at a time.

The server speaks first, with a map of metadata. A text frame is a traceback, after which the server closes.
"""

import time
import uuid
from collections.abc import Mapping
from typing import Any

from simeval.policies.remote.channel import Address, Limits, ServerError, refuse_error_map
from simeval.policies.remote.codec import decoded, encoded
from simeval.policies.remote.websocket import WebSocket


class OpenpiChannel:
    """A connection to an openpi server."""

    lasting = True

    def __init__(self, address: Address, limits: Limits, *, secure: bool) -> None:
        """Connects, and reads the metadata.

        Raises:
            GoneError: nobody answers, or not now.
            ServerError: something else than such a server answers.
            ConfigError: websockets or msgpack is not installed.
        """
        self._max_bytes, began = limits.max_bytes, time.monotonic()
        self._socket = WebSocket(address, limits, secure=secure)
        try:
            left = max(0.05, limits.connect_s - (time.monotonic() - began))
            message = self._socket.receive(left, f"no metadata came within {limits.connect_s:g} s")
            metadata = decoded(message, self._max_bytes)
            if not isinstance(metadata, Mapping):
                raise ServerError(f"its first message is a {type(metadata).__name__}, not a map with metadata")
            refuse_error_map(metadata)
        except BaseException:
            self.close()
            raise
        self._session: dict[str, str] = {}
        self.metadata: Mapping[str, Any] = {
            key.decode("utf-8", "replace") if isinstance(key, bytes) else key: value for key, value in metadata.items()
        }
        self.keeps_state = self.metadata.get("needs_session_id") is True

    def begin_episode(self, instruction: str, seconds: float) -> None:
        """A new session for servers with sessions (vLLM-Omni); nothing for all others."""
        if self.metadata.get("needs_session_id") is True:
            self._session = {"session_id": uuid.uuid4().hex}
            self._exchanged({"endpoint": "reset", **self._session}, seconds)

    def ask(self, request: Mapping[str, Any], seconds: float) -> Any:
        """See `Channel.ask`."""
        return self._exchanged({**request, **self._session}, seconds)

    def _exchanged(self, request: Mapping[str, Any], seconds: float) -> Any:
        answer = decoded(self._socket.exchange(encoded(request), seconds), self._max_bytes)
        refuse_error_map(answer)
        return answer

    def close(self) -> None:
        """See `Channel.close`."""
        self._socket.close()
