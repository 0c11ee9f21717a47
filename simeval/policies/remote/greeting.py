"""What a server's greeting asks for, held against the convention.

A greeting (HELLO, metadata) may name the observations that the model wants and the form of its actions. A card is one
guess for a whole family of models. Where the greeting is clear, the card follows it, unless the user chose the card;
what cannot be executed is refused; the rest is a doubt, one line each.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from envs.base import ACTION_SIZE
from simeval.core.texts import shown
from simeval.policies.remote.channel import ServerError
from simeval.policies.remote.conventions import Convention

_VLA_EVAL_WISHES = ("send_wrist_image", "send_state", "quat_no_antipodal")
"""Observation parameters that vla-eval's LIBERO benchmark takes over from a server. Each is false if not announced."""

_VLA_EVAL_GRIPPERS = {
    "binary_close_positive": (-1.0, 1.0),
    "binary_close_negative": (1.0, -1.0),
    "binary_close_01": (0.0, 1.0),
}
"""Gripper formats of its action specs (`vla_eval/specs.py`): the values for open and closed."""

_VLA_EVAL_STATE = "eef_pos3_axisangle3_gripper2"
"""The form of the state that vla-eval's LIBERO benchmark sends."""

_POSES = ("joint_position", "joint_velocity", "cartesian_position")
"""Action spaces of openpi's policy server configurations that are no changes of the hand's pose."""


@dataclass(frozen=True, slots=True)
class Agreed:
    """What follows from a greeting.

    Attributes:
        convention: the card, with what the greeting asks for.
        doubts: contradictions between the two, one line each.
    """

    convention: Convention
    doubts: tuple[str, ...] = ()


def nothing_asked(convention: Convention, metadata: Mapping[str, Any], *, chosen: bool) -> Agreed:
    """For protocols whose servers announce nothing that a card says."""
    return Agreed(convention)


def of_vla_eval(convention: Convention, metadata: Mapping[str, Any], *, chosen: bool) -> Agreed:
    """Follow the observation parameters and the action spec of a vla-eval server.

    As vla-eval's LIBERO benchmark does, the wrist image and the state are sent to servers that ask for them only.

    Args:
        convention: the card.
        metadata: the payload of its HELLO.
        chosen: whether the user chose the card; then it stays, and what the server wants otherwise is a doubt.

    Raises:
        ServerError: its actions cannot be executed.
    """
    spec, observations = _formats(metadata, "action_spec"), _formats(metadata, "observation_spec")
    for form in map(str, spec.values()):
        if form.startswith("absolute") or "joint" in form:
            raise ServerError(
                f"its actions are '{shown(form, 40)}', and the environments take changes of the pose only"
            )
    doubts = []
    if spec.get("rotation") not in (None, "raw", "axis_angle"):
        doubts.append(f"its rotation is '{shown(spec['rotation'], 40)}', and it is executed as axis_angle")
    wanted = _gripper(_observations(convention, _map(metadata, "observation_params")), spec, chosen=chosen)
    if chosen:
        return Agreed(convention, (*doubts, *_differences(convention, wanted), *_unmet(convention, observations)))
    return Agreed(wanted, (*doubts, *_unmet(wanted, observations)))


def of_openpi(convention: Convention, metadata: Mapping[str, Any], *, chosen: bool) -> Agreed:
    """Check the policy server configuration that openpi servers (vLLM-Omni, RoboArena) may announce.

    Raises:
        ServerError: its actions are no changes of the hand's pose.
    """
    space = metadata.get("action_space")
    if space in _POSES:
        raise ServerError(
            f"its action space is '{space}', and the environments take changes of the hand's pose (cartesian) only"
        )
    doubts, cameras = [], dict(convention.images)
    if metadata.get("needs_wrist_camera") is True and "wrist" not in cameras:
        doubts.append(f"it needs the wrist camera, and convention {convention.name} does not send it")
    outside = metadata.get("n_external_cameras")
    if type(outside) is int and outside > len(cameras.keys() - {"wrist"}):
        doubts.append(f"it wants {outside} external cameras, and convention {convention.name} sends fewer")
    size = metadata.get("action_dim")
    if type(size) is int and size != ACTION_SIZE:
        doubts.append(f"it announces actions of {size} numbers, and the environments take {ACTION_SIZE}")
    return Agreed(convention, tuple(doubts))


def _map(metadata: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """A map in the greeting; empty if it is not there.

    Raises:
        ServerError: it is something else.
    """
    value = metadata.get(key)
    if value is not None and not isinstance(value, Mapping):
        raise ServerError(f"its {key} is {shown(value, 40)}, not a map")
    return value or {}


def _formats(metadata: Mapping[str, Any], key: str) -> dict[str, Any]:
    """The form of each part of a spec in vla-eval's greeting.

    Raises:
        ServerError: the spec is no map.
    """
    return {name: part.get("format") for name, part in _map(metadata, key).items() if isinstance(part, Mapping)}


def _unmet(sent: Convention, spec: Mapping[str, Any]) -> list[str]:
    """What a vla-eval server says that it reads and does not get, one line each. Of `raw` nothing is known."""
    doubts, state = [], spec.get("state")
    if "wrist" not in dict(sent.images) and not spec.keys().isdisjoint(("wrist", "wrist_image")):
        doubts.append("its observation_spec has a wrist image, and none is sent: it does not ask for it")
    if state not in (None, "raw") and not sent.state:
        doubts.append("its observation_spec has a state, and none is sent: it does not ask for it")
    elif state not in (None, "raw", _VLA_EVAL_STATE):
        doubts.append(f"it reads a state of the form '{shown(state, 40)}', and gets {_VLA_EVAL_STATE}")
    return doubts


def _observations(convention: Convention, wishes: Mapping[str, Any]) -> Convention:
    wrist, state, no_antipodal = (wishes.get(name, False) for name in _VLA_EVAL_WISHES)
    for name, value in zip(_VLA_EVAL_WISHES, (wrist, state, no_antipodal), strict=True):
        if not isinstance(value, bool):
            raise ServerError(f"its observation_params' {name} is {shown(value, 40)}, not true or false")
    turned = {"axis_angle_short": "axis_angle"} if no_antipodal else {"axis_angle": "axis_angle_short"}
    states = tuple((key, tuple(turned.get(part, part) for part in parts)) for key, parts in convention.state)
    return replace(
        convention,
        images=tuple(pair for pair in convention.images if wrist or pair[0] != "wrist"),
        state=states if state else (),
    )


def _gripper(convention: Convention, spec: Mapping[str, Any], *, chosen: bool) -> Convention:
    form = spec.get("gripper")
    if form in (None, "raw") or (chosen and form not in _VLA_EVAL_GRIPPERS):
        return convention
    if form not in _VLA_EVAL_GRIPPERS:
        raise ServerError(
            f"its gripper is '{shown(form, 40)}', which does not say what opens it; say it in a card: --convention"
        )
    is_open, closed = _VLA_EVAL_GRIPPERS[form]
    return replace(convention, actions=replace(convention.actions, gripper_open=is_open, gripper_closed=closed))


def _differences(card: Convention, wanted: Convention) -> list[str]:
    """What a server wants otherwise than a card, one line each."""
    doubts = []
    for what, mine, theirs in (
        ("images", [key for _, key in card.images], [key for _, key in wanted.images]),
        ("state", [part for _, parts in card.state for part in parts], [p for _, parts in wanted.state for p in parts]),
        (
            "gripper from open to closed",
            *([form.gripper_open, form.gripper_closed] for form in (card.actions, wanted.actions)),
        ),
    ):
        if mine != theirs:
            listed, asked = (", ".join(map(str, values)) or "nothing" for values in (mine, theirs))
            doubts.append(f"{what}: convention {card.name} has {listed}, and the server announces {asked}")
    return doubts
