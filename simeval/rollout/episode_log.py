"""What the loop counts while it runs, and the row that comes of it."""

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
from perturbations.condition import Condition, Term
from simeval.core.errors import EpisodeError, Phase, error_line, said
from simeval.core.types import Counts, EpisodeResult, EpisodeSpec, Outcome, Reached, RealizedStrength, Timings
from simeval.rollout.anomalies import StateRange, anomalies, unlike_training
from simeval.rollout.interventions import Interventions
from simeval.rollout.observations import ObservationPipeline


def goal_text(goal: Goal) -> str:
    """A goal on one line: `on bowl_1 plate_1 & close drawer_1`."""
    return " & ".join(" ".join(atom) for atom in goal)


def _effective(condition: Condition) -> list[Term]:
    return [term for term in condition.terms if not term.is_identity]


@dataclass
class EpisodeLog:
    """The books of one episode."""

    spec: EpisodeSpec
    steps: int = 0
    chunks: int = 0
    reached: tuple[bool, ...] = ()
    hits: dict[str, int] = field(default_factory=dict)
    action: float = 0.0
    seconds: dict[Phase, float] = field(default_factory=lambda: defaultdict(float))
    current: Phase = "reset"
    extremes: StateRange = field(default_factory=StateRange)
    actions: StateRange = field(default_factory=StateRange)
    digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)

    @contextlib.contextmanager
    def phase(self, name: Phase) -> Iterator[None]:
        """Book the time of a part of the loop on its name."""
        self.current, start = name, time.perf_counter()
        yield
        self.seconds[name] += time.perf_counter() - start

    def advance(self, result: StepResult, tracked: tuple[Goal, ...]) -> None:
        """Count executed control steps."""
        for goal, step in zip(tracked, result.tracked, strict=False):
            if step is not None:
                self.hits.setdefault(goal_text(goal), self.steps + step)
        self.steps += result.steps
        self.reached = result.reached
        self.digest.update(np.ascontiguousarray(result.states).tobytes())
        self.extremes.add(result.states)

    def commanded(self, wanted: NDArray[np.float32], done: NDArray[np.float32]) -> None:
        """Count how far an executed chunk was from the commanded one."""
        self.chunks += 1
        self.actions.add(wanted)
        self.action += float(np.abs(done - wanted).mean(axis=1).sum())

    def finished(
        self, told: Instruction, env: Env, senses: ObservationPipeline, interventions: Interventions, renders: int
    ) -> EpisodeResult:
        """The row of an episode that came to its end."""
        followed = len(self.reached) > 1 and self.reached[1]
        reached: Reached = "counterfactual" if followed else "original" if any(self.reached) else "neither"
        wanted: Reached = "counterfactual" if told.goal else "original"
        outcome: Outcome = "success" if reached == wanted else "failure"
        condition = senses.applied.condition
        return EpisodeResult(
            self.spec,
            outcome,
            steps=self.steps,
            first_success=self.steps if outcome == "success" else None,
            reached=reached,
            instruction=told.text,
            timings=self._timings(),
            counts=Counts(self.steps, renders, self.chunks, senses.frames, senses.perturbed_frames),
            state_digest=self.digest.hexdigest()[:16],
            magnitude=self._magnitude(condition, senses, interventions),
            first_hit=self.steps if any(self.reached) else None,
            source=told.source,
            goal=goal_text(told.goal) if told.goal else None,
            hits=tuple(sorted(self.hits.items(), key=lambda hit: (hit[1], hit[0]))),
            approached=env.approached,
            visible=tuple(senses.visible.items()),
            flags=(
                *self._flags(condition, told, senses, interventions),
                *anomalies(self.extremes, env.scene()),
                *unlike_training(senses.policy, senses.states, self.actions),
            ),
        )

    def _magnitude(
        self, condition: Condition, senses: ObservationPipeline, interventions: Interventions
    ) -> RealizedStrength | None:
        parts = {term.info.channel for term in _effective(condition)}
        image, scene = (sum(found.values(), ImageDifference()) for found in (senses.image, senses.scene))
        found = RealizedStrength(
            mean_abs=image.mean_abs if image.n else None,
            psnr=image.psnr,
            scene_mean_abs=scene.mean_abs if scene.n else None,
            scene_psnr=scene.psnr,
            state=senses.state / max(1, senses.looks) if "state" in parts else None,
            action=self.action / max(1, self.steps) if "action" in parts else None,
            age_steps=senses.age / max(1, senses.looks) if "timing" in parts else None,
            moved_cm=interventions.moved_cm if "physics" in parts else None,
            joints_rad=interventions.joints_rad if "physics" in parts else None,
        )
        return None if found == RealizedStrength() else found

    def _flags(
        self, condition: Condition, told: Instruction, senses: ObservationPipeline, interventions: Interventions
    ) -> tuple[str, ...]:
        """Which parts of the condition changed nothing, or too much."""
        parts = {term.info.channel for term in _effective(condition)}
        idle = {
            "language": told.source == "original",
            "physics": not interventions.did_something,
            "timing": senses.age == 0,
            "state": senses.state == 0,
            "action": self.action == 0,
        }
        flags = [f"no_op:{part}" for part, nothing in idle.items() if part in parts and nothing]
        for part, aimed, found in (
            ("scene", condition.scene_cameras, senses.scene),
            ("image", condition.cameras, senses.image),
        ):
            seen = [camera for camera in aimed if camera in senses.cameras]
            unchanged = [camera for camera in seen if not found[camera].sum_abs]
            flags += [f"no_op:{part}"] if aimed and not seen else [f"no_op:{part}@{c}" for c in unchanged]
        spilt = [c for c in CAMERAS if c in senses.scene and c not in condition.scene_cameras]
        flags += [f"spill:{camera}" for camera in spilt if senses.scene[camera].sum_abs]
        return tuple(flags + ["target_hidden"] * senses.hidden)

    def infeasible(self, reason: Exception) -> EpisodeResult:
        """The row of an episode whose condition cannot be applied to it."""
        text = " ".join(said(reason).split())[:500]
        return EpisodeResult(
            self.spec, "infeasible", steps=self.steps, error_text=text, timings=self._timings(), flags=("infeasible",)
        )

    def broken(self, error: BaseException) -> EpisodeResult:
        """The row of an episode that could not come to its end."""
        phase = error.phase if isinstance(error, EpisodeError) else self.current
        return EpisodeResult(self.spec, "error", steps=self.steps, error_phase=phase, error_text=error_line(error))

    def _timings(self) -> Timings:
        seconds = self.seconds
        return Timings(seconds["reset"], seconds["step"], seconds["observe"], seconds["perturb"], seconds["policy"])
