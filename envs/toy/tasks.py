"""The tasks of the toy suite: touch the block of a given colour."""

from functools import cache

from envs.tasks import SceneContents, Task

TOY_COLORS = ("red", "green", "blue", "yellow")
TOY_ABSENT = ("purple", "white", "orange")


@cache
def toy_tasks() -> tuple[Task, ...]:
    """One task per colour."""
    scenery = SceneContents(frozenset(f"{color}_block" for color in TOY_COLORS), {})
    return tuple(
        Task("toy", i, f"touch_the_{color}_block", f"touch the {color} block", (("touch", f"{color}_block"),), scenery)
        for i, color in enumerate(TOY_COLORS)
    )
