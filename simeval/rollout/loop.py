"""The evaluation loop: one episode, from reset to outcome.

    reset -> observe -> perturb -> predict a chunk -> execute its first n actions -> observe -> ...

Each part runs under the name of its phase, which is both what its time is booked on and what an error row blames.
"""

import numpy as np
from numpy.typing import NDArray

from envs.base import ACTION_SIZE, Env, StepResult
from envs.suites import tasks
from perturbations.base import Infeasible
from perturbations.spec import parse
from simeval.core.errors import ConfigError, EpisodeError, ends_process
from simeval.core.instructions import instructable_goals, language_context, resolve_instruction
from simeval.core.seeding import PairStreams
from simeval.core.types import EpisodeResult, EpisodeSpec
from simeval.policies.base import ActionChunk, Policy, PolicyInput
from simeval.rollout.episode_log import EpisodeLog
from simeval.rollout.interventions import Interventions
from simeval.rollout.observations import ObservationPipeline
from simeval.rollout.trace import Recorder


def run_episode(
    spec: EpisodeSpec, env: Env, policy: Policy, recorder: Recorder, tally: EpisodeLog | None = None
) -> EpisodeResult:
    """Roll the policy out once. Never raises for what happens inside: a crash is an `error` row, not a failed trial.

    Args:
        spec: the episode.
        env: the built scene of its task.
        policy: what acts.
        recorder: is given every chunk.
        tally: the episode's books, for somebody who looks at them meanwhile.
    """
    tally = tally or EpisodeLog(spec)
    try:
        return _run(tally, env, policy, recorder)
    except ConfigError:
        raise  # the request itself cannot be carried out; every further episode would say the same
    except Infeasible as reason:
        return tally.infeasible(reason)
    except BaseException as error:
        # User policies, user environments and simulators raise anything, also what would end this process.
        if ends_process(error):
            raise
        return tally.broken(error)


def _run(tally: EpisodeLog, env: Env, policy: Policy, recorder: Recorder) -> EpisodeResult:
    spec, streams = tally.spec, PairStreams.of(tally.spec)
    condition, task, size = parse(spec.condition), tasks(spec.suite)[spec.task], policy.spec.n_action_steps
    applied = condition.start(streams.generator, policy.spec.state_std)
    senses, physics = ObservationPipeline(env, applied, policy.spec), Interventions(condition, streams.generator)
    with tally.phase("reset"):
        env.reset(spec, physics.before_settling)
        rendered = env.renders
    with tally.phase("perturb"):
        context = language_context(task, turn=spec.init_state)
        told = resolve_instruction(condition, context, streams.generator)
        env.goals = (task.goal, told.goal) if told.goal else (task.goal,)
        env.tracked = tuple(goal for goal in instructable_goals(context) if goal not in env.goals)
        senses.open(task.goal, spec.max_steps)
    recorder.start(told.text, env.state())
    while tally.steps < spec.max_steps and not any(tally.reached):
        with tally.phase("observe"):
            physics.at(tally.steps, env)
            senses.take(tally.steps)
        with tally.phase("perturb"):
            observation = senses.look(tally.steps)
        with tally.phase("policy"):
            privileged = env.privileged(told.goal or task.goal) if policy.spec.privileged else None
            seed = streams.policy_seed(tally.chunks)
            request = PolicyInput(observation, told.text, spec.pair_id, tally.chunks, seed, privileged)
            chunk = _checked(policy.act([request])[0], size)
        with tally.phase("perturb"):
            start, wanted = tally.steps, chunk[: min(size, spec.max_steps - tally.steps)]
            actions = applied.actions(wanted, start)
        with tally.phase("step"):
            states = _execute(actions, env, tally, senses, physics)
        tally.commanded(wanted[: len(states)], actions[: len(states)])
        recorder.chunk(start, chunk, actions[: len(states)], states)
    return tally.finished(told, env, senses, physics, env.renders - rendered)


def _execute(
    actions: NDArray[np.float32], env: Env, tally: EpisodeLog, senses: ObservationPipeline, physics: Interventions
) -> NDArray[np.float64]:
    """Execute a chunk until a goal is reached; whatever is due between two of its control steps happens there."""
    start, states = tally.steps, []
    for part in _parts(actions, start, senses.due | set(physics.condition.steps)):
        if tally.steps > start:
            physics.at(tally.steps, env)
            senses.take(tally.steps)
        result = _executed(env.step(part), len(part), env.state().size)
        tally.advance(result, env.tracked)
        states.append(result.states)
        if any(result.reached):
            break
    return np.concatenate(states)


def _parts(actions: NDArray[np.float32], start: int, stops: frozenset[int]) -> list[NDArray[np.float32]]:
    """The actions of a chunk, cut at the control steps between which something is to happen."""
    cuts = [step - start for step in sorted(stops) if start < step < start + len(actions)]
    return np.split(actions, cuts)


def _checked(answer: ActionChunk, size: int) -> ActionChunk:
    given = np.asarray(answer)
    if given.dtype.kind not in "iufV":  # NumPy would drop an imaginary part, and read numbers out of text
        raise EpisodeError("policy", f"it returned actions of type {given.dtype}, not real numbers")
    # A copy: a policy may write its next answer into the same array, and other precisions would not replay exactly.
    with np.errstate(over="ignore"):
        chunk = np.array(given, np.float32)
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
