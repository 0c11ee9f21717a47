"""A clean episode, executed again: every moment at which the policy looked, to be drawn as it was or perturbed.

Non-obvious behaviour:
- A stored state is not what the policy saw: LIBERO's sensors sample within a control step, most of it before the state
  that is stored after it. So the stored actions are executed again, which gives the very same pictures, and the moments
  are kept. Where the motion differs from the stored one (another machine, another MuJoCo), the stored state is shown.
- What a scene perturbation writes is put back from the fields that its axis declares; a reset for each would cost more
  than the pictures. An axis that writes others would change the clean pictures after it, which the audit's repeat
  control finds out.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.base import Env, EnvError, Goal, Observation, Scene, SensorSnapshot
from perturbations.base import Masks, RngFactory
from perturbations.condition import Condition
from simeval.core.types import EpisodeSpec
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
        trace: what was stored of it, if anything.
        cameras: those that are drawn.
        moments: one for each time that the policy looked, as far as asked for.
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
            trace: of it; may be missing where `looks` is 1.
            looks: chunks to be predicted before it is left, at least 1.
            cameras: those that are drawn.

        Raises:
            EnvError: the scene cannot be reset, or the trace is not of this scene.
        """
        replay = Replay(env, spec, trace, cameras)
        env.reset(spec)
        done = 0
        for step in _steps(trace, looks):
            if trace is not None:
                # A motion that is not the stored one may end early or explode; the stored state then replaces it.
                with contextlib.suppress(EnvError):
                    if step > done:
                        env.step(trace.actions[done:step])
                if not np.array_equal(env.state(), trace.states[step]):
                    env.set_state(trace.states[step])
            replay.moments.append(env.snapshot())
            done = step
        return replay

    def step_of(self, look: int) -> int:
        """Control steps executed before that look."""
        return 0 if self.trace is None else int(self.trace.chunk_steps[look])

    def draw(self, look: int) -> Observation:
        """What the cameras show at that look, with the scene as it is now."""
        self.env.restore_view(self.moments[look])
        return self.env.observe(self.cameras)

    def clean(self, look: int, *, anew: bool = False) -> Observation:
        """What the policy saw; drawn once, or once more with `anew`."""
        if anew or look not in self._clean:
            self._clean[look] = self.draw(look)
        return self._clean[look]

    def masks(self, condition: Condition, goal: Goal) -> dict[str, Masks]:
        """Where things are visible in the first frame, with the scene as it is now; see `initial_masks`.

        Raises:
            Infeasible: the condition names something that is not there.
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
    """The scene under the scene part of a condition; as before afterwards.

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
            _put_back(scene.model, name, value)
        for number, pixels in enumerate(textures):
            if not np.array_equal(scene.texture(number), pixels):
                scene.set_texture(number, pixels)


def _steps(trace: Trace | None, looks: int) -> Sequence[int]:
    return [0] if trace is None else [int(step) for step in trace.chunk_steps[:looks]]


def _copy(value: Any) -> Any:
    return value.copy() if isinstance(value, np.ndarray) else value


def _put_back(model: Any, name: str, value: Any) -> None:
    parent, _, leaf = name.rpartition(".")
    struct = attrgetter(parent)(model) if parent else model
    if isinstance(value, np.ndarray):
        getattr(struct, leaf)[...] = value
    else:
        setattr(struct, leaf, value)


def _textures(scene: Scene) -> list[NDArray[np.uint8]]:
    return [scene.texture(number) for number in range(scene.model.ntex)] if scene.textures else []
