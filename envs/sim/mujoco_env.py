"""An environment from one MuJoCo description: everything of the contract that does not depend on the robot or the task.

A suite of your own derives from `MujocoEnv` and says where things start, what an action does, when a goal atom holds
and what the robot reports of itself. `examples/my_suite.py` is one; the toy suite is another.

Non-obvious behaviour:
    - After `mj_step`, contacts and poses belong to the state before its last substep. Call `_sync` before reading a
      pose. `mj_forward` would work too, but it changes the solver's warm start, so that observing the scene would
      change what happens next.
    - `mj_resetData` clears the data, not the model. `reset` also restores the fields of the model, so that a scene
      perturbation ends with its episode.
    - The render context copies textures, meshes and height fields, so a scene perturbation cannot reach those;
      `scene()` hands out no textures.
    - MuJoCo resets itself if a position is not finite, and replaces a control that is not finite by zero. The first is
      switched off and the second is refused, so that a broken episode ends as broken.
"""

import abc
import contextlib
from collections.abc import Sequence
from typing import Any

from envs.goals import EnvError
from envs.sim.opengl import select_backend

# A suite of one's own may import this before anything else, and MuJoCo fixes its backend when it is imported. Without
# OpenGL the first image says what is missing.
with contextlib.suppress(EnvError):
    select_backend()

# isort: split
import mujoco
import numpy as np
from numpy.typing import NDArray

from envs.base import (
    Atom,
    Goal,
    Intervention,
    Observation,
    Pose,
    Privileged,
    ResetSpec,
    Scene,
    SensorSnapshot,
    StepResult,
    check_actions,
    geoms_below,
)
from envs.interface import LIBERO_INTERFACE, Interface
from envs.sim.mujoco_model import compiled, has_free_joint, owners, substeps
from envs.sim.physics import MujocoPhysics
from envs.sim.pristine import ModelBackup
from envs.sim.renderers import MAX_RENDER_SIZE as MAX_RENDER_SIZE
from envs.sim.renderers import RendererCache, check_size
from envs.tasks import Task

SETTLING = 100
"""Physics steps that a placement is checked with. Our choice."""


class MujocoEnv(abc.ABC):
    """A scene with the cameras of its interface. Implements `envs.base.Env`.

    Derived classes implement `place`, `apply`, `holds`, `proprioception` and `hand`. Those that drive the environment
    of another package override `control_step` instead of `apply`.

    Args:
        task: the task. Bodies are movable if they have a free joint; the names in `task.scenery` that are bodies are
            the scene's objects and fixtures.
        model: the scene: a text in MuJoCo's format (MJCF), or a `mujoco.MjModel`. Its state has to be time, positions,
            velocities and poses of mocap bodies: actuators with an internal state are refused.
        resolution: side of the images that `observe` renders (px).
        init_states: number of initial states.
        interface: the suite's, see `envs.suite.Suite.interface`.

    Raises:
        EnvError: the model breaks one of these rules, or images of that size cannot be rendered.
    """

    workspace_center: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Centre of the workspace, on the surface of the table (m)."""

    mirrored: bool = True
    """Whether images are mirror images, as LIBERO's are: what axes of cameras call left and right depends on it."""

    placed_fields: tuple[str, ...] = ()
    """Fields of the model that `place` writes, for instance `body_pos` if it moves bodies without a joint."""

    def __init__(
        self, task: Task, model: str | mujoco.MjModel, resolution: int, init_states: int,
        interface: Interface = LIBERO_INTERFACE,
    ) -> None:  # fmt: skip
        check_size(resolution)
        model = compiled(model, task) if isinstance(model, str) else model
        self.task = task
        self.goals: tuple[Goal, ...] = (task.goal,)
        self.tracked: tuple[Goal, ...] = ()
        self.approached: str | None = None
        self.renders = 0
        self.model, self._init_states = model, init_states
        self._substeps = substeps(model, task, interface)
        self._interface = interface
        self._resolution = resolution
        self._started, self._settle_steps = 0.0, 0
        self._backup, self._renderers = ModelBackup(model, self.placed_fields), RendererCache(model)
        self.data = mujoco.MjData(model)
        self._cameras = {name: int(model.camera(name).id) for name in interface.cameras}
        bodies = {model.body(i).name: i for i in range(model.nbody)}
        named = {name: number for name, number in bodies.items() if name in task.scenery.names}
        self._movable = {name: number for name, number in named.items() if has_free_joint(model, number)}
        self._fixtures = {name: number for name, number in named.items() if name not in self._movable}
        self._owners = owners(model, named)
        targets = tuple(dict.fromkeys(name for atom in task.goal for name in atom[1:]))
        self._physics = MujocoPhysics(
            model, self.data, named, tuple(self._movable), targets, self._owner, settling=SETTLING,
            workspace_center=np.array(self.workspace_center),
        )  # fmt: skip

    @abc.abstractmethod
    def place(self, init_state: int, env_seed: int) -> None:
        """Set `self.data` to an initial state; velocities are zero and the model is as compiled.

        It may simulate, and write the `placed_fields` of the model.

        Args:
            init_state: its index.
            env_seed: seed for whatever else is drawn at a reset.
        """

    @abc.abstractmethod
    def apply(self, action: NDArray[np.float32]) -> None:
        """Write the controls of one control step to `self.data.ctrl`.

        Args:
            action: `float32[action_size]`, finite.
        """

    def control_step(self, action: NDArray[np.float32]) -> None:
        """Execute one control step.

        Args:
            action: `float32[action_size]`, finite.
        """
        self.apply(action)
        mujoco.mj_step(self.model, self.data, nstep=self._substeps)

    @abc.abstractmethod
    def holds(self, atom: Atom) -> bool:
        """Whether an atom of a goal holds now; poses are up to date.

        Raises:
            EnvError: the atom is not one of this scene.
        """

    @abc.abstractmethod
    def proprioception(self) -> NDArray[np.float32]:
        """The robot's report of itself, `float32[state_size]`; poses are up to date."""

    @abc.abstractmethod
    def hand(self) -> Pose:
        """The pose of the point between the fingertips; poses are up to date."""

    def reached_object(self) -> str | None:
        """The object or fixture that the gripper is at now; see `Env.approached`."""
        return None

    def reset(self, spec: ResetSpec, before_settling: Intervention | None = None) -> None:
        """Restore every model field, place everything and settle; see `Env.reset`.

        Raises:
            EnvError: the initial state does not exist.
        """
        if not 0 <= spec.init_state < self._init_states:
            last = self._init_states - 1
            raise EnvError(f"{self.task.suite} has initial states 0 to {last}, not {spec.init_state}")
        self._backup.restore()
        mujoco.mj_resetData(self.model, self.data)
        self.place(spec.init_state, spec.env_seed)
        self._started = self.data.time
        if before_settling is not None:
            self.intervene(before_settling)
        self.goals, self.tracked = (self.task.goal,), ()
        self._settle_steps = spec.settle_steps
        for _ in range(spec.settle_steps):
            self._advance(np.zeros(self._interface.action_size, np.float32))
        self.approached = None

    def intervene(self, change: Intervention) -> None:
        """Change the simulation between two control steps; see `Env.intervene`."""
        change(self._physics)
        mujoco.mj_forward(self.model, self.data)

    def observe(self, cameras: Sequence[str] | None = None) -> Observation:
        """Return the robot's state and the images of the requested cameras.

        Raises:
            EnvError: there is no OpenGL to render with.
        """
        self._sync()
        wanted = self._interface.cameras if cameras is None else cameras
        images = {camera: self.render(camera, self._resolution) for camera in wanted}
        # Else the number behind a mask would be taken.
        state: NDArray[np.float32] = np.ma.filled(self.proprioception(), np.nan)  # type: ignore[no-untyped-call]
        size = self._interface.state_size
        if state.shape != (size,) or state.dtype != np.float32:
            raise EnvError(f"proprioception must be float32[{size}], not {state.dtype}{list(state.shape)}")
        if not np.isfinite(state).all():
            raise EnvError(
                f"proprioception must be finite, and number {np.flatnonzero(~np.isfinite(state))[0] + 1} is not"
            )
        return Observation(images, state, self._step_count())

    def step(self, actions: NDArray[np.float32]) -> StepResult:
        """Execute `float32[n, action_size]` actions until a watched goal is reached.

        Raises:
            EnvError: the actions have a wrong shape, or they or the simulation are not finite.
        """
        check_actions(actions, self._interface.action_size)
        states, reached = [], self._reached()
        hits: dict[Goal, int] = {}
        for action in actions:
            self._advance(action)
            states.append(self.state())
            reached = self._reached()
            hits |= {goal: len(states) for goal in self.tracked if goal not in hits and self._all_hold(goal)}
            self.approached = self.approached or self.reached_object()
            if any(reached):
                break
        rows = np.array(states).reshape(len(states), self.state().size)
        return StepResult(len(states), reached, rows, tuple(hits.get(goal) for goal in self.tracked))

    def state(self) -> NDArray[np.float64]:
        """Return time, positions, velocities and poses of mocap bodies: `float64[1 + nq + nv + 7 nmocap]`."""
        data = self.data
        return np.concatenate([[data.time], data.qpos, data.qvel, data.mocap_pos.ravel(), data.mocap_quat.ravel()])

    def set_state(self, state: NDArray[np.float64]) -> None:
        """Load a stored state.

        Raises:
            EnvError: it is not a state of this scene.
        """
        if state.shape != self.state().shape:
            raise EnvError(f"a state of this scene has shape {self.state().shape}, not {state.shape}")
        data, sizes = self.data, (1, self.model.nq, self.model.nv, 3 * self.model.nmocap)
        time, data.qpos, data.qvel, pos, quat = np.split(state, np.cumsum(sizes))
        data.time, data.mocap_pos[:], data.mocap_quat[:] = time[0], pos.reshape(-1, 3), quat.reshape(-1, 4)

    def snapshot(self) -> SensorSnapshot:
        """The present state; see `Env.snapshot`."""
        fields = {name: getattr(self.model, name).copy() for name in self.placed_fields}
        return SensorSnapshot({"state": self.state(), "started": np.array(self._started), **fields}, self._step_count())

    def restore_view(self, snapshot: SensorSnapshot) -> None:
        """The state itself; see `Env.restore_view`."""
        self._started = float(snapshot.arrays["started"])
        for name in self.placed_fields:
            getattr(self.model, name)[:] = snapshot.arrays[name]
        self.set_state(snapshot.arrays["state"])

    def render(self, camera: str, size: int) -> NDArray[np.uint8]:
        """Render the present state.

        Returns:
            `uint8[size, size, 3]`, RGB, upright.

        Raises:
            EnvError: images of that size cannot be rendered, or there is no OpenGL to render with.
        """
        self.renders += 1
        return self._pixels(self._ready(camera, size, mujoco.MjvOption()))

    def _pixels(self, renderer: mujoco.Renderer) -> NDArray[Any]:
        """The image of a renderer's scene, upright."""
        pixels: NDArray[Any] = renderer.render()
        return pixels

    def _ready(self, camera: str, size: int, option: mujoco.MjvOption) -> mujoco.Renderer:
        """The renderer of a size, with its scene updated to the present state."""
        renderer = self._renderers.get(size)
        view = mujoco.MjvCamera()
        view.type = mujoco.mjtCamera.mjCAMERA_FIXED
        view.fixedcamid = self._cameras[camera]
        self._sync()
        # Not `renderer.update_scene`, which shows the model that the renderer was created from.
        everything = mujoco.mjtCatBit.mjCAT_ALL.value
        mujoco.mjv_updateScene(self.model, self.data, option, None, view, everything, renderer.scene)
        return renderer

    def masks(self, camera: str, names: Sequence[str], *, alone: bool = False) -> dict[str, NDArray[np.bool_]]:
        """Segment objects in the image that `observe` would return; see `Env.masks`."""
        masks = {}
        bodies = {**self._movable, **self._fixtures}
        for name in (name for name in names if name in bodies):
            geoms = list(geoms_below(self.model, bodies[name]))
            option = mujoco.MjvOption()
            groups = self.model.geom_group.copy()
            if alone:
                option.geomgroup[:] = 0
                option.geomgroup[5] = 1
                self.model.geom_group[geoms] = 5
            renderer = self._ready(camera, self._resolution, option)
            self.model.geom_group[:] = groups
            renderer.enable_segmentation_rendering()
            segments = self._pixels(renderer)
            renderer.disable_segmentation_rendering()
            masks[name] = np.isin(segments[..., 0], geoms) & (segments[..., 1] == int(mujoco.mjtObj.mjOBJ_GEOM))
        return masks

    def privileged(self, goal: Goal) -> Privileged:
        """Return the ground-truth state by name; no gripper and no articulated joints."""
        self._sync()
        objects = {name: self.data.body(name) for name in (*self._movable, *self._fixtures)}
        return Privileged(
            objects={name: Pose(body.xpos.copy(), body.xquat.copy()) for name, body in objects.items()},
            hand=self.hand(),
            gripper=np.zeros(2),
            joints={},
            goal=goal,
            step=self._step_count(),
        )

    def scene(self) -> Scene:
        """The handle for scene perturbations."""
        return Scene(
            self.model, self._cameras, self._physics.targets, self._movable, self._fixtures,
            np.array(self.workspace_center), mirrored=self.mirrored,
        )  # fmt: skip

    def close(self) -> None:
        """Free the render contexts; the simulation is freed with the object."""
        self._renderers.close()

    def _advance(self, action: NDArray[np.float32]) -> None:
        self.control_step(action)
        if not np.isfinite(self.state()).all():
            raise EnvError("the simulation is not finite any more")

    def _sync(self) -> None:
        """Update poses, cameras and lights to the positions; changes nothing that the physics reads."""
        mujoco.mj_kinematics(self.model, self.data)
        mujoco.mj_camlight(self.model, self.data)

    def _step_count(self) -> int:
        executed: int = round((self.data.time - self._started) * self._interface.control_hz)
        return executed - self._settle_steps

    def _reached(self) -> tuple[bool, ...]:
        self._sync()
        return tuple(self._all_hold(goal) for goal in self.goals)

    def _all_hold(self, goal: Goal) -> bool:
        return all(self.holds(atom) for atom in goal)

    def _owner(self, geom: int) -> str:
        """Name of the object or fixture that a geom belongs to, or of its body."""
        return self._owners[int(self.model.geom_bodyid[geom])]
