"""What runs episodes: in this process, or as a Ray actor."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

from envs.build import EnvCache
from envs.sim.opengl import take_device
from simeval.core import kernels
from simeval.core.errors import ConfigError, ends_process, error_line
from simeval.core.plugins import Plugin, load
from simeval.core.time_limit import time_limit
from simeval.core.types import EpisodeResult, EpisodeSpec
from simeval.policies.base import Policy, WorkerFacts
from simeval.policies.registry import PolicyChoice, load_policy
from simeval.rollout.episode_log import EpisodeLog
from simeval.rollout.loop import run_episode
from simeval.rollout.trace import PackedTrace, Trace, TraceRecorder
from simeval.runner.heartbeat import AFTER, EpisodeStatus, keep_writing
from simeval.runner.session import ONE_THREAD

TIMEOUT = "--episode-timeout"
"""What an episode exceeds that takes too long."""


@dataclass(frozen=True)
class WorkerSetup:
    """What a worker needs to know; the same for all workers of a run.

    Attributes:
        policy: how to load the policy, or a client of one that runs elsewhere.
        assets: LIBERO's asset folder, if any LIBERO suite is asked for.
        traces: `all`, `failures` or `none`.
        plugins: axes of the user's own.
        timeout: seconds that an episode may take; `None` for as long as it likes.
    """

    policy: PolicyChoice | Policy
    assets: Path | None
    traces: str
    plugins: tuple[Plugin, ...] = ()
    timeout: float | None = None


@dataclass(frozen=True)
class EpisodeOutput:
    """An episode's result, and its trace if it is to be kept."""

    result: EpisodeResult
    trace: Trace | PackedTrace | None = None


class EpisodeWorker:
    """A policy, the scenes built so far, and the loop."""

    def __init__(self, setup: WorkerSetup) -> None:
        """Loads the policy and the plugins.

        Raises:
            ConfigError: they cannot be loaded.
        """
        from threadpoolctl import threadpool_limits

        os.environ.update(ONE_THREAD)
        # The variables come too late for a BLAS that is loaded.
        threadpool_limits(1)
        load(setup.plugins)
        self._setup = setup
        self._policy = _loaded(setup.policy) if isinstance(setup.policy, PolicyChoice) else setup.policy
        self._envs = EnvCache(setup.assets)
        self._tally: EpisodeLog | None = None

    def facts(self) -> "WorkerFacts":
        """What the loaded policy says of itself, and the kernels in use here."""
        return WorkerFacts(self._policy.spec, kernels.of_simulation())

    def where(self) -> EpisodeStatus | None:
        """What the running episode is doing; `None` between two. May be asked from another thread."""
        tally = self._tally
        return EpisodeStatus(tally.spec.id, tally.current, tally.steps) if tally else None

    def run(self, spec: EpisodeSpec) -> EpisodeOutput:
        """Run one episode; one that takes longer than it may is an error row.

        Raises:
            ConfigError: no episode can run like this.
        """
        self._tally = tally = EpisodeLog(spec, current="build")
        recorder = TraceRecorder()
        try:
            with time_limit(self._setup.timeout, TIMEOUT):
                env = self._envs.get(spec.suite, spec.task, spec.resolution)
                result = run_episode(spec, env, self._policy, recorder, tally)
            keep = self._setup.traces == "all" or (self._setup.traces == "failures" and result.outcome == "failure")
            if result.outcome != "error":
                return EpisodeOutput(result, recorder.trace() if keep else None)
            self._envs.discard()
        except ConfigError:
            raise
        except BaseException as error:  # simulators and users' environments raise anything
            if ends_process(error):
                raise
            result = tally.broken(error)
        finally:
            self._tally = None
        return EpisodeOutput(result)


def _loaded(choice: PolicyChoice) -> Policy:
    """A policy; whatever its code raises is said in one line.

    Raises:
        ConfigError: it cannot be loaded.
    """
    try:
        return load_policy(choice)
    except BaseException as error:
        if isinstance(error, ConfigError) or ends_process(error):
            raise
        raise ConfigError(f"--policy {choice.name}: it does not load: {error_line(error)}") from error


@dataclass(frozen=True, slots=True)
class Placement:
    """What differs between the workers of a run.

    Attributes:
        assets: LIBERO's asset folder on the worker's node.
        slot: which of the node's workers it is, from 0.
    """

    assets: Path | None
    slot: int


class RemoteWorker:
    """`EpisodeWorker` behind Ray. Loading is a call of its own: a bad policy is then an answer, not a dead actor."""

    def __init__(self, setup: WorkerSetup) -> None:
        self._setup = setup
        self._worker: EpisodeWorker | None = None

    def node(self) -> bytes:
        """Ray's id of the node that it runs on."""
        import ray

        return bytes.fromhex(ray.get_runtime_context().get_node_id())

    def load(self, place: Placement) -> WorkerFacts | str:
        """Load the policy: what the worker is then, or why it cannot be loaded."""
        take_device(place.slot)
        try:
            # Here it is the driver that stops what takes too long: it kills the process.
            self._worker = EpisodeWorker(replace(self._setup, assets=place.assets, timeout=None))
            # In time for whoever stops it.
            keep_writing(self._worker.where, AFTER if self._setup.timeout is None else self._setup.timeout / 2)
            return self._worker.facts()
        except ConfigError as error:
            return str(error)

    def run(self, spec: EpisodeSpec) -> EpisodeOutput | str:
        """See `EpisodeWorker.run`; a text instead of a `ConfigError`, and the trace packed."""
        assert self._worker is not None, "load comes first"
        try:
            finished = self._worker.run(spec)
        except ConfigError as error:
            return str(error)
        packed = finished.trace.packed() if isinstance(finished.trace, Trace) else finished.trace
        return replace(finished, trace=packed)

    def pid(self) -> int:
        """Process id, for tests that kill it."""
        return os.getpid()
