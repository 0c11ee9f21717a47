"""What the names of LIBERO-plus's tasks say: the base task, the category and its parameters.

The forms, after the base task's name (numbers in LIBERO-plus's order):

- `_view_0_15_100_350_2_initstate_0`: orbit, elevation (deg), distance (%), yaw, pitch (deg) of the camera; number of
  the robot's initial pose. If the view is LIBERO's, the task is of the robot category.
- `_language_7_view_..._initstate_0` and `_view_..._initstate_0_noise_26`, with LIBERO's view and pose.
- `_level3_sample1`, in one suite `_moved_level3_sample1`: objects in other places.
- `_add_4`: new objects beside them; `_table_5`, `_tb_5`: textures; `_light_9`: lights.
"""

import re
from dataclasses import dataclass
from typing import Literal

type Category = Literal["camera", "robot", "noise", "language", "layout", "objects", "background", "light"]

CATEGORIES: tuple[Category, ...] = ("camera", "robot", "noise", "language", "layout", "objects", "background", "light")
RUNNABLE: tuple[Category, ...] = CATEGORIES[:5]
"""Categories that need LIBERO's own models and nothing else."""

_VIEW = re.compile(
    r"(?P<base>\w+?)(_language_(?P<language>\d+))?_view_(?P<view>\d+_\d+_\d+_\d+_\d+)_initstate_(?P<robot>\d+)"
    r"(_noise_(?P<noise>\d+))?"
)
_FORMS: tuple[tuple[Category, re.Pattern[str]], ...] = (
    ("layout", re.compile(r"(?P<base>\w+?)(_moved)?_level\d_sample\d+")),
    ("objects", re.compile(r"(?P<base>\w+?)_add_\d+")),
    ("background", re.compile(r"(?P<base>\w+?)_(table|tb)_\d+")),
    ("light", re.compile(r"(?P<base>\w+?)_light_\d+")),
)


@dataclass(frozen=True, slots=True)
class View:
    """Where the agent view camera is, relative to where LIBERO has it.

    Attributes:
        orbit: angle about the vertical (deg), counterclockwise from above.
        elevation: angle by which it rises (deg).
        distance: multiplier on its distance.
        yaw, pitch: angles by which it turns in place (deg), about the world's vertical and the world's y axis.
    """

    orbit: float = 0.0
    elevation: float = 0.0
    distance: float = 1.0
    yaw: float = 0.0
    pitch: float = 0.0


LIBERO_VIEW = View()


@dataclass(frozen=True, slots=True)
class Variation:
    """How a task differs from its base task.

    Attributes:
        base: name of LIBERO's task.
        category: what is changed.
        view: of the agent view camera.
        robot: number of the robot's initial pose; 0 for LIBERO's.
        noise: number of the sensor noise, see `envs.libero_plus.noise`; 0 for none.
        language: number of the rewritten instruction; 0 for LIBERO's.
    """

    base: str
    category: Category
    view: View = LIBERO_VIEW
    robot: int = 0
    noise: int = 0
    language: int = 0


def variation(name: str) -> Variation:
    """Read the name of a task.

    Raises:
        ValueError: it is not the name of a task of LIBERO-plus.
    """
    if found := _VIEW.fullmatch(name):
        orbit, elevation, percent, yaw, pitch = map(int, found["view"].split("_"))
        view = View(orbit, elevation, percent / 100, yaw, pitch)
        robot, noise, language = (int(found[part] or 0) for part in ("robot", "noise", "language"))
        changed: tuple[tuple[Category, bool], ...] = (
            *(("camera", view != LIBERO_VIEW), ("robot", robot > 0)),
            *(("noise", noise > 0), ("language", language > 0)),
        )
        categories = [category for category, is_changed in changed if is_changed]
        if len(categories) == 1:
            return Variation(found["base"], categories[0], view, robot, noise, language)
    for category, form in _FORMS:
        if found := form.fullmatch(name):
            return Variation(found["base"], category)
    raise ValueError(f"'{name[:200]}' is not the name of a task of LIBERO-plus")
