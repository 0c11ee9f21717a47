"""What may not be done with the rows of a search."""

from collections.abc import Mapping
from typing import Any

from simeval.config.layout import RUN, SEARCH, WORST, verb_of
from simeval.core.errors import ConfigError

_CHOSEN = {
    SEARCH: ("strengths", "the thresholds of each"),
    WORST: ("conditions", "the one that was confirmed in each"),
}


def require_conditions(manifest: Mapping[str, Any], folder: object) -> None:
    """Check that the conditions of a run can be compared: those of a search were chosen by their outcomes.

    Raises:
        ConfigError: it is a search.
    """
    verb = verb_of(manifest)
    if verb != RUN:
        chosen, result = _CHOSEN[verb]
        raise ConfigError(
            f"{folder}: is a search of `simeval {verb}`, which chose its {chosen} by outcomes, so their rates cannot "
            f"be compared; compare {result} (`simeval show`), or runs of `simeval run` under the same conditions"
        )
