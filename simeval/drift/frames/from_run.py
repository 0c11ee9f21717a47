"""Frames of a run's clean episodes, rendered again under any visible condition.

    frames = RunFrames.open(run, assets, policy=policy.spec, kind="start")

Non-obvious behaviour:
- With the run's root seed, a condition samples the same values as in the run's rollouts (the same rectangle, the same
  noise), and the policy samples with the same noise. The chunk predicted there is stored, and compared.
- Perturbations over time (`freeze`) receive all earlier observations of the episode, as in a rollout.
- One scene and one episode are kept at a time: read frames in the listed order, which is cheap.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from msgspec import structs

from envs.base import EnvError, Observation
from envs.build import EnvCache
from envs.suites import tasks
from perturbations.base import ImageDifference, Infeasible, RngFactory, accepts, image_difference
from perturbations.condition import Condition
from simeval.core.errors import ConfigError, EpisodeError, error_line
from simeval.core.instructions import language_context, resolve_instruction
from simeval.core.seeding import PairStreams
from simeval.core.types import EpisodeResult
from simeval.drift.frames.base import FLOOR_STREAM, Frame, PolicyView
from simeval.drift.frames.chosen import PER_EPISODE, ChosenFrames, Kind, choose_frames, unsupported_reason
from simeval.drift.frames.replay import Replay, changed_scene
from simeval.policies.base import ActionChunk, PolicyInput, PolicySpec, repeated
from simeval.rollout.trace import predicted
from simeval.store.run import Run


@dataclass(eq=False)
class RunFrames:
    """A `FrameSource`; see the module's docstring.

    Attributes:
        run: the run.
        policy: spec of the audited policy.
        identity: description of the frames.
        listed: the frames, by suite, task, episode and time.
        notes: remarks on the choice of frames.
    """

    run: Run
    policy: PolicySpec
    identity: Mapping[str, Any]
    listed: tuple[Frame, ...]
    notes: tuple[str, ...]
    _episodes: Mapping[str, EpisodeResult]
    _assets: Path | None
    _looks: Mapping[str, int]
    _scenes: EnvCache = field(init=False)
    _replay: tuple[str, Replay] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._scenes = EnvCache(self._assets)

    def __reduce__(self) -> tuple[Any, ...]:
        # For another process: without the built scene, and only with the rows that it needs.
        run = Run(self.run.folder, self.run.manifest)
        chosen = {pair_id: self._episodes[pair_id] for pair_id in self._looks}
        about = (self.policy, self.identity, self.listed, self.notes)
        return RunFrames, (run, *about, chosen, self._assets, self._looks)

    @staticmethod
    def open(
        run: Run,
        assets: Path | None,
        *,
        policy: PolicySpec,
        kind: Kind = "start",
        per_episode: int = PER_EPISODE,
        max_frames: int | None = None,
    ) -> "RunFrames":
        """Choose frames of the completed clean episodes, for a policy; see `choose_frames`.

        Args:
            run: the run.
            assets: the asset folder that its scenes were built from, `None` for toy suites.
            policy: spec of the audited policy; need not be the run's.
            kind: see `choose_frames`.
            per_episode: see `choose_frames`.
            max_frames: see `choose_frames`.

        Raises:
            ConfigError: the run has no such frames, the policy needs observations before them, or a number is out of
                range.
        """
        chosen = choose_frames(run, kind=kind, per_episode=per_episode, max_frames=max_frames)
        return RunFrames.of(chosen, assets, policy)

    @staticmethod
    def of(chosen: ChosenFrames, assets: Path | None, policy: PolicySpec) -> "RunFrames":
        """Chosen frames as a policy sees them.

        Raises:
            ConfigError: the policy needs observations before them.
        """
        chosen.require_fit(policy)
        looks = {frame.pair_id or "": frame.chunk + 1 for frame in chosen.listed}
        about = (chosen.identity, chosen.listed, chosen.notes, chosen.episodes)
        return RunFrames(chosen.run, policy, *about, assets, looks)

    @property
    def root_seed(self) -> int:
        """The run's root seed."""
        return int(self.run.manifest["config"]["seed"])

    def frames(self) -> Sequence[Frame]:
        """All frames, in the order that is cheapest to render."""
        return self.listed

    def unsupported_reason(self, condition: Condition) -> str:
        """Why a condition cannot be shown on any of these frames; empty if it can."""
        return unsupported_reason(condition, self.identity["kind"])

    def views(
        self, frames: Sequence[Frame], condition: Condition, seed: int, *, floor: bool = False
    ) -> Iterator[PolicyView]:
        """Views of frames in order; see `FrameSource.views`. Clean views are rendered again each time, a floor's not.

        Raises:
            ConfigError: the scene cannot be built or rendered, or a perturbation raised an error.
        """
        for pair_id, group in groupby(frames, key=lambda frame: frame.pair_id or ""):
            members = list(group)
            try:
                views = self._views(pair_id, members, condition, seed, floor=floor)
            except ConfigError:
                raise
            except (EnvError, EpisodeError) as error:
                raise ConfigError(f"{members[0].id}, {condition}: {error}") from None
            except Exception as error:
                # A user-defined axis or a damaged trace may raise anything.
                raise ConfigError(f"{members[0].id}, {condition}: {error_line(error)}") from error
            yield from views

    def close(self) -> None:
        """Free the built scene."""
        self._replay = None
        self._scenes.discard()

    def _views(
        self, pair_id: str, frames: Sequence[Frame], condition: Condition, seed: int, *, floor: bool
    ) -> list[PolicyView]:
        replay = self.replayed(pair_id)
        streams = PairStreams.of(structs.replace(replay.spec, root_seed=seed))
        noise = PairStreams(seed, (*streams.identity, FLOOR_STREAM)) if floor else streams
        context = language_context(self.task_of(replay), turn=replay.spec.init_state)
        again = condition.is_clean and not floor
        requests = [
            PolicyInput(
                observation=(observation := replay.clean(frame.chunk, again=again)),
                instruction=context.original,
                pair_id=pair_id,
                chunk_index=frame.chunk,
                noise_seed=noise.policy_seed(frame.chunk),
                past=repeated(observation, self.policy),
            )
            for frame in frames
        ]
        if condition.is_clean:
            recorded = [None if floor else self._recorded(replay, frame, seed) for frame in frames]
            return [
                PolicyView(f, request, recorded=r) for f, request, r in zip(frames, requests, recorded, strict=True)
            ]
        try:
            instruction = resolve_instruction(condition, context, streams.generator)
            seen = self._perturbed(replay, [frame.chunk for frame in frames], condition, streams.generator)
        except Infeasible as reason:
            return [PolicyView(f, request, infeasible=str(reason)) for f, request in zip(frames, requests, strict=True)]
        views = []
        for frame, request in zip(frames, requests, strict=True):
            clean, shown = request.observation.images, seen[frame.chunk].images
            change = sum((image_difference(clean[c], shown[c]) for c in self.policy.cameras), ImageDifference())
            perturbed = replace(
                request,
                observation=seen[frame.chunk],
                instruction=instruction.text,
                past=repeated(seen[frame.chunk], self.policy),
            )
            views.append(PolicyView(frame, perturbed, change.mean_abs, change.psnr))
        return views

    def _perturbed(
        self, replay: Replay, looks: Sequence[int], condition: Condition, rng: RngFactory
    ) -> dict[int, Observation]:
        """Observations at some looks of the policy, with the condition active since the start of the episode."""
        applied = condition.start(rng, self.policy.state_std)
        clean_or_rendered = replay.render if condition.scene_cameras else replay.clean
        observations = {}
        with changed_scene(replay.env, condition, rng):
            applied.masks = replay.masks(condition, self.task_of(replay).goal)
            for look in range(max(looks) + 1) if _needs_history(condition) else looks:
                taken, step = clean_or_rendered(look), replay.step_of(look)
                images = applied.images(taken.images, step)
                observations[look] = Observation(images, applied.state(taken.state, step), step)
        return observations

    def replayed(self, pair_id: str) -> Replay:
        """A pair's clean episode, executed again; valid until that of another pair is requested."""
        if self._replay is None or self._replay[0] != pair_id:
            result = self._episodes[pair_id]
            spec = result.spec
            env = self._scenes.get(spec.suite, spec.task, spec.resolution)
            trace, looks = self.run.trace(result), self._looks[pair_id]
            self._replay = pair_id, Replay.run(env, spec, trace, looks=looks, cameras=self.policy.cameras)
        return self._replay[1]

    def _recorded(self, replay: Replay, frame: Frame, seed: int) -> ActionChunk | None:
        """The chunk that the run's policy predicted at this frame; `None` for other policies or sampling noise."""
        run_policy = self.run.manifest["identity"]["policy"]
        same_policy = (run_policy["name"], run_policy.get("sha256")) == (
            self.policy.name,
            dict(self.policy.fingerprint).get("sha256"),
        )
        if replay.trace is None or seed != self.root_seed or not same_policy:
            return None
        return predicted(replay.trace.chunks[frame.chunk])

    def task_of(self, replay: Replay) -> Any:
        """The task of a replayed episode."""
        return tasks(replay.spec.suite)[replay.spec.task]


def _needs_history(condition: Condition) -> bool:
    return any(accepts(term.info, "memory") for term in condition.active_terms("image", "state"))
