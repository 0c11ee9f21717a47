"""The list of checks, and running those that are requested."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from simeval.core.errors import ConfigError, error_line, nearest
from simeval.doctor.caches import check_assets, check_bundled, check_checkpoint, check_hub
from simeval.doctor.cluster import check_ray
from simeval.doctor.findings import Finding, as_json, as_text, failure, healthy, verdict
from simeval.doctor.installed import check_lerobot, check_opencv, check_python, check_versions
from simeval.doctor.machine import check_disk, check_driver, check_gpu, check_memory, check_threads, check_torch
from simeval.doctor.opengl import check_opengl, check_scene
from simeval.doctor.surroundings import Machine


@dataclass(frozen=True, slots=True)
class Request:
    """What the machine should be ready for.

    Attributes:
        policy: the value of `--policy` that will be run; `None` if it is not known yet.
        ray: `local` to start Ray for a moment, `auto` or `HOST:PORT` to ask a cluster, `None` for neither.
        results: where runs will be written.
        only: names of checks; empty for all.
        convention: card of a policy server.
    """

    policy: str | None = None
    ray: str | None = None
    results: Path = Path("results")
    only: tuple[str, ...] = ()
    convention: str | None = None


Check = Callable[[Machine, Request], Finding]

CHECKS: dict[str, Check] = {
    "python": lambda here, _: check_python(here),
    "versions": lambda here, _: check_versions(here),
    "opencv": lambda here, _: check_opencv(here),
    "lerobot": lambda here, _: check_lerobot(here),
    "gpu": lambda here, _: check_gpu(here),
    "driver": lambda here, _: check_driver(here),
    "torch": lambda here, _: check_torch(here),
    "opengl": lambda here, _: check_opengl(here),
    "bundled": lambda here, _: check_bundled(here),
    "scene": lambda here, _: check_scene(here),
    "hub": lambda here, _: check_hub(here),
    "assets": lambda here, request: check_assets(here, needed=request.policy is not None),
    "checkpoint": lambda here, request: check_checkpoint(here, request.policy, convention=request.convention),
    "threads": lambda here, _: check_threads(here),
    "memory": lambda here, _: check_memory(here),
    "disk": lambda here, request: check_disk(here, request.results),
    "ray": lambda here, request: check_ray(here, request.ray),
}
"""Every check by name, in the order of running and printing."""


def run_checks(request: Request, here: Machine | None = None) -> Iterator[Finding]:
    """Run the requested checks; yields each finding as soon as it is known.

    Raises:
        ConfigError: there is no check of that name.
    """
    for name in request.only:
        if name not in CHECKS:
            raise ConfigError(f"--only: no check '{name}'{nearest(name, list(CHECKS))}")
    return _run(request, here or Machine(), request.only or tuple(CHECKS))


def run_and_print(request: Request, write: Callable[[str], object], *, json: bool = False) -> int:
    """Run the checks, write each finding at once, and return the exit status: 0, or 1 if something is wrong.

    Args:
        request: what the machine should be ready for.
        write: takes text, for instance `sys.stdout.write`.
        json: one JSON object at the end instead of lines.

    Raises:
        ConfigError: there is no check of that name.
    """
    findings = []
    for finding in run_checks(request):
        findings.append(finding)
        if not json:
            write(as_text(finding))
    write(as_json(findings) if json else verdict(findings))
    return 0 if healthy(findings) else 1


def _run(request: Request, here: Machine, names: Sequence[str]) -> Iterator[Finding]:
    for name in names:
        try:
            yield CHECKS[name](here, request)
        except Exception as error:  # noqa: BLE001  checks may fail unpredictably on a broken machine
            yield failure(name, f"this check broke: {error_line(error)}", "report it, with this line")
