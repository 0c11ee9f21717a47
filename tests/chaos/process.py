"""One command line in a process of its own: forked from this one, which has imported what takes long.

Non-obvious behaviour:
- Nothing that a fork cannot take along may be loaded here: no OpenGL (so no MuJoCo, which opens a display as it is
  imported), no Ray.
- A hang is what takes longer than `LIMIT` seconds without the time in which it only waited for a core: on a busy
  machine that is most of it.
"""

import contextlib
import os
import selectors
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

LIMIT = 60.0
"""Seconds after which a command hangs."""
BROKEN = 70
"""Exit code of a process that came back from where none should; no verb has it."""


@dataclass(frozen=True)
class Ended:
    """A command that is over.

    Attributes:
        argv: what was asked for.
        code: the exit code; negative for a signal, `None` for a hang.
        out: what it printed.
        err: what it printed on standard error.
        cpu: CPU time (s).
    """

    argv: tuple[str, ...]
    code: int | None
    out: str
    err: str
    cpu: float


@dataclass(frozen=True)
class Stop:
    """A signal to send when a command has had so much CPU time (s): wall-clock time would depend on what else runs."""

    signal: int
    cpu: float


def call(*argv: object, folder: Path, prepare: Callable[[], object] | None = None, stop: Stop | None = None) -> Ended:
    """Carry out a command line and wait for its end.

    Args:
        argv: the words after `simeval`.
        folder: working directory, home and place for temporary files.
        prepare: called in the new process before the command.
        stop: a signal for it.
    """
    words = tuple(map(str, argv))
    pipes = {"out": os.pipe(), "err": os.pipe()}
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        _child(words, folder, prepare, (pipes["out"][1], pipes["err"][1]))
    for _, end in pipes.values():
        os.close(end)
    texts = {name: bytearray() for name in pipes}
    hung = _listen(pid, {start: texts[name] for name, (start, _) in pipes.items()}, stop)
    if hung:
        os.killpg(pid, signal.SIGKILL)
    _, status, used = os.wait4(pid, 0)
    with contextlib.suppress(ProcessLookupError):  # what it left running
        os.killpg(pid, signal.SIGKILL)
    for name, (start, _) in pipes.items():
        _read(start, texts[name])
        os.close(start)
    out, err = (bytes(texts[name]).decode(errors="replace") for name in ("out", "err"))
    code = None if hung else os.waitstatus_to_exitcode(status)
    return Ended(words, code, out, err, used.ru_utime + used.ru_stime)


def _child(argv: tuple[str, ...], folder: Path, prepare: Callable[[], object] | None, ends: tuple[int, int]) -> None:
    try:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for place, end in enumerate(ends, 1):
            os.dup2(end, place)
        os.chdir(folder)
        os.environ |= {"HOME": str(folder), "TMPDIR": str(folder), "HF_HUB_OFFLINE": "1"}
        tempfile.tempdir = None
        sys.dont_write_bytecode = True
        # `--numerics native` starts the command again with these.
        sys.argv, sys.orig_argv = ["simeval", *argv], [sys.executable, "-m", "simeval.cli", *argv]
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if prepare:
            prepare()
        from simeval.cli.app import command
        from simeval.cli.process import leave

        leave(command(argv))
    except BaseException:  # noqa: BLE001  the parent reads it
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(BROKEN)


def _listen(pid: int, pipes: dict[int, bytearray], stop: Stop | None) -> bool:
    """Read until the process ends; whether it hangs instead."""
    start, over = time.monotonic(), os.pidfd_open(pid)
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(over, selectors.EVENT_READ)
            for pipe in pipes:
                os.set_blocking(pipe, False)
                selector.register(pipe, selectors.EVENT_READ)
            while True:
                ready = {key.fd for key, _ in selector.select(0.01 if stop else 1.0)}
                for pipe in ready & pipes.keys():
                    if not _read(pipe, pipes[pipe]):
                        selector.unregister(pipe)
                if over in ready:
                    return False
                ran, waited = _scheduled(pid)
                if stop and ran > stop.cpu:
                    os.kill(pid, stop.signal)
                    stop = None
                if time.monotonic() - start - waited > LIMIT:
                    return True
    finally:
        os.close(over)


def _read(pipe: int, into: bytearray) -> bool:
    """Take what there is; whether there may be more later."""
    with contextlib.suppress(BlockingIOError):
        while data := os.read(pipe, 1 << 16):
            into += data
        return False
    return True


def _scheduled(pid: int) -> tuple[float, float]:
    """Seconds that a process' first thread has run, and that it has waited for a core."""
    try:
        ran, waited, _ = Path(f"/proc/{pid}/schedstat").read_text().split()
    except (OSError, ValueError):
        return 0.0, 0.0
    return int(ran) / 1e9, int(waited) / 1e9
