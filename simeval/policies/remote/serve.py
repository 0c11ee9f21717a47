"""A policy behind a WebSocket in openpi's protocol: many connections, one batched policy.

A connection gets the announcement (`announcement`), then one answer per request, in order. Requests that
several connections have sent at the same time are one call of the policy.

Non-obvious behaviour:
- A request that cannot be answered gets a text frame of one line, and its connection is closed with 1011, as openpi
  does. Other connections go on.
- Nothing is kept for a client that does not read or does not answer pings: a connection has one request at a time, and
  no more of its messages are read meanwhile.
- A page in a browser could connect to a server on its own machine. Browsers name the page in `Origin`, and no client of
  a policy does, so requests with one are refused.
- Texts that leave this process contain no paths of this machine.
"""

import asyncio
import contextlib
import hmac
import http
import logging
import re
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.base import ACTION_SIZE, STATE_SIZE, Observation
from simeval.core.errors import ConfigError, error_line
from simeval.core.texts import shown
from simeval.policies.base import Policy, PolicyInput
from simeval.policies.batching import BatchQueue, Failure
from simeval.policies.remote.announcement import announcement
from simeval.policies.remote.codec import CodecError, pack, unpack
from simeval.policies.remote.extra import need
from simeval.policies.remote.listen import listen
from simeval.policies.remote.requests import RequestError, input_of

MAX_BYTES = 16 * 2**20
"""Largest request. Two images of 1024 px take 6.3 MB."""

MAX_CONNECTIONS = 256
_READ_AHEAD = 1
"""Frames of a connection that wait while its request is answered."""
_PING_EVERY, _PONG_WITHIN = 20.0, 60.0
"""Seconds. A simulator may not let its client's threads answer while it builds a scene."""
_CLOSE_WITHIN = 2.0
_PROBE_SIZE = (256, 256)

_PATH = re.compile(r"(?<![\w.])(?:~|[A-Za-z]:)?(?:[/\\][\w.+@=,-]+)+[/\\]([\w.+@=,-]+)[/\\]?")
"""An absolute path; its last part is a group."""

_log = logging.getLogger("simeval")


class _LeftError(Exception):
    """The client has closed its connection, or is dead."""


class PolicyServer:
    """A policy that `run` serves; see the module's docstring."""

    def __init__(
        self, policy: Policy, *, batch_size: int = 1, numerics: str = "portable", key: str | None = None
    ) -> None:
        """Run the policy once, for the length of its chunks.

        Args:
            policy: the policy; it is called in one thread.
            batch_size: most requests per call of the policy.
            numerics: of this process, for the announcement.
            key: what clients must send as `Authorization: Api-Key KEY`; `None` for nothing.

        Raises:
            ConfigError: its inputs cannot be sent, or it cannot predict.
        """
        need("websockets.asyncio.server")
        if (policy.spec.action_size, policy.spec.state_size) != (ACTION_SIZE, STATE_SIZE):
            raise ConfigError(
                f"--policy {policy.spec.name}: its actions have {policy.spec.action_size} numbers and its states "
                f"{policy.spec.state_size}; requests and answers have LIBERO's {STATE_SIZE} and {ACTION_SIZE}"
            )
        if policy.spec.privileged:
            raise ConfigError(f"--policy {policy.spec.name}: it sees the simulator's state, which requests do not have")
        horizon = _action_horizon(policy)
        self._spec, self._key = policy.spec, key
        self._announcement = pack(
            announcement(policy.spec, action_horizon=horizon, batch_size=batch_size, numerics=numerics)
        )
        self._queue = BatchQueue(lambda: policy, batch_size)
        self._connections = 0

    async def run(self, bound: socket.socket, ready: Callable[[], None]) -> None:
        """Serve until it is cancelled.

        Args:
            bound: made by `listen.bind`.
            ready: called when clients can connect.

        Raises:
            ConfigError: another program has begun to listen at the address meanwhile.
        """
        listen(bound)
        server = await need("websockets.asyncio.server").serve(
            self._handle,
            sock=bound,
            process_request=self._admit,
            origins=[None],
            compression=None,
            max_size=MAX_BYTES,
            max_queue=_READ_AHEAD,
            ping_interval=_PING_EVERY,
            ping_timeout=_PONG_WITHIN,
            close_timeout=_CLOSE_WITHIN,
            logger=_silent(),
        )
        try:
            ready()
            # Not `serve_forever`: when it is cancelled it waits for the clients to leave.
            await asyncio.get_running_loop().create_future()
        finally:
            server.close()
            await server.wait_closed()
            self._queue.close()

    def _admit(self, connection: Any, request: Any) -> Any:
        """Answer what is no connection, or may not be one; `None` goes on."""
        if request.path.partition("?")[0] == "/healthz":
            return connection.respond(http.HTTPStatus.OK, "OK\n")
        if self._key is not None:
            given = request.headers.get_all("Authorization")
            expected = f"Api-Key {self._key}".encode()
            if len(given) != 1 or not hmac.compare_digest(given[0].encode("utf-8", "replace"), expected):
                text = "this server needs its key in the header 'Authorization: Api-Key KEY'\n"
                return connection.respond(http.HTTPStatus.UNAUTHORIZED, text)
        if self._connections >= MAX_CONNECTIONS:
            text = f"this server has {MAX_CONNECTIONS} connections, and takes no more\n"
            return connection.respond(http.HTTPStatus.SERVICE_UNAVAILABLE, text)
        return None

    async def _handle(self, connection: Any) -> None:
        """One connection, from the announcement to its end."""
        left = (_LeftError, need("websockets.exceptions").ConnectionClosed)
        self._connections += 1
        try:
            await self._converse(connection)
        except left:
            pass
        except RequestError as error:
            await _refuse(connection, str(error))
        except Exception as error:  # noqa: BLE001  a fault here must end this connection only
            await _refuse(connection, f"internal error: {error_line(error)}")
        finally:
            self._connections -= 1

    async def _converse(self, connection: Any) -> None:
        """Answer requests until the client leaves.

        Raises:
            RequestError: one cannot be answered.
            _LeftError, ConnectionClosed: the client has left.
        """
        gone = asyncio.ensure_future(connection.wait_closed())
        timing: dict[str, float] = {}
        try:
            await connection.send(self._announcement)
            while True:
                message = await connection.recv()
                start = time.perf_counter()
                reply = await self._reply(message, gone)
                if "actions" in reply:
                    infer_ms = 1e3 * (time.perf_counter() - start)
                    reply = {**reply, "server_timing": {"infer_ms": infer_ms, **timing}}
                await connection.send(pack(reply))
                timing = {"prev_total_ms": 1e3 * (time.perf_counter() - start)}
        finally:
            gone.cancel()

    async def _reply(self, message: bytes | str, gone: "asyncio.Future[None]") -> Mapping[str, Any]:
        if isinstance(message, str):
            raise RequestError("a request is a binary frame with msgpack, not a text frame")
        try:
            request = unpack(message, MAX_BYTES)
        except CodecError as error:
            raise RequestError(str(error)) from None
        endpoint = request.get("endpoint", "infer") if isinstance(request, Mapping) else "infer"
        if not isinstance(endpoint, str) or endpoint not in ("infer", "reset"):
            raise RequestError(f"endpoint: must be 'infer' or 'reset', not {shown(endpoint, 40)}")
        if endpoint == "reset":
            return {"status": "reset successful"}  # nothing is kept from one request to the next
        return {"actions": await self._actions(input_of(request, self._spec), gone)}

    async def _actions(self, item: PolicyInput, gone: "asyncio.Future[None]") -> NDArray[np.float32]:
        """The chunk for an input; given up when the client leaves, so that a dead one leaves no work behind."""
        answer = asyncio.ensure_future(self._queue.act([item]))
        either: set[asyncio.Future[Any]] = {answer, gone}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                raise _LeftError
        finally:
            answer.cancel()
        (chunk,) = answer.result()
        if isinstance(chunk, Failure):
            raise RequestError(f"the policy cannot answer: {chunk.text}")
        if not np.isfinite(chunk).all():
            raise RequestError("the policy cannot answer: its actions are not finite")
        return np.asarray(chunk, np.float32)


async def _refuse(connection: Any, reason: str) -> None:
    """Send one line, close the connection, and say so on standard error."""
    text = shown(_PATH.sub(r".../\1", " ".join(reason.split())), 500)
    peer = connection.remote_address
    _log.warning("simeval: refused a request of %s: %s", peer[0] if peer else "a client", text)
    with contextlib.suppress(need("websockets.exceptions").ConnectionClosed):
        await connection.send(text)
        await connection.close(1011, "the frame before says why")


def _action_horizon(policy: Policy) -> int:
    """Actions per chunk, from a trial with black images.

    Raises:
        ConfigError: the policy cannot predict.
    """
    image = np.zeros((*(policy.spec.image_size or _PROBE_SIZE), 3), np.uint8)
    observation = Observation(dict.fromkeys(policy.spec.cameras, image), np.zeros(STATE_SIZE, np.float32), 0)
    try:
        past = (observation,) * (policy.spec.n_obs_steps - 1)
        (chunk,) = policy.act([PolicyInput(observation, "", "", 0, 0, None, "trial", past)])
        shape = np.shape(chunk)
    except Exception as error:
        raise ConfigError(f"policy '{policy.spec.name}' cannot predict: {error_line(error)}") from error
    if len(shape) != 2 or shape[0] < policy.spec.n_action_steps or shape[1] != ACTION_SIZE:
        raise ConfigError(
            f"policy '{policy.spec.name}' predicts chunks of shape {list(shape)}, "
            f"must be at least {policy.spec.n_action_steps} actions of size {ACTION_SIZE}"
        )
    return int(shape[0])


def _silent() -> logging.Logger:
    """A logger for the library: it would print a traceback for everything that is no WebSocket."""
    logger = logging.getLogger("simeval.websockets")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    return logger
