"""Meta-World's tasks: exact, with images on demand.

The environment of the package does the physics and judges success; it is driven by its own `step` and `reset`. States,
observations and successes are byte-identical to those of a new environment of the package after
`set_task(MT1(name, seed=42).train_tasks[init_state])`, and images to those of lerobot's `MetaworldEnv`; the tests
compare them.

Non-obvious behaviour:
- The package's environment remembers the last episode: where it put fixtures, and in attributes of the object. Here
  the model and the attributes are restored before each reset, so that every reset is the first one.
- `reset` of the package calls `reset_model` twice, and a control step ends with `mj_forward`, which changes the warm
  start of the next one. Both are part of the numbers.
- A goal is reached if the package's `info["success"]` is true after a control step. It is not a function of `state`
  alone, so `set_state` does not judge it.
- The camera is `corner2`, at lerobot's place. It hangs upside down, and lerobot turns its images by 180 degrees. In the
  model it is the right way up, so that axes of cameras mean what they say, and it is turned for the renderer only: an
  image rendered upright differs from a turned one in the last bits.
"""

import copy
import dataclasses
from typing import Any

from envs.sim.mujoco_env import MujocoEnv  # before the package, which imports MuJoCo

# isort: split
import metaworld
import mujoco
import numpy as np
from metaworld.env_dict import ENV_CLS_MAP
from numpy.typing import NDArray

from envs.base import Atom, EnvError, Goal, Intervention, Pose, Privileged, geoms_below
from envs.metaworld.catalog import INTERFACE
from envs.suite import INIT_STATES
from envs.tasks import Task

SEED = 42
"""Seed of the initial states. Source: lerobot's `MetaworldEnv`, which makes its tasks with it."""

_CAMERA, _CAMERA_POS = "corner2", (0.75, 0.075, 0.7)
"""The camera and its place (m). Source: lerobot's `MetaworldEnv`."""

_ENDLESS = 1 << 30
"""Control steps after which the package refuses to go on; here the limit of steps is the suite's."""

_NOT_REMEMBERED = ("model", "data", "mujoco_renderer")
"""Attributes of the package's environment that are not part of its memory."""

_PADS = {"init_left_pad": "leftpad", "init_right_pad": "rightpad"}
"""Attributes that a new environment of the package has as views of the present position of these bodies."""

_STATE = INTERFACE.state_size
_FINGERS = ("leftclaw", "rightclaw")


class MetaworldEnv(MujocoEnv):
    """A task of Meta-World.

    Args:
        task: an entry of `envs.metaworld.catalog.metaworld_tasks`.
        resolution: side of the images that `observe` renders (px).

    Raises:
        EnvError: images of that size cannot be rendered.
    """

    workspace_center = (0.0, 0.6, 0.0)
    mirrored = False
    placed_fields = ("body_pos", "site_pos")

    def __init__(self, task: Task, resolution: int) -> None:
        self._package = package = _make(task.name)
        super().__init__(task, package.model, resolution, INIT_STATES, INTERFACE)
        package.data = self.data
        package.max_path_length = _ENDLESS
        self._memory = {key: value for key, value in vars(package).items() if key not in _NOT_REMEMBERED}
        self._memory = copy.deepcopy(self._memory)
        self._starts = _starts(task.name)
        self._success = False
        self._seen: NDArray[np.float64] = np.zeros(0)
        fingers = (int(self.model.body(name).id) for name in _FINGERS)
        self._finger_geoms = {geom for finger in fingers for geom in geoms_below(self.model, finger)}

    def place(self, init_state: int, env_seed: int) -> None:
        """The package's own reset to a task that it drew. `env_seed` has no effect: nothing else is drawn."""
        del env_seed
        package = self._package
        for name in vars(package).keys() - self._memory.keys() - set(_NOT_REMEMBERED):
            delattr(package, name)
        vars(package).update(copy.deepcopy(self._memory))
        for name, body in _PADS.items():
            setattr(package, name, package.get_body_com(body))
        mujoco.mj_forward(self.model, self.data)  # as the package does before its first reset
        package.set_task(self._starts[init_state])
        self._seen, _ = package.reset()
        self._success = False

    def apply(self, action: NDArray[np.float32]) -> None:
        """Not used: see `control_step`."""
        raise EnvError(f"{self.task.suite} is driven by the package's own step, not by controls: {action}")

    def control_step(self, action: NDArray[np.float32]) -> None:
        """The package's own step."""
        self._seen, _, _, _, info = self._package.step(action)
        self._success = bool(info["success"])

    def intervene(self, change: Intervention) -> None:
        """Change the simulation between two control steps; the expert's observation shows it."""
        super().intervene(change)
        self._seen = np.concatenate([self._observed(), self._seen[len(self._observed()) :]])

    def holds(self, atom: Atom) -> bool:
        """Whether the last control step ended in success.

        Raises:
            EnvError: the atom is not this task's goal.
        """
        if atom != self.task.goal[0]:
            raise EnvError(f"{self.task.suite} task {self.task.index} cannot tell whether {atom} holds")
        return self._success

    def proprioception(self) -> NDArray[np.float32]:
        """The first four numbers of the package's observation: position of the hand (m), opening of the gripper."""
        return self._observed()[:_STATE].astype(np.float32)

    def _observed(self) -> NDArray[np.float64]:
        """The package's observation of the present, without the last control step's and the goal."""
        now = self._package._get_curr_obs_combined_no_goal()
        space = self._package.sawyer_observation_space
        clipped: NDArray[np.float64] = np.clip(now, space.low[: now.size], space.high[: now.size])
        return clipped

    def hand(self) -> Pose:
        """The point between the fingertips."""
        return Pose(np.array(self._package.tcp_center), self.data.body("hand").xquat.copy())

    def privileged(self, goal: Goal) -> Privileged:
        """The ground-truth state, with the package's own observation."""
        return dataclasses.replace(super().privileged(goal), native=self._seen.copy())

    def reached_object(self) -> str | None:
        """The first object that a finger touches."""
        for one, other in self.data.contact.geom:
            for finger, touched in ((int(one), int(other)), (int(other), int(one))):
                owner = self._owner(touched)
                if finger in self._finger_geoms and owner in self.task.scenery.names:
                    return owner
        return None

    def _sync(self) -> None:
        super()._sync()
        # Turned by 180 degrees about its axis, for the renderer; see the module's docstring.
        self.data.cam_xmat[self._cameras["agentview"]].reshape(3, 3)[:, :2] *= -1

    def _pixels(self, renderer: mujoco.Renderer) -> NDArray[Any]:
        return np.ascontiguousarray(super()._pixels(renderer)[::-1, ::-1])


def _make(name: str) -> Any:
    """A new environment of the package, with our camera."""

    class Environment(ENV_CLS_MAP[name]):  # type: ignore[misc]  # the package's class is only known now
        def _initialize_simulation(self) -> tuple[Any, Any]:
            spec = mujoco.MjSpec.from_file(self.fullpath)
            spec.option.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_AUTORESET)
            spec.camera(_CAMERA).name = "agentview"
            model = spec.compile()
            camera = model.camera("agentview")
            w, x, y, z = camera.quat
            camera.pos, camera.quat = _CAMERA_POS, (-z, y, -x, w)
            return model, mujoco.MjData(model)

    return Environment()


def _starts(name: str) -> list[Any]:
    """The task's initial states as the package draws them, of its class `Task`."""
    drawn: list[Any] = metaworld.MT1(name, seed=SEED).train_tasks
    assert len(drawn) == INIT_STATES, "the package draws fifty"
    return drawn
