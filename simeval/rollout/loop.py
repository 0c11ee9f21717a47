"""The evaluation loop: one episode, from reset to outcome.

    reset -> observe -> perturb -> predict a chunk -> execute its first n actions -> observe -> ...

How long a prediction takes, and what is executed meanwhile, is the schedule's. Each part runs under the name of its
phase. Timings are kept by phase, and an error row names the phase that broke.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from envs.base import Env
from envs.interface import STATE_SIZE
from envs.suites import find_suite, tasks
from perturbations.base import Infeasible
from perturbations.condition import Condition
from perturbations.latency import BLOCK, MERGE, MODE, NO_RTC, RTC, THRESHOLD
from perturbations.spec import parse
from simeval.core.errors import ConfigError, EpisodeError, ends_process
from simeval.core.instructions import instructable_goals, language_context, resolve_instruction
from simeval.core.seeding import PairStreams
from simeval.core.types import EpisodeResult, EpisodeSpec
from simeval.policies.base import ActionChunk, Policy, PolicyInput, PolicySpec, number_fault
from simeval.policies.repeatable import largest_gap, should_repeat
from simeval.rollout.contract import executed, state_of
from simeval.rollout.episode_log import EpisodeLog
from simeval.rollout.interventions import Interventions
from simeval.rollout.observations import ObservationPipeline
from simeval.rollout.schedule import Pace, Schedule
from simeval.rollout.trace import Recorder


def run_episode(
    spec: EpisodeSpec, env: Env, policy: Policy, recorder: Recorder, log: EpisodeLog | None = None
) -> EpisodeResult:
    """Roll the policy out once. An exception inside becomes an `error` row, not a failed trial.

    Args:
        spec: the episode.
        env: the built scene of its task.
        policy: the policy that acts.
        recorder: receives every chunk.
        log: the episode's log, if a caller watches it while the episode runs; by default a new one.

    Raises:
        ConfigError: the request itself cannot be carried out.
    """
    log = log or EpisodeLog(spec)
    try:
        return _run(log, env, policy, recorder)
    except ConfigError:
        raise  # every further episode would fail in the same way
    except Infeasible as reason:
        return log.to_infeasible(reason)
    except BaseException as error:
        # User policies, user environments and simulators may raise anything, SystemExit included.
        if ends_process(error):
            raise
        return log.to_error(error)


def _run(log: EpisodeLog, env: Env, policy: Policy, recorder: Recorder) -> EpisodeResult:
    spec, streams = log.spec, PairStreams.of(log.spec)
    condition, task = parse(spec.condition), tasks(spec.suite)[spec.task]
    applied = condition.start(streams.generator, policy.spec.state_std or _unit_scale(policy.spec))
    observations = ObservationPipeline(env, applied, policy.spec)
    physics = Interventions(condition, streams.generator)
    applied.control_hz = find_suite(spec.suite).interface.control_hz
    schedule = Schedule(_pace(condition, policy.spec), policy.spec.action_size)
    with log.phase("reset"):
        rendered = _reset(log, env, physics)
    with log.phase("perturb"):
        context = language_context(task, turn=spec.init_state)
        instruction = resolve_instruction(condition, context, streams.generator)
        env.goals = (task.goal, instruction.goal) if instruction.goal else (task.goal,)
        env.tracked = tuple(goal for goal in instructable_goals(context) if goal not in env.goals)
        observations.begin(task.goal, spec)
    recorder.start(instruction.text, state_of(env))
    while log.steps < spec.max_steps and not any(log.reached):
        start, chunk = log.steps, None
        with log.phase("observe"):
            physics.at(start, env)
            observations.capture(start, asked=schedule.due)
        if schedule.due:
            with log.phase("perturb"):
                *past, observation = observations.observe(start)
            with log.phase("policy"):
                privileged = env.privileged(instruction.goal or task.goal) if policy.spec.privileged else None
                request = PolicyInput(
                    observation, instruction.text, spec.pair_id, log.chunks, streams.policy_seed(log.chunks),
                    privileged, spec.id, tuple(past),
                    _rest(schedule, condition), applied.latency(log.chunks, schedule.last_latency),
                )  # fmt: skip
                chunk = _checked(policy.act([request]), policy.spec)
            _ask_again(log, chunk, policy, request)
            schedule.ask(start, chunk, applied.latency(log.chunks, applied.control_hz * log.took))
            log.chunks += 1
        part = schedule.upcoming(start, spec.max_steps)
        with log.phase("perturb"):
            actions = applied.actions(part.actions, start)
        with log.phase("step"):
            states = _execute(actions, env, log, observations, physics)
        schedule.executed(start, part, len(states))
        log.record_part(part, actions[: len(states)])
        recorder.part(start, chunk, actions[: len(states)], states)
    return log.to_result(instruction, env, observations, physics, schedule, env.renders - rendered)


def _reset(log: EpisodeLog, env: Env, physics: Interventions) -> int:
    """Reset the scene, and return how many images it has rendered by now."""
    change = physics.before_settling
    env.reset(log.spec, change)
    if change is None:  # else the condition has another start on purpose
        log.record_start(state_of(env))
    return env.renders


def _pace(condition: Condition, policy: PolicySpec) -> Pace:
    """How the policy is executed under a condition.

    Raises:
        ConfigError: it cannot be executed so.
    """
    term = condition.latency
    if term is None:
        return Pace(policy.n_action_steps)
    if _continues(condition) and not policy.continues:
        raise ConfigError(NO_RTC.format(term, policy.name))
    share = term.option(THRESHOLD.name)
    return Pace(
        policy.n_action_steps,
        overlapping=(term.option(MODE.name) or BLOCK) != BLOCK,
        threshold=float(share) if share else None,
        merge=term.option(MERGE.name) or MERGE.default,
    )


def _continues(condition: Condition) -> bool:
    """Whether each answer is to continue the rest of the chunk before it."""
    return condition.latency is not None and condition.latency.option(MODE.name) == RTC


def _rest(schedule: Schedule, condition: Condition) -> ActionChunk | None:
    """What an answer to a question of this moment is to continue, as a copy; `None` for nothing."""
    return None if schedule.left is None or not _continues(condition) else schedule.left.copy()


def _execute(
    actions: NDArray[np.float32], env: Env, log: EpisodeLog, observations: ObservationPipeline, physics: Interventions
) -> NDArray[np.float64]:
    """Execute actions until a goal is reached. Scheduled captures and interventions run between its control steps."""
    start, states = log.steps, []
    for part in _parts(actions, start, observations.capture_steps | set(physics.condition.steps)):
        if log.steps > start:
            physics.at(log.steps, env)
            observations.capture(log.steps)
        result = executed(env.step(part), len(part), env)
        log.record_step(result, env.tracked)
        states.append(result.states)
        if any(result.reached):
            break
    return np.concatenate(states)


def _parts(actions: NDArray[np.float32], start: int, stops: frozenset[int]) -> list[NDArray[np.float32]]:
    """Actions, split at the steps where a capture or an intervention is scheduled."""
    cuts = [step - start for step in sorted(stops) if start < step < start + len(actions)]
    return np.split(actions, cuts)


def _unit_scale(policy: PolicySpec) -> tuple[float, ...] | None:
    """Scale of states whose parts are not known, in which their changes are expressed; `None` for LIBERO's."""
    return None if policy.state_size == STATE_SIZE else (1.0,) * policy.state_size


def _ask_again(log: EpisodeLog, chunk: ActionChunk, policy: Policy, request: PolicyInput) -> None:
    """Ask a user's policy the same again, and note how far its answers are apart; at the start of clean episodes.

    The question is outside the policy's phase, so its time does not count.

    Raises:
        EpisodeError: see `_checked`.
    """
    if request.chunk_index or not should_repeat(policy.spec) or any(parse(log.spec.condition).active_terms()):
        return
    log.repeat_gap = largest_gap(chunk, _checked(policy.act([request]), policy.spec))


def _checked(chunks: Sequence[ActionChunk], policy: PolicySpec) -> ActionChunk:
    """The policy's answer to one input as `float32[K, action_size]`.

    Raises:
        EpisodeError: it is not one finite action chunk of at least `n_action_steps`.
    """
    if len(chunks) != 1:
        raise EpisodeError("policy", f"it returned {len(chunks)} for 1 input, not a list of 1 action chunk")
    if fault := number_fault(chunks[0]):
        raise EpisodeError("policy", fault)
    # A copy: a policy may reuse the array for its next chunk, and other precisions would not replay exactly.
    with np.errstate(over="ignore"):
        chunk = np.array(chunks[0], np.float32)
    if chunk.ndim != 2 or chunk.shape[0] < policy.n_action_steps or chunk.shape[1] != policy.action_size:
        wanted = f"(>={policy.n_action_steps}, {policy.action_size})"
        raise EpisodeError("policy", f"it returned an action chunk of shape {chunk.shape}, not {wanted}")
    if not np.isfinite(chunk).all():
        raise EpisodeError("policy", "it returned an action that is not finite")
    return chunk
