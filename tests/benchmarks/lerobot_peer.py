"""`lerobot-eval`, watched: `python lerobot_peer.py [lerobot-eval's own arguments]`. Used by `against_lerobot_eval.py`.

lerobot's code runs as installed, its time included in every measurement. Around it, told by environment variables:
- PEER_ASSETS: LIBERO's asset folder, which stock LIBERO would otherwise download.
- PEER_LIGHT_ROBOT=1: its scenes get the same plain robot and render quality as our bundled ones. An asset folder cannot
  say that, and without it lerobot would draw ten times the triangles that simeval draws.
- PEER_LOG: a folder that receives one JSON line and one array of actions per rollout. That is: when it started, how
  long its reset took, which initial states it played, how many steps each took, and whether it succeeded.
- PEER_NOISE=1: sampling noise comes from the streams that simeval uses, so that equal inputs get equal actions. lerobot
  itself draws it from one global generator, in the order in which its batches happen to run.

Everything outside `main` also runs in lerobot's environment processes, which import this file.
"""

import json
import os
import sys
import time
import zlib
from pathlib import Path


def use_assets() -> None:
    import libero.libero

    libero.libero._assets_path_cache = os.environ["PEER_ASSETS"]


def dress_robots() -> None:
    from robosuite.environments import base

    from envs.assets.robot import lighten

    class LightSim(base.MjSim):
        @classmethod
        def from_xml_string(cls, xml):
            return base_sim.from_xml_string(lighten(xml))

    base_sim, base.MjSim = base.MjSim, LightSim


if os.environ.get("PEER_ASSETS"):
    use_assets()
if os.environ.get("PEER_LIGHT_ROBOT") == "1":
    dress_robots()


class Watch:
    """What the rollouts do, one after another; lerobot calls `policy.reset` once per rollout."""

    def __init__(self, suite: str) -> None:
        self.suite, self.folder = suite, Path(os.environ["PEER_LOG"])
        self.task, self.init_states, self.chunks, self.rollouts = 0, [], 0, 0

    def install(self) -> None:
        from lerobot.policies.smolvla.modeling_smolvla import VLAFlowMatching
        from lerobot.scripts import lerobot_eval

        self.rollout, lerobot_eval.rollout = lerobot_eval.rollout, self.watched
        if os.environ.get("PEER_NOISE") == "1":
            VLAFlowMatching.sample_noise = lambda _, shape, device: self.noise(shape, device)

    def noise(self, shape, device):
        import torch

        from simeval.core.seeding import PairStreams

        drawn = []
        for init_state in self.init_states:
            streams = PairStreams(0, (zlib.crc32(self.suite.encode()), self.task, init_state, 0))
            generator = torch.Generator().manual_seed(streams.policy_seed(self.chunks))
            drawn.append(torch.randn(shape[1:], generator=generator))
        self.chunks += 1
        return torch.stack(drawn).to(device)

    def watched(self, env, **options):
        import numpy as np

        started, resets, stock_reset = time.time(), [], env.reset

        def reset(**how):
            begin = time.time()
            answer = stock_reset(**how)
            resets.append(time.time() - begin)
            return answer

        self.task, self.init_states = env.call("task_id")[0], list(env.call("init_state_id"))
        self.chunks = 0
        env.reset = reset
        played = self.rollout(env=env, **options)
        env.reset = stock_reset
        done, success = played["done"].numpy(), played["success"].numpy()
        last = done.argmax(axis=1)
        line = {
            "task": int(self.task),
            "init_states": [int(i) for i in self.init_states],
            "started": started,
            "seconds": time.time() - started,
            "reset_seconds": resets[0],
            "steps": [int(i) + 1 for i in last],
            "successes": [bool(row[: end + 1].any()) for row, end in zip(success, last, strict=True)],
        }
        np.save(self.folder / f"actions-{self.rollouts}.npy", played["action"].numpy())
        with (self.folder / "rollouts.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")
        self.rollouts += 1
        return played


def main() -> None:
    suite = next(word.partition("=")[2] for word in sys.argv if word.startswith("--env.task="))
    Watch(suite).install()
    from lerobot.scripts.lerobot_eval import main as lerobot_main

    sys.argv[0] = "lerobot-eval"
    lerobot_main()


if __name__ == "__main__":
    main()
