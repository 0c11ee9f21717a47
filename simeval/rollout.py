"""The evaluation loop: one episode, from reset to outcome.

    reset -> observe -> perturb -> predict a chunk -> execute its first n actions -> observe -> ...

Each part runs under the name of its phase, which is both what its time is booked on and what an error row blames.
"""

import contextlib
import hashlib
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from envs.base import ACTION_SIZE, Env, Observation, StepResult
from envs.suites import Task, foreign_instructions, other_goals, tasks
from perturbations.base import ImageDifference, Instruction, InstructionContext, image_difference
from perturbations.spec import Condition, parse
from simeval.errors import ConfigError, EpisodeError, Phase, error_line
from simeval.policies.base import ActionChunk, Policy, PolicyInput
from simeval.recorders import Recorder
from simeval.seeding import PairStreams
from simeval.types import Counts, EpisodeResult, EpisodeSpec, Magnitude, Outcome, Reached, Timings


def run_episode(spec: EpisodeSpec, env: Env, policy: Policy, recorder: Recorder) -> EpisodeResult:
    """Roll the policy out once. Never raises for what happens inside: a crash is an `error` row, not a failed trial."""
    episode = _Episode(spec)
    try:
        return _run(episode, env, policy, recorder)
    except ConfigError:
        raise  # the request itself cannot be carried out; every further episode would say the same
    except Exception as error:  # noqa: BLE001  user policies, user environments and simulators raise anything
        return episode.broken(error)


def _run(episode: "_Episode", env: Env, policy: Policy, recorder: Recorder) -> EpisodeResult:
    spec, streams = episode.spec, PairStreams.of(episode.spec)
    condition, task, size = parse(spec.condition), tasks(spec.suite)[spec.task], policy.spec.n_action_steps
    with episode.phase("reset"):
        env.reset(spec)
        rendered = env.renders
    with episode.phase("perturb"):
        told = condition.instruction(language_context(task), streams.generator)
        condition.apply_scene(env.scene(), streams.generator)
        env.goals = (task.goal, told.goal) if told.goal else (task.goal,)
    state = env.state()
    recorder.start(told.text, state)
    while episode.steps < spec.max_steps and not any(episode.reached):
        with episode.phase("observe"):
            observation = env.observe(policy.spec.cameras)
        with episode.phase("perturb"):
            observation = episode.perturbed(observation, condition, streams)
        with episode.phase("policy"):
            privileged = env.privileged(told.goal or task.goal) if policy.spec.privileged else None
            seed = streams.policy_seed(episode.chunks)
            request = PolicyInput(observation, told.text, spec.pair_id, episode.chunks, seed, privileged)
            chunk = _checked(policy.act([request])[0], size)
        with episode.phase("step"):
            actions = chunk[: min(size, spec.max_steps - episode.steps)]
            result = _executed(env.step(actions), len(actions), state.size)
        recorder.chunk(episode.steps, chunk, result.states)
        episode.advance(result.steps, result.reached, result.states)
    return episode.finished(told, condition, renders=env.renders - rendered)


def _checked(answer: ActionChunk, size: int) -> ActionChunk:
    # A copy: a policy may write its next answer into the same array, and other precisions would not replay exactly.
    with np.errstate(over="ignore"):
        chunk = np.array(answer, np.float32)
    if chunk.ndim != 2 or chunk.shape[0] < size or chunk.shape[1] != ACTION_SIZE:
        raise EpisodeError(
            "policy", f"it returned an action chunk of shape {chunk.shape}, not (>={size}, {ACTION_SIZE})"
        )
    if not np.isfinite(chunk).all():
        raise EpisodeError("policy", "it returned an action that is not finite")
    return chunk


def _executed(result: StepResult, asked: int, width: int) -> StepResult:
    if not 1 <= result.steps <= asked or result.states.shape != (result.steps, width):
        raise EpisodeError(
            "step", f"{result.steps} of {asked} steps with states of shape {result.states.shape}, not (steps, {width})"
        )
    return result


def language_context(task: Task) -> InstructionContext:
    """What a language perturbation may choose from in a task."""
    others = tuple(Instruction(o.instruction, o.goal, o.source) for o in other_goals(task.suite, task.index))
    return InstructionContext(task.instruction, task.goal, others, foreign_instructions(task.suite, task.index))


@dataclass
class _Episode:
    """What the loop counts while it runs."""

    spec: EpisodeSpec
    steps: int = 0
    chunks: int = 0
    reached: tuple[bool, ...] = ()
    difference: ImageDifference = field(default_factory=ImageDifference)
    seconds: dict[Phase, float] = field(default_factory=lambda: defaultdict(float))
    current: Phase = "reset"
    digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)

    @contextlib.contextmanager
    def phase(self, name: Phase) -> Iterator[None]:
        """Book the time of a part of the loop on its name."""
        self.current, start = name, time.perf_counter()
        yield
        self.seconds[name] += time.perf_counter() - start

    def perturbed(self, observation: Observation, condition: Condition, streams: PairStreams) -> Observation:
        """What the policy sees instead, and how far that is from the clean pictures."""
        if not condition.cameras:
            return observation
        images = condition.apply_images(observation.images, observation.step, streams.generator)
        for camera in set(condition.cameras) & set(images):
            self.difference += image_difference(observation.images[camera], images[camera])
        return Observation(images, observation.state, observation.step)

    def advance(self, steps: int, reached: tuple[bool, ...], states: NDArray[np.float64]) -> None:
        """Count an executed chunk."""
        self.steps += steps
        self.chunks += 1
        self.reached = reached
        self.digest.update(np.ascontiguousarray(states).tobytes())

    def finished(self, told: Instruction, condition: Condition, *, renders: int) -> EpisodeResult:
        """The row of an episode that came to its end."""
        followed = len(self.reached) > 1 and self.reached[1]
        reached: Reached = "counterfactual" if followed else "original" if any(self.reached) else "neither"
        wanted: Reached = "counterfactual" if told.goal else "original"
        outcome: Outcome = "success" if reached == wanted else "failure"
        seconds = self.seconds
        return EpisodeResult(
            self.spec,
            outcome,
            steps=self.steps,
            first_success=self.steps if outcome == "success" else None,
            reached=reached,
            instruction=told.text,
            timings=Timings(
                seconds["reset"], seconds["step"], seconds["observe"], seconds["perturb"], seconds["policy"]
            ),
            counts=Counts(self.steps, renders, self.chunks),
            state_digest=self.digest.hexdigest()[:16],
            magnitude=Magnitude(self.difference.mean_abs, self.difference.psnr) if self.difference.n else None,
        )

    def broken(self, error: Exception) -> EpisodeResult:
        """The row of an episode that could not come to its end."""
        phase: Phase = getattr(error, "phase", self.current)
        return EpisodeResult(self.spec, "error", steps=self.steps, error_phase=phase, error_text=error_line(error))
