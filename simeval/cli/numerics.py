"""Numerics of a command: it starts again in a process of the other mode where its own has chosen already."""

import os
import sys

from envs import numerics


def enter_numerics(wanted: str) -> None:
    """Go on in a process with these numerics; does not return where that is another one.

    Args:
        wanted: `portable` or `native`.
    """
    if numerics.mode() == wanted:
        return
    numerics.prepare(wanted)
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
