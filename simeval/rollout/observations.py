"""Builds the observation the policy receives: capture time, perturbations, realized change."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from envs.base import Env, Goal, Observation
from envs.suites import find_suite
from perturbations.base import ImageDifference, Infeasible, Masks, image_difference
from perturbations.condition import ActiveCondition, Condition
from simeval.core.types import EpisodeSpec
from simeval.policies.base import PolicySpec
from simeval.rollout.anomalies import StateRange
from simeval.rollout.contract import seen


@dataclass
class ObservationPipeline:
    """The path from the simulator to the policy in one episode.

    An observation is captured (rendered) at the steps that need one, and perturbed when the policy observes it. Without
    delays both happen at the same step.

    Attributes:
        env: the scene.
        applied: the active condition.
        policy: spec of the policy being observed for.
        capture_steps: control steps after which an observation is captured.
        image: realised image change, by camera.
        scene: realised scene change at the first frame, by camera.
        state: sum of the state's mean absolute change (training standard deviations).
        states: range of the states that the policy was given.
        age: sum of the ages of the observations (control steps).
        n_observations: observations that the policy was given.
        frames, perturbed_frames: see `simeval.core.types.Counts`.
        target_visibility: share of the target's outline that is visible in the first frame, by camera.
        target_hidden: whether the target was visible before the perturbation and is not any more.
        resolution: side that every image has (px); set by `begin`.
        state_size: numbers of the robot's state; set by `begin`.
    """

    env: Env
    applied: ActiveCondition
    policy: PolicySpec
    capture_steps: frozenset[int] = frozenset()
    image: dict[str, ImageDifference] = field(default_factory=dict)
    scene: dict[str, ImageDifference] = field(default_factory=dict)
    state: float = 0.0
    states: StateRange = field(default_factory=StateRange)
    age: float = 0.0
    n_observations: int = 0
    frames: int = 0
    perturbed_frames: int = 0
    target_visibility: dict[str, float] = field(default_factory=dict)
    target_hidden: bool = False
    resolution: int = 0
    state_size: int = 0
    _captured: dict[int, Observation] = field(default_factory=dict)
    _observed: dict[int, Observation] = field(default_factory=dict)

    @property
    def cameras(self) -> tuple[str, ...]:
        """The cameras that the policy uses."""
        return self.policy.cameras

    def begin(self, goal: Goal, spec: EpisodeSpec) -> None:
        """Apply the scene part, measure its effect, and locate the target. Call it right after the reset.

        Args:
            goal: the task's goal, not that of another instruction; its objects are the target.
            spec: the episode.
        """
        self.resolution = spec.resolution
        self.state_size = find_suite(spec.suite).interface.state_size
        condition, rng, env = self.applied.condition, self.applied.rng, self.env
        self.capture_steps = self._planned(spec.max_steps)
        target = goal_objects(goal, env)
        perturbed = condition.scene_cameras or condition.cameras
        before = self._visibility(target) if perturbed else {}
        if condition.scene_cameras:
            clean = self._seen().images
            condition.apply_scene(env.scene(), rng)
            self._captured[0] = self._seen()
            self.scene = {c: image_difference(clean[c], self._captured[0].images[c]) for c in self.cameras}
        self.applied.masks = initial_masks(env, condition, goal, self.cameras)
        if perturbed:
            self.target_visibility = self._visibility(target, self.applied.hidden)
            self.target_hidden = any(before.values()) and not any(self.target_visibility.values())

    def _planned(self, max_steps: int) -> frozenset[int]:
        """The steps at which an observation has to be captured because it may be observed later."""
        if self.applied.condition.latency is None:
            asked = range(0, max_steps, self.policy.n_action_steps)
        elif self.policy.n_obs_steps > 1 or any(self.applied.condition.active_terms("timing")):
            asked = range(max_steps)  # when the policy is asked depends on its chunks
        else:
            return frozenset()
        return frozenset(self.applied.source(observed) for step in asked for observed in self._window(step))

    def capture(self, step: int, *, asked: bool = False) -> None:
        """Capture the clean observation after `step` control steps, if it is observed now or may be observed later.

        Args:
            step: control steps executed so far.
            asked: whether the policy is asked now.
        """
        if step not in self._captured and (step in self.capture_steps or (asked and self.applied.source(step) == step)):
            self._captured[step] = self._seen()

    def _seen(self) -> Observation:
        """What the environment shows now.

        Raises:
            ConfigError, EnvError: see `simeval.rollout.contract.seen`.
        """
        return seen(self.env, self.cameras, self.resolution, self.state_size)

    def observe(self, step: int) -> tuple[Observation, ...]:
        """The perturbed observations that the policy gets after `step` control steps, oldest first.

        There are `PolicySpec.n_obs_steps`, of the last control steps. Before the first step there is none, so the first
        observation is repeated, as lerobot does.
        """
        window = self._window(step)
        oldest = min(map(self.applied.source, window))
        self._captured = {captured: kept for captured, kept in self._captured.items() if captured >= oldest}
        # Each is perturbed once: some perturbations remember the last one.
        self._observed = {
            observed: self._observed.get(observed) or self._perturbed(observed) for observed in sorted(set(window))
        }
        return tuple(self._observed[observed] for observed in window)

    def _window(self, step: int) -> list[int]:
        """The control steps whose observations the policy gets after `step`, oldest first."""
        return [max(0, step - age) for age in reversed(range(self.policy.n_obs_steps))]

    def _perturbed(self, step: int) -> Observation:
        source = self.applied.source(step)
        clean = self._captured[source]
        images = self.applied.images(clean.images, source)
        for camera, image in images.items():
            if camera in self.applied.condition.cameras:
                change = image_difference(clean.images[camera], image)
                self.image[camera] = self.image.get(camera, ImageDifference()) + change
                self.perturbed_frames += change.sum_abs > 0
        state = self.applied.state(clean.state, source)
        change, scale = np.abs(state - clean.state), self.applied.scale
        # A component that never varied in training has no standard deviation to express its change in.
        self.state += float(np.mean(np.divide(change, scale, out=np.zeros_like(change), where=scale > 0)))
        self.states.add(state[np.newaxis])
        self.age += step - source
        self.n_observations += 1
        self.frames += len(images)
        return Observation(images, state, step)

    def _visibility(
        self, target: tuple[str, ...], occluder: Callable[[str, tuple[int, ...]], NDArray[np.bool_]] | None = None
    ) -> dict[str, float]:
        """Visible share of the target's outline, by camera; empty without target objects."""
        shares = {}
        for camera in self.cameras:
            outline = self.env.masks(camera, target, alone=True)
            visible = self.env.masks(camera, target)
            whole = sum(int(mask.sum()) for mask in outline.values())
            if occluder and visible:
                covered = occluder(camera, next(iter(visible.values())).shape)
                visible = {name: mask & ~covered for name, mask in visible.items()}
            shares[camera] = sum(int(mask.sum()) for mask in visible.values()) / whole if whole else 0.0
        return {camera: round(min(1.0, share), 4) for camera, share in shares.items()} if target else {}


def goal_objects(goal: Goal, env: Env) -> tuple[str, ...]:
    """The objects that the goal asks to move: the first name of each of its atoms."""
    subjects = [atom[1] for atom in goal if len(atom) > 1]
    task_objects = env.scene().task_objects
    return tuple(name for name in task_objects if any(s == name or s.startswith(f"{name}_") for s in subjects))


def initial_masks(env: Env, condition: Condition, goal: Goal, cameras: Sequence[str]) -> dict[str, Masks]:
    """Current masks of the goal's objects and of the condition's targets, by camera; empty if no term needs masks.

    Raises:
        Infeasible: the condition names an object that the scene does not have.
    """
    if not condition.wants_masks:
        return {}
    objects, masks = goal_objects(goal, env), {}
    for camera in cameras:
        visible = env.masks(camera, (*objects, *condition.targets))
        missing = [name for name in condition.targets if name not in visible]
        if missing:
            scene = env.scene()
            known = ", ".join([*scene.bodies, *scene.fixtures])
            raise Infeasible(f"target={missing[0]}: no such object in this scene, which has {known}")
        targets = [visible[name] for name in objects if name in visible]
        union = np.logical_or.reduce(targets) if targets else None
        masks[camera] = Masks(union, {name: visible[name] for name in condition.targets})
    return masks
