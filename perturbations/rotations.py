"""Rotations as unit quaternions, w first, as MuJoCo stores them."""

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


def about(axis: Vector, degrees: float) -> Vector:
    """The right-handed rotation by an angle about an axis, which need not be a unit vector."""
    half = np.radians(degrees) / 2
    return np.concatenate(([np.cos(half)], np.sin(half) * axis / np.linalg.norm(axis)))


def compose(first: Vector, second: Vector) -> Vector:
    """The product of two quaternions: `second` is applied before `first`, or in `first`'s frame."""
    a, u = first[0], first[1:]
    b, v = second[0], second[1:]
    return np.concatenate(([a * b - u @ v], a * v + b * u + np.cross(u, v)))


def rotate(quat: Vector, vector: Vector) -> Vector:
    """Rotate a vector."""
    w, u = quat[0], quat[1:]
    across = 2 * np.cross(u, vector)
    turned: Vector = vector + w * across + np.cross(u, across)
    return turned


def drawn_direction(rng: np.random.Generator, size: int) -> Vector:
    """Sample a unit vector of `size` components uniformly from the sphere."""
    vector = rng.standard_normal(size)
    unit: Vector = vector / np.linalg.norm(vector)
    return unit
