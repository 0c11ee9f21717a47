"""`check_env` accepts environments that keep the contract, and names the law that another breaks."""

from dataclasses import replace

import mujoco
import numpy as np
import pytest

from envs.base import EnvError, Observation, Pose, StepResult
from envs.libero.files import resolve_assets
from envs.sim.mujoco_env import MujocoEnv
from envs.suites import find_suite, register_suite
from envs.tasks import Task
from envs.toy.env import ToyEnv
from envs.toy.tasks import toy_tasks
from simeval.testing import check_env

pytestmark = pytest.mark.usefixtures("suite_registry")


def check(kind):
    """Check the toy suite with another class of environment."""
    tasks = tuple(replace(task, suite="mine") for task in toy_tasks())
    register_suite(
        replace(
            find_suite("toy"),
            name="mine",
            tasks=lambda: tasks,
            make_env=lambda task, resolution, assets: kind(task.index, resolution),
        )
    )
    check_env("mine")


@pytest.mark.parametrize(("suite", "task"), [("toy", 0), ("toy", 3), ("libero_spatial", 4), ("libero_10", 2)])
def test_suites_of_the_package_keep_the_rules(suite, task):
    check_env(suite, task=task, assets=resolve_assets("bundled"))


def test_the_check_itself_passes_on_a_derived_class():
    check(ToyEnv)


class Drifting(ToyEnv):
    """Every reset starts where the last episode ended, by a hair."""

    resets = 0

    def reset(self, spec, before_settling=None):
        super().reset(spec, before_settling)
        self.resets += 1
        self.data.qpos[0] += 1e-9 * self.resets


class Global(ToyEnv):
    """Places the blocks by NumPy's global generator, as robosuite does."""

    def place(self, init_state, env_seed):
        super().place(init_state, env_seed)
        self.data.qpos[0] = np.random.uniform(0, 1e-3)  # noqa: NPY002


class PerObject(ToyEnv):
    """Two scenes of one task differ."""

    made = 0

    def __init__(self, task, resolution):
        super().__init__(task, resolution)
        type(self).made += 1
        self.number = type(self).made

    def place(self, init_state, env_seed):
        super().place(init_state, env_seed)
        self.data.qpos[1] = 1e-6 * self.number


class Painted(ToyEnv):
    """Does not undo what a scene perturbation wrote."""

    def reset(self, spec, before_settling=None):
        colors = self.model.geom_rgba.copy()
        super().reset(spec, before_settling)
        self.model.geom_rgba[:] = colors


class Stirring(ToyEnv):
    """Observing changes the solver's warm start, and so what happens next."""

    def observe(self, cameras=("agentview", "wrist")):
        self.data.qvel[0] += 1e-7
        return super().observe(cameras)


class Eager(ToyEnv):
    """Renders at every step."""

    def step(self, actions):
        if len(actions):
            self.render("wrist", 64)
        return super().step(actions)


class Lumping(ToyEnv):
    """Executes the mean of a chunk."""

    def step(self, actions):
        return super().step(np.repeat(actions.mean(0, keepdims=True), len(actions), 0) if len(actions) else actions)


class OneStart(ToyEnv):
    """All initial states are the first."""

    def place(self, init_state, env_seed):
        super().place(0, env_seed)


class Stopping(ToyEnv):
    """Stops after three actions."""

    def step(self, actions):
        return super().step(actions[:3])


class Forgetful(ToyEnv):
    """Keeps the goals that were set for the last episode."""

    def reset(self, spec, before_settling=None):
        goals = self.goals
        super().reset(spec, before_settling)
        self.goals = (*self.goals, *goals)


class Vague(ToyEnv):
    """Restores positions only."""

    def set_state(self, state):
        super().set_state(state)
        self.data.qvel[:] = 0


class Stale(ToyEnv):
    """Shows the present instead of the snapshot."""

    def restore_view(self, snapshot):
        pass


class Cheerful(ToyEnv):
    """Every goal holds from the start."""

    def holds(self, atom):
        return True


class OneEyed(ToyEnv):
    """Both cameras are the same one."""

    def render(self, camera, size):
        return super().render("agentview", size)


class Floating(ToyEnv):
    """Images in [0, 1]."""

    def observe(self, cameras=("agentview", "wrist")):
        seen = super().observe(cameras)
        return Observation({c: (i / 255).astype(np.float32) for c, i in seen.images.items()}, seen.state, seen.step)


class Short(ToyEnv):
    """Seven numbers of state."""

    def observe(self, cameras=("agentview", "wrist")):
        seen = super().observe(cameras)
        return Observation(seen.images, seen.state[:7], seen.step)


class AllCameras(ToyEnv):
    """Renders every camera, whichever is asked for."""

    def observe(self, cameras=("agentview", "wrist")):
        return super().observe()


class Tolerant(ToyEnv):
    """Takes NaN for 0."""

    def step(self, actions):
        return super().step(np.nan_to_num(actions))


class Endless(ToyEnv):
    """Has as many initial states as one asks for."""

    def reset(self, spec, before_settling=None):
        super().reset(replace(spec, init_state=spec.init_state % 50), before_settling)


class Unnormalised(ToyEnv):
    """A quaternion that is not of unit length."""

    def hand(self):
        return Pose(super().hand().pos, np.array([1.0, 1.0, 0.0, 0.0]))


class Silent(ToyEnv):
    """Reports no tracked goals."""

    def step(self, actions):
        done = super().step(actions)
        return StepResult(done.steps, done.reached, done.states)


class Deaf(ToyEnv):
    """The scene handle is a copy, so that perturbations show nothing."""

    def scene(self):
        import copy

        return replace(super().scene(), model=copy.copy(self.model))


@pytest.mark.parametrize(
    ("kind", "law"),
    [
        (Drifting, "a reset from the same initial state differs"),
        (Global, "a reset .* differs from the first one: states in the initial state"),
        (PerObject, "another scene of the same task behaves differently"),
        (Painted, "after an episode whose scene was changed differs"),
        (Stirring, "observing after every step changes what happens"),
        (Eager, "step must render nothing"),
        (Lumping, "one by one give other results"),
        (OneStart, "initial states 0 and 49 are the same"),
        (Stopping, "step executed 3 of 12"),
        (Forgetful, "goals must be the task's goal alone"),
        (Vague, "set_state does not restore"),
        (Stale, "restore_view does not restore"),
        (Cheerful, "holds from the start"),
        (OneEyed, "both cameras show the same"),
        (Floating, "must be uint8"),
        (Short, r"must be float32\[8\], not float32\[7\]"),
        (AllCameras, "must return the images of"),
        (Tolerant, "action of NaN must be an EnvError"),
        (Endless, "reset to initial state 50"),
        (Unnormalised, "the quaternion of hand has length"),
        (Silent, "tracked"),
        (Deaf, "does not show in the image"),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else None,
)
def test_a_broken_law_is_named(kind, law):
    with pytest.raises(AssertionError, match=law):
        check(kind)


SCENE = """
<mujoco><option timestep="0.005"><flag autoreset="disable"/></option>
<worldbody><camera name="agentview"/><camera name="wrist"/><body name="thing"><geom size="0.1"/>{}</body></worldbody>
{}</mujoco>
"""
INTEGRATOR = '<actuator><intvelocity joint="slider" kp="1" actrange="-1 1"/></actuator>'


class Bare(MujocoEnv):
    """What a suite has to write, and nothing in it."""

    place = apply = holds = proprioception = hand = None


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (SCENE.format("", "").replace("wrist", "hand"), "has no camera 'wrist'"),
        (SCENE.format("", "").replace('"0.005"', '"0.004"'), "time step of 0.004 s; it must divide 0.05 s"),
        (SCENE.format("", "").replace("disable", "enable"), "resets itself when it breaks"),
        (SCENE.format('<joint name="slider" type="slide"/>', INTEGRATOR), "actuators with an internal state"),
        ("<mujoco><nonsense/></mujoco>", "mine task 0: XML Error: Schema violation.*nonsense"),
    ],
)
def test_scenes_that_no_environment_can_be_made_of(text, line):
    task = Task("mine", 0, "mine", "do it", (("done", "thing"),), toy_tasks()[0].scenery)
    with pytest.raises(EnvError, match=line):
        Bare(task, text, 64, 1)


def test_a_model_may_be_given_compiled():
    model = mujoco.MjModel.from_xml_string(SCENE.format("", ""))
    task = Task("mine", 0, "mine", "do it", (("done", "thing"),), toy_tasks()[0].scenery)
    assert Bare(task, model, 64, 1).model is model


def test_an_environment_that_lacks_a_function_says_which():
    class Half(MujocoEnv):
        place = apply = holds = hand = None

    with pytest.raises(TypeError, match="proprioception"):
        Half(toy_tasks()[0], SCENE.format("", ""), 64, 1)


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (np.zeros(7, np.float32), r"must be float32\[8\], not float32\[7\]"),
        (np.zeros(8), r"must be float32\[8\], not float64\[8\]"),
        (np.float32([0, 0, np.nan, 0, 0, 0, 0, np.inf]), "must be finite, and number 3 is not"),
        (np.ma.array(np.zeros(8, np.float32), mask=np.arange(8) == 5), "must be finite, and number 6 is not"),
    ],
)
def test_a_state_that_no_policy_can_be_given_is_an_error(state, said):
    class Robot(Bare):
        def proprioception(self):
            return state

    env = Robot(
        Task("mine", 0, "mine", "do it", (("done", "thing"),), toy_tasks()[0].scenery), SCENE.format("", ""), 64, 1
    )
    with pytest.raises(EnvError, match=said):
        env.observe(())
