"""LIBERO-plus's files, which make test puts there. Their absence is a failure, not a reason to skip."""

from pathlib import Path

import pytest

from envs.libero_plus.files import FILES, plus_root


@pytest.fixture(scope="session", autouse=True)
def plus() -> Path:
    if not FILES.present():
        pytest.fail("LIBERO-plus's files are not here: make plus")
    return plus_root()
