"""The drift that an audit measured on the episodes of a run: by pair and condition, frame by frame.

Non-obvious behaviour:
- A frame is a moment of the unperturbed episode. At the step at which a perturbed twin diverges, the drift is therefore
  that of the last audited frame up to it: what the policy predicted there led to the divergence. Later frames show
  moments that the twin never came near, so they say nothing about it.
- An audit counts only if it is of this run's policy and, once it is finished, of the motions that the run has now.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from simeval.core.errors import ConfigError
from simeval.store.audit import MANIFEST, ROWS, Audit, frames_digest, read_brief, read_manifest, same_policy
from simeval.store.run import Run

AUDIT = "audit"
"""Folder of an audit inside a run folder."""
START_ONLY = "the audit has only the first frame of each episode; simeval audit RUN --frames replay has more"


@dataclass(frozen=True, slots=True)
class FrameDrift:
    """Drift at a frame: its control step, and the mean over the seeds of the audit (standard deviations)."""

    step: int
    drift: float


@dataclass(frozen=True, slots=True)
class PairDrift:
    """What was measured on one pair under one condition.

    Attributes:
        steps: of the frames, an entry per row of the audit.
        values: the drift of each row.
    """

    steps: tuple[int, ...]
    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Over frames and seeds."""
        return sum(self.values) / len(self.values)

    @property
    def frames(self) -> tuple[FrameDrift, ...]:
        """The audited frames in order of time."""
        by_step: dict[int, list[float]] = {}
        for step, value in zip(self.steps, self.values, strict=True):
            by_step.setdefault(step, []).append(value)
        return tuple(FrameDrift(step, sum(found) / len(found)) for step, found in sorted(by_step.items()))

    def at(self, step: int | None) -> FrameDrift | None:
        """The last frame up to a control step; `None` if the step is unknown, or all frames are later."""
        return None if step is None else max(
            (frame for frame in self.frames if frame.step <= step), key=lambda frame: frame.step, default=None
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class AuditedDrift:
    """The drift on a run's episodes.

    Attributes:
        pairs: by pair and condition.
        frames: description of the frames, for instance `replayed frames`.
        note: why there is none, or what it lacks; empty without an audit.
    """

    pairs: Mapping[tuple[str, str], PairDrift] = field(default_factory=dict)
    frames: str = ""
    note: str = ""

    def at(self, pair_id: str, condition: str, step: int | None) -> FrameDrift | None:
        """Drift at a step of a perturbed episode, see `PairDrift.at`; `None` where nothing was audited."""
        found = self.pairs.get((pair_id, condition))
        return found.at(step) if found else None


def audited_drift(run: Run, digests: Mapping[str, str], folder: Path | None = None) -> AuditedDrift:
    """Read the drift on a run's episodes.

    Args:
        run: the run.
        digests: `state_digest` of its unperturbed episodes by pair, as `simeval.store.stages.twin_digests` has them.
        folder: of the audit; by default `RUN/audit`.
    """
    folder = folder or run.folder / AUDIT
    if not (folder / MANIFEST).exists():
        return AuditedDrift()
    try:
        return _read(run, Audit(folder, read_manifest(folder)), digests)
    except ConfigError as error:
        return AuditedDrift(note=str(error))


def _read(run: Run, audit: Audit, digests: Mapping[str, str]) -> AuditedDrift:
    about = audit.manifest["identity"]["frames"]
    if about["source"] != "run":
        return AuditedDrift(note="the audit is of a dataset's frames, which belong to no episode")
    if not same_policy(run, audit):
        return AuditedDrift(note=f"{audit.folder} is an audit of another policy, '{audit.policy}'")
    frames: dict[str, str] = {}
    steps: dict[tuple[str, str], list[int]] = {}
    values: dict[tuple[str, str], list[float]] = {}
    for row in read_brief(audit.folder / ROWS):
        if row.pair_id is None:
            continue
        frames.setdefault(row.frame, row.pair_id)
        if row.drift_exec is not None:
            steps.setdefault(key := (row.pair_id, row.condition), []).append(row.step)
            values.setdefault(key, []).append(row.drift_exec)
    if not _is_of(run, audit, frames, digests):
        return AuditedDrift(note=f"{audit.folder} is an audit of other episodes than the run has now")
    pairs = {key: PairDrift(tuple(steps[key]), tuple(found)) for key, found in values.items()}
    start_only = about.get("kind") == "start" and bool(pairs)
    return AuditedDrift(pairs, audit.frames_description, START_ONLY if start_only else "")


def _is_of(run: Run, audit: Audit, frames: Mapping[str, str], digests: Mapping[str, str]) -> bool:
    """Whether an audit was measured on the motions that the run has."""
    about = audit.manifest["identity"]["frames"]
    if len(frames) < audit.manifest["frames"] or "sha256" not in about:  # unfinished: not all frames are known
        return bool(about.get("plan") == run.manifest["identity"]["plan"])
    return bool(about["sha256"] == frames_digest((frame, digests.get(pair, "")) for frame, pair in frames.items()))
