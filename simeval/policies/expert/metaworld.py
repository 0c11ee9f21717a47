"""Meta-World's scripted experts as a `Policy`: those of the package, one for each task."""

from collections.abc import Sequence

import numpy as np

from envs.base import Goal
from envs.metaworld.catalog import INTERFACE, MT50
from envs.metaworld.expert import expert_action
from simeval.core.errors import EpisodeError
from simeval.policies.base import ActionChunk, PolicyInput, PolicySpec

_PREDICATES = frozenset(entry.predicate for entry in MT50)


def supports(goal: Goal) -> bool:
    """Whether it is the goal of one of Meta-World's tasks."""
    return len(goal) == 1 and goal[0][0] in _PREDICATES


class MetaworldExpert:
    """The expert of the task that the goal is of. It reads goals, never instructions."""

    spec = PolicySpec(
        "expert",
        n_action_steps=1,
        cameras=(),
        privileged=True,
        action_size=INTERFACE.action_size,
        state_size=INTERFACE.state_size,
    )

    def act(self, inputs: Sequence[PolicyInput]) -> list[ActionChunk]:
        """Return one action for each input.

        Raises:
            EpisodeError: an input lacks the package's observation, or its goal is not one of Meta-World's.
        """
        return [_act(request) for request in inputs]


def _act(request: PolicyInput) -> ActionChunk:
    truth = request.privileged
    if truth is None or truth.native is None or not supports(truth.goal):
        raise EpisodeError("policy", "Meta-World's experts need the state of one of its scenes")
    return expert_action(truth.goal[0][0], truth.native)[np.newaxis]
