"""The measurement: frames and conditions in, rows of drift out. The order depends on the request alone.

    for each cluster of frames, for each seed: the clean views, every condition, the repeat control, the noise floor

Non-obvious behaviour:
- The clean prediction of a frame and seed is made once and shared by its conditions.
- The repeat control is the clean view rendered and predicted again, after the conditions. Its drift must be exactly 0;
  otherwise something leaks from one prediction into another, and no drift can be trusted.
- Views are rendered between two calls of the policy in the same thread, or ahead of it in worker processes
  (`simeval.drift.frames.render_pool`). A second thread was measured to be several times slower, because the simulator's
  many short calls wait for the GIL each time.
- Batches span frames and conditions and are full, so a policy that pads its batches wastes nothing.
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
from simeval.policies.base import ActionChunk, Policy, PolicyInput, number_fault
from simeval.policies.representations import Representation, representing
from simeval.stats.drift import VARIANTS, ActionScale, chunk_drift

BLOCK = 16
"""Largest number of frames of a cluster that are processed together: bounds the stored clean predictions."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """What is measured on every frame.

    Attributes:
        conditions: conditions that the source supports, without the clean one.
        seeds: roots of the random streams.
        scale: units of the actions.
        batch_size: inputs per call of the policy.
        representation: whether internal features are compared as well.
    """

    conditions: tuple[Condition, ...]
    seeds: tuple[int, ...]
    scale: ActionScale
    batch_size: int = 1
    representation: bool = False

    @property
    def labels(self) -> tuple[str, ...]:
        """Values of a row's `condition`, in the order of the rows of a cluster."""
        return (*map(str, self.conditions), CLEAN, FLOOR)

    def predictions(self, frames: int) -> int:
        """Number of predictions for `frames` frames, if every condition can be applied to each."""
        return frames * len(self.seeds) * (len(self.labels) + 1)


@dataclass(frozen=True, slots=True, eq=False)
class AttentionRecord:
    """A policy's input at a frame under a condition, and its attention.

    Attributes:
        condition: canonical text.
        request: the policy's input.
        representation: its features and attention.
    """

    condition: str
    request: PolicyInput
    representation: Representation


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """A row, with features and attention if representations are measured.

    Attributes:
        row: the row.
        vectors: the view's features, see `simeval.drift.representation.pooled`.
        attention: records of the clean view and of this one; for each condition on the first frame only.
    """

    row: DriftRow
    vectors: Vectors | None = None
    attention: tuple[AttentionRecord, AttentionRecord] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    """A view and its label; the one without a label is the clean reference of the others."""

    label: str | None
    seed: int
    view: PolicyView


@dataclass(frozen=True, slots=True, eq=False)
class _Prediction:
    """The policy's prediction for a view."""

    request: PolicyInput
    chunk: ActionChunk
    representation: Representation | None = None


@dataclass
class _Comparison:
    """Turns predictions, in the order of the jobs, into rows."""

    measurement: Measurement
    policy: str
    first: tuple[str, int]
    _clean: dict[tuple[str, int], _Prediction] = field(default_factory=dict)
    _comparing: bool = False

    def compare(self, job: _Job, prediction: _Prediction | None) -> Measured | None:
        """The row of a job; `None` for the clean reference of a frame.

        Raises:
            ConfigError: the repeat control drifted, or the prediction is not a chunk.
        """
        view, key = job.view, (job.view.frame.id, job.seed)
        if prediction is None:
            return Measured(_row(job, {}))
        _check_chunk(
            prediction.chunk, self.measurement.scale.n_action_steps, f"policy '{self.policy}' on {view.frame.id}"
        )
        if job.label is None:
            if self._comparing:  # the next block begins
                self._clean.clear()
            self._comparing, self._clean[key] = False, prediction
            return None
        self._comparing, clean = True, self._clean[key]
        if clean.chunk.shape != prediction.chunk.shape:
            raise ConfigError(f"policy '{self.policy}' on {view.frame.id}: chunks of different length")
        drift = chunk_drift(clean.chunk, prediction.chunk, self.measurement.scale)
        values = {name: float(drift.variant(name)) for name in VARIANTS}
        if job.label == CLEAN and not np.array_equal(clean.chunk, prediction.chunk):
            largest = max(values, key=lambda name: values[name])
            raise ConfigError(
                f"repeat control: the clean frame {view.frame.id}, seed {job.seed}, was predicted twice and drifts by "
                f"{largest} = {values[largest]:.3g}, which must be 0: the policy's answer, or the image, does not "
                "depend on the frame alone; what was measured before is kept"
            )
        row = _row(job, values, clean, prediction)
        if not (clean.representation and prediction.representation) or row.condition == FLOOR:
            return Measured(row)
        with_attention = row.condition != CLEAN and key == self.first
        attention = (
            AttentionRecord(CLEAN, clean.request, clean.representation),
            AttentionRecord(row.condition, prediction.request, prediction.representation),
        )
        return Measured(row, pooled(prediction.representation), attention if with_attention else None)


def keys(frames: Sequence[Frame], measurement: Measurement) -> list[Key]:
    """Keys of a finished audit, in the order of its rows."""
    return [
        (f.id, label, seed)
        for block, seed in _blocks(frames, measurement)
        for label in measurement.labels
        for f in block
    ]


def measure(
    source: FrameSource,
    policy: Policy,
    measurement: Measurement,
    *,
    done: Collection[Key] = (),
    renderer: Renderer | None = None,
) -> Iterator[list[Measured]]:
    """Measure the missing rows; yields the rows batch by batch, in the order of `keys`.

    Args:
        source: of the frames.
        policy: the audited policy.
        measurement: what to measure.
        done: keys of the rows that exist already.
        renderer: renders the views; `None` renders them on demand in this process.

    Raises:
        ConfigError: the repeat control drifted, or a view cannot be rendered or predicted. Rows before it were yielded.
    """
    comparison = _Comparison(measurement, policy.spec.name, first=(source.frames()[0].id, measurement.seeds[0]))
    jobs = _jobs(source.frames(), measurement, frozenset(done), renderer or _in_process_renderer(source))
    for batch in _batches(jobs, measurement.batch_size):
        predictions = iter(_predict(policy, batch, representation=measurement.representation))
        batch_rows: list[Measured] = []
        try:
            for job in batch:
                row = comparison.compare(job, None if job.view.infeasible else next(predictions))
                batch_rows += [] if row is None else [row]
        except ConfigError:
            yield batch_rows
            raise
        yield batch_rows


def _blocks(frames: Sequence[Frame], measurement: Measurement) -> Iterator[tuple[list[Frame], int]]:
    for _, group in groupby(frames, key=lambda frame: frame.cluster):
        cluster = list(group)
        for start in range(0, len(cluster), BLOCK):
            for seed in measurement.seeds:
                yield cluster[start : start + BLOCK], seed


def _in_process_renderer(source: FrameSource) -> Renderer:
    def render(blocks: Sequence[RenderJob], /) -> Iterator[PolicyView]:
        for request in chain.from_iterable(blocks):
            yield from source.views(request.frames, request.condition, request.seed, floor=request.floor)

    return render


def _jobs(
    frames: Sequence[Frame], measurement: Measurement, done: frozenset[Key], renderer: Renderer
) -> Iterator[_Job]:
    pending = [_pending(block, seed, measurement, done) for block, seed in _blocks(frames, measurement)]
    views = renderer([[request for _, request in block] for block in pending if block])
    for label, request in chain.from_iterable(pending):
        for view in islice(views, len(request.frames)):
            yield _Job(label, request.seed, view)


def _pending(
    block: Sequence[Frame], seed: int, measurement: Measurement, done: frozenset[Key]
) -> list[tuple[str | None, ViewRequest]]:
    """The missing views of a block, with the labels of their jobs."""
    clean = Condition()
    missing = [tuple(f for f in block if (f.id, label, seed) not in done) for label in measurement.labels]
    needed = tuple(frame for frame in block if any(frame in frames for frames in missing))
    requests: list[tuple[str | None, ViewRequest]] = [(None, ViewRequest(needed, clean, seed))]
    for label, condition, frames in zip(
        measurement.labels, (*measurement.conditions, clean, clean), missing, strict=True
    ):
        requests.append((label, ViewRequest(frames, condition, seed, floor=label == FLOOR)))
    return [(label, request) for label, request in requests if request.frames]


def _batches(jobs: Iterator[_Job], size: int) -> Iterator[list[_Job]]:
    """Jobs in order; each batch but the last has `size` jobs that need a prediction."""
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


def _predict(policy: Policy, batch: Sequence[_Job], *, representation: bool) -> list[_Prediction]:
    """Predictions for the feasible views of a batch, in order.

    Raises:
        ConfigError: the policy raised an error.
    """
    requests = [job.view.request for job in batch if not job.view.infeasible]
    if not requests:
        return []
    try:
        if representation:
            representations = representing(policy).represent(requests)
            return [
                _Prediction(request, one.chunk, one) for request, one in zip(requests, representations, strict=True)
            ]
        chunks = policy.act(requests)
        for fault in filter(None, map(number_fault, chunks)):
            raise ValueError(fault)
        return [_Prediction(request, np.array(one, np.float32)) for request, one in zip(requests, chunks, strict=True)]
    except ConfigError:
        raise
    except Exception as error:
        # Users' policies raise anything; the cause stays attached.
        raise ConfigError(
            f"policy '{policy.spec.name}' broke on {batch[0].view.frame.id} or one of the {len(batch) - 1} views after "
            f"it: {error_line(error)}; what was measured before is kept"
        ) from error


def _check_chunk(chunk: ActionChunk, min_steps: int, what: str) -> None:
    if chunk.ndim != 2 or chunk.shape[0] < min_steps or chunk.shape[1] != ACTION_SIZE:
        raise ConfigError(f"{what}: a chunk of shape {chunk.shape}, not (>={min_steps}, {ACTION_SIZE})")
    if not np.isfinite(chunk).all():
        raise ConfigError(f"{what}: an action that is not finite")


def _row(
    job: _Job, values: Mapping[str, float], clean: _Prediction | None = None, prediction: _Prediction | None = None
) -> DriftRow:
    view, frame = job.view, job.view.frame
    representation: tuple[tuple[str, float], ...] = ()
    if clean and prediction and clean.representation and prediction.representation:
        representation = distances(clean.representation, prediction.representation)
    reproduced = None
    if prediction and job.label == CLEAN and view.recorded is not None:
        reproduced = bool(np.array_equal(prediction.chunk, view.recorded))
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
        representation=representation,
        reproduced=reproduced,
    )
