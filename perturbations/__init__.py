"""Perturbations: controlled changes of a policy's observations, instructions and actions, and of the scene.

A condition is text such as `noise:0.05+light:0.3`; `perturbations.spec` parses it to a `Condition`, which applies
itself. Importing any module of the package registers all built-in axes.

Modules: `base` (contracts and the registry of axes), `condition` (conditions and how they apply), `spec` (the grammar);
the others define axes, or helpers of similar axes. A user-defined axis is one function decorated with `base.register`.
"""

from perturbations import (
    action,
    camera,
    codec,
    dynamics,
    exposure,
    fog,
    instruction,
    latency,
    layout,
    light,
    occlusion,
    optics,
    proprio,
    robot,
    sensor,
    texture,
    timing,
)

__all__ = [
    "action",
    "camera",
    "codec",
    "dynamics",
    "exposure",
    "fog",
    "instruction",
    "latency",
    "layout",
    "light",
    "occlusion",
    "optics",
    "proprio",
    "robot",
    "sensor",
    "texture",
    "timing",
]
