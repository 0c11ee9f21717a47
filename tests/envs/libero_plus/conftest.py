"""LIBERO-plus's files. `make plus` gets them; without them these tests fail."""

from pathlib import Path

import pytest

from envs.libero_plus.files import plus_root


@pytest.fixture(scope="session", autouse=True)
def plus() -> Path:
    return plus_root()
