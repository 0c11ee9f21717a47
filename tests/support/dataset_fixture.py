"""A real small LeRobotDataset, by lerobot's own writer: the bundled scenes' pictures while the robot moves."""

from pathlib import Path

import numpy as np

from envs.base import ResetOptions
from envs.build import make_env
from envs.libero.files import resolve_assets
from envs.suites import tasks

SUITE = "libero_spatial"
TASKS = (0, 2, 7)
KEYS = {"agentview": "observation.images.image", "wrist": "observation.images.image2"}
STEPS = 2
"""Control steps between two frames."""


def pictures(frames: int, starts: int, size: int = 96):
    """An episode per task and initial state: (instruction, images by camera, states)."""
    rng = np.random.default_rng(0)
    for task in TASKS:
        env = make_env(SUITE, task, size, resolve_assets("bundled"))
        for start in range(starts):
            env.reset(ResetOptions(init_state=start, settle_steps=5))
            action = np.concatenate([rng.uniform(-0.5, 0.5, 3), np.zeros(3), [-1]]).astype(np.float32)
            seen = []
            for _ in range(frames):
                seen.append(env.observe())
                env.step(np.tile(action, (STEPS, 1)))
            images = {camera: np.stack([observation.images[camera] for observation in seen]) for camera in KEYS}
            yield tasks(SUITE)[task].instruction, images, np.stack([observation.state for observation in seen])
        env.close()


def gray(instructions, *, frames: int = 3, size: int = 16, state_size: int = 8):
    """Episodes without content, one for each instruction: the level tells episode and frame."""
    for episode, instruction in enumerate(instructions):
        level = (40 * episode + np.arange(frames)).astype(np.uint8)[:, None, None, None]
        image = np.broadcast_to(level, (frames, size, size, 3))
        yield instruction, dict.fromkeys(KEYS, image), np.full((frames, state_size), episode, np.float32)


def write(folder: Path, episodes, *, video: bool = False, keys=KEYS, state_key: str = "observation.state") -> Path:
    """Write episodes as a LeRobotDataset v3.0, by the keys that it shall have."""
    from lerobot.configs import RGBEncoderConfig
    from lerobot.datasets import LeRobotDataset

    episodes = list(episodes)
    _, images, states = episodes[0]
    names = ["height", "width", "channels"]
    features = {
        key: {"dtype": "video" if video else "image", "shape": images[camera].shape[1:], "names": names}
        for camera, key in keys.items()
    }
    features[state_key] = {"dtype": "float32", "shape": (states.shape[1],), "names": None}
    features["action"] = {"dtype": "float32", "shape": (7,), "names": None}
    dataset = LeRobotDataset.create(
        "local/fixture",
        fps=10,
        features=features,
        root=folder,
        use_videos=video,
        video_backend="pyav",
        rgb_encoder=RGBEncoderConfig(vcodec="h264", crf=1) if video else None,
    )
    for instruction, images, states in episodes:
        for index, state in enumerate(states):
            frame = {key: np.array(images[camera][index]) for camera, key in keys.items()}
            dataset.add_frame({**frame, state_key: state, "action": np.zeros(7, np.float32), "task": instruction})
        dataset.save_episode()
    dataset.finalize()
    return folder
