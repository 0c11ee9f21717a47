"""LIBERO-PRO's files, which make test puts there. Their absence is a failure, not a reason to skip."""

from pathlib import Path

import pytest

from envs.libero_pro.files import FILES, pro_root


@pytest.fixture(scope="session")
def pro() -> Path:
    if not FILES.present():
        pytest.fail("LIBERO-PRO's files are not here: make pro")
    return pro_root()


@pytest.fixture(scope="session")
def pro_assets(pro, official_assets) -> Path:
    """The packages with LIBERO's own meshes have PRO's recoloured objects, too."""
    return official_assets
