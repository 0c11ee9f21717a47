"""Videos on demand: a bounded cache of files, and one process that makes those that are missing.

Non-obvious behaviour:
- A page asks again and again until its videos are there. A request that is not repeated for a while is dropped, so
  that paging through episodes does not leave a queue behind; the newest request is served first.
- Two viewers may share the cache: a file is complete or absent, and is named by all that it depends on.
"""

import contextlib
import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec

from envs.caches import cache_folder
from simeval.core.errors import error_line
from simeval.core.types import EpisodeResult
from simeval.store.run import trace_path
from simeval.viewer.library import StoredRun
from simeval.viewer.request import LARGE, VERSION, Answer, Request

PATIENCE = 15.0
"""A request that nobody repeated for so long is dropped (s)."""
AGAIN = 10.0
"""A video that could not be made is tried again by a page that is loaded so long afterwards (s)."""
IDLE = 120.0
"""The renderer ends after so long without a request: its scenes take memory (s)."""
LONGEST = 300.0
"""The renderer is ended if it says nothing for so long (s); building a LIBERO scene takes seconds."""
FRESH = 60.0
"""A file is not removed from the cache so soon after its last use (s)."""


@dataclass(frozen=True, slots=True)
class Clip:
    """A video of an episode, ready or not.

    Attributes:
        key: its name in the cache.
        state: `ready`, `waiting`, `rendering` or `failed`.
        frames: frames rendered so far.
        text: the reason of a failure, or a note about a ready one.
    """

    key: str
    state: str
    frames: int = 0
    text: str = ""


@dataclass(eq=False)
class _Job:
    request: Request
    wanted: float
    frames: int = 0


class Clips:
    """The cache and its renderer. Safe to use from several threads.

    Attributes:
        folder: of the files.
        limit: bytes that they may take.
    """

    def __init__(self, *, limit: int, plugins: tuple[str, ...] = (), folder: Path | None = None) -> None:
        """Starts nothing yet.

        Args:
            limit: bytes that the files may take.
            plugins: files that the user named, for runs that were made with them.
            folder: of the files; by default in the user's cache.
        """
        self.folder, self.limit = folder or cache_folder("view"), limit
        self._plugins = plugins
        self._wake = threading.Condition()
        self._jobs: dict[str, _Job] = {}
        self._failed: dict[str, tuple[str, float]] = {}
        self._current = ""
        self._thread: threading.Thread | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def get(self, stored: StoredRun, result: EpisodeResult, view: str) -> Clip:
        """The video of an episode; one that is missing is asked for.

        Args:
            stored: its run.
            result: the episode.
            view: one of `simeval.viewer.request.VIEWS`.
        """
        key = _key(stored, result, view)
        if self.path(key) is not None:
            return Clip(key, "ready", text=self._note(key))
        with self._wake:
            failure, until = self._failed.get(key, ("", 0.0))
            if time.monotonic() < until:
                return Clip(key, "failed", text=failure)
            job = self._jobs.get(key)
            if job is None:
                out = str(self.folder / f"{key}.mp4")
                request = Request(str(stored.run.folder), result, view, out, self._plugins)
                job = self._jobs[key] = _Job(request, 0.0)
            job.wanted = time.monotonic()
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="clips", daemon=True)
                self._thread.start()
            self._wake.notify()
            return Clip(key, "rendering" if key == self._current else "waiting", job.frames)

    def path(self, key: str) -> Path | None:
        """The file of a video, if it is there; it counts as used now.

        Args:
            key: as in `Clip`; anything else is no file.
        """
        if len(key) != _LETTERS or not set(key) <= set("0123456789abcdef"):
            return None
        path = self.folder / f"{key}.mp4"
        try:
            os.utime(path)
        except OSError:
            return None
        return path

    def close(self) -> None:
        """End the renderer."""
        process = self._process
        if process is not None:
            process.kill()

    def _note(self, key: str) -> str:
        try:
            return str(json.loads((self.folder / f"{key}.json").read_text())["note"])
        except (OSError, ValueError, KeyError):
            return ""

    def _serve(self) -> None:
        while True:
            key, job = self._next()
            try:
                failure = self._render(key, job)
            except Exception as error:  # noqa: BLE001  becomes a line on the page
                failure = error_line(error)
            with self._wake:
                self._current = ""
                self._jobs.pop(key, None)
                if failure:
                    self._failed[key] = failure, time.monotonic() + AGAIN

    def _next(self) -> tuple[str, _Job]:
        """The request that was repeated last; waits for one, and ends an idle renderer meanwhile."""
        with self._wake:
            while True:
                now = time.monotonic()
                self._jobs = {key: job for key, job in self._jobs.items() if now - job.wanted < PATIENCE}
                if self._jobs:
                    key = max(self._jobs, key=lambda name: self._jobs[name].wanted)
                    self._current = key
                    return key, self._jobs[key]
                if not self._wake.wait(IDLE):
                    self._end()

    def _render(self, key: str, job: _Job) -> str:
        """Make a video; returns why there is none."""
        self.folder.mkdir(parents=True, exist_ok=True)
        process = self._started()
        assert process.stdin
        assert process.stdout
        watch = threading.Timer(LONGEST, process.kill)
        try:
            process.stdin.write(msgspec.json.encode(job.request) + b"\n")
            process.stdin.flush()
            while True:
                watch.cancel()
                watch = threading.Timer(LONGEST, process.kill)
                watch.start()
                line = process.stdout.readline()
                if not line:
                    break
                answer = msgspec.json.decode(line, type=Answer)
                job.frames = answer.frames
                if answer.error:
                    return answer.error
                if answer.done:
                    (self.folder / f"{key}.json").write_text(json.dumps({"note": answer.note}))
                    self._make_room()
                    return ""
        except BrokenPipeError:
            pass
        finally:
            watch.cancel()
        self._end()
        return f"the renderer ended unexpectedly (exit code {process.returncode}); load the page again to try once more"

    def _started(self) -> "subprocess.Popen[bytes]":
        process = self._process
        if process is None or process.poll() is not None:
            # It imports from where this process does, not from the working directory.
            paths = [str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
            # Not stopped by Ctrl-C, which ends the viewer: its standard input ends then.
            process = self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "simeval.viewer.render"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
                start_new_session=True,
            )
        return process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()

    def _make_room(self) -> None:
        """Remove the videos that were used longest ago until the rest fits."""
        files = sorted(((path.stat(), path) for path in self.folder.glob("*.mp4")), key=lambda item: item[0].st_mtime)
        taken = sum(status.st_size for status, _ in files)
        for status, path in files:
            if taken <= self.limit or time.time() - status.st_mtime < FRESH:
                return
            taken -= status.st_size
            for one in (path, path.with_suffix(".json")):
                with contextlib.suppress(OSError):
                    one.unlink()


_LETTERS = 40


def _key(stored: StoredRun, result: EpisodeResult, view: str) -> str:
    """A name made of all that a video depends on."""
    trace = trace_path(stored.run.folder, result.spec)
    try:
        stamp = trace.stat().st_mtime_ns, trace.stat().st_size
    except OSError:
        stamp = 0, 0
    identity = stored.run.manifest["identity"]
    about = [VERSION, LARGE, identity, result.spec.id, result.state_digest, stamp, view]
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()[:_LETTERS]
