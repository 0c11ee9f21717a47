"""What runs episodes: in this process, or as a Ray actor."""

import os
from dataclasses import dataclass
from pathlib import Path

from envs.build import EnvCache
from simeval.errors import ConfigError, error_line
from simeval.plugins import Plugin, load
from simeval.policies.base import Policy, PolicySpec
from simeval.policies.registry import PolicyChoice, load_policy
from simeval.recorders import Trace, TraceRecorder
from simeval.rollout import run_episode
from simeval.types import EpisodeResult, EpisodeSpec

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
"""Two busy processes with two threads each are several times slower than with one, and round differently."""


@dataclass(frozen=True)
class WorkerSetup:
    """What a worker needs to know; the same for all workers of a run.

    Attributes:
        policy: how to load the policy, or a client of one that runs elsewhere.
        assets: LIBERO's asset folder, if any LIBERO suite is asked for.
        traces: `all`, `failures` or `none`.
        plugins: axes of the user's own.
    """

    policy: PolicyChoice | Policy
    assets: Path | None
    traces: str
    plugins: tuple[Plugin, ...] = ()


@dataclass(frozen=True)
class Finished:
    """An episode's result, and its trace if it is to be kept."""

    result: EpisodeResult
    trace: Trace | None = None


class EpisodeWorker:
    """A policy, the scenes built so far, and the loop."""

    def __init__(self, setup: WorkerSetup) -> None:
        """Loads the policy and the plugins.

        Raises:
            ConfigError: they cannot be loaded.
        """
        os.environ.update(ONE_THREAD)
        load(setup.plugins)
        self._setup = setup
        self._policy = load_policy(setup.policy) if isinstance(setup.policy, PolicyChoice) else setup.policy
        self._envs = EnvCache(setup.assets)

    def policy_spec(self) -> PolicySpec:
        """What the loaded policy says of itself."""
        return self._policy.spec

    def run(self, spec: EpisodeSpec) -> Finished:
        """Run one episode.

        Raises:
            ConfigError: no episode can run like this.
        """
        recorder = TraceRecorder()
        try:
            env = self._envs.get(spec.suite, spec.task, spec.resolution)
        except ConfigError:
            raise
        except Exception as error:  # noqa: BLE001  simulators and users' environments raise anything
            return Finished(EpisodeResult(spec, "error", error_phase="build", error_text=error_line(error)))
        result = run_episode(spec, env, self._policy, recorder)
        if result.outcome == "error":
            self._envs.discard()
        keep = self._setup.traces == "all" or (self._setup.traces == "failures" and result.outcome == "failure")
        return Finished(result, recorder.trace() if keep else None)


class RemoteWorker:
    """`EpisodeWorker` behind Ray. The policy loads on first use: a bad one is then an answer, not a dead actor."""

    def __init__(self, setup: WorkerSetup) -> None:
        self._setup = setup
        self._worker: EpisodeWorker | None = None

    def policy_spec(self) -> PolicySpec | str:
        """See `EpisodeWorker.policy_spec`; a text if the policy cannot be loaded."""
        try:
            return self._loaded().policy_spec()
        except ConfigError as error:
            return str(error)

    def run(self, spec: EpisodeSpec) -> Finished | str:
        """See `EpisodeWorker.run`; a text instead of a `ConfigError`."""
        try:
            return self._loaded().run(spec)
        except ConfigError as error:
            return str(error)

    def pid(self) -> int:
        """Process id, for tests that kill it."""
        return os.getpid()

    def _loaded(self) -> EpisodeWorker:
        if self._worker is None:
            self._worker = EpisodeWorker(self._setup)
        return self._worker
