"""Demonstrations by the privileged expert in the bundled scenes, from separate initial states.

Training and evaluation data are separate: a demonstration starts from a new sample of LIBERO's placement samplers. The
published initial states, on which policies are evaluated, are never loaded.

The expert acts under disturbances: its actions are executed with noise and occasional random pushes, or a policy acts
for a while before the expert takes over (corrective data as in DAgger). The labels are always the expert's undisturbed
actions. A fraction of the episodes has another goal of the scene, so that only the instruction tells which.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from envs.base import ACTION_SIZE, CAMERAS, Goal, Privileged
from envs.libero.env import LiberoEnv
from envs.libero.files import resolve_assets
from envs.suites import Task, limits, other_goals, tasks
from perturbations.base import Instruction
from simeval.policies.base import Policy, PolicyInput
from simeval.policies.bundled.layout import CHUNK, EDGE
from simeval.policies.expert.policy import next_action, supports
from simeval.policies.expert.scene import SPOTS

STRIDE = 2
"""Control steps between recorded frames."""
OTHER_GOAL = 0.3
"""Fraction of the episodes with another goal of the scene, if there is one."""
PUSH = 0.015
"""Probability per control step that a push of a few steps starts."""
NOISE = (0.0, 0.1, 0.2, 0.3)
"""Standard deviations of the action noise; each episode uses one of them."""


@dataclass(frozen=True)
class Episode:
    """One recorded demonstration.

    Attributes:
        instruction: the instruction for the policy.
        images: `uint8[n, 2, E, E, 3]`, agent view and wrist, every `STRIDE` steps.
        states: `float32[n, 8]`.
        positions: `float32[n, 6]`, of the moved object and of its destination, relative to the hand (dm).
        actions: `float32[n, T, 7]`, the expert's actions from each frame on.
        valid: `bool[n, T]`, whether the expert acted in that step.
        policy_steps: control steps in which a policy acted.
    """

    instruction: str
    images: NDArray[np.uint8]
    states: NDArray[np.float32]
    positions: NDArray[np.float32]
    actions: NDArray[np.float32]
    valid: NDArray[np.bool_]
    policy_steps: int


def shrink(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Halve an image as SmolVLA does: bilinear resizing by two without antialiasing is a mean of four pixels."""
    blocks = image.reshape(EDGE, 2, EDGE, 2, 3).astype(np.uint16).sum((1, 3))
    small: NDArray[np.uint8] = ((blocks + 2) // 4).astype(np.uint8)
    return small


def _place(name: str, state: Privileged) -> NDArray[np.float64]:
    """Position of a goal's object, fixture or region; a region has the position of its fixture, if it has one."""
    if name in SPOTS:
        return np.array(SPOTS[name])
    owner = max((known for known in state.objects if name.startswith(known)), key=len)
    return state.objects[owner].pos


def positions(state: Privileged) -> NDArray[np.float32]:
    """Positions of the object and destination of the goal's first atom, relative to the hand: `float32[6]` (dm)."""
    atom = state.goal[0]
    both = (_place(atom[1], state), _place(atom[-1], state))
    return np.concatenate([10 * (place - state.hand.pos) for place in both]).astype(np.float32)


def collect_demos(env: LiberoEnv, seed: int, policy: Policy | None = None, *, edge: int = EDGE) -> Episode | None:
    """Record one episode.

    Returns `None` if the goal was not reached (a stuck expert is no example), or if the expert was not needed.

    Args:
        env: a bundled scene.
        seed: seed of everything random: placement, goal, noise, who acts when.
        policy: acts part of the time, if given.
        edge: side of the recorded images (px): the bundled network's, or twice that, as rendered.
    """
    rng = np.random.default_rng(seed)
    task = env.task
    instruction = Instruction(task.instruction, None, "original")
    others = [other for other in other_goals(task.suite, task.index) if supports(other.goal)]
    if others and rng.random() < OTHER_GOAL:
        other = others[rng.integers(len(others))]
        instruction = Instruction(other.instruction, other.goal, other.source)
    goal = instruction.goal or task.goal
    numbers = limits("openvla", task.suite)
    placement, fixtures = (int(n) for n in rng.integers(1 << 31, size=2))
    env.reset_to(env.sample_init_state(placement), fixtures, numbers.settle_steps)
    return _Recording(env, goal, instruction.text, rng, edge).run(policy, numbers.max_steps)


class _Recording:
    """An episode that is being recorded."""

    def __init__(self, env: LiberoEnv, goal: Goal, instruction: str, rng: np.random.Generator, edge: int) -> None:
        self._env, self._goal, self._instruction, self._rng, self._edge = env, goal, instruction, rng, edge
        self._noise = float(rng.choice(NOISE))
        self._chunks = 0
        self._labels: list[NDArray[np.float32]] = []
        self._by_expert: list[bool] = []
        self._frames: list[tuple[int, NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32]]] = []
        self._push: NDArray[np.float32] = np.zeros(ACTION_SIZE, np.float32)
        self._pushing = 0

    def run(self, policy: Policy | None, max_steps: int) -> Episode | None:
        """Alternate until the goal is reached; then let the expert continue, for the chunks of the last frames."""
        rng, reached = self._rng, False
        policy_drives = policy is not None and rng.random() < 0.8
        while not reached and len(self._labels) < max_steps:
            if policy is not None and policy_drives:
                reached = self._policy_turn(policy, chunks=int(rng.integers(1, 9)))
            else:
                reached = self._expert_turn(int(rng.integers(12, 40)) if policy else max_steps, max_steps)
            policy_drives = not policy_drives
        if not reached or not self._frames:
            return None
        for _ in range(CHUNK):
            self._execute(self._label())
        return self._episode()

    def _policy_turn(self, policy: Policy, chunks: int) -> bool:
        env, rng = self._env, self._rng
        for _ in range(chunks):
            observation, seed = env.observe(CAMERAS), int(rng.integers(1 << 31))
            request = PolicyInput(observation, self._instruction, "", self._chunks, seed, None)
            self._chunks += 1
            for action in policy.act([request])[0][: policy.spec.n_action_steps]:
                self._labels.append(np.zeros(ACTION_SIZE, np.float32))
                self._by_expert.append(False)
                if self._execute(action):
                    return True
        return False

    def _expert_turn(self, steps: int, max_steps: int) -> bool:
        for _ in range(min(steps, max_steps - len(self._labels))):
            if len(self._labels) % STRIDE == 0:
                observation = self._env.observe(CAMERAS)
                images = np.stack([observation.images[camera] for camera in CAMERAS])
                if self._edge == EDGE:
                    images = np.stack([shrink(image) for image in images])
                places = positions(self._env.privileged(self._goal))
                self._frames.append((len(self._labels), images, observation.state, places))
            if self._execute(self._disturbed(self._label())):
                return True
        return False

    def _label(self) -> NDArray[np.float32]:
        """Compute the expert's action and record it as a label."""
        label = np.clip(next_action(self._env.privileged(self._goal)), -1, 1).astype(np.float32)
        self._labels.append(label)
        self._by_expert.append(True)
        return label

    def _disturbed(self, label: NDArray[np.float32]) -> NDArray[np.float32]:
        rng = self._rng
        if self._pushing == 0 and rng.random() < PUSH:
            self._pushing = int(rng.integers(3, 9))
            push = [*rng.uniform(-0.8, 0.8, 3), *rng.uniform(-0.15, 0.15, 3)]
            self._push = np.array([*push, label[6] if rng.random() < 0.7 else -label[6]], np.float32)
        if self._pushing > 0:
            self._pushing -= 1
            return self._push
        scale = np.array([1, 1, 1, 0.25, 0.25, 0.25, 0], np.float32) * self._noise
        return label + scale * rng.standard_normal(ACTION_SIZE).astype(np.float32)

    def _execute(self, action: NDArray[np.float32]) -> bool:
        self._env.goals = (self._goal,)
        return any(self._env.step(np.clip(action, -1, 1)[None].astype(np.float32)).reached)

    def _episode(self) -> Episode:
        labels = np.stack(self._labels + [self._labels[-1]] * CHUNK)
        by_expert = np.array(self._by_expert + [False] * CHUNK)
        frames = self._frames
        windows = np.stack([np.arange(at, at + CHUNK) for at, *_ in frames])
        return Episode(
            self._instruction,
            np.stack([images for _, images, _, _ in frames]),
            np.stack([state for _, _, state, _ in frames]),
            np.stack([place for _, _, _, place in frames]),
            labels[windows],
            np.logical_and.accumulate(by_expert[windows], axis=1),
            policy_steps=self._by_expert.count(False),
        )


def bundled_scene(task: Task) -> LiberoEnv:
    """A scene for demonstrations, with images of twice the network's size."""
    return LiberoEnv(task, 2 * EDGE, resolve_assets("bundled"))


def supported_tasks(suite: str) -> tuple[Task, ...]:
    """The tasks of a suite that the expert supports."""
    return tuple(task for task in tasks(suite) if supports(task.goal))


def write(episode: Episode, file: Path) -> None:
    """Store an episode atomically."""
    partial = file.with_suffix(".partial")
    with partial.open("wb") as stream:
        np.savez(
            stream,
            instruction=np.array(episode.instruction),
            images=episode.images,
            states=episode.states,
            positions=episode.positions,
            actions=episode.actions,
            valid=episode.valid,
            policy_steps=np.array(episode.policy_steps),
        )
    partial.rename(file)


def stored(folder: Path) -> Iterator[Path]:
    """The episode files of a folder, sorted by name."""
    return iter(sorted(folder.glob("*.npz")))
