"""Serves the scripted `seeker` with a published server of openpi's protocol, in a process of its own.

python published_server.py openpi_server|policy_websocket PORT
"""

import importlib
import sys

from envs.base import Observation
from simeval.policies.base import PolicyInput
from simeval.policies.scripted import SeekerPolicy


class Adapter:
    """A policy of ours as `openpi_client.base_policy.BasePolicy` has it; asked in the convention `simeval`."""

    def __init__(self) -> None:
        self._policy = SeekerPolicy()

    def infer(self, request: dict) -> dict:
        if request["prompt"] == "fail":
            raise ValueError("asked to fail")
        observation = Observation({"agentview": request["observation/image"]}, request["observation/state"], 0)
        return {"actions": self._policy.act([PolicyInput(observation, request["prompt"], "", 0, 0)])[0]}

    def reset(self) -> None: ...


if __name__ == "__main__":
    package, port = sys.argv[1], int(sys.argv[2])
    server = importlib.import_module(package).WebsocketPolicyServer
    server(Adapter(), host="127.0.0.1", port=port, metadata={"policy": "seeker"}).serve_forever()
