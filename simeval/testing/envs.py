"""The laws that every environment must keep, so that pairs are fair and stored episodes can be replayed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.base import Env, EnvError, Observation, ResetOptions, StepResult
from envs.build import make_env
from envs.suite import Suite
from envs.suites import find_suite, tasks
from envs.tasks import Task

STEPS = 12
"""Control steps of a trial episode; enough to move things, few enough for a scene that takes 0.1 s per step."""

SETTLE_STEPS = 2
"""Idle control steps after the resets of the check."""

_SMALLEST = 8  # px; an image smaller than this shows nothing

type _Trial = tuple[NDArray[np.float64], Observation]


def check_env(suite: str, *, task: int = 0, resolution: int = 64, assets: Path | None = None) -> None:
    """Check a task's environment against the contract of `envs.base.Env`; two scenes are built and closed again.

    Args:
        suite: name of a registered suite.
        task: index of the task.
        resolution: side of the images (px).
        assets: LIBERO's asset folder, for suites that need one.

    Raises:
        KeyError: there is no such suite.
        EnvError: the scene cannot be built.
        AssertionError: a law is broken; says which and how.
    """
    built: list[Env] = []

    def build() -> Env:
        built.append(make_env(suite, task, resolution, assets))
        return built[-1]

    try:
        _Check(tasks(suite)[task], find_suite(suite), resolution, build).run()
    finally:
        for env in built:
            env.close()


class _Check:
    """The laws, for one task."""

    def __init__(self, task: Task, suite: Suite, resolution: int, build: Callable[[], Env]) -> None:
        self._task, self._count, self._resolution, self._build = task, suite.init_states, resolution, build
        self._interface, self._trials = suite.interface, 0
        self._env = build()
        rng = np.random.default_rng(0)
        self._actions = rng.uniform(-1, 1, (STEPS, self._interface.action_size)).astype(np.float32)
        self._spec = ResetOptions(init_state=0, env_seed=7, settle_steps=SETTLE_STEPS)

    def run(self) -> None:
        """Check every law.

        Raises:
            AssertionError: one is broken.
        """
        self._first_reset()
        expected = self._trial(self._env)
        for when, happen in self._histories().items():
            happen()
            self._same(expected, self._trial(self._env), f"a reset {when} differs from the first one")
        self._same(expected, self._trial(self._build()), "another scene of the same task behaves differently")
        self._chunks(expected)
        self._eager(expected)
        self._initial_states()
        self._round_trips()
        self._goals()
        self._views()
        self._ground_truth()
        self._refusals()
        self._handles()

    def _trial(self, env: Env) -> _Trial:
        """States of an episode, and its last observation."""
        before = np.random.get_state()  # noqa: NPY002
        self._trials += 1
        np.random.seed(self._trials)  # noqa: NPY002  a reset that draws from it shows
        try:
            env.reset(self._spec)
            env.goals = ()
            start = env.state()
            result = env.step(self._actions)
        finally:
            np.random.set_state(before)  # noqa: NPY002
        self._step_form(result, STEPS)
        return np.concatenate([start[None], result.states]), env.observe()

    def _same(self, expected: _Trial, actual: _Trial, law: str) -> None:
        for step, (one, other) in enumerate(zip(expected[0], actual[0], strict=True)):
            difference = float(np.abs(one - other).max()) if one.shape == other.shape else np.inf
            what = "in the initial state" if step == 0 else f"after step {step}"
            _law(one.tobytes() == other.tobytes(), f"{law}: states {what}, by {difference:.2g}")
        self._same_view(expected[1], actual[1], law)

    def _same_view(self, one: Observation, other: Observation, law: str) -> None:
        for camera in one.images:
            same = np.array_equal(one.images[camera], other.images[camera])
            _law(same, f"{law}: the image of {camera}")
        _law(np.array_equal(one.state, other.state), f"{law}: the robot's state")
        _law(one.step == other.step, f"{law}: the step is {other.step}, not {one.step}")

    def _first_reset(self) -> None:
        env = self._env
        env.reset(self._spec)
        _law(env.goals == (self._task.goal,), f"after reset, goals must be the task's goal alone, not {env.goals}")
        _law(env.tracked == (), f"after reset, tracked must be empty, not {env.tracked}")
        _law(env.approached is None, f"after reset, approached must be None, not {env.approached!r}")
        seen = env.observe()
        _law(seen.step == 0, f"after reset and settling, the observation's step must be 0, not {seen.step}")
        self._observation_form(seen, self._interface.cameras)
        for camera in self._interface.cameras:
            before = env.renders
            self._observation_form(env.observe((camera,)), (camera,))
            _law(env.renders == before + 1, f"observe(('{camera}',)) must render one image and count it in renders")
        before = env.renders
        self._observation_form(env.observe(()), ())
        _law(env.renders == before, "observe(()) must render nothing")

    def _observation_form(self, seen: Observation, cameras: tuple[str, ...]) -> None:
        _law(set(seen.images) == set(cameras), f"observe must return the images of {cameras}, not {[*seen.images]}")
        for camera, image in seen.images.items():
            self._image_form(f"the image of {camera}", image, self._resolution)
        state, size = seen.state, self._interface.state_size
        form = isinstance(state, np.ndarray) and state.dtype == np.float32 and state.shape == (size,)
        _law(form, f"an observation's state must be float32[{size}], not {_form(state)}")
        _law(bool(np.isfinite(state).all()), "an observation's state must be finite")

    def _image_form(self, what: str, image: Any, size: int) -> None:
        form = isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.shape == (size, size, 3)
        _law(form, f"{what} must be uint8[{size}, {size}, 3], not {_form(image)}")

    def _step_form(self, result: StepResult, steps: int) -> None:
        env = self._env
        _law(result.steps == steps, f"step executed {result.steps} of {steps} actions although no goal was watched")
        shape = (steps, env.state().size)
        _law(result.states.shape == shape, f"step must return states of shape {shape}, not {result.states.shape}")
        _law(result.states.dtype == np.float64, f"states must be float64, not {result.states.dtype}")

    def _histories(self) -> dict[str, Callable[[], object]]:
        """Things that must leave no trace, by what is said of a reset that shows one."""
        return {
            "from the same initial state": lambda: None,
            "after an episode from another initial state": self._other_episode,
            "after restore_view of an earlier moment": self._restored_view,
            "after set_state": lambda: self._env.set_state(self._env.state()),
            "after an episode whose scene was changed": self._repainted,
            "after an intervention in the simulation": lambda: self._env.reset(self._spec, _kick),
            "after masks and images of other sizes": self._other_images,
        }

    def _other_episode(self) -> None:
        self._env.reset(ResetOptions(self._count - 1, 3, SETTLE_STEPS))
        self._env.step(-self._actions)
        self._env.observe()

    def _restored_view(self) -> None:
        snapshot = self._env.snapshot()
        self._env.reset(self._spec)
        self._env.step(self._actions[:3])
        self._env.restore_view(snapshot)
        self._env.observe()

    def _repainted(self) -> None:
        self._env.reset(self._spec)
        _repaint(self._env)
        self._env.observe()

    def _other_images(self) -> None:
        self._env.masks(self._interface.cameras[0], sorted(self._task.scenery.names), alone=True)
        self._env.render(self._interface.cameras[-1], 2 * self._resolution)

    def _chunks(self, expected: _Trial) -> None:
        self._env.reset(self._spec)
        self._env.goals = ()
        states = [self._env.state()]
        for action in self._actions:
            states.extend(self._env.step(action[None]).states)
        law = "actions one by one give other results than in one call of step"
        self._same(expected, (np.array(states), self._env.observe()), law)

    def _eager(self, expected: _Trial) -> None:
        self._env.reset(self._spec)
        self._env.goals = ()
        states, before = [self._env.state()], self._env.renders
        self._env.step(self._actions[:0])
        for action in self._actions:
            self._env.observe()
            states.extend(self._env.step(action[None]).states)
        rendered = self._env.renders - before
        _law(
            rendered == STEPS * len(self._interface.cameras),
            f"step must render nothing, but {rendered} images were rendered",
        )
        law = "observing after every step changes what happens"
        self._same(expected, (np.array(states), self._env.observe()), law)

    def _initial_states(self) -> None:
        if self._count == 1:
            return
        starts = []
        for number in (0, self._count - 1):
            self._env.reset(ResetOptions(number, 7, SETTLE_STEPS))
            # Not `state`, which need not have the poses of fixtures.
            starts.append({name: array.tobytes() for name, array in self._env.snapshot().arrays.items()})
        _law(starts[0] != starts[1], f"initial states 0 and {self._count - 1} are the same")

    def _round_trips(self) -> None:
        env = self._env
        env.reset(self._spec)
        env.goals = ()
        env.step(self._actions[:5])
        state, snapshot, seen = env.state(), env.snapshot(), env.observe()
        _law(state.ndim == 1 and state.dtype == np.float64, f"state must be float64[n], not {_form(state)}")
        _law(snapshot.step == seen.step == 5, f"after 5 steps, the step must be 5, not {snapshot.step} and {seen.step}")
        env.step(self._actions[5:])
        env.set_state(state)
        _law(env.state().tobytes() == state.tobytes(), "set_state does not restore what state returned")
        env.reset(ResetOptions(self._count - 1, 3, SETTLE_STEPS))
        env.restore_view(snapshot)
        self._same_view(seen, env.observe(), "restore_view does not restore the observation")

    def _goals(self) -> None:
        env = self._env
        env.reset(self._spec)
        others = tuple(dict.fromkeys(other.goal for other in tasks(self._task.suite)))
        feasible = tuple(goal for goal in others if self._task.scenery.can_judge(goal))
        env.goals = env.tracked = feasible
        result = env.step(self._actions[:1])
        both = (len(result.reached), len(result.tracked))
        _law(both == (len(feasible),) * 2, f"{len(feasible)} goals were watched and tracked, step reports {both}")
        _law(not result.reached[feasible.index(self._task.goal)], "the task's goal holds from the start")

    def _views(self) -> None:
        env = self._env
        env.reset(self._spec)
        for camera in self._interface.cameras:
            size = max(_SMALLEST, self._resolution // 2)
            self._image_form(f"render('{camera}', {size})", env.render(camera, size), size)
            visible = env.masks(camera, (*sorted(self._task.scenery.names), "no such thing"))
            alone = env.masks(camera, (*sorted(self._task.scenery.names),), alone=True)
            _law("no such thing" not in visible, "masks must leave out names that the scene does not have")
            _law(visible.keys() == alone.keys(), "masks with alone=True must know the same names")
            for name, mask in visible.items():
                form = mask.dtype == np.bool_ and mask.shape == (self._resolution, self._resolution)
                _law(form, f"the mask of {name} must be bool with the image's shape, not {_form(mask)}")
                _law(not (mask & ~alone[name]).any(), f"{name} is visible where it is not when it is alone ({camera})")
        first, *others = (env.observe((camera,)).images[camera] for camera in self._interface.cameras)
        _law(not any(np.array_equal(first, other) for other in others), "both cameras show the same")

    def _ground_truth(self) -> None:
        truth = self._env.privileged(self._task.goal)
        _law(truth.goal == self._task.goal, "privileged must carry the goal that it was asked for")
        for name, pose in {**truth.objects, "hand": truth.hand}.items():
            finite = np.isfinite(pose.pos).all() and pose.pos.shape == (3,)
            _law(finite, f"the position of {name} must be three finite numbers")
            length = float(np.linalg.norm(pose.quat))
            _law(abs(length - 1) < 1e-6, f"the quaternion of {name} has length {length:.3g}, not 1")

    def _refusals(self) -> None:
        beyond = ResetOptions(self._count)
        _refused(lambda: self._env.reset(beyond), f"reset to initial state {self._count} of 0 to {self._count - 1}")
        self._env.reset(self._spec)
        broken = np.full((1, self._interface.action_size), np.nan, np.float32)
        _refused(lambda: self._env.step(broken), "step with an action of NaN")
        self._env.reset(self._spec)

    def _handles(self) -> None:
        env = self._env
        env.reset(self._spec)
        scene, clean = env.scene(), env.observe()
        _law(
            set(scene.cameras) == set(self._interface.cameras),
            f"scene().cameras must have {self._interface.cameras}, not {[*scene.cameras]}",
        )
        for name in (*scene.bodies, *scene.fixtures):
            _law(name in self._task.scenery.names, f"scene() names {name}, which the task's scenery does not")
        _repaint(env)
        changed = env.observe()
        for camera in self._interface.cameras:
            same = np.array_equal(clean.images[camera], changed.images[camera])
            _law(not same, f"writing to scene().model does not show in the image of {camera}")
        env.reset(self._spec)
        self._same_view(clean, env.observe(), "the next reset does not undo writing to scene().model")


def _repaint(env: Env) -> None:
    """Turn everything dark red and the lights down."""
    model = env.scene().model
    model.geom_rgba[:, :3] *= (0.5, 0.1, 0.1)
    model.light_diffuse[:] *= 0.3
    model.vis.headlight.ambient[:] = 0.02
    model.vis.headlight.diffuse[:] = 0.02


def _kick(physics: Any) -> None:
    """Give every joint some speed."""
    physics.data.qvel[:] += 0.05


def _refused(call: Callable[[], object], what: str) -> None:
    try:
        call()
    except EnvError:
        return
    except Exception as error:
        raise AssertionError(f"env: {what} must be an EnvError, not a {type(error).__name__}: {error}") from error
    raise AssertionError(f"env: {what} must be an EnvError")


def _form(value: Any) -> str:
    return f"{value.dtype}{list(value.shape)}" if isinstance(value, np.ndarray) else type(value).__name__


def _law(holds: object, text: str) -> None:
    if not holds:
        raise AssertionError(f"env: {text}")
