"""The package `metaworld`, which make test installs. Its absence is a failure, not a reason to skip."""

import pytest

from envs.metaworld.package import metaworld_present


@pytest.fixture(autouse=True, scope="session")
def package():
    if not metaworld_present():
        pytest.fail("metaworld is not installed: make metaworld")
