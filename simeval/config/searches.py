"""The runs that choose their episodes by outcomes, in one form: what they search for, and what follows them."""

from collections.abc import Iterable, Mapping
from typing import Any

from simeval.config.layout import SEARCH, WORST
from simeval.config.placement import Placement
from simeval.config.plan import Plan
from simeval.config.threshold import ThresholdConfig
from simeval.config.worst import WorstConfig
from simeval.config.worst_placement import WorstPlacement
from simeval.core.types import EpisodeSpec

type Search = ThresholdConfig | WorstConfig
type Placing = Placement | WorstPlacement


def placing(search: Search, plan: Plan, retry: Iterable[EpisodeSpec] = ()) -> Placing:
    """What follows a search and chooses its episodes; see `Placement`.

    Raises:
        ConfigError: there are too few initial states.
    """
    return WorstPlacement(search, plan, retry) if isinstance(search, WorstConfig) else Placement(search, plan, retry)


def verb_of_search(search: Search) -> str:
    """The verb that makes it, which is the key of its record in a manifest."""
    return WORST if isinstance(search, WorstConfig) else SEARCH


def in_manifest(search: Search) -> Mapping[str, Any]:
    """What the manifest of its run says of it."""
    return {verb_of_search(search): search.record()}
