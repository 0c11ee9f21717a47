"""Which frames of a run's clean episodes are used: chosen from rows and traces, before any policy is loaded."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from perturbations.base import Channel
from perturbations.condition import Condition
from simeval.core.errors import ConfigError, nearest
from simeval.core.types import CLEAN, EpisodeResult
from simeval.drift.frames.base import Frame
from simeval.policies.base import PolicySpec
from simeval.store.audit import frames_digest
from simeval.store.run import Run

Kind = Literal["start", "replay"]
PER_EPISODE = 8
"""Frames of an episode by default: more than the five that `simeval.stats.drift.windowed_max` averages."""

_UNSEEN: Mapping[Channel, str] = {
    "physics": "it changes how objects stand or move, and a frame is a state that was reached without it",
    "timing": "it changes when the policy looks, and a frame is one moment",
    "action": "it changes what the robot does, not what the policy predicts",
    "latency": "it changes when an answer is there, not what the policy predicts",
}
_ENDED = ("success", "failure")


@dataclass(frozen=True, slots=True, eq=False)
class ChosenFrames:
    """Frames of a run, chosen without the policy that will see them; made by `choose_frames`.

    Attributes:
        run: the run.
        kind: see `choose_frames`.
        identity: description of the frames.
        listed: the frames, by suite, task, episode and time.
        notes: remarks on the choice.
        episodes: the run's clean episodes that came to an end, by pair.
    """

    run: Run
    kind: Kind
    identity: Mapping[str, Any]
    listed: tuple[Frame, ...]
    notes: tuple[str, ...]
    episodes: Mapping[str, EpisodeResult]

    def unsupported_reason(self, condition: Condition) -> str:
        """Why a condition cannot be shown on any of these frames; empty if it can."""
        return unsupported_reason(condition, self.kind)

    def require_fit(self, policy: PolicySpec) -> None:
        """Check that a policy can predict from these frames.

        Raises:
            ConfigError: it needs observations before them.
        """
        if self.kind == "replay" and policy.n_obs_steps > 1:
            raise ConfigError(
                f"--frames replay: policy '{policy.name}' predicts from {policy.n_obs_steps} observations, and a "
                "replay renders the one at each look of the run's policy; use --frames start"
            )


def unsupported_reason(condition: Condition, kind: Kind) -> str:
    """Why a condition cannot be shown on any frames of a kind; empty if it can."""
    for term in condition.active_terms(*_UNSEEN):
        return f"{term}: {_UNSEEN[term.info.channel]}"
    seen = list(condition.active_terms("language", "scene", "image", "state"))
    if kind == "start" and seen and not any(term.is_active(0) for term in seen):
        return f"{seen[0]}: it begins later than the first frame; use --frames replay"
    return ""


def choose_frames(
    run: Run, *, kind: Kind = "start", per_episode: int = PER_EPISODE, max_frames: int | None = None
) -> ChosenFrames:
    """Choose frames of the completed clean episodes; loads no policy and builds no scene.

    Args:
        run: the run; unfinished ones have fewer episodes.
        kind: `start` for the first frame of every episode, `replay` for the frames at which its policy predicted.
        per_episode: maximum number of frames per episode, evenly spread (`replay`).
        max_frames: maximum number of frames in all, evenly spread; `None` for all.

    Raises:
        ConfigError: the run has no such frames, or a number is out of range.
    """
    if kind not in get_args(Kind):
        raise ConfigError(f"--frames: no '{kind}'{nearest(str(kind), get_args(Kind))}")
    for name, value in (("--per-episode", per_episode), ("--max-frames", max_frames)):
        if value is not None and value < 1:
            raise ConfigError(f"{name} {value}: must be at least 1")
    episodes = {r.spec.pair_id: r for r in run.results if r.spec.condition == CLEAN and r.outcome in _ENDED}
    if not episodes:
        raise ConfigError(f"{run.folder}: no clean episode of this run has come to an end")
    by_episode = [_frames(run, result, kind, per_episode) for result in episodes.values()]
    missing = sum(not frames for frames in by_episode)
    if missing == len(by_episode):
        raise ConfigError(
            f"{run.folder}: no traces were kept of clean episodes; use --frames start, or run with --traces all"
        )
    listed = _thin([frame for frames in by_episode for frame in frames], max_frames)
    identity = {
        "source": "run",
        "kind": kind,
        "plan": run.manifest["identity"]["plan"],
        "scenes": run.manifest["identity"]["settings"]["assets"],
        "per_episode": per_episode if kind == "replay" else None,
        "max_frames": max_frames,
        "frames": len(listed),
        "sha256": frames_digest((frame.id, episodes[frame.pair_id or ""].state_digest) for frame in listed),
    }
    return ChosenFrames(run, kind, identity, listed, _notes(run, len(episodes), missing), episodes)


def _frames(run: Run, result: EpisodeResult, kind: Kind, per_episode: int) -> list[Frame]:
    spec = result.spec
    steps = [0]
    if kind == "replay":
        trace = run.trace(result)
        steps = [] if trace is None else [int(step) for step in trace.chunk_steps]
    return [
        Frame(
            id=f"{spec.pair_id}@{steps[chunk]}",
            source=kind,
            # Repeats of an initial state are not independent samples.
            cluster=f"{spec.suite}/{spec.task}/init{spec.init_state:02d}",
            step=steps[chunk],
            chunk=chunk,
            suite=spec.suite,
            task=spec.task,
            pair_id=spec.pair_id,
        )
        for chunk in _even(len(steps), per_episode)
    ]


def _thin(frames: list[Frame], limit: int | None) -> tuple[Frame, ...]:
    return tuple(frames[i] for i in _even(len(frames), limit or len(frames)))


def _even(count: int, limit: int) -> list[int]:
    """At most `limit` of `count` positions, equally spaced, including both ends."""
    if limit >= count:
        return list(range(count))
    return [int(i) for i in np.linspace(0, count - 1, limit).round()]


def _notes(run: Run, ended: int, missing: int) -> tuple[str, ...]:
    notes = []
    planned = len({r.spec.pair_id for r in run.results})
    if len(run.results) < run.manifest["episodes"]:
        notes.append(f"the run is unfinished: {len(run.results)} of {run.manifest['episodes']} episodes have run")
    if planned > ended:
        notes.append(f"{planned - ended} pairs have no clean episode that came to an end")
    if missing:
        notes.append(f"{missing} of {ended} clean episodes kept no trace and are left out")
    return tuple(notes)
