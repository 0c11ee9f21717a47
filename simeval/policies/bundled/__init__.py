"""The bundled policy: a small SmolVLA, trained from scratch in the bundled scenes. See MODEL_CARD.md.

`checkpoint/` is an ordinary lerobot checkpoint. The modules beside it made it, and are not needed to run it:
`python -m simeval.policies.bundled.train --help`.
"""

from pathlib import Path

NAME = "bundled"
"""What `--policy` calls it."""

CHECKPOINT = Path(__file__).parent / "checkpoint"

TRAINED_ON = ("libero_spatial",)
"""Suites that it has seen demonstrations of."""
