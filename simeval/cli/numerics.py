"""Numerics of a command: its process is replaced by one of the other mode if the libraries have chosen already."""

import os
import sys

from envs import numerics
from simeval.core import json_output


def enter_numerics(requested: str) -> None:
    """Continue in a process with these numerics; replaces this process, and does not return, if it has others.

    Args:
        requested: `portable` or `native`.
    """
    if numerics.mode() == requested:
        return
    numerics.prepare(requested)
    json_output.restore()  # the new process would take standard error for standard output
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
