"""Constants that the bundled policy's data and network share, in a module that is cheap to import."""

EDGE = 128
"""Side of the images inside the network (px)."""
CHUNK = 10
"""Predicted control steps."""
EXECUTED = 8
"""Control steps executed before the next prediction."""
