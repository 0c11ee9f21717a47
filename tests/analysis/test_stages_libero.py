"""Every stage of a failure, produced on purpose by a sabotaged expert in LIBERO's scenes, and recognised."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from helpers import roll_out
from msgspec import structs

from envs.base import Pose, Privileged
from envs.libero.env import LiberoEnv
from envs.libero.files import resolve_assets
from envs.motion import TellsMotion, sampled
from envs.suites import tasks
from simeval.analysis.stages import STRIDE, classify
from simeval.core.types import EpisodeSpec
from simeval.policies.expert.policy import LiberoExpert, next_action
from simeval.store import stages as s

BOWL, OTHER_BOWL, PLATE = "akita_black_bowl_1", "akita_black_bowl_2", "plate_1"
MIDDLE, TOP = "wooden_cabinet_1_middle_level", "wooden_cabinet_1_top_level"
STILL = np.array([0, 0, 0, 0, 0, 0, -1], np.float32)

Act = Callable[[Privileged], np.ndarray]


class Saboteur(LiberoExpert):
    """The expert with something done to its actions."""

    def __init__(self, act: Act) -> None:
        self._sabotage = act

    def _act(self, state: Privileged | None) -> np.ndarray:
        assert state is not None
        return np.asarray(self._sabotage(state), np.float32)[np.newaxis]


@pytest.fixture(scope="module")
def pick() -> LiberoEnv:
    """From table center: the other bowl and the cookie box are far enough to be told from it."""
    return LiberoEnv(tasks("libero_spatial")[2], 64, resolve_assets("bundled"))


@pytest.fixture(scope="module")
def drawer() -> LiberoEnv:
    return LiberoEnv(tasks("libero_goal")[0], 64, resolve_assets("bundled"))


@pytest.fixture(scope="module")
def stove() -> LiberoEnv:
    return LiberoEnv(tasks("libero_goal")[7], 64, resolve_assets("bundled"))


@pytest.fixture(scope="module")
def push() -> LiberoEnv:
    return LiberoEnv(tasks("libero_goal")[5], 64, resolve_assets("bundled"))


def spec_of(env: LiberoEnv, max_steps: int) -> EpisodeSpec:
    return EpisodeSpec(env.task.suite, env.task.index, 0, "none", 0, 0, 0, max_steps, 10, 64)


def played(env: LiberoEnv, act: Act, max_steps: int = 130) -> tuple[str, str, int]:
    """Stage and object of an episode, and its control steps."""
    spec = spec_of(env, max_steps)
    result, trace = roll_out(spec, env, Saboteur(act))
    assert result.outcome in ("success", "failure"), result.error_text
    if result.outcome == "success":
        return s.SUCCESS, "", result.steps
    assert trace is not None
    assert isinstance(env, TellsMotion)
    env.reset(structs.replace(spec, settle_steps=0))
    steps = sampled(len(trace.states), STRIDE)
    motion = env.motion([trace.states[step] for step in steps], steps, env.task.goal)
    closed = np.concatenate([[False], trace.actions[:, -1] > 0])[steps]
    verdict = classify(motion, closed)
    return verdict.stage, verdict.object, result.steps


def moved(state: Privileged, name: str, by: tuple[float, float, float]) -> Privileged:
    """The state with an object somewhere else, as the saboteur is told."""
    pose = state.objects[name]
    return replace(state, objects={**state.objects, name: Pose(pose.pos + np.array(by), pose.quat)})


def instead(state: Privileged, *atom: str) -> Privileged:
    return replace(state, goal=(atom,))


class Until:
    """The expert until something has happened; after that another policy."""

    def __init__(self, happened: Callable[[Privileged], bool], then: Act) -> None:
        self._happened, self._then, self._over = happened, then, False

    def __call__(self, state: Privileged) -> np.ndarray:
        self._over = self._over or self._happened(state)
        return self._then(state) if self._over else next_action(state)


def with_still_hand(state: Privileged) -> np.ndarray:
    """Closed, where it is."""
    return np.array([0, 0, 0, 0, 0, 0, 1], np.float32)


def opened(state: Privileged) -> float:
    """How far the middle drawer is open (m)."""
    return -state.joints[MIDDLE]


def test_success(pick):
    assert played(pick, next_action)[0] == s.SUCCESS


def test_never_approached(pick):
    assert played(pick, lambda state: STILL, 60)[:2] == (s.NEVER_APPROACHED, BOWL)


def test_wrong_object(pick):
    assert played(pick, lambda state: next_action(instead(state, "on", OTHER_BOWL, PLATE)), 90)[:2] == (
        s.WRONG_OBJECT, OTHER_BOWL,
    )  # fmt: skip


def test_wrong_object_that_was_never_lifted(pick):
    def close_at_cookies(state: Privileged) -> np.ndarray:
        goal = state.objects["cookies_1"].pos + np.array([0, 0, 0.02]) - state.hand.pos
        near = np.linalg.norm(goal) < 0.03
        return np.array([*np.clip(goal / 0.05, -1, 1), 0, 0, 0, 1 if near else -1], np.float32)

    assert played(pick, close_at_cookies, 60)[:2] == (s.WRONG_OBJECT, "cookies_1")


def test_closed_beside(pick):
    assert played(pick, lambda state: next_action(moved(state, BOWL, (0, 0.13, 0))), 90)[:2] == (s.BESIDE, BOWL)


def test_grasped_and_let_go_at_once(pick):
    pick.reset(spec_of(pick, 1))
    height = pick.privileged(pick.task.goal).objects[BOWL].pos[2]
    let_go = Until(lambda state: bool(state.objects[BOWL].pos[2] > height + 0.02), lambda state: STILL)
    assert played(pick, let_go, 90)[:2] == (s.LOST, BOWL)


def test_wrong_place(pick):
    assert played(pick, lambda state: next_action(moved(state, PLATE, (0.05, 0.25, 0))))[:2] == (s.WRONG_PLACE, BOWL)


def test_placed_but_goal_not_met(pick):
    assert played(pick, lambda state: next_action(moved(state, PLATE, (0.0, 0.07, 0))))[:2] == (s.NOT_MET, BOWL)


@pytest.mark.parametrize("share", [0.2, 0.9])
def test_out_of_time(pick, share):
    """On its way to the bowl, and with it to the plate."""
    needed = played(pick, next_action)[2]
    assert played(pick, next_action, int(share * needed))[:2] == (s.OUT_OF_TIME, BOWL)


def test_too_slow(pick):
    def slow(state: Privileged) -> np.ndarray:
        move = next_action(state)
        return np.array([*0.3 * move[:3], *move[3:]], np.float32)

    assert played(pick, slow, 60)[:2] == (s.OUT_OF_TIME, BOWL)


def test_drawer_never_approached(drawer):
    assert played(drawer, lambda state: STILL, 60)[:2] == (s.NEVER_APPROACHED, MIDDLE)


def test_wrong_drawer(drawer):
    other = played(drawer, lambda state: next_action(instead(state, "open", "wooden_cabinet_1_top_region")), 140)
    assert other[:2] == (s.WRONG_OBJECT, TOP)


def test_drawer_not_moved(drawer):
    stopped = played(drawer, Until(lambda state: opened(state) > 0.002, with_still_hand), 120)
    assert stopped[:2] == (s.BESIDE, MIDDLE)


def test_drawer_part_of_the_way(drawer):
    assert played(drawer, Until(lambda state: opened(state) > 0.06, lambda state: STILL), 180)[:2] == (s.LOST, MIDDLE)


def test_drawer_almost_open(drawer):
    almost = Until(lambda state: opened(state) > 0.122, lambda state: STILL)
    assert played(drawer, almost, 180)[:2] == (s.NOT_MET, MIDDLE)


def test_drawer_out_of_time(drawer):
    needed = played(drawer, next_action, 220)[2]
    assert played(drawer, next_action, needed - 3)[:2] == (s.OUT_OF_TIME, MIDDLE)


def test_knob_out_of_time_and_part_of_the_way(stove):
    needed = played(stove, next_action, 220)[2]
    assert played(stove, next_action, needed - 1)[:2] == (s.OUT_OF_TIME, "flat_stove_1_button")
    back = np.array([0, 0, 0.3, 0, 0, -1, -1], np.float32)  # the knob has momentum, and would turn on by itself
    part = Until(lambda state: state.joints["flat_stove_1_button"] > 0.01, lambda state: back)
    assert played(stove, part, needed + 40)[:2] == (s.LOST, "flat_stove_1_button")


def test_pushed_to_the_wrong_place(push):
    def early(state: Privileged) -> bool:
        return bool(np.linalg.norm((state.objects[PLATE].pos - start)[:2]) > 0.08)

    push.reset(spec_of(push, 1))
    start = push.privileged(push.task.goal).objects[PLATE].pos
    up = np.array([0, 0, 0.5, 0, 0, 0, 1], np.float32)
    assert played(push, Until(early, lambda state: up), 160)[:2] == (s.WRONG_PLACE, PLATE)
