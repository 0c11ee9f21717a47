"""Numbers that the bundled policy's data and network share; importing them costs nothing."""

EDGE = 128
"""Side of the pictures inside the network (px)."""
CHUNK = 10
"""Predicted control steps."""
EXECUTED = 8
"""Control steps executed before the next prediction."""
