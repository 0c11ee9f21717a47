"""Counterfactual scoring with an expert: one that listens is scored as having followed, one that does not as not."""

from dataclasses import replace

import pytest
from helpers import roll_out

from envs.libero.env import LiberoEnv
from envs.libero.files import resolve_assets
from envs.suites import limits as limits_of
from envs.suites import other_goals, tasks
from simeval.core.types import EpisodeSpec
from simeval.policies.expert.policy import LiberoExpert


class Deaf(LiberoExpert):
    """Does the task that the scene was made for, whatever it is told."""

    def __init__(self, task):
        self.goal = task.goal

    def act(self, inputs):
        return super().act([replace(item, privileged=replace(item.privileged, goal=self.goal)) for item in inputs])


@pytest.fixture(scope="module", params=["libero_spatial", "libero_object", "libero_goal"])
def env(request):
    task = tasks(request.param)[{"libero_spatial": 0, "libero_object": 3, "libero_goal": 8}[request.param]]
    env = LiberoEnv(task, 64, resolve_assets("bundled"))
    yield env
    env.close()


CHOSEN = {"libero_spatial": "counterfactual", "libero_object": "counterfactual:1", "libero_goal": "counterfactual:2"}
"""Goals that the expert knows how to reach."""


def spec_of(task, condition, init_state=0):
    limits = limits_of("openvla", task.suite)
    numbers = (limits.max_steps, limits.settle_steps, 64)
    return EpisodeSpec(task.suite, task.index, init_state, condition, 0, 0, 0, *numbers)


def test_who_listens_has_followed_and_who_does_not_has_ignored(env):
    task = env.task
    spec = spec_of(task, f"instruction:{CHOSEN[task.suite]}")
    followed, _ = roll_out(spec, env, LiberoExpert())
    ignored, _ = roll_out(spec, env, Deaf(task))
    usual, _ = roll_out(spec_of(task, "none"), env, LiberoExpert())
    assert (usual.outcome, usual.reached) == ("success", "original"), usual.error_text
    assert (followed.outcome, followed.reached) == ("success", "counterfactual"), followed.error_text
    assert (ignored.outcome, ignored.reached) == ("failure", "original"), ignored.error_text
    # What the deaf one did is what it does when it is told the truth.
    assert ignored.state_digest == usual.state_digest
    assert followed.instruction == ignored.instruction != usual.instruction == task.instruction
    assert followed.instruction in {other.instruction for other in other_goals(task.suite, task.index)}
    assert followed.source in {other.source for other in other_goals(task.suite, task.index)}


@pytest.mark.parametrize("env", ["libero_goal"], indirect=True)
def test_a_swap_is_scored_like_a_counterfactual(env):
    spec = spec_of(env.task, "instruction:placeswap:1")
    followed, _ = roll_out(spec, env, LiberoExpert())
    ignored, _ = roll_out(spec, env, Deaf(env.task))
    assert followed.instruction == ignored.instruction == "put the bowl on the stove"
    assert followed.source == "placeswap/libero_goal/8/1"
    assert (followed.outcome, followed.reached) == ("success", "counterfactual")
    assert (ignored.outcome, ignored.reached) == ("failure", "original")


@pytest.mark.parametrize("env", ["libero_spatial"], indirect=True)
@pytest.mark.parametrize("kind", ["empty", "negation", "typo:0.4"])
def test_where_the_text_names_no_other_goal_the_original_one_counts(env, kind):
    result, _ = roll_out(spec_of(env.task, f"instruction:{kind}"), env, LiberoExpert())
    assert (result.outcome, result.reached) == ("success", "original")
    assert result.instruction != env.task.instruction
