"""JSON as the only text on standard output, whatever foreign code prints.

Non-obvious behaviour:
- Foreign code writes to descriptor 1 as well as to `sys.stdout`; after `divert` both go to standard error.
- The state is global to the process, because its descriptors are.
"""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TextIO


@dataclass(frozen=True, slots=True)
class _Diverted:
    """The state before `divert`, for `restore`.

    Attributes:
        stream: the previous `sys.stdout`.
        descriptor: a duplicate of the previous descriptor 1.
        events: the stream that JSON is written to meanwhile.
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
    except OSError:  # the caller has replaced it by a stream in memory
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
    """Write JSON text to standard output."""
    out = _diverted[-1].events if _diverted else sys.stdout
    out.write(text)
    out.flush()


def emit(value: Mapping[str, Any]) -> None:
    """Write one object as a line."""
    write(json.dumps(value, allow_nan=False) + "\n")
