"""Meta-World's fifty tasks: names, instructions and objects. Reads no file and imports nothing of the package.

Instructions are lerobot's, with which its datasets and checkpoints were made (`lerobot/envs/metaworld_config.json`).

A task's success is code of the package that knows its own scene alone: it compares with a target that the task draws at
a reset. So no task can be judged in the scene of another one, even where both have the same drawer, and no task has
counterfactual instructions with a goal. Instructions that name objects which are absent are `mismatched_instructions`.
"""

from dataclasses import dataclass
from functools import cache

from envs.interface import Interface
from envs.tasks import SceneContents, Task

INTERFACE = Interface(cameras=("agentview",), action_size=4, state_size=4, control_hz=80)
"""One fixed camera. Actions: displacement of the hand (3; 1 is 1 cm) and gripper (-1 open, +1 close). States: position
of the hand (3, m) and opening of the gripper (1: open, 0.1 m). Source: lerobot's `MetaworldEnv` (`agent_pos`)."""

MT10 = (
    "reach-v3", "push-v3", "pick-place-v3", "door-open-v3", "drawer-open-v3", "drawer-close-v3",
    "button-press-topdown-v3", "peg-insert-side-v3", "window-open-v3", "window-close-v3",
)  # fmt: skip
"""Tasks of MT10 in its order. Source: `metaworld.env_dict.MT10_V3`."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A task of Meta-World.

    Attributes:
        name: the package's name for it.
        instruction: lerobot's.
        objects: bodies of the scene with objects: first the one that success is about, then the others.
        things: what there is in the scene, in the words of instructions; first what the task's instruction names, if
            that is an object.
    """

    name: str
    instruction: str
    objects: tuple[str, ...]
    things: tuple[str, ...]

    @property
    def predicate(self) -> str:
        """The only predicate of the task's goal."""
        return self.name.removesuffix("-v3")


def _entry(name: str, instruction: str, objects: str, things: str) -> Entry:
    return Entry(f"{name}-v3", instruction, tuple(objects.split()), tuple(things.split()))


MT50 = (
    _entry("assembly", "Pick up a nut and place it onto a peg", "RoundNut peg", "nut peg"),
    _entry("basketball", "Dunk the basketball into the basket", "bsktball basket_goal", "basketball"),
    _entry(
        "bin-picking", "Grasp the puck from one bin and place it into another bin", "obj bin_start bin_goal", "puck"
    ),
    _entry("box-close", "Grasp the cover and close the box with it", "boxbodytop boxbody", "box"),
    _entry("button-press-topdown", "Press a button from the top", "box", "button"),
    _entry("button-press-topdown-wall", "Bypass a wall and press a button from the top", "box wall", "button"),
    _entry("button-press", "Press a button", "box", "button"),
    _entry("button-press-wall", "Bypass a wall and press a button", "box wall", "button"),
    _entry("coffee-button", "Push a button on the coffee machine", "coffee_machine obj", "coffee button"),
    _entry("coffee-pull", "Pull a mug from a coffee machine", "obj coffee_machine", "coffee button"),
    _entry("coffee-push", "Push a mug under a coffee machine", "obj coffee_machine", "coffee button"),
    _entry("dial-turn", "Rotate a dial 180 degrees", "dial", "dial"),
    _entry("disassemble", "Pick a nut out of a peg", "RoundNut peg", "nut peg"),
    _entry("door-close", "Close a door with a revolving joint", "door", "door"),
    _entry("door-lock", "Lock the door by rotating the lock clockwise", "door", "door"),
    _entry("door-open", "Open a door with a revolving joint", "door", "door"),
    _entry("door-unlock", "Unlock the door by rotating the lock counter-clockwise", "door", "door"),
    _entry("hand-insert", "Insert the gripper into a hole", "obj", ""),
    _entry("drawer-close", "Push and close a drawer", "drawer", "drawer"),
    _entry("drawer-open", "Open a drawer", "drawer", "drawer"),
    _entry("faucet-open", "Rotate the faucet counter-clockwise", "faucetBase", "faucet"),
    _entry("faucet-close", "Rotate the faucet clockwise", "faucetBase", "faucet"),
    _entry("hammer", "Hammer a screw on the wall", "hammerbody box", "hammer"),
    _entry("handle-press-side", "Press a handle down sideways", "box", "handle"),
    _entry("handle-press", "Press a handle down", "box", "handle"),
    _entry("handle-pull-side", "Pull a handle up sideways", "box", "handle"),
    _entry("handle-pull", "Pull a handle up", "box", "handle"),
    _entry("lever-pull", "Pull a lever down 90 degrees", "lever", "lever"),
    _entry("pick-place-wall", "Pick a puck, bypass a wall and place the puck", "obj wall", "puck"),
    _entry("pick-out-of-hole", "Pick up a puck from a hole", "obj", "puck"),
    _entry("pick-place", "Pick and place a puck to a goal", "obj", "puck"),
    _entry("plate-slide", "Slide a plate into a cabinet", "puck_channel puck_goal", "plate"),
    _entry("plate-slide-side", "Slide a plate into a cabinet sideways", "puck_channel puck_goal", "plate"),
    _entry("plate-slide-back", "Get a plate from the cabinet", "puck_channel puck_goal", "plate"),
    _entry("plate-slide-back-side", "Get a plate from the cabinet sideways", "puck_channel puck_goal", "plate"),
    _entry("peg-insert-side", "Insert a peg sideways", "peg box", "peg"),
    _entry("peg-unplug-side", "Unplug a peg sideways", "plug1 box", "peg"),
    _entry("soccer", "Kick a soccer into the goal", "soccer_ball goal_whole", "soccer"),
    _entry("stick-push", "Grasp a stick and push a box using the stick", "stick object", "stick box"),
    _entry("stick-pull", "Grasp a stick and pull a box with the stick", "stick object", "stick box"),
    _entry("push", "Push the puck to a goal", "obj", "puck"),
    _entry("push-wall", "Bypass a wall and push a puck to a goal", "obj wall", "puck"),
    _entry("push-back", "Push the puck to a goal", "obj", "puck"),
    _entry("reach", "Reach a goal position", "obj", ""),
    _entry("reach-wall", "Bypass a wall and reach a goal", "obj wall", ""),
    _entry("shelf-place", "Pick and place a puck onto a shelf", "obj shelf", "puck"),
    _entry("sweep-into", "Sweep a puck into a hole", "obj", "puck"),
    _entry("sweep", "Sweep a puck off the table", "obj", "puck"),
    _entry("window-open", "Push and open a window", "window", "window"),
    _entry("window-close", "Push and close a window", "window", "window"),
)  # fmt: skip
"""All tasks in the order of MT50. Source: `metaworld.env_dict.MT50_V3`; bodies: the scenes."""

_PUCK_SCENES = frozenset({"reach-v3", "reach-wall-v3", "hand-insert-v3"})
"""Scenes with a puck that the instruction does not name."""


def entries(names: tuple[str, ...] | None = None) -> tuple[Entry, ...]:
    """The tasks of these names, in their order; all by default."""
    by_name = {entry.name: entry for entry in MT50}
    return tuple(by_name[name] for name in names or by_name)


@cache
def metaworld_tasks(suite: str, names: tuple[str, ...] | None = None) -> tuple[Task, ...]:
    """Tasks as a suite.

    Args:
        suite: name of the suite.
        names: the package's names of its tasks; all by default.
    """
    return tuple(_task(suite, index, entry) for index, entry in enumerate(entries(names)))


def _task(suite: str, index: int, entry: Entry) -> Task:
    scenery = SceneContents(frozenset(entry.objects), {}, frozenset({entry.predicate}))
    return Task(suite, index, entry.name, entry.instruction, ((entry.predicate, entry.objects[0]),), scenery)


def mismatched_instructions(task: Task) -> tuple[str, ...]:
    """Instructions of all fifty tasks that name an object which is absent from a task's scene."""
    (own,) = entries((task.name,))
    there = {*own.things, *(("puck",) if own.name in _PUCK_SCENES else ())}
    return tuple(dict.fromkeys(entry.instruction for entry in MT50 if entry.things and entry.things[0] not in there))
