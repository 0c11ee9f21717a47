"""Restores a MuJoCo model to its compiled values.

A reset of `MjData` does not touch the model. But LIBERO writes fixture poses into the model, the stove switches a site
on, and scene perturbations change lights and cameras. So every such value is copied once and restored at each reset.
Meshes, textures and their search trees are too large for that, so they are made read-only: what a reset cannot undo
would be in all later episodes.
"""

from collections.abc import Collection
from typing import Any

import numpy as np

_LARGE = 1 << 18
"""Arrays above this many bytes are meshes, textures and their search trees."""


class ModelBackup:
    """A copy of every small array of an `mjModel`, and of its options and visual settings.

    Args:
        model: a freshly compiled `mujoco.MjModel`; its large arrays become read-only.
        written: names of fields that stay writable, whatever their size.
    """

    def __init__(self, model: Any, written: Collection[str] = ()) -> None:
        self._arrays: list[tuple[Any, Any]] = []
        self._scalars: list[tuple[Any, str, Any]] = []
        self._collect(model)
        for name in dir(model):
            value = None if name.startswith("_") or name in written else getattr(model, name)
            if isinstance(value, np.ndarray) and value.nbytes > _LARGE:
                value.flags.writeable = False
        for part in ("global_", "headlight", "map", "quality", "rgba", "scale"):
            self._collect(getattr(model.vis, part))
        self._collect(model.opt)
        self._collect(model.stat)

    def _collect(self, struct: Any) -> None:
        for name in dir(struct):
            if name.startswith("_"):
                continue
            value = getattr(struct, name)
            if isinstance(value, np.ndarray) and value.flags.writeable and 0 < value.nbytes <= _LARGE:
                self._arrays.append((value, value.copy()))
            elif isinstance(value, int | float) and not isinstance(value, bool):
                self._scalars.append((struct, name, value))

    def restore(self) -> None:
        """Restore every value that differs."""
        for live, saved in self._arrays:
            if not np.array_equal(live, saved):
                live[...] = saved
        for struct, name, saved in self._scalars:
            if getattr(struct, name) != saved:
                setattr(struct, name, saved)
