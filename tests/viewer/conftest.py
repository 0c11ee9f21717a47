"""A run of the toy suite, and the viewer over it."""

from pathlib import Path

import pytest
from helpers import toy_config
from viewers import Client, open_viewer

from simeval.api import evaluate


@pytest.fixture(scope="session")
def results(tmp_path_factory) -> Path:
    """A folder with one run: twenty episodes of four pairs; not to be changed."""
    folder = tmp_path_factory.mktemp("viewer") / "results"
    evaluate(toy_config(folder / "toy"))
    return folder


@pytest.fixture(scope="session")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("viewer-cache")


@pytest.fixture
def client(results, cache) -> Client:
    return open_viewer(results, cache)
