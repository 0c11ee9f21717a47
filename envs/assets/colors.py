"""The colours that several bundled models share: red, green, blue from 0 to 1."""

from envs.assets.shapes import Color

WHITE: Color = (0.93, 0.93, 0.91)
BLACK: Color = (0.06, 0.06, 0.07)
STEEL: Color = (0.62, 0.63, 0.66)
RED: Color = (0.78, 0.08, 0.07)
BLUE: Color = (0.13, 0.27, 0.68)
YELLOW: Color = (0.96, 0.80, 0.12)
ORANGE: Color = (0.95, 0.47, 0.05)
GREEN: Color = (0.10, 0.48, 0.16)
BROWN: Color = (0.28, 0.15, 0.08)
CARDBOARD: Color = (0.62, 0.44, 0.25)
