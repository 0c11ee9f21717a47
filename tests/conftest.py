"""Fixtures that several test modules share. The environment is set before anything imports torch or the hub client."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tiny_smolvla(tmp_path_factory) -> Path:
    """A small random SmolVLA checkpoint folder; copy it before changing anything in it."""
    import tiny_smolvla as tiny

    return tiny.build(tmp_path_factory.mktemp("policies") / "tiny_smolvla")
