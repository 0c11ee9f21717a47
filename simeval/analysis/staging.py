"""The stages of a run's episodes, computed from its stored traces: once, and again only for episodes that are new.

Non-obvious behaviour:
- Nothing is simulated. A scene is built per task with a failure or a pair, reset for the poses of its fixtures, and the
  stored states are loaded into it.
- An episode whose states are missing is not stored as final: it is looked at again at the next call.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby

import msgspec
import numpy as np

from envs.base import EnvError, ResetOptions
from envs.build import EnvCache
from envs.goals import Goal
from envs.motion import Series, TellsMotion, sampled
from envs.suites import changed_task, tasks
from simeval.analysis.stages import STRIDE, Verdict, classify, divergence
from simeval.core.errors import ConfigError
from simeval.core.instructions import instructable_goals, language_context
from simeval.core.types import CLEAN, EpisodeResult
from simeval.rollout.episode_log import goal_text
from simeval.rollout.trace import Trace
from simeval.store.assets import assets_of
from simeval.store.run import Run, trace_path
from simeval.store.stages import (
    SUCCESS,
    DamagedStagesError,
    EpisodeStage,
    current_stages,
    read_stages,
    stages_path,
    twin_digests,
    twin_of,
    write_stages,
)

NO_TRACE = "no states are stored"
ABSENT = "the suite {} is not installed here"
UNNAMED = "the suite {} is of the plugin {}; name it by --plugin"
IMPORTED = "imported results have no states"
CANNOT_TELL = "the environments of {} do not tell what moved"
UNKNOWN_GOAL = "the goal that its instruction asks for is not known here"
DAMAGED = "its trace is damaged"
NOT_RUN = {"error": "the episode broke", "infeasible": "the episode is infeasible"}
_DIGITS = 6
"""Digits of a stored distance (m): those below depend on the processor."""


def stages_of(
    run: Run, begun: Callable[[int], Callable[[], None]] | None = None, note: Callable[[str], None] | None = None
) -> tuple[EpisodeStage, ...]:
    """The stage of every episode of a run, in plan order; computes and stores those that are not stored yet.

    Args:
        run: the run.
        begun: called with the number of episodes whose states will be read, if there are any; returns what to call
            after each.
        note: called with a line if the stored file is damaged; what is lost is computed again.

    Raises:
        ConfigError: the folder cannot be written, the stored file is of a later version or cannot be read, or the
            run's scenes are not available.
    """
    results, damaged = run.results, False
    try:
        known_before = read_stages(run.folder)
    except DamagedStagesError as error:
        known_before, damaged = error.intact, True
        if note:
            note(f"{error.path}: {error.what}; what is lost is computed again")
    stored = current_stages(known_before, results)
    twins, clean = twin_digests(results), {r.spec.pair_id: r for r in results if r.spec.condition == CLEAN}
    found: dict[str, EpisodeStage] = {}
    waiting: list[EpisodeResult] = []
    for result in results:
        known = stored.get(result.spec.id)
        has_trace = trace_path(run.folder, result.spec).exists()
        if known is None or (has_trace and _lacks_states(run, known, clean.get(result.spec.pair_id))):
            known = _without_states(run, result, twins, has_trace=has_trace)
        if known is None:
            waiting.append(result)
        else:
            found[result.spec.id] = known
    if waiting:
        if not os.access(run.folder, os.W_OK | os.X_OK):
            raise ConfigError(f"{stages_path(run.folder)}: cannot be written, so the stages cannot be kept")
        advance = begun(len(waiting)) if begun else lambda: None
        for stage in _computed(run, waiting, twins):
            found[stage.id] = stage
            advance()
    stages = tuple(found[result.spec.id] for result in results)
    if waiting or (damaged and os.access(run.folder, os.W_OK)):  # what is known without states need not be kept
        write_stages(run.folder, stages)
    return stages


def _lacks_states(run: Run, known: EpisodeStage, twin: EpisodeResult | None) -> bool:
    """Whether an entry was made without states that may be there by now."""
    if known.reason or not known.twin or known.compared:
        return known.reason == NO_TRACE or _lacked_suite(run, known)
    return twin is not None and trace_path(run.folder, twin.spec).exists()


def _lacked_suite(run: Run, known: EpisodeStage) -> bool:
    """Whether an entry was made without its suite, which is there now."""
    suite = known.id.partition("/")[0]
    return suite not in run.absent_suites and known.reason in (ABSENT.format(suite), absent_suite(run, suite))


def absent_suite(run: Run, suite: str) -> str:
    """Why nothing can be told of a suite that this process does not know."""
    named = run.manifest["identity"].get("plugins") or {}
    return UNNAMED.format(suite, " or ".join(named)) if named else ABSENT.format(suite)


def _without_states(
    run: Run, result: EpisodeResult, twins: Mapping[str, str], *, has_trace: bool
) -> EpisodeStage | None:
    """The entry of an episode whose states need not or cannot be read; `None` if they can."""
    suite, twin = result.spec.suite, twin_of(result, twins)
    stage = SUCCESS if result.outcome == "success" else None
    if result.outcome in NOT_RUN:
        reason = NOT_RUN[result.outcome]
    elif run.imported_from:
        reason = IMPORTED
    elif stage and not twin:
        reason = ""
    elif not has_trace:
        reason = NO_TRACE
    elif suite in run.absent_suites:
        reason = absent_suite(run, suite)
    else:
        return None
    return EpisodeStage(id=result.spec.id, digest=result.state_digest, twin=twin, stage=stage, reason=reason)


def _computed(run: Run, waiting: Sequence[EpisodeResult], twins: Mapping[str, str]) -> Iterator[EpisodeStage]:
    scenes = EnvCache(assets_of(run))
    clean = {r.spec.pair_id: r for r in run.results if r.spec.condition == CLEAN}
    try:
        for (suite, task), results in groupby(sorted(waiting, key=_scene_of), key=_scene_of):
            reader = _Reader(run, scenes, suite, task)
            for _, pair in groupby(results, key=lambda r: r.spec.pair_id):
                yield from reader.stages(list(pair), clean, twins)
    finally:
        scenes.discard()


def _scene_of(result: EpisodeResult) -> tuple[str, int]:
    return result.spec.suite, result.spec.task


class _Reader:
    """Reads the traces of one task's episodes."""

    def __init__(self, run: Run, scenes: EnvCache, suite: str, task: int) -> None:
        self._run, self._suite, self._task = run, suite, tasks(suite)[task]
        self._scenes = scenes
        self._begun_as: tuple[int, int, int] | None = None

    def stages(
        self, pair: Sequence[EpisodeResult], clean: Mapping[str, EpisodeResult], twins: Mapping[str, str]
    ) -> Iterator[EpisodeStage]:
        """The stages of episodes of one pair."""
        path: Series | None = None
        twin = clean.get(pair[0].spec.pair_id)
        if twin is not None and any(result.spec.condition != CLEAN for result in pair):
            try:
                path = self._hand(twin)
            except (EnvError, ConfigError):
                path = None
        for result in pair:
            own = "" if result.spec.condition == CLEAN else twin_of(result, twins)
            entry = EpisodeStage(id=result.spec.id, digest=result.state_digest, twin=own)
            yield self._filled(entry, result, path if own else None)

    def _filled(self, entry: EpisodeStage, result: EpisodeResult, twin: Series | None) -> EpisodeStage:
        replace = msgspec.structs.replace
        if result.outcome == "success":
            entry = replace(entry, stage=SUCCESS)
        try:
            if twin is not None:
                entry = replace(entry, compared=True)
                if apart := divergence(self._hand(result), twin):
                    entry = replace(entry, divergence_step=apart[0], divergence_m=round(apart[1], _DIGITS))
            if result.outcome == "failure":
                verdict = self._verdict(result)
                entry = replace(entry, stage=verdict.stage, atom=verdict.atom, object=verdict.object)
        except EnvError as error:
            entry = replace(entry, reason=str(error))
        except ConfigError:
            entry = replace(entry, reason=DAMAGED)
        return entry

    def _verdict(self, result: EpisodeResult) -> Verdict:
        goal = _goal_of(result)
        if goal is None:
            raise EnvError(UNKNOWN_GOAL)
        trace, env = self._trace(result), self._begun(result)
        steps = sampled(len(trace.states), STRIDE)
        motion = env.motion([trace.states[step] for step in steps], steps, goal)
        commands = np.concatenate([[False], trace.actions[:, -1] > 0])
        return classify(motion, commands[steps])

    def _hand(self, result: EpisodeResult) -> Series:
        trace = self._trace(result)
        return self._begun(result).hand_path(list(trace.states))

    def _trace(self, result: EpisodeResult) -> Trace:
        trace = self._run.trace(result)
        if trace is None:
            raise EnvError(NO_TRACE)
        return trace

    def _begun(self, result: EpisodeResult) -> TellsMotion:
        """The scene, with fixtures where they were in this episode; these depend on the pair alone.

        Raises:
            EnvError: it cannot be built, or does not tell what moved.
        """
        spec = result.spec
        env = self._scenes.get(self._suite, self._task.index, spec.resolution)
        if not isinstance(env, TellsMotion):
            raise EnvError(CANNOT_TELL.format(self._suite))
        begun_as = spec.init_state, spec.env_seed, spec.resolution
        if self._begun_as != begun_as:
            env.reset(ResetOptions(spec.init_state, spec.env_seed))
            self._begun_as = begun_as
        return env


def _goal_of(result: EpisodeResult) -> Goal | None:
    """The goal that counts for an episode; `None` if its text is that of no goal known here."""
    task = tasks(result.spec.suite)[result.spec.task]
    if result.goal is None:
        return task.goal
    goals: Iterable[Goal] = instructable_goals(language_context(task, turn=result.spec.init_state))
    own = changed_task(task)
    known = [*goals, *([own.goal] if own else [])]
    return next((goal for goal in known if goal_text(goal) == result.goal), None)
