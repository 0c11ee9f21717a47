"""Imports Ray; with an address, runs a task on every node and prints a JSON list of them. A separate process."""

import json
import os
import sys
from typing import Any


def describe_node() -> dict[str, Any]:
    """Host name and versions of this node."""
    import importlib.metadata
    import platform
    import socket

    versions = {}
    for name in ("ray", "simeval"):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return {"host": socket.gethostname(), "python": platform.python_version(), **versions}


def main(address: str | None) -> None:
    """Print the nodes; raises what Ray raises."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    if address is None:
        return
    if address == "local":
        options = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": 100_000_000}
        ray.init(address="local", log_to_driver=False, logging_level="ERROR", **options)
    else:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    nodes = [node for node in ray.nodes() if node["Alive"]]
    describe = ray.remote(num_cpus=0)(describe_node)
    refs = [
        describe.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)).remote()
        for node in nodes
    ]
    answers = ray.get(refs, timeout=60)
    for node, answer in zip(nodes, answers, strict=True):
        resources = node["Resources"]
        answer |= {"cpus": resources.get("CPU", 0.0), "gpus": resources.get("GPU", 0.0)}
    ray.shutdown()
    sys.stdout.write(json.dumps(answers) + "\n")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
