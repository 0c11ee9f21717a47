"""What the policy gets to see and feel: which moment, through which perturbations, and whether those did anything."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from envs.base import Env, Goal, Observation
from perturbations.base import ImageDifference, Infeasible, Masks, image_difference
from perturbations.condition import ActiveCondition, Condition
from simeval.policies.base import PolicySpec
from simeval.rollout.anomalies import StateRange


@dataclass
class ObservationPipeline:
    """The way from the simulator to the policy in one episode.

    An observation is taken when it is due, drawn only then, and perturbed when it is looked at. Without delays both are
    the same moment.

    Attributes:
        env: the scene.
        applied: the condition at work.
        policy: whose eyes these are.
        due: control steps at which an observation is taken.
        image: realised image change, by camera.
        scene: realised scene change at the first frame, by camera.
        state: sum of the state's mean absolute change (training standard deviations).
        states: extremes of the states that the policy was given.
        age: sum of the ages of the observations (control steps).
        frames, perturbed_frames: see `simeval.core.types.Counts`.
        visible: share of the target's outline that is seen in the first frame, by camera.
        hidden: whether the target was in sight before the perturbation and is not any more.
    """

    env: Env
    applied: ActiveCondition
    policy: PolicySpec
    due: frozenset[int] = frozenset()
    image: dict[str, ImageDifference] = field(default_factory=dict)
    scene: dict[str, ImageDifference] = field(default_factory=dict)
    state: float = 0.0
    states: StateRange = field(default_factory=StateRange)
    age: float = 0.0
    looks: int = 0
    frames: int = 0
    perturbed_frames: int = 0
    visible: dict[str, float] = field(default_factory=dict)
    hidden: bool = False
    _taken: dict[int, Observation] = field(default_factory=dict)

    @property
    def cameras(self) -> tuple[str, ...]:
        """The cameras that the policy looks at."""
        return self.policy.cameras

    def open(self, goal: Goal, max_steps: int) -> None:
        """Change the scene, find out whether that did anything, and where the target is. Right after the reset.

        Args:
            goal: the task's own; its objects are the target.
            max_steps: control steps of the episode.
        """
        condition, rng, env = self.applied.condition, self.applied.rng, self.env
        looks = range(0, max_steps, self.policy.n_action_steps)
        self.due = frozenset(self.applied.source(step) for step in looks)
        things = goal_objects(goal, env)
        perturbed = condition.scene_cameras or condition.cameras
        before = self._seen_shares(things) if perturbed else {}
        if condition.scene_cameras:
            clean = env.observe(self.cameras).images
            condition.apply_scene(env.scene(), rng)
            self._taken[0] = env.observe(self.cameras)
            self.scene = {c: image_difference(clean[c], self._taken[0].images[c]) for c in self.cameras}
        self.applied.masks = initial_masks(env, condition, goal, self.cameras)
        if perturbed:
            self.visible = self._seen_shares(things, self.applied.hidden)
            self.hidden = any(before.values()) and not any(self.visible.values())

    def take(self, step: int) -> None:
        """Take the observation of this moment, if one is due."""
        if step in self.due and step not in self._taken:
            self._taken[step] = self.env.observe(self.cameras)

    def look(self, step: int) -> Observation:
        """What the policy gets after `step` control steps."""
        source = self.applied.source(step)
        self._taken = {taken: kept for taken, kept in self._taken.items() if taken >= source}
        clean = self._taken[source]
        images = self.applied.images(clean.images, source)
        for camera, image in images.items():
            if camera in self.applied.condition.cameras:
                change = image_difference(clean.images[camera], image)
                self.image[camera] = self.image.get(camera, ImageDifference()) + change
                self.perturbed_frames += change.sum_abs > 0
        state = self.applied.state(clean.state, source)
        change, scale = np.abs(state - clean.state), self.applied.scale
        # A number that never moved in training has no spread to measure its change by.
        self.state += float(np.mean(np.divide(change, scale, out=np.zeros_like(change), where=scale > 0)))
        self.states.add(state[np.newaxis])
        self.age += step - source
        self.looks += 1
        self.frames += len(images)
        return Observation(images, state, step)

    def _seen_shares(
        self, things: tuple[str, ...], occluder: Callable[[str, tuple[int, ...]], NDArray[np.bool_]] | None = None
    ) -> dict[str, float]:
        """Visible part of the target's outline, by camera."""
        shares = {}
        for camera in self.cameras:
            outline = self.env.masks(camera, things, alone=True)
            seen = self.env.masks(camera, things)
            whole = sum(int(mask.sum()) for mask in outline.values())
            if occluder and seen:
                covered = occluder(camera, next(iter(seen.values())).shape)
                seen = {name: mask & ~covered for name, mask in seen.items()}
            shares[camera] = sum(int(mask.sum()) for mask in seen.values()) / whole if whole else 0.0
        return {camera: round(min(1.0, share), 4) for camera, share in shares.items()} if things else {}


def goal_objects(goal: Goal, env: Env) -> tuple[str, ...]:
    """What the task's goal asks to be moved: the first name of each of its atoms."""
    subjects = [atom[1] for atom in goal if len(atom) > 1]
    things = env.scene().task_objects
    return tuple(name for name in things if any(s == name or s.startswith(f"{name}_") for s in subjects))


def initial_masks(env: Env, condition: Condition, goal: Goal, cameras: Sequence[str]) -> dict[str, Masks]:
    """Where the task's objects and those that a condition names are visible now, by camera; empty if nobody asks.

    Raises:
        Infeasible: the condition names something that is not there.
    """
    if not condition.wants_masks:
        return {}
    things, masks = goal_objects(goal, env), {}
    for camera in cameras:
        found = env.masks(camera, (*things, *condition.targets))
        missing = [name for name in condition.targets if name not in found]
        if missing:
            scene = env.scene()
            known = ", ".join([*scene.bodies, *scene.fixtures])
            raise Infeasible(f"target={missing[0]}: no such thing in this scene, which has {known}")
        targets = [found[name] for name in things if name in found]
        union = np.logical_or.reduce(targets) if targets else None
        masks[camera] = Masks(union, {name: found[name] for name in condition.targets})
    return masks
