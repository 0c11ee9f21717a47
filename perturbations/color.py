"""Colour of light by its colour temperature."""

import numpy as np
from numpy.typing import NDArray

NEUTRAL_KELVIN = 6500.0
"""Colour temperature that counts as white. Source: VLA-Arena's neutral value; sRGB's white point is near it."""

GAMMA = 2.2
"""Exponent between pixel values and light, about that of sRGB: a ratio of levels is this root of a ratio of light."""

XYZ_TO_RGB = np.array([[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]])
"""CIE XYZ to linear sRGB. Source: IEC 61966-2-1."""

LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
"""Luminance of linear red, green and blue. Source: IEC 61966-2-1."""


def white_balance_gains(kelvin: float) -> NDArray[np.float64]:
    """Gains for red, green and blue pixel values under light of another colour and the same luminance.

    Args:
        kelvin: colour temperature of a black body, 1700 to 25000 K.

    Returns:
        `float64[3]`, not negative; ones at 6500 K.
    """
    gains = _linear_rgb(kelvin) / _linear_rgb(NEUTRAL_KELVIN)
    gains /= (LUMINANCE * gains).sum()
    coded: NDArray[np.float64] = gains ** (1 / GAMMA)
    return coded


def _linear_rgb(kelvin: float) -> NDArray[np.float64]:
    x, y = chromaticity(kelvin)
    rgb = (XYZ_TO_RGB * np.array([x / y, 1, (1 - x - y) / y])).sum(axis=1)
    # Candlelight is outside of the sRGB gamut.
    clipped: NDArray[np.float64] = np.maximum(rgb, 0)
    return clipped


def chromaticity(kelvin: float) -> tuple[float, float]:
    """CIE 1931 x and y of a black body, 1667 to 25000 K. Source: the cubic fits of Kim et al., US patent 7024034."""
    t = 1000 / kelvin
    if kelvin <= 4000:
        x = ((-0.2661239 * t - 0.2343589) * t + 0.8776956) * t + 0.179910
    else:
        x = ((-3.0258469 * t + 2.1070379) * t + 0.2226347) * t + 0.240390
    if kelvin <= 2222:
        return x, ((-1.1063814 * x - 1.34811020) * x + 2.18555832) * x - 0.20219683
    if kelvin <= 4000:
        return x, ((-0.9549476 * x - 1.37418593) * x + 2.09137015) * x - 0.16748867
    return x, ((3.0817580 * x - 5.87338670) * x + 3.75112997) * x - 0.37001483
