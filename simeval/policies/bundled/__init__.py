"""The bundled policies: small SmolVLAs, trained from scratch in the bundled scenes, one per suite. See MODEL_CARD.md.

Each checkpoint is an ordinary lerobot one. The modules beside them made them, and are not needed to run them:
`python -m simeval.policies.bundled.train --help`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class BundledPolicy:
    """A checkpoint in the package.

    Attributes:
        folder: where it is.
        suites: what it has seen demonstrations of.
    """

    folder: Path
    suites: tuple[str, ...]


NAME = "bundled"
"""The default policy."""

POLICIES: Mapping[str, BundledPolicy] = {
    NAME: BundledPolicy(_HERE / "checkpoint", ("libero_spatial",)),
    "bundled-object": BundledPolicy(_HERE / "checkpoint_object", ("libero_object",)),
    "bundled-goal": BundledPolicy(_HERE / "checkpoint_goal", ("libero_goal",)),
}
"""By what `--policy` calls them."""


def default(suites: Sequence[str]) -> str:
    """The name of the one that has seen all of these suites; `NAME` where none has."""
    return next((name for name, found in POLICIES.items() if set(suites) <= set(found.suites)), NAME)
