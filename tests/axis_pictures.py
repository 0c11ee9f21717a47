"""The documentation's images of perturbations: each axis that changes what a camera shows, clean and at s1, s3 and s5.

    python tests/axis_pictures.py            write docs/axes/*.jpg (a few minutes on one core)
    python tests/axis_pictures.py fog light  only these

They are what a policy would be given first: the agent view of the first libero_spatial task in the bundled scene,
initial state 0, seed 0. An axis of words shows its first, middle and last word.
"""

import simeval  # noqa: I001, F401  before NumPy

import sys
from pathlib import Path

import imageio.v3 as imageio
from msgspec.structs import replace
import numpy as np
from numpy.typing import NDArray

from envs.base import Env
from envs.build import make_env
from envs.libero.files import resolve_assets
from perturbations.base import AxisInfo, axes
from simeval.config.evaluation import EvalConfig
from simeval.config.plan import make_plan
from simeval.core.types import CLEAN
from simeval.media.preview import view_at

AXES = Path(__file__).resolve().parents[1] / "docs" / "axes"
SIDE = 128
"""Side of each image (px): the whole set stays below 1.5 MB."""
GAP = 4
"""White columns between two images (px)."""
PHYSICS = ("layout.distractors", "layout.shift", "robot.qpos")
"""Physics axes that can be seen in the first image."""


def pictured(info: AxisInfo) -> bool:
    """Whether the documentation shows an image of this axis."""
    return info.channel in ("scene", "image") or info.name in PHYSICS


def labels(info: AxisInfo) -> tuple[str, ...]:
    """What follows the axis' name in its three conditions: severities, or words."""
    if info.presets:
        return "s1", "s3", "s5"
    words = [word for word in info.words if word not in (info.identity, "draw")]
    return tuple(dict.fromkeys((words[0], words[len(words) // 2], words[-1])))


def strip(env: Env, info: AxisInfo) -> NDArray[np.uint8]:
    """The clean image and those of the axis' conditions, side by side."""
    perturb = tuple(f"{info.name}:{label}" for label in labels(info))
    config = EvalConfig(suite=("libero_spatial",), tasks="0", init_states="0", perturb=perturb)
    episodes = [replace(spec, resolution=SIDE) for spec in make_plan(config).episodes]
    episodes.sort(key=lambda spec: spec.condition != CLEAN)
    images = [view_at(env, spec).images["agentview"] for spec in episodes]
    gap = np.full((SIDE, GAP, 3), 255, np.uint8)
    return np.hstack([part for image in images for part in (image, gap)][:-1])


def main() -> None:
    """Write the images of the axes that are named, or of all."""
    env = make_env("libero_spatial", 0, SIDE, resolve_assets("bundled"))
    AXES.mkdir(exist_ok=True)
    for info in axes():
        if pictured(info) and (info.name in sys.argv[1:] or not sys.argv[1:]):
            imageio.imwrite(AXES / f"{info.name}.jpg", strip(env, info), quality=88)
    env.close()


if __name__ == "__main__":
    main()
