"""Fixtures that several test modules share. The environment is set before anything imports torch, MuJoCo or the hub."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"

from collections.abc import Iterator
from pathlib import Path

import pytest

from envs import suites
from envs.libero.official import packaged
from envs.sim.rendering import select_backend
from perturbations import base

select_backend()


@pytest.fixture(scope="session")
def tiny_smolvla(tmp_path_factory) -> Path:
    """A small random SmolVLA checkpoint folder; copy it before changing anything in it."""
    import tiny_smolvla as tiny

    return tiny.build(tmp_path_factory.mktemp("policies") / "tiny_smolvla")


@pytest.fixture(scope="session")
def hub(tmp_path_factory) -> Iterator[Path]:
    """A hub client's cache with tiny models under the names that lerobot's policies load."""
    import families
    from huggingface_hub import constants

    with pytest.MonkeyPatch.context() as patch:
        cache = families.hub_cache(tmp_path_factory.mktemp("hub"))
        patch.setattr(constants, "HF_HUB_CACHE", str(cache))
        yield cache


@pytest.fixture(scope="session")
def official_assets() -> Path:
    """LIBERO's own meshes. Their absence is a failure, not a reason to skip."""
    folder = packaged()
    if folder is None:
        pytest.fail("LIBERO's meshes are not installed: make official")
    return folder


@pytest.fixture
def suite_registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Lets a test register suites that are gone afterwards."""
    before = suites.registered_suites()
    monkeypatch.setattr(suites, "_suites", dict(suites._suites))
    yield
    suites.unregister_suites_but(before)


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a test register axes that are gone afterwards."""
    monkeypatch.setattr(base, "_axes", dict(base._axes))
    monkeypatch.setattr(base, "_functions", dict(base._functions))
    monkeypatch.setattr(base, "_parameters", dict(base._parameters))
