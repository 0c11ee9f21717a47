"""The viewer over a folder: in this process, and as a command."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import anyio
import httpx

from simeval.viewer.app import Viewer
from simeval.viewer.clips import Clips
from simeval.viewer.library import Library


class Client:
    """Asks an application as a browser on this machine does; cookies are not kept."""

    def __init__(self, app, host: str = "127.0.0.1:8765") -> None:
        self.app, self.host = app, host

    def get(self, path: str, *, method: str = "GET", **headers: str) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app)
            async with httpx.AsyncClient(transport=transport, base_url=f"http://{self.host}") as client:
                named = {name.replace("_", "-"): value for name, value in headers.items()}
                return await client.request(method, path, headers=named)

        return anyio.run(ask)

    def settled(self, path: str) -> httpx.Response:
        """As `get`, once the numbers of all rows have been computed."""
        deadline = time.monotonic() + 60
        while True:
            answer = self.get(path)
            if 'class="pending"' not in answer.text and "are those after" not in answer.text:
                return answer
            assert time.monotonic() < deadline, answer.text
            time.sleep(0.1)


def open_viewer(folder: Path, cache: Path, *, token: str | None = None, limit: int = 10**8) -> Client:
    """The viewer over a folder, in this process."""
    return Client(Viewer(Library(folder), Clips(limit=limit, folder=cache)).application(token))


@contextlib.contextmanager
def viewing(folder: Path, cache: Path, *words: object) -> Iterator[str]:
    """`simeval view` in a process of its own; yields the address that it prints."""
    command = [sys.executable, "-m", "simeval.cli", "view", str(folder), "--port", "0", *map(str, words)]
    environment = os.environ | {"XDG_CACHE_HOME": str(cache)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        line = process.stdout.readline()
        assert line.startswith(f"viewing {folder}: http://"), line
        yield line.rpartition(" ")[2].strip()
    finally:
        process.terminate()
        process.wait(timeout=20)
