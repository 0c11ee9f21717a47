"""What exports of rollouts share: which episodes, which cameras, and whose state."""

from collections.abc import Sequence

from envs.suites import find_suite
from perturbations.spec import parse
from simeval.core.errors import ConfigError
from simeval.core.types import EpisodeResult, EpisodeSpec
from simeval.exchange.rows import Selected, unfinished
from simeval.policies.names import kind_of
from simeval.rollout.rerun import needs_state_scale
from simeval.store.run import Run, trace_path


def with_traces(run: Run, outcome: str, conditions: Sequence[str]) -> tuple[tuple[EpisodeResult, ...], list[str]]:
    """The selected episodes that came to an end and kept a trace, in plan order, and notes about what is left out.

    Args:
        run: finished or not.
        outcome: `all`, `successes` or `failures`.
        conditions: canonical texts or sweeps; empty for all.

    Raises:
        ConfigError: nothing is selected, or none of it kept a trace.
    """
    selected = Selected.of(run, outcome, conditions)
    ended = [r for r in run.results if r.outcome in ("success", "failure")]
    chosen = [r for r in ended if selected.includes(r.spec.condition, r.outcome)]
    if not chosen:
        raise ConfigError(f"{run.folder}: no finished episode is selected (--only {outcome})")
    kept = tuple(r for r in chosen if trace_path(run.folder, r.spec).exists())
    if not kept:
        raise ConfigError(f"{run.folder}: no traces were kept for these episodes; run with --traces all")
    notes = []
    if len(kept) < len(chosen):
        notes.append(f"{len(chosen) - len(kept)} of {len(chosen)} episodes kept no trace and are left out")
    return kept, [*notes, *unfinished(run, run.episodes)]


def cameras_of(suite: str, requested: Sequence[str]) -> tuple[str, ...]:
    """The cameras that are rendered: those requested, or all of the suite.

    Raises:
        ConfigError: the suite has no such camera.
    """
    there = find_suite(suite).interface.cameras
    for camera in requested:
        if camera not in there:
            raise ConfigError(f"--cameras: {suite} has only {', '.join(there)}")
    return tuple(requested) or there


def has_own_state(run: Run, spec: EpisodeSpec) -> bool:
    """Whether the state of an episode is exported as the robot's own, because the policy's cannot be computed again.

    Policies without training data (scripted ones) get changes of the state in the default units.
    """
    scripted = kind_of(str(run.manifest["identity"]["settings"].get("policy"))) == "scripted"
    return needs_state_scale(parse(spec.condition)) and not scripted


def own_state_note(name: str, conditions: Sequence[str]) -> str:
    """What to say of `has_own_state`; `name` is what the export calls the state."""
    return (
        f"{name} is the robot's own under {', '.join(dict.fromkeys(conditions))}: the policy's was changed in units of "
        "its training data, which a run does not store"
    )
