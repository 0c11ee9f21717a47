"""Perturbations: controlled changes to what a policy sees, hears and acts on.

A condition is text such as `noise:0.05+light:0.3`; `perturbations.spec` turns it into a `Condition` that
applies itself. Importing any part of the package registers every built-in axis.

Modules: `base` (contracts and the registry of axes), `condition` (what a condition is and does), `spec` (the grammar);
all others hold axes, or what axes of one kind share. A user's own axis is one function under `base.register`.
"""

from perturbations import (
    action,
    camera,
    codec,
    dynamics,
    exposure,
    fog,
    instruction,
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
