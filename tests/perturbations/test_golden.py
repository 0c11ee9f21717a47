"""Every image axis, frozen: SHA-256 of what it makes of two fixed pictures.

A new digest means that old and new results are not comparable any more, so it needs a reason. Known ones that are not
ours: NumPy may change the stream of a generator, and OpenCV its JPEG library or an interpolation. All axes are exact
by design (see `perturbations.image.steady`), so the digests hold on every machine with the locked versions.

`python tests/perturbations/test_golden.py` writes the table again.
"""

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from perturbations.base import Stage, axes
from perturbations.spec import parse
from simeval.core.seeding import PairStreams

DATA = Path(__file__).parent / "data"
TABLE = DATA / "golden.json"
STEP = 7
AXES = [info for info in axes() if Stage.OPTICS <= info.stage <= Stage.CODEC]
TERMS = [
    *(f"{info.name}:{info.presets[s]:g}" for info in AXES for s in (0, 2, 4)),
    "noise:0.05/mode=static",
    "noise.shot:700",
    "brightness:1.6",
    "contrast:1.8",
    "saturation:2",
    "temperature:8500",
    "blur.motion:20/mode=flicker",
    "fog:2/mode=flicker",
    "occlusion:0.2/fill=noise/mode=flicker",
    "occlusion:0.2/fill=black+noise:0.1+brightness:1.5+blur.gaussian:1",
    "blur.defocus:3+fog:1+contrast:0.7+temperature:4500+noise.shot:40+occlusion:0.1+jpeg:20+pixelate:0.5",
]


def synthetic():
    """Edges, gradients, black and white, drawn without random numbers."""
    y, x = np.mgrid[:96, :128]
    channels = [(2 * x + y) % 256, np.where((x // 16 + y // 16) % 2, 230, 25), (x * y) // 48]
    return np.stack(channels, axis=-1).astype(np.uint8)


def scene():
    """Agentview of libero_spatial 0, initial state 0, in the bundled scenes at 128 px."""
    return cv2.imread(str(DATA / "libero_spatial_0_bundled.png"))[..., ::-1].copy()


def digests(term):
    rng = PairStreams(0, (1, 2, 3, 4)).generator
    seen = (parse(term).start(rng).images({"agentview": made()}, STEP)["agentview"] for made in (synthetic, scene))
    return [hashlib.sha256(picture.tobytes()).hexdigest()[:24] for picture in seen]


@pytest.mark.parametrize("term", TERMS)
def test_pixels_are_the_published_ones(term):
    assert digests(term) == json.loads(TABLE.read_text())[term]


def test_the_table_has_nothing_else():
    assert sorted(json.loads(TABLE.read_text())) == sorted(TERMS)


if __name__ == "__main__":
    TABLE.write_text(json.dumps({term: digests(term) for term in TERMS}, indent=1) + "\n")
