"""What `simeval list` prints."""

from collections.abc import Iterator

from envs.suites import PROTOCOLS, SUITES, other_goals, tasks
from perturbations.base import axes
from simeval.config import EvalConfig
from simeval.errors import ConfigError, nearest
from simeval.policies.registry import SCRIPTED


def lines(what: str, suite: str | None = None) -> Iterator[str]:
    """The lines of one list.

    Args:
        what: `suites`, `tasks`, `perturbations`, `policies` or `protocols`.
        suite: for `tasks`, only this suite.

    Raises:
        ConfigError: no such suite.
    """
    if suite is not None and suite not in SUITES:
        raise ConfigError(f"--suite: no suite '{suite}'{nearest(suite, SUITES)}")
    match what:
        case "suites":
            yield from (f"{name:16}{len(tasks(name)):3} tasks" for name in SUITES)
        case "tasks":
            for name in (suite,) if suite else SUITES:
                for task in tasks(name):
                    others = len(other_goals(name, task.index)) if name != "libero_90" else 0
                    yield f"{name:16}{task.index:3}  {task.instruction}" + (
                        f"  ({others} other goals)" if others else ""
                    )
        case "perturbations":
            yield from _perturbations()
        case "policies":
            yield from (f"{name:10} {text}" for name, (_, text) in SCRIPTED.items())
            yield "FOLDER     a checkpoint that lerobot saved, for instance a SmolVLA"
            yield "OWNER/NAME a checkpoint on the Hugging Face hub, for instance HuggingFaceVLA/smolvla_libero"
        case _:
            yield from _protocols()


def _perturbations() -> Iterator[str]:
    for axis in axes():
        yield f"{axis.name:18} {axis.value_means}; {axis.allowed}" + (f" {axis.unit.name}" if not axis.words else "")
        if axis.aliases:
            yield f"{'':18} also written {', '.join(axis.aliases)}"
        if axis.presets:
            yield f"{'':18} s1..s5: {', '.join(f'{value:g}' for value in axis.presets)}"
        settings = [f"/{key.name}={'|'.join(key.words) or 'STEP'}" for key in axis.keys]
        cameras = [f"@{camera}" for camera in axis.cameras]
        if settings or cameras:
            yield f"{'':18} {' '.join(cameras + settings)}"
        yield f"{'':18} acts on: {axis.channel}; source: {axis.source}"


def _protocols() -> Iterator[str]:
    default = EvalConfig().protocol
    for protocol in PROTOCOLS.values():
        yield f"{protocol.name}{' (default)' if protocol.name == default else ''}: {protocol.source}"
        for suite, limits in protocol.limits.items():
            yield (
                f"  {suite:16} max {limits.max_steps} steps, {limits.settle_steps} settle steps, {limits.resolution} px"
            )
