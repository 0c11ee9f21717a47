"""Demonstrations that several test modules share; drawn and written once."""

import dataset_fixture
import pytest

EPISODES, FRAMES = 6, 20


@pytest.fixture(scope="session")
def demonstrations():
    """Six episodes of 20 frames, two of each of three tasks: (instruction, images, states)."""
    return list(dataset_fixture.pictures(FRAMES, EPISODES // len(dataset_fixture.TASKS)))


@pytest.fixture(scope="session")
def dataset(demonstrations, tmp_path_factory):
    """The folder of a LeRobotDataset with them."""
    return dataset_fixture.write(tmp_path_factory.mktemp("datasets") / "demonstrations", demonstrations)
