"""Runs episodes: `EpisodeWorker` in this process, `RemoteWorker` as a Ray actor around one."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

from envs.build import EnvCache
from envs.sim.opengl import take_device
from simeval.core import kernels
from simeval.core.errors import ConfigError, ends_process, error_line
from simeval.core.gc_pause import collect_rarely, leave_alone
from simeval.core.plugins import Plugin, load
from simeval.core.time_limit import time_limit
from simeval.core.types import EpisodeResult, EpisodeSpec
from simeval.policies.base import Policy, WorkerFacts
from simeval.policies.registry import PolicyChoice, load_policy
from simeval.rollout.episode_log import EpisodeLog
from simeval.rollout.loop import run_episode
from simeval.rollout.trace import PackedTrace, Trace, TraceRecorder
from simeval.runner.heartbeat import FIRST_NOTE_S, EpisodeStatus, start_writing
from simeval.runner.session import ONE_THREAD

TIMEOUT = "--episode-timeout"
"""The option whose limit an overdue episode exceeds; its error text names it."""


@dataclass(frozen=True)
class WorkerSetup:
    """Configuration of a worker; the same for all workers of a run.

    Attributes:
        policy: how to load the policy, or a client of a policy server.
        assets: LIBERO's asset folder, if the run has a LIBERO suite.
        traces: `all`, `failures` or `none`.
        plugins: user-defined axes.
        timeout: seconds that an episode may take; `None` for no limit.
    """

    policy: PolicyChoice | Policy
    assets: Path | None
    traces: str
    plugins: tuple[Plugin, ...] = ()
    timeout: float | None = None


@dataclass(frozen=True)
class EpisodeOutput:
    """The result of an episode, and its trace if that is to be stored."""

    result: EpisodeResult
    trace: Trace | PackedTrace | None = None


class EpisodeWorker:
    """Runs episodes one after another with one loaded policy; keeps the scenes that it has built."""

    def __init__(self, setup: WorkerSetup) -> None:
        """Loads the policy and the plugins.

        Raises:
            ConfigError: they cannot be loaded.
        """
        from threadpoolctl import threadpool_limits

        os.environ.update(ONE_THREAD)
        # The variables have no effect on a BLAS that is loaded already.
        threadpool_limits(1)
        load(setup.plugins)
        self._setup = setup
        self._policy = _load_policy(setup.policy) if isinstance(setup.policy, PolicyChoice) else setup.policy
        self._envs = EnvCache(setup.assets)
        leave_alone()
        self._log: EpisodeLog | None = None

    def facts(self) -> WorkerFacts:
        """The spec of the loaded policy, and the kernels in use here."""
        return WorkerFacts(self._policy.spec, kernels.of_simulation())

    def status(self) -> EpisodeStatus | None:
        """Status of the running episode; `None` between episodes. Safe to call from another thread."""
        log = self._log
        return EpisodeStatus(log.spec.id, log.current, log.steps) if log else None

    def run(self, spec: EpisodeSpec) -> EpisodeOutput:
        """Run one episode; one that exceeds the time limit becomes an error row.

        Raises:
            ConfigError: no episode of this run can be carried out.
        """
        self._log = log = EpisodeLog(spec, current="build")
        recorder = TraceRecorder()
        try:
            with time_limit(self._setup.timeout, TIMEOUT):
                env = self._envs.get(spec.suite, spec.task, spec.resolution)
                result = run_episode(spec, env, self._policy, recorder, log)
            keep = self._setup.traces == "all" or (self._setup.traces == "failures" and result.outcome == "failure")
            if result.outcome != "error":
                return EpisodeOutput(result, recorder.trace() if keep else None)
            self._envs.discard()
        except ConfigError:
            raise
        except BaseException as error:  # simulators and user environments may raise anything
            if ends_process(error):
                raise
            result = log.to_error(error)
        finally:
            self._log = None
        return EpisodeOutput(result)


def _load_policy(choice: PolicyChoice) -> Policy:
    """Load a policy; an exception of its code becomes one line.

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
    """Where a worker runs: the part of its configuration that differs between workers.

    Attributes:
        assets: LIBERO's asset folder on the worker's node.
        slot: index of the worker on its node, from 0.
    """

    assets: Path | None
    slot: int


class RemoteWorker:
    """An `EpisodeWorker` as a Ray actor. Loading is a separate call: a bad policy gives an answer, not a dead actor."""

    def __init__(self, setup: WorkerSetup) -> None:
        collect_rarely()
        self._setup = setup
        self._worker: EpisodeWorker | None = None

    def node(self) -> bytes:
        """Ray's id of the node that the actor runs on."""
        import ray

        return bytes.fromhex(ray.get_runtime_context().get_node_id())

    def load(self, placement: Placement) -> WorkerFacts | str:
        """Load the policy; returns the worker's facts, or the reason why it cannot be loaded."""
        take_device(placement.slot)
        try:
            # No limit here: the driver enforces it by killing this process.
            self._worker = EpisodeWorker(replace(self._setup, assets=placement.assets, timeout=None))
            # Early enough that the driver can read the status before it kills the process.
            start_writing(self._worker.status, FIRST_NOTE_S if self._setup.timeout is None else self._setup.timeout / 2)
            return self._worker.facts()
        except ConfigError as error:
            return str(error)

    def run(self, spec: EpisodeSpec) -> EpisodeOutput | str:
        """See `EpisodeWorker.run`; a `ConfigError` is returned as its text, and the trace is packed."""
        assert self._worker is not None, "load comes first"
        try:
            output = self._worker.run(spec)
        except ConfigError as error:
            return str(error)
        packed = output.trace.packed() if isinstance(output.trace, Trace) else output.trace
        return replace(output, trace=packed)

    def pid(self) -> int:
        """Process id, for tests that kill it."""
        return os.getpid()
