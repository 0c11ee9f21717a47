"""The measuring itself: frames and conditions in, rows of drift out, in an order that nothing but the request decides.

    for each cluster of frames, for each seed: the clean views, every condition, the repeat control, the noise floor

Non-obvious behaviour:
- The clean prediction of a frame and seed is made once and shared by its conditions.
- The repeat control is the clean view drawn and predicted again, after the conditions have been drawn. Its drift must
  be exactly 0; otherwise something leaks from one prediction into another, and no drift could be trusted.
- Views are drawn between two calls of the policy, in the same thread, or ahead of it by processes of their own
  (`simeval.drift.frames.render_pool`). A thread beside the policy's was measured to be several times slower, because
  the simulator's many short calls wait for Python's lock each time.
- The policy gets whole batches over frames and conditions, so that one that pads its calls wastes nothing.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, groupby, islice

import numpy as np

from envs.base import ACTION_SIZE
from perturbations.condition import Condition
from simeval.core.drift_row import FLOOR, DriftRow, Key
from simeval.core.errors import ConfigError, error_line
from simeval.core.types import CLEAN
from simeval.drift.frames.base import Frame, FrameSource, PolicyView, Renderer, RenderJob, ViewRequest
from simeval.drift.representation import Vectors, distances, pooled
from simeval.policies.base import ActionChunk, Policy, PolicyInput
from simeval.policies.representations import Representation, representing
from simeval.stats.drift import VARIANTS, ActionScale, chunk_drift

BLOCK = 16
"""Most frames of a cluster that are worked on together: bounds what is kept of their clean predictions."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """What is measured on every frame.

    Attributes:
        conditions: those that the source can show, without the clean one.
        seeds: roots of the random streams.
        scale: units of the actions.
        batch_size: inputs that the policy gets at a time.
        representation: whether inner representations are compared, too.
    """

    conditions: tuple[Condition, ...]
    seeds: tuple[int, ...]
    scale: ActionScale
    batch_size: int = 1
    representation: bool = False

    @property
    def labels(self) -> tuple[str, ...]:
        """What a row's `condition` says, in the order of the rows of a cluster."""
        return (*map(str, self.conditions), CLEAN, FLOOR)

    def predictions(self, frames: int) -> int:
        """How often the policy predicts for so many frames, if every condition can be applied to each."""
        return frames * len(self.seeds) * (len(self.labels) + 1)


@dataclass(frozen=True, slots=True, eq=False)
class AttentionRecord:
    """What a policy got at a frame under a condition, and where it looked.

    Attributes:
        condition: canonical text.
        request: what it got.
        seen: what it made of that.
    """

    condition: str
    request: PolicyInput
    seen: Representation


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """A row, and what else came of its view if inner representations were asked for.

    Attributes:
        row: the row.
        vectors: what the policy made of the view, see `simeval.drift.representation.pooled`.
        gazes: the clean view and this one, and where the policy looked in them; for each condition on the first frame.
    """

    row: DriftRow
    vectors: Vectors | None = None
    gazes: tuple[AttentionRecord, AttentionRecord] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    """A view and what it is for; without a label it is the clean view that the others are compared with."""

    label: str | None
    seed: int
    view: PolicyView


@dataclass(frozen=True, slots=True, eq=False)
class _Answer:
    """What a policy made of a view."""

    request: PolicyInput
    chunk: ActionChunk
    inner: Representation | None = None


@dataclass
class _Comparison:
    """Turns answers, in the order of the jobs, into rows."""

    wanted: Measurement
    policy: str
    first: tuple[str, int]
    _clean: dict[tuple[str, int], _Answer] = field(default_factory=dict)
    _comparing: bool = False

    def measured(self, job: _Job, answer: _Answer | None) -> Measured | None:
        """What comes of a job; `None` for the first clean view of a frame.

        Raises:
            ConfigError: the repeat control drifted, or the answer is no chunk.
        """
        view, key = job.view, (job.view.frame.id, job.seed)
        if answer is None:
            return Measured(_row(job, {}))
        _refuse_unfit(answer.chunk, self.wanted.scale.n_action_steps, f"policy '{self.policy}' on {view.frame.id}")
        if job.label is None:
            if self._comparing:  # the next block begins
                self._clean.clear()
            self._comparing, self._clean[key] = False, answer
            return None
        self._comparing, clean = True, self._clean[key]
        if clean.chunk.shape != answer.chunk.shape:
            raise ConfigError(f"policy '{self.policy}' on {view.frame.id}: chunks of different length")
        drift = chunk_drift(clean.chunk, answer.chunk, self.wanted.scale)
        values = {name: float(drift.variant(name)) for name in VARIANTS}
        if job.label == CLEAN and not np.array_equal(clean.chunk, answer.chunk):
            largest = max(values, key=lambda name: values[name])
            raise ConfigError(
                f"repeat control: the clean frame {view.frame.id}, seed {job.seed}, was predicted twice and drifts by "
                f"{largest} = {values[largest]:.3g}, which must be 0: the policy's answer, or the picture, does not "
                "depend on the frame alone; what was measured before is kept"
            )
        row = _row(job, values, clean, answer)
        if not (clean.inner and answer.inner) or row.condition == FLOOR:
            return Measured(row)
        shown = row.condition != CLEAN and key == self.first
        gazes = (
            AttentionRecord(CLEAN, clean.request, clean.inner),
            AttentionRecord(row.condition, answer.request, answer.inner),
        )
        return Measured(row, pooled(answer.inner), gazes if shown else None)


def keys(frames: Sequence[Frame], wanted: Measurement) -> list[Key]:
    """What a finished audit has measured, in the order of its rows."""
    return [(f.id, label, seed) for block, seed in _blocks(frames, wanted) for label in wanted.labels for f in block]


def measure(
    source: FrameSource,
    policy: Policy,
    wanted: Measurement,
    *,
    done: Collection[Key] = (),
    draw: Renderer | None = None,
) -> Iterator[list[Measured]]:
    """Measure what is not done yet; yields the rows of one batch after the other, in the order of `keys`.

    Args:
        source: of the frames.
        policy: what is audited.
        wanted: what is measured.
        done: keys that need not be measured again.
        draw: who draws the views of the source; `None` for this process, as they are needed.

    Raises:
        ConfigError: the repeat control drifted, or a view cannot be drawn or predicted. Rows before it were yielded.
    """
    comparison = _Comparison(wanted, policy.spec.name, first=(source.frames()[0].id, wanted.seeds[0]))
    jobs = _jobs(source.frames(), wanted, frozenset(done), draw or _drawn_here(source))
    for batch in _batches(jobs, wanted.batch_size):
        answers = iter(_answers(policy, batch, representation=wanted.representation))
        found: list[Measured] = []
        try:
            for job in batch:
                measured = comparison.measured(job, None if job.view.infeasible else next(answers))
                found += [] if measured is None else [measured]
        except ConfigError:
            yield found
            raise
        yield found


def _blocks(frames: Sequence[Frame], wanted: Measurement) -> Iterator[tuple[list[Frame], int]]:
    for _, group in groupby(frames, key=lambda frame: frame.cluster):
        cluster = list(group)
        for start in range(0, len(cluster), BLOCK):
            for seed in wanted.seeds:
                yield cluster[start : start + BLOCK], seed


def _drawn_here(source: FrameSource) -> Renderer:
    def draw(blocks: Sequence[RenderJob], /) -> Iterator[PolicyView]:
        for request in chain.from_iterable(blocks):
            yield from source.views(request.frames, request.condition, request.seed, floor=request.floor)

    return draw


def _jobs(frames: Sequence[Frame], wanted: Measurement, done: frozenset[Key], draw: Renderer) -> Iterator[_Job]:
    asked = [_asked(block, seed, wanted, done) for block, seed in _blocks(frames, wanted)]
    views = draw([[request for _, request in block] for block in asked if block])
    for label, request in chain.from_iterable(asked):
        for view in islice(views, len(request.frames)):
            yield _Job(label, request.seed, view)


def _asked(
    block: Sequence[Frame], seed: int, wanted: Measurement, done: frozenset[Key]
) -> list[tuple[str | None, ViewRequest]]:
    """What is still to be drawn of a block, and the labels of its jobs."""
    clean = Condition()
    left = [tuple(f for f in block if (f.id, label, seed) not in done) for label in wanted.labels]
    needed = tuple(frame for frame in block if any(frame in frames for frames in left))
    asked: list[tuple[str | None, ViewRequest]] = [(None, ViewRequest(needed, clean, seed))]
    for label, condition, frames in zip(wanted.labels, (*wanted.conditions, clean, clean), left, strict=True):
        asked.append((label, ViewRequest(frames, condition, seed, floor=label == FLOOR)))
    return [(label, request) for label, request in asked if request.frames]


def _batches(jobs: Iterator[_Job], size: int) -> Iterator[list[_Job]]:
    """Jobs in order, with `size` of them to be predicted in each batch but the last."""
    batch: list[_Job] = []
    waiting = 0
    for job in jobs:
        batch.append(job)
        waiting += not job.view.infeasible
        if waiting == size:
            yield batch
            batch, waiting = [], 0
    if batch:
        yield batch


def _answers(policy: Policy, batch: Sequence[_Job], *, representation: bool) -> list[_Answer]:
    """What the policy makes of the views of a batch that it is to see, in order.

    Raises:
        ConfigError: it breaks.
    """
    requests = [job.view.request for job in batch if not job.view.infeasible]
    if not requests:
        return []
    try:
        if representation:
            found = representing(policy).represent(requests)
            return [_Answer(request, one.chunk, one) for request, one in zip(requests, found, strict=True)]
        chunks = policy.act(requests)
        return [_Answer(request, np.array(one, np.float32)) for request, one in zip(requests, chunks, strict=True)]
    except ConfigError:
        raise
    except Exception as error:
        # Users' policies raise anything; the cause stays attached.
        raise ConfigError(
            f"policy '{policy.spec.name}' broke on {batch[0].view.frame.id} or one of the {len(batch) - 1} views after "
            f"it: {error_line(error)}; what was measured before is kept"
        ) from error


def _refuse_unfit(chunk: ActionChunk, least: int, what: str) -> None:
    if chunk.ndim != 2 or chunk.shape[0] < least or chunk.shape[1] != ACTION_SIZE:
        raise ConfigError(f"{what}: a chunk of shape {chunk.shape}, not (>={least}, {ACTION_SIZE})")
    if not np.isfinite(chunk).all():
        raise ConfigError(f"{what}: an action that is not finite")


def _row(
    job: _Job, values: Mapping[str, float], clean: _Answer | None = None, answer: _Answer | None = None
) -> DriftRow:
    view, frame = job.view, job.view.frame
    inner: tuple[tuple[str, float], ...] = ()
    if clean and answer and clean.inner and answer.inner:
        inner = distances(clean.inner, answer.inner)
    reproduced = None
    if answer and job.label == CLEAN and view.recorded is not None:
        reproduced = bool(np.array_equal(answer.chunk, view.recorded))
    return DriftRow(
        frame=frame.id,
        source=frame.source,
        cluster=frame.cluster,
        step=frame.step,
        suite=frame.suite,
        task=frame.task,
        pair_id=frame.pair_id,
        condition=job.label or CLEAN,
        seed=job.seed,
        drift_exec=values.get("drift_exec"),
        drift_first=values.get("drift_first"),
        drift_chunk=values.get("drift_chunk"),
        l2_raw=values.get("l2_raw"),
        xyz_sum=values.get("xyz_sum"),
        gripper_flip=values.get("gripper_flip"),
        mean_abs=view.mean_abs,
        psnr=view.psnr,
        instruction=view.request.instruction,
        infeasible=view.infeasible,
        representation=inner,
        reproduced=reproduced,
    )
