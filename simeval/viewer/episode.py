"""The page of an episode: its row, its twin, its motion and what was measured on it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from envs.suites import find_suite
from simeval.analysis.pair_drift import AuditedDrift, FrameDrift
from simeval.core.errors import ConfigError
from simeval.core.files import require_no_way_out
from simeval.core.types import CLEAN, EpisodeResult
from simeval.rollout.trace import Trace
from simeval.store.run import trace_path
from simeval.store.stages import EpisodeStage
from simeval.viewer.charts import Line, Mark, chart
from simeval.viewer.index import Rows
from simeval.viewer.library import StoredRun
from simeval.viewer.motion import Difference, Motion, difference, labels, motion

_SMALL = 0.2
"""Upper edge of the chart of the distance if all is smaller (share of the clean motion's range)."""
HZ = 20
"""Frames per second where the suite is not known here."""


@dataclass(frozen=True, slots=True)
class Arm:
    """An episode of a pair, clean or perturbed.

    Attributes:
        label: `clean`, or the condition.
        result: its row.
        position: where it is among the rows.
        trace: its trace; `None` if there is none that can be read.
        reason: why there is no trace.
    """

    label: str
    result: EpisodeResult
    position: int
    trace: Trace | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ChartRow:
    """A chart with its label and what it shows in words."""

    label: str
    drawing: Markup
    text: str


@dataclass(frozen=True)
class EpisodePage:
    """All that the page of an episode shows.

    Attributes:
        arms: the twin first, where there is one; the episode last.
        hz: frames per second of its videos.
        steps: control steps of the longer arm.
        difference: how it differs from its twin; `None` without two traces.
        stage: how far it got, and where it diverged from its twin; `None` if that was not computed.
        charts: over the steps.
        facts: (label, value) of the row.
        strengths: (label, value) of what the perturbation measurably changed.
        drift: audited frames of this pair.
        frames: description of these frames.
        drift_there: the last of them up to the divergence; `None` where nothing was audited.
        note: why something is missing.
    """

    arms: tuple[Arm, ...]
    hz: int
    steps: int
    difference: Difference | None
    stage: EpisodeStage | None
    charts: tuple[ChartRow, ...]
    facts: tuple[tuple[str, str], ...]
    strengths: tuple[tuple[str, str], ...]
    drift: tuple[FrameDrift, ...]
    frames: str
    drift_there: FrameDrift | None
    note: str

    @property
    def result(self) -> EpisodeResult:
        """Row of the episode."""
        return self.arms[-1].result


def read_episode(
    stored: StoredRun, rows: Rows, position: int, stage: EpisodeStage | None, audited: AuditedDrift
) -> EpisodePage:
    """Read an episode and its twin.

    Args:
        stored: its run.
        rows: the episodes of the run.
        position: which of them.
        stage: of the episode, if it is known.
        audited: the drift on the episodes of the run.

    Raises:
        ConfigError: its row cannot be read.
    """
    own = _arm(stored, rows, position)
    twin = int(rows.twin[position])
    arms = (_arm(stored, rows, twin), own) if twin >= 0 else (own,)
    moves = [motion(arm.trace, latency=arm.result.execution is not None) if arm.trace else None for arm in arms]
    apart = None
    if len(arms) == 2 and arms[0].trace and own.trace:
        apart = difference(arms[0].trace, own.trace)
    steps = max([arm.result.steps for arm in arms] + [one.steps for one in moves if one])
    spec, diverged = own.result.spec, stage.divergence_step if stage else None
    pair = None if spec.condition == CLEAN else audited.pairs.get((spec.pair_id, spec.condition))
    return EpisodePage(
        arms=arms,
        hz=_rate(stored, own.result),
        steps=steps,
        difference=apart,
        stage=stage,
        charts=tuple(_charts(moves, apart, steps, diverged)),
        facts=_facts(own.result),
        strengths=_strengths(own.result),
        drift=pair.frames if pair else (),
        frames=audited.frames,
        drift_there=pair.at(diverged) if pair else None,
        note="" if audited.pairs or not audited.note else f"drift is not shown: {audited.note}",
    )


def _arm(stored: StoredRun, rows: Rows, position: int) -> Arm:
    result = stored.index.result(rows, position)
    label = "clean" if result.spec.condition == CLEAN else result.spec.condition
    path = trace_path(stored.run.folder, result.spec)
    try:
        require_no_way_out(stored.run.folder, path)
        trace = stored.run.trace(result)
        if trace is not None:
            _require_shapes(path, trace)
    except ConfigError as error:
        return Arm(label, result, position, None, str(error))
    reason = "its trace was not kept (run with --traces all)" if trace is None else ""
    if trace is None and result.outcome in ("error", "infeasible"):
        reason = "it did not run to its end, so it has no trace"
    return Arm(label, result, position, trace, reason)


def _require_shapes(path: Path, trace: Trace) -> None:
    """Check what the digest of a trace does not cover, and old rows have none.

    Raises:
        ConfigError: the arrays do not fit together.
    """
    steps = len(trace.actions)
    fits = (
        trace.states.ndim == trace.actions.ndim == 2
        and trace.chunks.ndim == 3
        and len(trace.states) == steps + 1
        and trace.states.shape[1] > 1
        and trace.chunk_steps.ndim == 1
        and trace.chunk_steps.dtype.kind == "i"
        and len(trace.chunk_steps) == len(trace.chunks)
        and steps > 0
    )
    if not fits or not all(0 <= step < steps for step in trace.chunk_steps.tolist()):
        raise ConfigError(f"{path}: its arrays do not fit together")


def _rate(stored: StoredRun, result: EpisodeResult) -> int:
    suite = result.spec.suite
    return HZ if suite in stored.run.absent_suites else find_suite(suite).interface.control_hz


def _charts(moves: list[Motion | None], apart: Difference | None, steps: int, diverged: int | None) -> list[ChartRow]:
    own, clean = moves[-1], moves[0] if len(moves) == 2 else None
    if own is None:
        return []
    marks = [Mark(diverged, "diverged")] if diverged is not None else []
    found = []
    for index, label in enumerate(labels(own.executed.shape[1])):
        lines = []
        if clean is not None and index < clean.executed.shape[1]:
            lines.append(Line(clean.executed[:, index], "clean"))
        if own.commanded is not None:
            lines.append(Line(own.commanded[:, index], "commanded"))
        lines.append(Line(own.executed[:, index], "own"))
        found.append(ChartRow(label, chart(lines, steps, marks, -1.0, 1.0), f"action: {label}"))
    if apart is not None:
        text = "distance to the clean twin, share of the clean motion's range"
        found.append(ChartRow("distance", chart([Line(apart.distance, "own")], steps, marks, 0.0, _SMALL), text))
    lines = [Line(one.speed, style) for one, style in ((clean, "clean"), (own, "own")) if one is not None]
    looks = [Mark(step, "look") for step in own.looks]
    text = "change of the positions per step, share of their range; ticks: the policy looked"
    return [*found, ChartRow("speed", chart(lines, steps, [*looks, *marks], 0.0, 0.02), text)]


def _facts(result: EpisodeResult) -> tuple[tuple[str, str], ...]:
    spec, counts = result.spec, result.counts
    facts = {
        "suite": spec.suite,
        "task": str(spec.task),
        "initial state": str(spec.init_state),
        "repeat": str(spec.repeat),
        "steps": f"{result.steps} of {spec.max_steps}",
        "first success at step": result.first_success,
        "goal reached": result.reached,
        "other goal asked for": result.goal,
        "other goals reached": ", ".join(f"{goal} at {step}" for goal, step in result.hits or ()),
        "first closed next to": result.approached,
        "error": f"{result.error_phase}: {result.error_text}" if result.error_phase else result.error_text,
        "policy calls": counts.policy_calls,
        "source of the instruction": result.source if result.source != "original" else None,
        "replans while waiting": result.execution.replans if result.execution else None,
        "steps of an old chunk": result.execution.stale_steps if result.execution else None,
        "steps without an action": result.execution.idle_steps if result.execution else None,
    }
    return tuple((label, str(value)) for label, value in facts.items() if value not in (None, ""))


_UNITS: Mapping[str, tuple[str, str]] = {
    "mean_abs": ("images, mean change", "levels of 255"),
    "psnr": ("images, PSNR", "dB"),
    "scene_mean_abs": ("scene, mean change of the first image", "levels of 255"),
    "scene_psnr": ("scene, PSNR of the first image", "dB"),
    "state": ("state, mean change", "training standard deviations"),
    "action": ("action, mean change", "of [-1, 1]"),
    "age_steps": ("age of the observations", "control steps"),
    "moved_cm": ("largest displacement of an object", "cm"),
    "joints_rad": ("displacement of the arm's joints", "rad"),
}


def _strengths(result: EpisodeResult) -> tuple[tuple[str, str], ...]:
    found = [
        (label, f"{value:.3g} {unit}")
        for name, (label, unit) in _UNITS.items()
        if result.magnitude is not None and (value := getattr(result.magnitude, name)) is not None
    ]
    return (*found, *((f"target visible, {camera}", f"{100 * share:.0f} %") for camera, share in result.visible))
