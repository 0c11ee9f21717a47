"""Counters and timers of one running episode, and the result row made from them."""

import contextlib
import hashlib
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from envs.base import Env, Goal, StepResult
from perturbations.base import CAMERAS, ImageDifference, Instruction
from perturbations.condition import Condition
from simeval.core.errors import EpisodeError, Phase, error_line, message_of, user_line
from simeval.core.types import (
    Counts,
    EpisodeResult,
    EpisodeSpec,
    Execution,
    Outcome,
    Reached,
    RealizedStrength,
    Timings,
)
from simeval.policies.repeatable import is_noise
from simeval.rollout.anomalies import StateRange, anomalies, in_other_units, unlike_training
from simeval.rollout.interventions import Interventions
from simeval.rollout.observations import ObservationPipeline
from simeval.rollout.schedule import Part, Schedule


def goal_text(goal: Goal) -> str:
    """A goal on one line: `on bowl_1 plate_1 & close drawer_1`."""
    return " & ".join(" ".join(atom) for atom in goal)


def _channels(condition: Condition) -> set[str]:
    """Channels of the terms that are not at their identity value."""
    return {term.info.channel for term in condition.active_terms()}


def _execution(schedule: Schedule) -> Execution:
    return Execution(tuple(schedule.latencies), schedule.replans, schedule.stale_steps, schedule.idle_steps)


@dataclass
class EpisodeLog:
    """Per-episode counters and timers.

    Attributes:
        spec: the episode.
        steps: control steps executed after settling.
        chunks: action chunks predicted.
        reached: per goal of `Env.goals`, whether it held after the last step.
        hits: first step at which each tracked goal held, by the goal's text.
        action: sum over steps of the mean absolute change of the action.
        seconds: wall-clock time by phase.
        took: wall-clock time of the part that ended last (s).
        current: the phase that is running; an error row names it.
        states: range of the simulator's states.
        actions: range of the actions that the policy chose.
        repeat_gap: `float64[n]`, how far two answers to the same request were apart; `None` if not asked twice.
        digest: running SHA-256 of the states.
        start_digest: see `EpisodeResult`.
    """

    spec: EpisodeSpec
    steps: int = 0
    chunks: int = 0
    reached: tuple[bool, ...] = ()
    hits: dict[str, int] = field(default_factory=dict)
    action: float = 0.0
    seconds: dict[Phase, float] = field(default_factory=lambda: defaultdict(float))
    took: float = 0.0
    current: Phase = "reset"
    states: StateRange = field(default_factory=StateRange)
    actions: StateRange = field(default_factory=StateRange)
    repeat_gap: NDArray[np.float64] | None = None
    digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)
    start_digest: str = ""

    @contextlib.contextmanager
    def phase(self, name: Phase) -> Iterator[None]:
        """Time a part of the loop under its name."""
        self.current, start = name, time.perf_counter()
        yield
        self.took = time.perf_counter() - start
        self.seconds[name] += self.took

    def record_start(self, state: NDArray[np.float64]) -> None:
        """Note the state after settling, which the other episodes of the pair have, too."""
        equal = np.ascontiguousarray(state) + 0.0  # -0.0 is the same start as 0.0, in other bytes
        self.start_digest = hashlib.sha256(equal.tobytes()).hexdigest()[:16]

    def record_step(self, result: StepResult, tracked: tuple[Goal, ...]) -> None:
        """Count executed control steps, and note which tracked goals they reached."""
        for goal, step in zip(tracked, result.tracked, strict=False):
            if step is not None:
                self.hits.setdefault(goal_text(goal), self.steps + step)
        self.steps += result.steps
        self.reached = result.reached
        self.digest.update(np.ascontiguousarray(result.states).tobytes())
        self.states.add(result.states)

    def record_part(self, part: Part, executed: NDArray[np.float32]) -> None:
        """Add up how far the executed actions are from those that were scheduled."""
        scheduled = part.actions[: len(executed)]
        if not part.held:
            self.actions.add(scheduled)
        self.action += float(np.abs(executed - scheduled).mean(axis=1).sum())

    def to_result(
        self,
        instruction: Instruction,
        env: Env,
        observations: ObservationPipeline,
        interventions: Interventions,
        schedule: Schedule,
        renders: int,
    ) -> EpisodeResult:
        """The row of an episode that ran to its end."""
        followed = len(self.reached) > 1 and self.reached[1]
        reached: Reached = "counterfactual" if followed else "original" if any(self.reached) else "neither"
        requested: Reached = "counterfactual" if instruction.goal else "original"
        outcome: Outcome = "success" if reached == requested else "failure"
        condition = observations.applied.condition
        return EpisodeResult(
            self.spec,
            outcome,
            steps=self.steps,
            first_success=self.steps if outcome == "success" else None,
            reached=reached,
            instruction=instruction.text,
            timings=self._timings(),
            counts=Counts(self.steps, renders, self.chunks, observations.frames, observations.perturbed_frames),
            state_digest=self.digest.hexdigest()[:16],
            start_digest=self.start_digest,
            magnitude=self._realized_strength(condition, observations, interventions),
            first_hit=self.steps if any(self.reached) else None,
            source=instruction.source,
            goal=goal_text(instruction.goal) if instruction.goal else None,
            hits=tuple(sorted(self.hits.items(), key=lambda hit: (hit[1], hit[0]))),
            approached=env.approached,
            visible=tuple(observations.target_visibility.items()),
            execution=_execution(schedule) if condition.latency else None,
            flags=(
                *self._flags(condition, instruction, observations, interventions),
                *anomalies(self.states, env.scene()),
                *unlike_training(observations.policy, observations.states, self.actions),
                *in_other_units(observations.policy, self.actions, env.goals[0]),
                *(["not_repeatable"] * (not self._is_repeatable())),
            ),
        )

    def _is_repeatable(self) -> bool:
        if self.repeat_gap is None or self.actions.low is None or self.actions.high is None:
            return True
        return is_noise(self.repeat_gap, self.actions.low, self.actions.high)

    def _realized_strength(
        self, condition: Condition, observations: ObservationPipeline, interventions: Interventions
    ) -> RealizedStrength | None:
        channels, n_observations = _channels(condition), max(1, observations.n_observations)
        by_camera = observations.image, observations.scene
        image, scene = (sum(changes.values(), ImageDifference()) for changes in by_camera)
        strength = RealizedStrength(
            mean_abs=image.mean_abs if image.n else None,
            psnr=image.psnr,
            scene_mean_abs=scene.mean_abs if scene.n else None,
            scene_psnr=scene.psnr,
            state=observations.state / n_observations if "state" in channels else None,
            action=self.action / max(1, self.steps) if "action" in channels else None,
            age_steps=observations.age / n_observations if "timing" in channels else None,
            moved_cm=interventions.moved_cm if "physics" in channels else None,
            joints_rad=interventions.joints_rad if "physics" in channels else None,
        )
        return None if strength == RealizedStrength() else strength

    def _flags(
        self,
        condition: Condition,
        instruction: Instruction,
        observations: ObservationPipeline,
        interventions: Interventions,
    ) -> tuple[str, ...]:
        """Which parts of the condition had no effect, and which reached a camera they are not aimed at."""
        channels = _channels(condition)
        no_effect = {
            "language": instruction.source == "original",
            "physics": not interventions.did_something,
            "timing": observations.age == 0,
            "state": observations.state == 0,
            "action": self.action == 0,
        }
        flags = [f"no_op:{channel}" for channel, idle in no_effect.items() if channel in channels and idle]
        for channel, targeted, changes in (
            ("scene", condition.scene_cameras, observations.scene),
            ("image", condition.cameras, observations.image),
        ):
            seen = [camera for camera in targeted if camera in observations.cameras]
            unchanged = [camera for camera in seen if not changes[camera].sum_abs]
            flags += [f"no_op:{channel}"] if targeted and not seen else [f"no_op:{channel}@{c}" for c in unchanged]
        others = [c for c in CAMERAS if c in observations.scene and c not in condition.scene_cameras]
        flags += [f"spill:{camera}" for camera in others if observations.scene[camera].sum_abs]
        flags += [f"dark:{camera}" for camera in sorted(observations.applied.dark)]
        return tuple(flags + ["target_hidden"] * observations.target_hidden)

    def to_infeasible(self, reason: Exception) -> EpisodeResult:
        """The row of an episode to which its condition cannot be applied."""
        text = " ".join(message_of(reason).split())[:500]
        return EpisodeResult(
            self.spec, "infeasible", steps=self.steps, error_text=text, timings=self._timings(), flags=("infeasible",)
        )

    def to_error(self, error: BaseException) -> EpisodeResult:
        """The row of an episode that broke before its end."""
        phase = error.phase if isinstance(error, EpisodeError) else self.current
        text = f"{error_line(error)}{user_line(error)}"
        return EpisodeResult(self.spec, "error", steps=self.steps, error_phase=phase, error_text=text)

    def _timings(self) -> Timings:
        seconds = self.seconds
        return Timings(seconds["reset"], seconds["step"], seconds["observe"], seconds["perturb"], seconds["policy"])
