"""Fixtures of the tests of commands."""

import pytest

from simeval import api


@pytest.fixture
def idle(tmp_path, monkeypatch):
    """A folder to work in, and the promise that nothing is started."""

    def started(*_):
        raise AssertionError("something was started")

    monkeypatch.setattr(api, "open_runner", started)
    monkeypatch.chdir(tmp_path)
    return tmp_path
