"""Ray on this machine with those of its processes alone that a run needs.

Beside the two that schedule (GCS, raylet) and the raylet's own agents, Ray starts three Python processes: the server of
its dashboard, for which it waits, the log monitor, which sends the workers' output to the driver, and the autoscaler's
monitor, which asks for more nodes. A run uses none of them, and together they take more processor time than its workers
need to be ready.
"""

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

LEFT_OUT = ("start_api_server", "start_log_monitor", "start_monitor")
"""Methods of Ray's `Node`, each of which starts one process (Ray 2.40 to 2.60)."""


@contextlib.contextmanager
def lean() -> Iterator[None]:
    """Make a Ray that the body starts leave out what a run does not need; a newer Ray may start more of it again."""
    from ray._private.node import Node

    before = {name: vars(Node)[name] for name in LEFT_OUT if name in vars(Node)}
    for name in before:
        setattr(Node, name, _start_nothing)
    try:
        with _without_dashboard():
            yield
    finally:
        for name, method in before.items():
            setattr(Node, name, method)


def _start_nothing(_node: Any, **_options: Any) -> None:
    pass


@contextlib.contextmanager
def _without_dashboard() -> Iterator[None]:
    """Make Ray start as if the packages of its dashboard were missing, so that its agent loads none of its modules."""
    name = "ray.dashboard.optional_deps"
    before = sys.modules.get(name)
    sys.modules[name] = None  # type: ignore[assignment]  # Python's mark for a module that cannot be imported
    try:
        yield
    finally:
        del sys.modules[name]
        if before is not None:
            sys.modules[name] = before
