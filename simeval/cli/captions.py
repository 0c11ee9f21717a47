"""What commands that write images say about their captions."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def missing_glyphs_noted() -> Iterator[None]:
    """Print a line on standard error if captions made in this context show escapes in place of characters."""
    from simeval.media.fonts import forget_missing, missing_note

    forget_missing()
    yield
    if note := missing_note():
        print(f"note: {note}", file=sys.stderr)
