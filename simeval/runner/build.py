"""Builds the runner that a configuration asks for."""

import contextlib
import functools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from simeval.config.evaluation import EvalConfig
from simeval.core import plugins
from simeval.core.errors import ConfigError
from simeval.policies.base import Policy
from simeval.policies.registry import PolicyChoice, has_gpu, load_policy, use_actor
from simeval.runner.ray_runner import RayRunner
from simeval.runner.serial import Runner, SerialRunner
from simeval.runner.session import process_environment, ray_session
from simeval.runner.worker import WorkerSetup


@contextlib.contextmanager
def open_runner(config: EvalConfig, choice: PolicyChoice | Policy, assets: Path | None) -> Iterator[Runner]:
    """Open the runner for a configuration: this process, or Ray with its workers and perhaps a policy server.

    Raises:
        ConfigError: it cannot be started.
    """
    # A server is asked once who it is; the workers then hold it to that.
    policy = load_policy(choice) if isinstance(choice, PolicyChoice) and choice.kind == "server" else choice
    setup = WorkerSetup(policy, assets, config.traces, plugins.read(config.plugin), config.episode_timeout)
    if config.worker_count == 0:
        if config.inference == "actor":
            raise ConfigError("--inference actor: needs --workers of at least 1")
        yield SerialRunner(setup)
        return
    cluster = config.ray_address is not None
    workers = config.workers if cluster else config.worker_count
    with ray_session(config.ray_address, config.worker_count):
        if isinstance(choice, PolicyChoice) and use_actor(choice, config.inference):
            from simeval.policies import actor

            # Only CUDA devices are a resource of Ray.
            gpus = 1.0 if choice.device in ("auto", "cuda") and has_gpu(choice.device) else 0.0
            served = actor.start(
                functools.partial(load_policy, choice),
                batch_size=choice.batch_size,
                num_gpus=gpus,
                environment=process_environment() if cluster else None,
            )
            setup = replace(setup, policy=served)
        if isinstance(choice, PolicyChoice):
            yield RayRunner(setup, workers, cluster=cluster)
            return
        from simeval.policies.remote.local import served_to_workers

        with served_to_workers(choice, batch_size=config.batch_size or 1) as shared:
            yield RayRunner(replace(setup, policy=shared), workers, cluster=cluster)
