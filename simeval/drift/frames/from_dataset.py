"""Frames of a LeRobotDataset: the states of demonstrations, which need neither a simulator nor a rollout.

    frames = DatasetFrames.open("path/to/dataset", policy=policy.spec)

Non-obvious behaviour:
- Images are used as stored: the published LIBERO datasets have them as policies were trained on them, rotated by 180
  degrees relative to OpenGL's. `Layout.upside_down` is for datasets with unrotated images.
- There is no scene. So an occluder may cover the objects that the task moves. Conditions that need another image of the
  same state, an earlier frame or a position in the image are not supported (see `unsupported_reason`).
- Other goals of the scene are unknown as well: `instruction:counterfactual` is the instruction of another episode. The
  other kinds work if the instruction equals that of a LIBERO task, or if they need only the instruction.
- Each frame has its own random streams, for every seed; all strengths of a perturbation share them.
"""

import hashlib
import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from envs.base import Observation
from envs.libero.catalog import LIBERO_SUITES
from envs.suites import Task, tasks
from perturbations.base import (
    Channel,
    ImageDifference,
    Infeasible,
    Instruction,
    InstructionContext,
    accepts,
    image_difference,
)
from perturbations.spec import Condition
from simeval.config.options import parse_indices
from simeval.core.errors import ConfigError, EpisodeError, error_line
from simeval.core.instructions import language_context, resolve_instruction
from simeval.core.seeding import PairStreams
from simeval.drift.frames.base import FLOOR_STREAM, Frame, PolicyView
from simeval.drift.frames.lerobot_dataset import Layout, Snapshot, find, read
from simeval.drift.frames.state_units import state_notes
from simeval.policies.base import PolicyInput, PolicySpec

MAX_FRAMES = 120
"""Frames of the original small audit."""
PER_EPISODE = 4
"""Frames per episode if the dataset has enough episodes: more episodes are more independent units."""

_UNSEEN: Mapping[Channel, str] = {
    "scene": "it changes the scene, and a dataset cannot be rendered again; audit a run",
    "physics": "it changes how objects move, and a frame holds still",
    "timing": "it changes when the policy looks, and a frame is one moment",
    "action": "it changes what the robot does, not what the policy predicts",
    "latency": "it changes when an answer is there, not what the policy predicts",
}


@dataclass(frozen=True, slots=True, eq=False)
class DatasetFrames:
    """A `FrameSource`; see the module's docstring. All images are in memory, 0.4 MB per frame of 2 x 256 x 256.

    Attributes:
        policy: spec of the audited policy.
        identity: description of the frames.
        snapshots: the frames as stored, by id.
        listed: the frames, in order.
        texts: distinct instructions of all eligible episodes.
        notes: what looks wrong with the states, one line each.
    """

    policy: PolicySpec
    identity: Mapping[str, Any]
    snapshots: Mapping[str, Snapshot]
    listed: tuple[Frame, ...]
    texts: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @staticmethod
    def open(
        name: str,
        *,
        policy: PolicySpec,
        max_frames: int = MAX_FRAMES,
        frame_seed: int = 0,
        episodes: str | None = None,
        revision: str | None = None,
        layout: Layout | None = None,
    ) -> "DatasetFrames":
        """Choose frames evenly over episodes and time, and read them.

        Args:
            name: a folder, or a hub id such as `HuggingFaceVLA/libero`.
            policy: spec of the audited policy.
            max_frames: number of frames; all where the dataset has fewer.
            frame_seed: shifts the even choice.
            episodes: only these, for instance `0,3,5-7`.
            revision: of a hub dataset; `None` for the tag `v3.0`, else the main branch.
            layout: how it names and stores its images.

        Raises:
            ConfigError: the dataset cannot be found, is not of version 3.0 or is incomplete, its states are in
                units that the policy was not trained on, or the policy needs more than one observation; one line.
        """
        if policy.privileged:
            raise ConfigError(f"policy '{policy.name}' needs the simulator's state, which a dataset does not have")
        if policy.n_obs_steps > 1:
            raise ConfigError(
                f"--dataset: policy '{policy.name}' predicts from {policy.n_obs_steps} observations, and frames are "
                "read one at a time; audit it on the start frames of a run: simeval audit RUN"
            )
        if max_frames < 1:
            raise ConfigError(f"--max-frames {max_frames}: must be at least 1")
        dataset = find(name, policy.cameras, layout or Layout(), revision=revision)
        numbers = tuple(sorted(dataset.lengths))
        allowed = [numbers[i] for i in parse_indices(episodes, len(numbers), "episodes")]
        chosen = choose({number: dataset.lengths[number] for number in allowed}, max_frames, frame_seed)
        snapshots = read(dataset, chosen)
        states = np.stack([snapshot.state for snapshot in snapshots])
        notes = state_notes(states, policy.state_limits, dataset=dataset.name, policy=policy.name)
        frames = tuple(_frame(snapshot, policy) for snapshot in snapshots)
        identity = {
            "source": "dataset",
            "dataset": dataset.name,
            "commit": dataset.commit,
            "cameras": dict(dataset.cameras),
            "upside_down": dataset.upside_down,
            "max_frames": max_frames,
            "frame_seed": frame_seed,
            "episodes": sorted({episode for episode, _ in chosen}),
            "frames": len(frames),
            "sha256": _digest(snapshots),
        }
        texts = tuple(dict.fromkeys(text for number in allowed for text in dataset.instructions[number]))
        by_id = {frame.id: snapshot for frame, snapshot in zip(frames, snapshots, strict=True)}
        return DatasetFrames(policy, identity, by_id, frames, texts, notes)

    def frames(self) -> Sequence[Frame]:
        """All frames, by episode and time."""
        return self.listed

    def unsupported_reason(self, condition: Condition) -> str:
        """Why a condition cannot be shown on any of these frames; empty if it can."""
        for term in condition.active_terms(*_UNSEEN):
            return f"{term}: {_UNSEEN[term.info.channel]}"
        for term in condition.active_terms("image", "state"):
            if accepts(term.info, "memory"):
                return f"{term}: it repeats what was seen before, and a frame is one moment"
            if term.target:
                return f"{term}: a dataset does not say where '{term.target}' is visible"
        if not any(condition.active_terms("language")):
            return ""
        reasons = [
            self._infeasible_reason(condition, text) for text in {s.instruction for s in self.snapshots.values()}
        ]
        return "" if "" in reasons else min(reasons)

    def views(
        self, frames: Sequence[Frame], condition: Condition, seed: int, *, floor: bool = False
    ) -> Iterator[PolicyView]:
        """Views of frames in order, perturbed lazily; see `FrameSource.views`.

        Raises:
            ConfigError: a perturbation raised an error.
        """
        for frame in frames:
            try:
                view = self._view(frame, condition, seed, floor=floor)
            except EpisodeError as error:
                raise ConfigError(f"{frame.id}, {condition}: {error}") from None
            except Exception as error:
                # A user-defined axis may raise anything.
                raise ConfigError(f"{frame.id}, {condition}: {error_line(error)}") from error
            yield view

    def _view(self, frame: Frame, condition: Condition, seed: int, *, floor: bool) -> PolicyView:
        stored = self.snapshots[frame.id]
        streams = PairStreams(seed, (stored.episode, stored.index))
        noise = PairStreams(seed, (*streams.identity, FLOOR_STREAM)) if floor else streams
        clean = PolicyInput(
            observation=Observation(stored.images, stored.state, frame.step),
            instruction=stored.instruction,
            pair_id=frame.id,
            chunk_index=frame.chunk,
            noise_seed=noise.policy_seed(frame.chunk),
        )
        try:
            instruction = resolve_instruction(
                condition, self._context(stored.instruction, stored.episode), streams.generator
            )
        except Infeasible as reason:
            return PolicyView(frame, clean, infeasible=str(reason))
        applied = condition.start(streams.generator, self.policy.state_std)
        images = applied.images(stored.images, frame.step)
        differences = (image_difference(stored.images[camera], images[camera]) for camera in self.policy.cameras)
        change = sum(differences, ImageDifference())
        seen = Observation(images, applied.state(stored.state, frame.step), frame.step)
        request = replace(clean, observation=seen, instruction=instruction.text)
        return PolicyView(frame, request, change.mean_abs, change.psnr)

    def _infeasible_reason(self, condition: Condition, text: str) -> str:
        if len(self.texts) < 2 and any(t.value == "counterfactual" for t in condition.active_terms("language")):
            return "instruction:counterfactual: all episodes have the same instruction"
        try:
            # Feasibility does not depend on the random numbers.
            condition.instruction(self._context(text), lambda *_: np.random.default_rng(0))
        except Infeasible as reason:
            return str(reason)
        return ""

    def _context(self, text: str, turn: int = 0) -> InstructionContext:
        """Alternatives to an instruction."""
        task = libero_task(text)
        known = language_context(task) if task else InstructionContext(text, _goal(text), (), ())
        others = (Instruction(other, _goal(other), "dataset") for other in self.texts if other != text)
        return replace(known, counterfactuals=tuple(others), turn=turn)


def choose(lengths: Mapping[int, int], max_frames: int, seed: int) -> tuple[tuple[int, int], ...]:
    """Frames spread evenly over episodes and, within each, over time.

    Args:
        lengths: number of frames of each eligible episode.
        max_frames: number of frames; all where there are fewer.
        seed: shifts the grid of episodes and each grid of frames.

    Returns:
        (episode, number of the frame in it), sorted.
    """
    rng = np.random.Generator(np.random.Philox(np.random.SeedSequence(seed, spawn_key=(zlib.crc32(b"frames"),))))
    numbers, shift = sorted(lengths), rng.random()
    count = math.ceil(max_frames / PER_EPISODE)
    while True:
        count = min(count, len(numbers))
        chosen = [numbers[i] for i in _even(len(numbers), count, shift)]
        if count == len(numbers) or sum(lengths[number] for number in chosen) >= max_frames:
            break
        count += 1  # episodes shorter than `PER_EPISODE`
    shares = dict.fromkeys(chosen, 0)
    left = min(max_frames, sum(lengths[number] for number in chosen))
    while left:
        for number in [n for n in chosen if shares[n] < lengths[n]][:left]:
            shares[number] += 1
            left -= 1
    return tuple((n, index) for n in chosen for index in _even(lengths[n], shares[n], rng.random()))


def _even(length: int, count: int, shift: float) -> list[int]:
    """`count` of `length` positions at equal distances; `shift` in [0, 1) moves all of them."""
    return [int((i + shift) * length / count) for i in range(count)]


@cache
def libero_task(text: str) -> Task | None:
    """The first LIBERO task with this instruction, word for word."""
    return next((task for suite in LIBERO_SUITES for task in tasks(suite) if task.instruction == text), None)


def _goal(text: str) -> tuple[tuple[str, ...], ...]:
    """A placeholder goal: goals cannot be checked here, but different instructions must have different goals."""
    return (("told", text),)


def _frame(snapshot: Snapshot, policy: PolicySpec) -> Frame:
    cluster = f"episode {snapshot.episode}"
    return Frame(
        id=f"{cluster}@{snapshot.index}",
        source="demo",
        cluster=cluster,
        step=snapshot.index,
        chunk=snapshot.index // policy.n_action_steps,
    )


def _digest(snapshots: Sequence[Snapshot]) -> str:
    total = hashlib.sha256()
    for snapshot in snapshots:
        total.update(f"{snapshot.episode}@{snapshot.index} {snapshot.instruction}\n".encode())
        total.update(snapshot.state.tobytes())
        for camera in sorted(snapshot.images):
            total.update(snapshot.images[camera].tobytes())
    return total.hexdigest()
