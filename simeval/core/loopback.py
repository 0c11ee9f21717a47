"""The loopback interface, over which the processes of a run talk."""

import socket

LOOPBACK = "127.0.0.1"


def loopback_fault() -> str | None:
    """Why this machine cannot reach itself, as in a container without a network; `None` if it can.

    Ray does not find out: it waits for minutes.
    """
    try:
        with socket.create_server((LOOPBACK, 0)) as server:
            socket.create_connection(server.getsockname(), timeout=10).close()
    except OSError as error:
        return f"this machine cannot reach itself at {LOOPBACK}: {error.strerror or error}"
    return None
