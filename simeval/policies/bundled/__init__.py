"""The bundled policies: small SmolVLAs, trained from scratch in the bundled scenes, one per suite. See MODEL_CARD.md.

Each one is an ordinary lerobot checkpoint. The other modules of this package trained them, and are not needed to run
them: `python -m simeval.policies.bundled.train --help`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class BundledPolicy:
    """A checkpoint in the package.

    Attributes:
        folder: its folder.
        suites: the suites of its training demonstrations.
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
"""By their names for `--policy`."""
