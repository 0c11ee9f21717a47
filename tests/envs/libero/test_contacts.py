"""Touching, as robosuite tells it."""

import numpy as np
import pytest

from envs import suites
from envs.assets import BUNDLED
from envs.libero.env import LiberoEnv
from simeval.core.types import EpisodeSpec


@pytest.mark.parametrize(("suite", "index"), [("libero_spatial", 2), ("libero_goal", 0)])
def test_touching_is_what_robosuite_finds(suite, index):
    from robosuite.environments.base import MujocoEnv

    env = LiberoEnv(suites.tasks(suite)[index], 64, BUNDLED)
    inner, rng = env.world.env, np.random.default_rng(0)
    env.reset(EpisodeSpec(suite, index, 0, "none", 0, 0, 0, 220, 10, 64))
    fingers = ["gripper0_finger1_pad_collision", "gripper0_finger2_pad_collision"]
    things = [inner.get_object(name) for name in (*inner.objects_dict, *inner.fixtures_dict)]
    found = []
    for _ in range(10):
        env.step(rng.uniform(-0.8, 0.8, (4, 7)).astype(np.float32) + np.float32([0, 0, -0.5, 0, 0, 0, 0]))
        for one in (*things, fingers, fingers[0], "no_such_geom"):
            for other in (*things, fingers, None):
                found.append(inner.check_contact(one, other))
                assert found[-1] == MujocoEnv.check_contact(inner, one, other)
    assert 0.02 < np.mean(found) < 0.98
    env.close()
