"""Differences between images."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class ImageDifference:
    """Difference between images, summed over pixels and channels, so that frames can be added with `+`.

    Attributes:
        sum_abs: sum of absolute differences (levels of 255).
        sum_sq: sum of squared differences.
        n: number of values compared.
    """

    sum_abs: int = 0
    sum_sq: int = 0
    n: int = 0

    def __add__(self, other: "ImageDifference") -> "ImageDifference":
        return ImageDifference(self.sum_abs + other.sum_abs, self.sum_sq + other.sum_sq, self.n + other.n)

    @property
    def mean_abs(self) -> float:
        """Mean absolute difference (levels of 255); 0 if nothing was compared."""
        return self.sum_abs / self.n if self.n else 0.0

    @property
    def psnr(self) -> float | None:
        """Peak signal-to-noise ratio (dB); `None` where nothing differs."""
        return float(10 * np.log10(255**2 * self.n / self.sum_sq)) if self.sum_sq else None


def image_difference(clean: NDArray[np.uint8], perturbed: NDArray[np.uint8]) -> ImageDifference:
    """Compare two `uint8[H, W, 3]` images. The sums are exact.

    Raises:
        ValueError: the shapes differ.
    """
    if clean.shape != perturbed.shape:
        raise ValueError(f"images of different shape: {clean.shape} and {perturbed.shape}")
    absolute = cv2.norm(clean, perturbed, cv2.NORM_L1)
    squared = cv2.norm(clean, perturbed, cv2.NORM_L2SQR)
    return ImageDifference(round(absolute), round(squared), clean.size)
