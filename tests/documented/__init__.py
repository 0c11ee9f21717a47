"""What the README, the documentation and the model card say of stored rows: a module per page."""

from pathlib import Path

import simeval  # noqa: F401  before NumPy

ROOT = Path(__file__).resolve().parents[2]
"""The repository: pages and stored results are named from here."""
