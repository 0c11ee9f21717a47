"""Perturbations: controlled changes to what a policy sees, hears and acts on.

A condition is text such as `noise:0.05+light:0.3`; `perturbations.spec` turns it into a `Condition` that
applies itself. Importing any part of the package registers every built-in axis.

Modules: `base` (contracts and the registry of axes), `condition` (what a condition is and does), `spec` (the grammar),
`image`, `scene`, `instruction` (the axes). A user's own axis is one function under `base.register`.
"""

from perturbations import image, instruction, scene

__all__ = ["image", "instruction", "scene"]
