"""JSON on standard output and nothing else there, whatever foreign code prints.

Non-obvious behaviour:
- Foreign code writes to descriptor 1 as well as to `sys.stdout`; both lead to standard error from `divert` on.
- The state is that of the process, as its descriptors are.
"""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TextIO


@dataclass(frozen=True, slots=True)
class _Diverted:
    """What `restore` puts back.

    Attributes:
        stream: `sys.stdout` as it was.
        descriptor: a duplicate of what descriptor 1 was.
        events: where JSON goes meanwhile.
    """

    stream: TextIO
    descriptor: int
    events: TextIO


_diverted: list[_Diverted] = []


def divert() -> None:
    """From now on only `emit` reaches standard output; everything else goes to standard error."""
    stream = sys.stdout
    stream.flush()
    saved = os.dup(1)
    try:
        events = os.fdopen(os.dup(1), "w", encoding="utf-8") if stream.fileno() == 1 else stream
    except OSError:  # a stream of somebody's own, in memory
        events = stream
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    _diverted.append(_Diverted(stream, saved, events))


def restore() -> None:
    """Undo `divert`, if it was called."""
    while _diverted:
        before = _diverted.pop()
        before.events.flush()
        if before.events is not before.stream:
            before.events.close()
        os.dup2(before.descriptor, 1)
        os.close(before.descriptor)
        sys.stdout = before.stream


def write(text: str) -> None:
    """Write text that is JSON to standard output."""
    out = _diverted[-1].events if _diverted else sys.stdout
    out.write(text)
    out.flush()


def emit(value: Mapping[str, Any]) -> None:
    """Write one object on a line of its own."""
    write(json.dumps(value, allow_nan=False) + "\n")
