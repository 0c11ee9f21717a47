"""The toy suite: touch the block of a given colour with the probe of a small gantry.

A complete environment in one file, small enough to be copied as the start of a custom one. It needs only MuJoCo and
builds in milliseconds. Its tasks still need vision and language: only the instruction says which block to touch, and
only the image shows where it is.

Non-obvious behaviour:
    - The gantry is driven by velocity servos. They have no internal state, so time, positions and velocities are the
      whole state; an integrating actuator would add a state that `state` does not contain.
    - After `mj_step`, contacts and poses belong to the state before its last substep. Call `_sync` before reading a
      pose. `mj_forward` would work too, but it changes the solver's warm start, so that observing the scene would
      change what happens next.
    - `mj_resetData` clears the data, not the model. `reset` also restores every field of the model from a pristine
      copy, so that a scene perturbation ends with its episode.
    - The render context is created at the first image, from the pristine copy: it keeps some fields of its model, and
      edited fields would leak into later episodes.
    - MuJoCo resets itself if a position is not finite, and replaces a control that is not finite by zero. The first is
      switched off and the second is refused, so that a broken episode ends as broken.
"""

import atexit
import copy
import weakref
from collections.abc import Sequence
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from envs.base import (
    ACTION_SIZE,
    CAMERAS,
    CONTROL_HZ,
    STATE_SIZE,
    Atom,
    EnvError,
    Goal,
    Intervention,
    Observation,
    Pose,
    Privileged,
    ResetSpec,
    Scene,
    SensorSnapshot,
    StepResult,
    geoms_below,
)
from envs.sim.opengl import make_renderer
from envs.sim.physics import MujocoPhysics
from envs.suite import INIT_STATES
from envs.toy.scene import BLOCK_SIDE, MAX_RENDER_SIZE, SCENE, TABLE_SIDE, TIMESTEP, TIP_HOME, TIP_RADIUS, TIP_SPEED
from envs.toy.tasks import TOY_COLORS, toy_tasks

__all__ = [
    "BLOCK_GAP", "BLOCK_REACH", "BLOCK_SIDE", "MAX_RENDER_SIZE", "TABLE_SIDE", "TIP_HOME", "TIP_RADIUS", "TIP_SPEED",
    "TOUCH_DISTANCE", "ToyEnv", "block_poses",
]  # fmt: skip

BLOCK_REACH = 0.19
"""Block centres start within this distance (m) of the table's centre along x and y."""

BLOCK_GAP = 0.085
"""Smallest distance of block centres at the start (m): more than two half diagonals plus the tip between them."""

TOUCH_DISTANCE = 0.001
"""A block counts as touched if the tip is this close (m): pushed blocks slide slightly ahead of the tip."""

_SUBSTEPS = round(1 / (CONTROL_HZ * TIMESTEP))
_PLACEMENT_SEED = 20240607  # Arbitrary, but part of the suite: another seed gives other initial states.


def block_poses(task: int, init_state: int) -> NDArray[np.float64]:
    """Poses of the blocks in an initial state.

    Args:
        task: index of the task.
        init_state: index of the initial state.

    Returns:
        `float64[4, 3]`: x, y (m) and yaw (rad) of each block, in the order of `TOY_COLORS`.
    """
    sequence = np.random.SeedSequence(_PLACEMENT_SEED, spawn_key=(task, init_state))
    rng = np.random.Generator(np.random.Philox(sequence))
    while True:
        centers = rng.uniform(-BLOCK_REACH, BLOCK_REACH, (len(TOY_COLORS), 2))
        gaps = np.linalg.norm(centers[:, None] - centers[None], axis=-1)
        if gaps[np.triu_indices(len(TOY_COLORS), 1)].min() >= BLOCK_GAP:
            break
    return np.column_stack([centers, rng.uniform(-np.pi / 4, np.pi / 4, len(TOY_COLORS))])


class ToyEnv:
    """A task of the toy suite. Implements `envs.base.Env`.

    Args:
        task: index of the task.
        resolution: side of the images that `observe` renders (px).

    Raises:
        EnvError: no such task, or images of that size cannot be rendered.
    """

    def __init__(self, task: int, resolution: int) -> None:
        _check_index("task", task, len(toy_tasks()))
        _check_size(resolution)
        self.goals: tuple[Goal, ...] = (toy_tasks()[task].goal,)
        self.tracked: tuple[Goal, ...] = ()
        self.approached: str | None = None
        self.renders = 0
        self._task = task
        self._resolution = resolution
        self._settle_steps = 0
        self._model = mujoco.MjModel.from_xml_string(SCENE)
        self._pristine = copy.copy(self._model)
        self._data = mujoco.MjData(self._model)
        self._cameras = {name: self._model.camera(name).id for name in CAMERAS}
        self._blocks = {f"{color}_block": int(self._model.body(f"{color}_block").id) for color in TOY_COLORS}
        targets = tuple(name for atom in self.goals[0] for name in atom[1:])
        self._physics = MujocoPhysics(
            self._model, self._data, self._blocks, tuple(self._blocks), targets, self._owner, settling=100
        )
        self._renderers: dict[int, mujoco.Renderer] = {}

    def reset(self, spec: ResetSpec, before_settling: Intervention | None = None) -> None:
        """Restore every model field, place the blocks and move the tip home. `env_seed` has no effect.

        Raises:
            EnvError: the initial state does not exist.
        """
        _check_index("init_state", spec.init_state, INIT_STATES)
        _restore(self._model, self._pristine)
        mujoco.mj_resetData(self._model, self._data)
        for color, (x, y, yaw) in zip(TOY_COLORS, block_poses(self._task, spec.init_state), strict=True):
            pose = (x, y, BLOCK_SIDE / 2, np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2))
            self._data.joint(f"{color}_block").qpos = pose
        if before_settling is not None:
            self.intervene(before_settling)
        self.goals, self.tracked = (toy_tasks()[self._task].goal,), ()
        self._settle_steps = spec.settle_steps
        for _ in range(spec.settle_steps):
            self._advance(np.zeros(ACTION_SIZE, np.float32))
        self.approached = None

    def intervene(self, change: Intervention) -> None:
        """Change the simulation between two control steps; see `Env.intervene`."""
        change(self._physics)
        mujoco.mj_forward(self._model, self._data)

    def observe(self, cameras: Sequence[str] = CAMERAS) -> Observation:
        """Return the tip's position and the images of the requested cameras.

        Raises:
            EnvError: there is no OpenGL to render with.
        """
        self._sync()
        images = {camera: self.render(camera, self._resolution) for camera in cameras}
        state = np.zeros(STATE_SIZE, np.float32)
        state[:3] = self._data.geom("tip").xpos
        return Observation(images, state, self._step_count())

    def step(self, actions: NDArray[np.float32]) -> StepResult:
        """Execute `float32[n, 7]` actions until a watched goal is reached; the first three move the tip.

        Raises:
            EnvError: the actions have a wrong shape, or they or the simulation are not finite.
        """
        if actions.ndim != 2 or actions.shape[1] != ACTION_SIZE or not np.isfinite(actions).all():
            raise EnvError(f"actions must be finite numbers [n, {ACTION_SIZE}], got {actions.shape}: {actions}")
        states, reached = [], self._reached()
        hits: dict[Goal, int] = {}
        for action in actions:
            self._advance(action)
            states.append(self.state())
            reached = self._reached()
            hits |= {goal: len(states) for goal in self.tracked if goal not in hits and self._all_hold(goal)}
            touched = (name for name in self._blocks if self._holds(("touch", name)))
            self.approached = self.approached or next(touched, None)
            if any(reached):
                break
        rows = np.array(states).reshape(len(states), self.state().size)
        return StepResult(len(states), reached, rows, tuple(hits.get(goal) for goal in self.tracked))

    def state(self) -> NDArray[np.float64]:
        """Return time, positions and velocities of gantry and blocks: `float64[59]`."""
        return np.concatenate([[self._data.time], self._data.qpos, self._data.qvel])

    def set_state(self, state: NDArray[np.float64]) -> None:
        """Load a stored state.

        Raises:
            EnvError: it is not a state of this scene.
        """
        if state.shape != self.state().shape:
            raise EnvError(f"a state of this scene has shape {self.state().shape}, not {state.shape}")
        self._data.time = state[0]
        self._data.qpos, self._data.qvel = np.split(state[1:], [self._model.nq])

    def snapshot(self) -> SensorSnapshot:
        """The present state; see `Env.snapshot`."""
        return SensorSnapshot({"state": self.state()}, self._step_count())

    def restore_view(self, snapshot: SensorSnapshot) -> None:
        """The state itself; see `Env.restore_view`."""
        self.set_state(snapshot.arrays["state"])

    def render(self, camera: str, size: int) -> NDArray[np.uint8]:
        """Render the present state.

        Returns:
            `uint8[size, size, 3]`, RGB, upright.

        Raises:
            EnvError: images of that size cannot be rendered, or there is no OpenGL to render with.
        """
        self.renders += 1
        image: NDArray[np.uint8] = self._ready(camera, size, mujoco.MjvOption()).render()
        return image

    def _ready(self, camera: str, size: int, option: mujoco.MjvOption) -> mujoco.Renderer:
        """The renderer of a size, with its scene updated to the present state."""
        renderer = self._renderer(size)
        view = mujoco.MjvCamera()
        view.type = mujoco.mjtCamera.mjCAMERA_FIXED
        view.fixedcamid = self._cameras[camera]
        self._sync()
        # Not `renderer.update_scene`, which shows the model that the renderer was created from.
        everything = mujoco.mjtCatBit.mjCAT_ALL.value
        mujoco.mjv_updateScene(self._model, self._data, option, None, view, everything, renderer.scene)
        return renderer

    def masks(self, camera: str, names: Sequence[str], *, alone: bool = False) -> dict[str, NDArray[np.bool_]]:
        """Segment blocks in the image that `observe` would return; see `Env.masks`."""
        masks = {}
        for name in (name for name in names if name in self._blocks):
            geoms = list(geoms_below(self._model, self._blocks[name]))
            option = mujoco.MjvOption()
            groups = self._model.geom_group.copy()
            if alone:
                option.geomgroup[:] = 0
                option.geomgroup[5] = 1
                self._model.geom_group[geoms] = 5
            renderer = self._ready(camera, self._resolution, option)
            self._model.geom_group[:] = groups
            renderer.enable_segmentation_rendering()
            segments = renderer.render()
            renderer.disable_segmentation_rendering()
            masks[name] = np.isin(segments[..., 0], geoms) & (segments[..., 1] == int(mujoco.mjtObj.mjOBJ_GEOM))
        return masks

    def privileged(self, goal: Goal) -> Privileged:
        """Return the ground-truth state by name; this scene has no gripper and no articulated joints."""
        self._sync()
        blocks = (self._data.body(f"{color}_block") for color in TOY_COLORS)
        return Privileged(
            objects={block.name: Pose(block.xpos.copy(), block.xquat.copy()) for block in blocks},
            hand=Pose(self._data.geom("tip").xpos.copy(), self._data.body("hand").xquat.copy()),
            gripper=np.zeros(2),
            joints={},
            goal=goal,
            step=self._step_count(),
        )

    def scene(self) -> Scene:
        """The handle for scene perturbations."""
        return Scene(self._model, self._cameras, self._physics.targets, self._blocks)

    def close(self) -> None:
        """Free the render contexts; the simulation is freed with the object."""
        while self._renderers:
            self._renderers.popitem()[1].close()

    def _advance(self, action: NDArray[np.float32]) -> None:
        self._data.ctrl[:] = np.clip(action[:3].astype(np.float64), -1, 1) * TIP_SPEED
        mujoco.mj_step(self._model, self._data, nstep=_SUBSTEPS)
        if not np.isfinite(self.state()).all():
            raise EnvError("the simulation is not finite any more")

    def _sync(self) -> None:
        """Update poses, cameras and lights to the positions; changes nothing that the physics reads."""
        mujoco.mj_kinematics(self._model, self._data)
        mujoco.mj_camlight(self._model, self._data)

    def _step_count(self) -> int:
        executed: int = round(self._data.time * CONTROL_HZ)
        return executed - self._settle_steps

    def _reached(self) -> tuple[bool, ...]:
        self._sync()
        return tuple(self._all_hold(goal) for goal in self.goals)

    def _all_hold(self, goal: Goal) -> bool:
        return all(self._holds(atom) for atom in goal)

    def _owner(self, geom: int) -> str:
        """Name of the body that a geom belongs to."""
        return str(self._model.body(int(self._model.geom_bodyid[geom])).name)

    def _holds(self, atom: Atom) -> bool:
        if atom[0] != "touch" or atom[1] not in toy_tasks()[self._task].scenery.names:
            raise EnvError(f"the toy suite cannot tell whether {atom} holds")
        tip, block = (self._model.geom(name).id for name in ("tip", atom[1]))
        return bool(mujoco.mj_geomDistance(self._model, self._data, tip, block, 1.0, None) < TOUCH_DISTANCE)

    def _renderer(self, size: int) -> mujoco.Renderer:
        """The renderer of one image size; clearing a larger buffer than needed takes longer than rendering."""
        if size not in self._renderers:
            _check_size(size)
            model = copy.copy(self._pristine)
            model.vis.global_.offwidth = model.vis.global_.offheight = size
            renderer = make_renderer(model, size)
            # A context that is still open when MuJoCo shuts the driver down at exit fills stderr with tracebacks.
            atexit.register(_close_if_alive, weakref.ref(renderer))
            self._renderers[size] = renderer
        return self._renderers[size]


def _restore(target: Any, source: Any) -> None:
    """Copy every field of a model (`mujoco.MjModel`), and of its option structures, from its pristine copy."""
    for name in dir(source):
        if name.startswith("_"):
            continue
        value = getattr(source, name)
        if isinstance(value, np.ndarray):
            getattr(target, name)[...] = value
        elif isinstance(value, int | float) and getattr(target, name) != value:  # Sizes are read-only.
            setattr(target, name, value)
        elif type(value).__module__ == "mujoco._structs":
            _restore(getattr(target, name), value)


def _close_if_alive(renderer: "weakref.ref[mujoco.Renderer]") -> None:
    alive = renderer()
    if alive is not None:
        alive.close()


def _check_index(what: str, index: int, count: int) -> None:
    if not 0 <= index < count:
        raise EnvError(f"the toy suite has {what} 0 to {count - 1}, not {index}")


def _check_size(size: int) -> None:
    if not 1 <= size <= MAX_RENDER_SIZE:
        raise EnvError(f"images have 1 to {MAX_RENDER_SIZE} pixels per side, not {size}")
