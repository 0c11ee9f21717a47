"""What the simulator knows about a frame: its objects, where they are, where they can be seen, and which are named.

Non-obvious behaviour:
- The named objects are those that the given instruction asks to move. An instruction that names nothing here (an empty
  one) leaves the task's own, and has no label: there is no instruction to read.
- A paraphrase keeps the label of its task's own text. A text with another goal has itself as label.
- Masks are of the scene under the condition (a moved camera moves them), and of what is visible, without the effects of
  image perturbations: what an occlusion hides is still there.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from envs.base import Env, Goal
from perturbations.base import Infeasible
from perturbations.condition import Condition
from simeval.core.instructions import language_context, resolve_instruction
from simeval.core.seeding import PairStreams
from simeval.drift.frames.base import Frame
from simeval.drift.frames.from_run import RunFrames
from simeval.drift.frames.replay import Replay, changed_scene

Bools = NDArray[np.bool_]
Masks = Mapping[str, Bools]
"""Object -> where it is visible: `bool[cameras, H, W]`."""


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """The truth about one frame.

    Attributes:
        objects: movable objects of the task, and the fixtures that are named.
        named: which of them the instruction asks to move.
        label: which instruction it is; empty if none that could be told.
        positions: `float64[objects, 3]`, metres.
        masks: `bool[objects, cameras, H, W]`, upright.
    """

    objects: tuple[str, ...]
    named: tuple[bool, ...]
    label: str
    positions: NDArray[np.float64]
    masks: Bools


def truths(
    source: RunFrames, frames: Sequence[Frame], condition: Condition, seed: int, known: Mapping[str, Masks]
) -> Iterator[Truth | None]:
    """The truth about frames in order, under a condition; `None` where the condition cannot be applied.

    Args:
        source: of the frames.
        frames: in the order that the source lists them.
        condition: a supported condition.
        seed: root of the random streams, as for the views.
        known: masks of objects in frames whose scene the condition leaves as it is, by the frame's id.
    """
    for pair_id, group in groupby(frames, key=lambda frame: frame.pair_id or ""):
        members = list(group)
        replay = source.replayed(pair_id)
        task, env = source.task_of(replay), replay.env
        streams = PairStreams.of(structs.replace(replay.spec, root_seed=seed))
        context = language_context(task, turn=replay.spec.init_state)
        try:
            given = resolve_instruction(condition, context, streams.generator)
            label = given.text if given.goal else context.original if condition.meaning == "kept" else ""
            with changed_scene(env, condition, streams.generator):
                found: list[Truth | None] = []
                for frame in members:
                    positions = _positions(replay, frame.chunk)
                    env.restore_view(replay.moments[frame.chunk])
                    masks = known.get(frame.id, {})
                    objects = _objects(env, given.goal or task.goal, task.scenery.names)
                    found.append(_truth(env, objects, label, source.policy.cameras, positions, masks))
        except Infeasible:
            found = [None] * len(members)
        yield from found


def named_objects(goal: Goal, names: Sequence[str]) -> tuple[str, ...]:
    """The objects or fixtures that a goal asks to move: the first name of each of its atoms, or what it belongs to."""
    subjects = [atom[1] for atom in goal if len(atom) > 1]
    return tuple(name for name in names if any(s == name or s.startswith(f"{name}_") for s in subjects))


def _positions(replay: Replay, look: int) -> Mapping[str, NDArray[np.float64]]:
    """Where objects are at a look: `float64[3]`, metres. A restored view shows the moment, but is not its state."""
    if replay.trace is not None:
        replay.env.set_state(replay.trace.states[replay.step_of(look)])
    return {name: pose.pos for name, pose in replay.env.privileged(()).objects.items()}


def _objects(env: Env, goal: Goal, scenery: frozenset[str]) -> dict[str, bool]:
    """The objects of a scene, and whether a goal names them."""
    scene = env.scene()
    named = named_objects(goal, (*scene.bodies, *scene.fixtures))
    movable = [name for name in scene.bodies if name in scenery or name in named]
    return {name: name in named for name in (*movable, *(name for name in scene.fixtures if name in named))}


def _truth(
    env: Env,
    objects: Mapping[str, bool],
    label: str,
    cameras: Sequence[str],
    positions: Mapping[str, NDArray[np.float64]],
    known: Masks,
) -> Truth:
    unknown = [name for name in objects if name not in known]
    seen = [env.masks(camera, unknown) for camera in cameras] if unknown else []
    masks = {**known, **{name: np.stack([by_name[name] for by_name in seen]) for name in unknown}}
    return Truth(
        objects=tuple(objects),
        named=tuple(objects.values()),
        label=label,
        positions=np.array([positions[name] for name in objects]),
        masks=np.stack([masks[name] for name in objects]),
    )
