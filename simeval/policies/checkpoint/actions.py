"""What a checkpoint's actions mean: the suites take changes of the pose, each number in [-1, 1], and no poses.

Non-obvious behaviour:
- lerobot's pair of steps leaves the meaning of actions as it is in the training data. `relative_actions_processor`
  makes the network learn `action - state`, `absolute_actions_processor` adds the state to what it predicts. So the pair
  occurs with poses in practice, but proves none; the averages of both do. Source: lerobot 0.6.1.
- Both steps have no effect unless they are enabled, and most checkpoints of pi0 and its kin have them disabled.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simeval.core.errors import ConfigError
from simeval.policies.checkpoint.statistics import NORMALIZERS, UNNORMALIZERS, Scale
from simeval.policies.checkpoint.steps import Step

_RELATIVE, _ABSOLUTE = "relative_actions_processor", "absolute_actions_processor"
_KEEPS = frozenset({_ABSOLUTE, "device_processor", "evo1_action_processor", "to_batch_processor_action"})
"""Steps behind the unnormalizer that leave the units of actions as they are."""
_ROOM = 0.1
"""How far valid actions go beyond -1 and 1 in some datasets. Our choice."""

_MOST = 3.0
"""Standard deviations around the mean that hold nearly all of the training data. Our choice."""

type _Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ActionSteps:
    """What the saved steps do to the actions.

    Attributes:
        relative: numbers of the action, from 0, that the network predicts relative to the state.
        added: numbers of the action, from 0, that the state is added to.
        size: numbers of an action.
        scaled_last: whether the statistics tell the units of the actions: no other step converts them.
        raw: whether the added state is in the environment's units.
    """

    relative: tuple[int, ...]
    added: tuple[int, ...]
    size: int
    scaled_last: bool
    raw: bool


def read_action_steps(
    config: Mapping[str, Any], before: Sequence[Step], after: Sequence[Step], size: int
) -> ActionSteps:
    """Read what the saved steps do to actions of `size` numbers."""
    pair = next((step for step in before if step.name == _RELATIVE), None)
    masked = _masked(pair.config if pair else {}, size)
    trained = pair is not None and (pair.config.get("enabled") or config.get("use_relative_actions"))
    adds = any(step.name == _ABSOLUTE and step.config.get("enabled") for step in after)
    names = [step.name for step in after]
    last = next((at for at, name in enumerate(names) if name in UNNORMALIZERS), None)
    earlier = [step.name for step in before[: before.index(pair)]] if pair else []
    return ActionSteps(
        relative=masked if trained else (),
        added=masked if adds else (),
        size=size,
        scaled_last=last is not None and _ABSOLUTE not in names[:last] and _KEEPS.issuperset(names[last + 1 :]),
        raw=not any(name in NORMALIZERS for name in earlier),
    )


def require_changes(steps: ActionSteps, action: Scale | None, state: Scale | None, name: str) -> None:
    """Refuse actions that are certainly no changes of the pose in [-1, 1].

    Args:
        steps: what the saved steps do to the actions.
        action: scaling of the actions, if they are scaled.
        state: scaling of the state, if it is scaled.
        name: name of the checkpoint.

    Raises:
        ConfigError: the state is added to actions that are not relative to it, or the training data's average is
            outside [-1, 1].
    """
    if set(steps.added) - set(steps.relative):
        raise ConfigError(
            f"policy '{name}' does not fit: its {_ABSOLUTE} adds the state to actions that are not relative to it "
            f"({_RELATIVE} is not enabled), and the suites take changes of the pose, no poses"
        )
    if action is None or not steps.scaled_last or (set(steps.relative) != set(steps.added)):
        return
    low, high = (values[: steps.size] for values in _typical(action))
    if steps.added:
        if state is None or not steps.raw:
            return
        at = list(steps.added)
        low[at] += _typical(state)[0][at]
        high[at] += _typical(state)[1][at]
    outside = np.maximum(low, -high)
    worst = int(np.argmax(outside))
    if outside[worst] > 1 + _ROOM:
        value = low[worst] if low[worst] > 0 else high[worst]
        side = "above" if value > 0 else "below"
        what = f"averages {value:.3g}" if action.mode == "MEAN_STD" else f"stays {side} {value:.3g}"
        adds = f", with the state that {_ABSOLUTE} adds" if worst in steps.added else ""
        raise ConfigError(
            f"policy '{name}' does not fit: action {worst + 1} {what} in its training data{adds}; the suites take "
            "changes of the pose from -1 to 1, no poses and no other units"
        )


def notes_on_actions(steps: ActionSteps, action: Scale | None, name: str) -> Iterator[str]:
    """Notes on actions that are probably not what LIBERO takes, one line each."""
    if steps.added:
        yield (
            f"policy '{name}': its actions are relative to the state, and {_ABSOLUTE} adds it again: if that makes "
            "poses, they do not fit, since LIBERO takes changes"
        )
    elif steps.relative:
        yield (
            f"policy '{name}': it was trained on actions relative to the state ({_RELATIVE}), and nothing adds the "
            f"state again ({_ABSOLUTE}); other units than LIBERO's?"
        )
    if action is None or not steps.scaled_last:
        return
    reach = _reach(action)[: steps.size]
    reach[list(steps.relative)] = 0
    if reach.max() > 1 + _ROOM:
        at = int(np.argmax(reach))
        yield (
            f"policy '{name}': action {at + 1} reaches {reach[at]:.3g} in its training data, "
            "the suites take -1 to 1; absolute poses or other units?"
        )
    elif (one_way := _one_way(action, steps)) is not None:
        at, low, high = one_way
        yield (
            f"policy '{name}': action {at + 1} lies between {low:.3g} and {high:.3g} in its training data, so it would "
            "move one way only; absolute poses?"
        )
    elif steps.size - 1 not in steps.relative and _never_opens(action, steps.size - 1):
        yield (
            f"policy '{name}': its gripper seems to go from 0 to 1 in its training data; LIBERO's opens at -1 and "
            "closes at 1, so it would hardly open"
        )


def _masked(pair: Mapping[str, Any], size: int) -> tuple[int, ...]:
    """Numbers of the action that the pair converts; as `RelativeActionsProcessorStep._build_mask`."""
    excluded = [str(token).lower() for token in pair.get("exclude_joints") or () if token]
    names = [str(name).lower() for name in pair.get("action_names") or ()] if excluded else []
    kept = {at for at, name in enumerate(names) if any(token in name for token in excluded)}
    return tuple(at for at in range(size) if at not in kept)


def _typical(scale: Scale) -> tuple[_Values, _Values]:
    """Between which values the training data lies: its mean twice, its extremes, or its quantiles."""
    return scale.low.copy(), (scale.low if scale.mode == "MEAN_STD" else scale.high).copy()


def _reach(scale: Scale) -> _Values:
    """How far the training data goes from 0; 0 where its mean and std do not exclude that it stays in [-1, 1]."""
    if scale.extremes or scale.mode != "MEAN_STD":
        furthest: _Values = np.max(np.abs(scale.extremes or (scale.low, scale.high)), axis=0)
        return furthest
    fits = scale.low**2 + scale.high**2 <= (1 + _ROOM) ** 2  # the mean square of values in [-1, 1] is at most 1
    return np.where(fits, 0.0, np.abs(scale.low) + 2 * scale.high)


def _one_way(scale: Scale, steps: ActionSteps) -> tuple[int, float, float] | None:
    """The number of the pose, from 0, that keeps its sign farthest from 0, and its range; `None` if all change it."""
    low, high = scale.extremes or (scale.low, scale.high)
    if not scale.extremes and scale.mode == "MEAN_STD":
        low, high = scale.low - _MOST * scale.high, scale.low + _MOST * scale.high
    distance = np.maximum(low, -high)[: steps.size - 1]
    distance[[at for at in steps.relative if at < distance.size]] = 0
    at = int(np.argmax(distance))
    return (at, float(low[at]), float(high[at])) if distance[at] > _ROOM else None


def _never_opens(scale: Scale, gripper: int) -> bool:
    """Whether this number of the action seems to lie in [0, 1]."""
    low, high = (float(values[gripper]) for values in scale.extremes or (scale.low, scale.high))
    if not scale.extremes and scale.mode == "MEAN_STD":
        # There a mean square is at most the mean.
        return high > 0 and low**2 + high**2 <= min(low + 0.01, 0.95)
    return high > low >= -0.05
