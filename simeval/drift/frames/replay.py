"""A clean episode, executed again: every moment at which the policy looked, rendered clean or perturbed.

Non-obvious behaviour:
- A stored state is not what the policy saw: LIBERO's sensors sample within a control step, mostly before the state that
  is stored after it. So the stored actions are executed again, which gives identical images, and the moments are kept.
  Where the motion differs from the stored one (another machine, another MuJoCo), the stored state is shown.
- After a scene perturbation, the fields that its axis declares are restored; a reset each time would cost more than the
  images. An axis that writes other fields would change later clean images; the audit's repeat control detects that.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.base import Env, EnvError, Goal, Observation, Scene, SensorSnapshot
from envs.suites import find_suite
from perturbations.base import Masks, RngFactory
from perturbations.condition import Condition
from simeval.core.types import EpisodeSpec
from simeval.rollout.contract import seen
from simeval.rollout.observations import initial_masks
from simeval.rollout.trace import Trace

TEXTURES = "tex_data"
"""The field that an axis declares when it writes textures, of which OpenGL has copies."""


@dataclass(eq=False)
class Replay:
    """The moments of one episode; valid until its scene is reset for another.

    Attributes:
        env: the scene, in which the episode was executed again.
        spec: the episode.
        trace: its stored trace, if any.
        cameras: the rendered cameras.
        moments: one for each look of the policy, up to the number requested.
    """

    env: Env
    spec: EpisodeSpec
    trace: Trace | None
    cameras: tuple[str, ...]
    moments: list[SensorSnapshot] = field(default_factory=list)
    _clean: dict[int, Observation] = field(default_factory=dict)
    _masks: dict[tuple[str, ...], dict[str, Masks]] = field(default_factory=dict)

    @staticmethod
    def run(env: Env, spec: EpisodeSpec, trace: Trace | None, *, looks: int, cameras: tuple[str, ...]) -> "Replay":
        """Execute an episode again.

        Args:
            env: the scene of its task.
            spec: a clean episode.
            trace: of the episode; may be missing where `looks` is 1.
            looks: number of predicted chunks to replay, at least 1.
            cameras: the rendered cameras.

        Raises:
            EnvError: the scene cannot be reset, or the trace is not of this scene.
        """
        replay = Replay(env, spec, trace, cameras)
        env.reset(spec)
        done = 0
        for step in _steps(trace, looks):
            if trace is not None:
                # A motion that differs from the stored one may end early or diverge; the stored state then replaces it.
                with contextlib.suppress(EnvError):
                    if step > done:
                        env.step(trace.actions[done:step])
                if not np.array_equal(env.state(), trace.states[step]):
                    env.set_state(trace.states[step])
            replay.moments.append(env.snapshot())
            done = step
        return replay

    def step_of(self, look: int) -> int:
        """Control steps executed before a look."""
        return 0 if self.trace is None else int(self.trace.chunk_steps[look])

    def render(self, look: int) -> Observation:
        """The observation at a look, with the scene in its current state.

        Raises:
            ConfigError, EnvError: see `simeval.rollout.contract.seen`.
        """
        self.env.restore_view(self.moments[look])
        state_size = find_suite(self.spec.suite).interface.state_size
        return seen(self.env, self.cameras, self.spec.resolution, state_size)

    def clean(self, look: int, *, again: bool = False) -> Observation:
        """The observation that the policy received; rendered once, or once more with `again`."""
        if again or look not in self._clean:
            self._clean[look] = self.render(look)
        return self._clean[look]

    def masks(self, condition: Condition, goal: Goal) -> dict[str, Masks]:
        """Masks of the objects in the first frame, with the scene in its current state; see `initial_masks`.

        Raises:
            Infeasible: the condition names an object that the scene does not have.
        """
        if not condition.wants_masks:
            return {}
        known = None if condition.scene_cameras else self._masks.get(condition.targets)
        if known is None:
            self.env.restore_view(self.moments[0])
            known = initial_masks(self.env, condition, goal, self.cameras)
            if not condition.scene_cameras:
                self._masks[condition.targets] = known
        return known


@contextlib.contextmanager
def changed_scene(env: Env, condition: Condition, rng: RngFactory) -> Iterator[None]:
    """Apply the scene part of a condition; restore the scene afterwards.

    Raises:
        Infeasible: the scene does not allow it.
    """
    if not condition.scene_cameras:
        yield
        return
    scene = env.scene()
    names = tuple(dict.fromkeys(name for term in condition.active_terms("scene") for name in term.info.writes))
    before = [(name, _copy(attrgetter(name)(scene.model))) for name in names if name != TEXTURES]
    textures = _textures(scene) if TEXTURES in names else []
    try:
        condition.apply_scene(scene, rng)
        yield
    finally:
        for name, value in before:
            _restore(scene.model, name, value)
        for number, pixels in enumerate(textures):
            if not np.array_equal(scene.texture(number), pixels):
                scene.set_texture(number, pixels)


def _steps(trace: Trace | None, looks: int) -> Sequence[int]:
    return [0] if trace is None else [int(step) for step in trace.chunk_steps[:looks]]


def _copy(value: Any) -> Any:
    return value.copy() if isinstance(value, np.ndarray) else value


def _restore(model: Any, name: str, value: Any) -> None:
    parent, _, leaf = name.rpartition(".")
    struct = attrgetter(parent)(model) if parent else model
    if isinstance(value, np.ndarray):
        getattr(struct, leaf)[...] = value
    else:
        setattr(struct, leaf, value)


def _textures(scene: Scene) -> list[NDArray[np.uint8]]:
    return [scene.texture(number) for number in range(scene.model.ntex)] if scene.textures else []
