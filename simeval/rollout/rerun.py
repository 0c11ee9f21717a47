"""A stored episode, executed again: what the policy observed, at every control step.

Non-obvious behaviour:
- A stored state is not what the policy saw: LIBERO's sensors sample within a control step, mostly before the state that
  is stored after it. So the stored actions are executed again, which gives identical images. Where the motion differs
  from the stored one (another machine, another MuJoCo), the stored state is shown, and `Rerun.differs` says so.
- A policy looks once per chunk. Between two looks the observation is the one that it would have got there.
  Perturbations that remember (a frozen camera) remember looks only, as in the episode.
"""

import contextlib
import copy
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from envs.base import Env, EnvError, Observation
from envs.suites import find_suite, tasks
from perturbations.base import accepts
from perturbations.condition import ActiveCondition, Condition
from perturbations.spec import parse
from simeval.core.seeding import PairStreams
from simeval.core.types import EpisodeSpec
from simeval.rollout.contract import seen
from simeval.rollout.interventions import Interventions
from simeval.rollout.observations import initial_masks
from simeval.rollout.trace import Trace


def needs_state_scale(condition: Condition) -> bool:
    """Whether it changes the state in units of the policy's training data, which a run does not store."""
    return any(accepts(term.info, "scale") for term in condition.active_terms("state"))


@dataclass(eq=False)
class Rerun:
    """One episode to be executed again; iterate over `observations`.

    Attributes:
        env: the scene of its task, at any resolution.
        spec: the episode.
        trace: its stored trace.
        cameras: the rendered cameras.
        clean: without the perturbations of scene, image, timing and state; physics and actions stay as they were.
        own_state: the robot's own state also where the policy got a perturbed one.
        differs: whether the motion differed from the stored one so far.
        side: side of the images (px); that of the run by default.
    """

    env: Env
    spec: EpisodeSpec
    trace: Trace
    cameras: tuple[str, ...]
    clean: bool = False
    own_state: bool = False
    differs: bool = False
    side: int | None = None

    def observations(self) -> Iterator[Observation]:
        """One observation before each executed action, `len(trace.actions)` in all.

        Raises:
            ConfigError: an image or the robot's state has another form than the suite says.
            EnvError: the scene cannot be reset or rendered, or the trace is not of this scene.
            Infeasible: the condition cannot be applied to this scene.
        """
        env, trace = self.env, self.trace
        state_size = find_suite(self.spec.suite).interface.state_size
        condition, streams = parse(self.spec.condition), PairStreams.of(self.spec)
        physics = Interventions(condition, streams.generator)
        env.reset(self.spec, physics.before_settling)
        self._require(0)
        applied = condition.start(streams.generator)
        if not self.clean:
            condition.apply_scene(env.scene(), streams.generator)
            goal = tasks(self.spec.suite)[self.spec.task].goal
            applied.masks = initial_masks(env, condition, goal, self.cameras)
        looks, captured = {int(step) for step in trace.chunk_steps}, dict[int, Observation]()
        remembers = any(accepts(term.info, "memory") for term in condition.active_terms("image", "state"))
        for step in range(len(trace.actions)):
            physics.at(step, env)
            captured[step] = seen(env, self.cameras, self.side or self.spec.resolution, state_size)
            source = step if self.clean else applied.source(step)
            captured = {taken: kept for taken, kept in captured.items() if taken >= source}
            if self.clean:
                yield captured[step]
            else:
                # What a copy remembers is forgotten: the policy did not look.
                observing = copy.deepcopy(applied) if remembers and step not in looks else applied
                yield self._perturbed(observing, captured[source], source, step)
            # A motion that differs from the stored one may end early or diverge; the stored state then replaces it.
            with contextlib.suppress(EnvError):
                env.step(trace.actions[step : step + 1])
            self._require(step + 1)

    def _perturbed(self, applied: ActiveCondition, taken: Observation, source: int, step: int) -> Observation:
        images = applied.images(taken.images, source)
        state = taken.state if self.own_state else applied.state(taken.state, source)
        return Observation(images, state, step)

    def _require(self, step: int) -> None:
        """Load the stored state unless the motion is in it."""
        stored = self.trace.states[step]
        if not np.array_equal(self.env.state(), stored):
            self.differs = True
            self.env.set_state(stored)
