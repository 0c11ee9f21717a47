"""What may not be done with the rows of a search."""

from collections.abc import Mapping
from typing import Any

from simeval.config.layout import RUN, SEARCH, WORST, verb_of
from simeval.core.errors import ConfigError

_CHOSEN = {
    SEARCH: ("a search for thresholds", "strengths", "the thresholds"),
    WORST: ("a search for a bad condition", "conditions", "the one that was confirmed"),
}
"""What a search is, what it chooses, and what `simeval show` prints of it."""


def require_conditions(manifest: Mapping[str, Any], folder: object) -> None:
    """Check that the conditions of a run can be compared: those of a search were chosen by their outcomes.

    Raises:
        ConfigError: it is a search.
    """
    verb = verb_of(manifest)
    if verb != RUN:
        what, chosen, result = _CHOSEN[verb]
        raise ConfigError(
            f"{folder}: is {what}, made by `simeval {verb}`, which chose its {chosen} by outcomes, so their rates "
            f"cannot be compared; give both policies `simeval run` with the same --perturb and compare those folders "
            f"(`simeval show` prints {result})"
        )
