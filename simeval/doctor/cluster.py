"""Checks of Ray. It is started or joined only on request, because that takes seconds and ports."""

import json

from simeval.core.loopback import loopback_fault
from simeval.doctor.findings import Finding, failure, ok
from simeval.doctor.surroundings import Machine


def check_ray(here: Machine, address: str | None) -> Finding:
    """Whether Ray can be imported; with an address, whether work runs there.

    Args:
        here: the machine.
        address: `local` to start Ray here for a moment, `auto` or `HOST:PORT` to join a cluster, `None` for neither.
    """
    version = here.installed.get("ray")
    if version is None:
        return failure("ray", "Ray is not installed", "make clean setup")
    if address == "local" and (fault := loopback_fault()):
        return failure("ray", f"Ray cannot start: {fault}", "ip link set lo up; until then: simeval run --workers 0")
    limit = 120.0 if address else 60.0
    answer = here.module("simeval.doctor.ray_probe", *([address] if address else []), limit=limit)
    if answer.code != 0:
        mend = "make clean setup"
        if address == "local":
            mend = "look into session_latest/logs in Ray's temporary folder; until then: simeval run --workers 0"
        elif address:
            mend = "on the cluster's first machine: ray start --head; and open its ports between the machines"
        return failure("ray", f"Ray does not work: {answer.reason}", mend)
    if not address:
        return ok("ray", f"Ray {version} can be imported (--ray local starts it, --ray auto asks a running cluster)")
    nodes = json.loads(answer.out.splitlines()[-1])
    kinds = {(node["python"], node["ray"], node["simeval"]) for node in nodes}
    if len(kinds) > 1:
        listed = "; ".join(f"{n['host']}: Python {n['python']}, Ray {n['ray']}, simeval {n['simeval']}" for n in nodes)
        return failure("ray", f"the nodes differ: {listed}", "start every node from the same image, or the same lock")
    cpus, gpus = (sum(node[key] for node in nodes) for key in ("cpus", "gpus"))
    return ok("ray", f"Ray {version}: {len(nodes)} node{'s'[: len(nodes) > 1]}, {cpus:g} CPUs, {gpus:g} GPUs")
