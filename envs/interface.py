"""What passes between a robot and a policy: camera images, the robot's state, actions."""

from dataclasses import dataclass

CAMERAS = ("agentview", "wrist")
"""The cameras that suites have: a fixed one that shows the workspace, and one mounted on the hand."""

ACTION_SIZE = 7
"""Position delta (3), rotation delta (3), gripper (-1 open, +1 close), each in [-1, 1]. Source: LIBERO, OSC_POSE."""

STATE_SIZE = 8
"""Hand position (3, m), hand axis-angle (3, rad), finger positions (2, m). Source: lerobot's LiberoProcessorStep."""

CONTROL_HZ = 20
"""Control steps per simulated second of LIBERO. Source: its `control_freq`."""


@dataclass(frozen=True, slots=True)
class Interface:
    """The cameras of a suite, the sizes of its states and actions, and their rate; LIBERO's by default.

    Attributes:
        cameras: entries of `CAMERAS`, in their order.
        action_size: numbers of an action, each in [-1, 1]; the last one moves the gripper (-1 open).
        state_size: numbers of the robot's state.
        control_hz: control steps per simulated second.
    """

    cameras: tuple[str, ...] = CAMERAS
    action_size: int = ACTION_SIZE
    state_size: int = STATE_SIZE
    control_hz: int = CONTROL_HZ

    @property
    def is_default(self) -> bool:
        """Whether states and actions are LIBERO's, for which perturbations of both are written."""
        return (self.action_size, self.state_size) == (ACTION_SIZE, STATE_SIZE)

    def __str__(self) -> str:
        rate = "" if self.control_hz == CONTROL_HZ else f", {self.control_hz} steps a second"
        cameras = ", ".join(self.cameras)
        return f"actions of {self.action_size} numbers, states of {self.state_size}, cameras {cameras}{rate}"


LIBERO_INTERFACE = Interface()
