"""robosuite's question whether two things touch, without asking every contact for the names of its geoms.

LIBERO's predicates ask it at each control step of an episode whose objects are above one another. With robosuite's loop
over 90 contacts that took a tenth of the step.
"""

from collections.abc import Sequence
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray


class Contacts:
    """Answers as `robosuite.environments.base.MujocoEnv.check_contact` does."""

    def __init__(self, model: Any, data: Any) -> None:
        """Prepare.

        Args:
            model: a `mujoco.MjModel`.
            data: its live `mujoco.MjData`.
        """
        self._model, self._data = model, data
        self._groups: dict[tuple[str, ...], NDArray[np.bool_]] = {}

    def check(self, geoms_1: Any, geoms_2: Any = None) -> bool:
        """Whether any of some geoms touches any of others.

        Args:
            geoms_1: a geom's name, several, or a robosuite model, which stands for its contact geoms.
            geoms_2: likewise; `None` for any geom.
        """
        pairs = self._data.contact.geom
        one, other = self._members(geoms_1)[pairs], True if geoms_2 is None else self._members(geoms_2)[pairs[:, ::-1]]
        return bool((one & other).any())

    def _members(self, geoms: Any) -> NDArray[np.bool_]:
        """Which geoms of the model are meant: `bool[ngeom]`."""
        names: Sequence[str] = [geoms] if isinstance(geoms, str) else getattr(geoms, "contact_geoms", geoms)
        key = tuple(names)
        found = self._groups.get(key)
        if found is None:
            found = self._groups[key] = np.zeros(self._model.ngeom, bool)
            ids = [mujoco.mj_name2id(self._model, mujoco.mjtObj.mjOBJ_GEOM, name) for name in key]
            found[[geom for geom in ids if geom >= 0]] = True
        return found
