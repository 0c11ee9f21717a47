"""Serves the pages until Ctrl-C."""

import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from simeval.core.errors import ConfigError
from simeval.core.files import is_file
from simeval.policies.remote.listen import bind, is_local, location
from simeval.store.run import NO_RUN, REPRESENTATION
from simeval.viewer.app import Viewer
from simeval.viewer.clips import Clips
from simeval.viewer.guard import TOKEN
from simeval.viewer.library import Library


@dataclass(frozen=True)
class ViewConfig:
    """What `simeval view` does.

    Attributes:
        root: folder of runs, or a run.
        host: address to listen at; at any other than this machine's own loopback a token is asked for.
        port: port, 0 for any free one.
        cache: bytes that rendered videos may take.
        plugins: files that the user named, for videos of runs that were made with them.
    """

    root: Path
    host: str
    port: int
    cache: int
    plugins: tuple[str, ...] = ()


def serve(config: ViewConfig, announce: Callable[[str], None]) -> None:
    """Serve until Ctrl-C.

    Args:
        config: what to show, and where.
        announce: gets the address when the server can answer.

    Raises:
        ConfigError: it is no folder of runs, or the address cannot be had.
    """
    if is_file(config.root):
        raise ConfigError(f"{config.root}: is a file; name the folder of your runs, or a run")
    if not config.root.is_dir():
        raise ConfigError(f"{config.root}: no such folder; name the folder of your runs, or a run")
    if is_file(config.root / REPRESENTATION):
        raise ConfigError(f"{config.root}: {NO_RUN}")
    with bind(config.host, config.port) as bound:
        token = None if is_local(bound) else secrets.token_urlsafe(24)
        clips = Clips(limit=config.cache, plugins=config.plugins)
        app = Viewer(Library(config.root), clips).application(token)
        options = uvicorn.Config(
            app, access_log=False, log_level="warning", lifespan="off", ws="none", server_header=False,
            timeout_graceful_shutdown=1,
        )  # fmt: skip
        ending = f"/?{TOKEN}={token}" if token else "/"
        server = _Server(options, lambda: announce(f"http://{location(bound, config.host)}{ending}"))
        try:
            server.run(sockets=[bound])
        finally:
            clips.close()


class _Server(uvicorn.Server):
    """A server that says when it can answer."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """See the base class."""
        await super().startup(sockets)
        if self.started:
            self._ready()
