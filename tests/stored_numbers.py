"""Write the numbers in the README, the documentation and the model card that come from stored rows.

    python tests/stored_numbers.py

What is written where: a module per page in `tests/documented/`. `tests/test_stored_numbers.py` holds that nothing
would be rewritten.
"""

import sys
from collections.abc import Iterator

from documented import (
    ROOT,
    drift,
    fine_tunes,
    get_started,
    latency,
    methods,
    model_card,
    scenes,
    speed,
    stop_early,
    thresholds,
    use_in_ci,
)
from documented.claims import Statement

PAGES = (get_started, drift, speed, scenes, latency, fine_tunes, stop_early, thresholds, use_in_ci, methods, model_card)


def statements() -> Iterator[Statement]:
    """Everything that is written from rows."""
    for page in PAGES:
        yield from page.statements()


def main() -> int:
    """Rewrite the files; the exit code is 1 if a statement has no place in its file."""
    for statement in statements():
        path = ROOT / statement.file
        try:
            content = statement.written(path.read_text())
        except ValueError as error:
            sys.stderr.write(f"{error}\n")
            return 1
        path.write_text(content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
