"""Attention maps: a policy's attention over the clean and the perturbed image, and the change.

Non-obvious behaviour:
- Attention has one number per region of the network's image tokens (4 x 4 for the bundled policy). Each region is
  shown with its share in per cent; smooth interpolation would suggest a resolution that does not exist.
- Both sides share one scale, so a colour means the same everywhere on a sheet; the change has its own scale.
- Orange is for much and for more, blue for less: distinct for colour-blind readers. The numbers work in black and
  white.
"""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from simeval.core.errors import ConfigError
from simeval.core.files import write_image
from simeval.drift.measure import AttentionRecord
from simeval.drift.representation import distances
from simeval.media.captions import Image, caption, hstack, upscale, vstack, write_number
from simeval.policies.representations import Representation

MIN_SIDE = 256
"""Smaller images are upscaled by a whole number, so that the numbers fit (px)."""

_MUCH, _LITTLE = (255, 140, 0), (40, 120, 255)
_STRONGEST = 0.7
"""Opacity of the colour at the end of the scale; the image must stay visible."""

Shares = NDArray[np.float64]
"""`float64[h, w]`: attention of an image's regions, or its change (fractions of all attention)."""


def attention_sheet(title: str, clean: AttentionRecord, perturbed: AttentionRecord) -> Image:
    """One frame: a row per camera with the clean view, the perturbed view, and the change over the clean image.

    Args:
        title: text above the sheet, for instance policy and frame.
        clean: the frame without perturbation.
        perturbed: the same frame with it.

    Returns:
        `uint8[H, W, 3]`, RGB.
    """
    cameras = clean.representation.cameras
    before, after = (record.representation.attention.astype(np.float64) for record in (clean, perturbed))
    scale, change = float(max(before.max(), after.max())), float(np.abs(after - before).max())
    shift = dict(distances(clean.representation, perturbed.representation))["attention_shift"]
    other_instruction = (
        "" if perturbed.request.instruction == clean.request.instruction else perturbed.request.instruction
    )
    rows = []
    for k, camera in enumerate(cameras):
        images = [record.request.observation.images[camera] for record in (clean, perturbed)]
        overlays = [
            overlay(images[0], before[k], scale),
            overlay(images[1], after[k], scale),
            overlay(images[0], after[k] - before[k], change, signed=True),
        ]
        texts = [f"{camera}: {_percent(part[k].sum())}" for part in (before, after)]
        texts.append(f"{camera}: {100 * (after[k].sum() - before[k].sum()):+.1f} points")
        width = overlays[0].shape[1]
        rows += [hstack(overlays), hstack([caption([text], width, strong=False) for text in texts])]
    heads = [
        ["clean", _other_shares(clean.representation)],
        [
            perturbed.condition,
            f'instruction: "{other_instruction}"' if other_instruction else "",
            _other_shares(perturbed.representation),
        ],
        ["change", f"in points, on the clean image; attention_shift {shift:.3f}"],
    ]
    above = hstack([caption(texts, width) for texts in heads])
    meaning = "share of the action expert's attention (%), by region of the image"
    return vstack([caption([title, clean.request.instruction, meaning], above.shape[1]), above, *rows])


def write_attention(out: Path, title: str, clean: AttentionRecord, perturbed: AttentionRecord) -> None:
    """Write `attention_sheet` as a PNG; the folder is created.

    Raises:
        ConfigError: the file cannot be written.
    """
    sheet = attention_sheet(title, clean, perturbed)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_image(out, sheet)
    except OSError as error:
        raise ConfigError(f"{out}: the image cannot be written: {error.strerror or error}") from error


def _other_shares(seen: Representation) -> str:
    return f"words {_percent(seen.attention_language)}, state {_percent(seen.attention_state)}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def overlay(image: Image, shares: Shares, scale: float, *, signed: bool = False) -> Image:
    """The image in grey, each region coloured by its share of the scale and with its number (%).

    Args:
        image: of one camera.
        shares: `float64[h, w]`, by region.
        scale: share of the strongest colour.
        signed: whether shares are changes, with a sign.
    """
    large = upscale(image, -(-MIN_SIDE // min(image.shape[:2])))
    height, width = large.shape[:2]
    # The network scales an image into a square and pads it at the left and at the top.
    side = max(height, width)
    strength = np.clip(shares / scale, -1, 1) if scale > 0 else np.zeros_like(shares)
    square = cv2.resize(strength, (side, side), interpolation=cv2.INTER_NEAREST)
    strength = square[side - height :, side - width :, None]
    gray = cv2.cvtColor(large, cv2.COLOR_RGB2GRAY)[..., None].astype(np.float64)
    color = np.where(strength > 0, np.array(_MUCH, np.float64), np.array(_LITTLE, np.float64))
    opacity = _STRONGEST * np.abs(strength)
    canvas = np.ascontiguousarray(((1 - opacity) * gray + opacity * color).round().astype(np.uint8))
    rows, columns = shares.shape
    for (i, j), share in np.ndenumerate(shares):
        x, y = (j + 0.5) * side / columns - (side - width), (i + 0.5) * side / rows - (side - height)
        if x > 0 and y > 0:
            text = f"{100 * share:{'+' if signed else ''}.0f}"
            write_number(canvas, "0" if text in ("+0", "-0") else text, (x, y))
    return canvas
