"""A policy object of this process for worker processes: served on the loopback interface while a run lasts."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator

from simeval.core.errors import ConfigError, RunError
from simeval.policies.base import Policy
from simeval.policies.remote.listen import bind, location
from simeval.policies.remote.load import load
from simeval.policies.remote.policy import ServerPolicy
from simeval.policies.remote.serve import PolicyServer

_START_S, _END_S = 60.0, 30.0
"""Seconds for the server to start, and for its last answer when it ends."""


@contextlib.contextmanager
def served_to_workers(policy: Policy, *, batch_size: int = 1) -> Iterator[ServerPolicy]:
    """Serve a policy from a thread; yields what workers ask it by. Its spec is that of the object.

    Args:
        policy: the policy; it is called in one thread, which is not the caller's.
        batch_size: most requests per call of the policy.

    Raises:
        ConfigError: it cannot predict, or its answers cannot be executed.
        RunError: the server does not start.
    """
    if policy.spec.privileged:
        raise ConfigError(
            f"policy {policy.spec.name}: it sees the simulator's state, which workers do not send; workers=0"
        )
    loop, ready = asyncio.new_event_loop(), threading.Event()
    with bind("127.0.0.1", 0) as bound:
        server = PolicyServer(policy, batch_size=batch_size)
        running = loop.create_task(server.run(bound, ready.set))

        def serve() -> None:
            with contextlib.suppress(asyncio.CancelledError):
                loop.run_until_complete(running)

        thread = threading.Thread(target=serve, name="simeval-policy", daemon=True)
        thread.start()
        try:
            if not ready.wait(_START_S):
                raise RunError(f"policy {policy.spec.name}: its server did not start within {_START_S:g} s")
            yield load(f"openpi://{location(bound, '127.0.0.1')}", warn=False).with_spec(policy.spec)
        finally:
            loop.call_soon_threadsafe(running.cancel)
            thread.join(_END_S)
