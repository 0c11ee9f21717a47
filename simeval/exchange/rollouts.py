"""Which rollouts of a run can be exported with images, and what is known of their policy."""

from collections.abc import Sequence

from simeval.core.errors import ConfigError
from simeval.core.types import EpisodeResult
from simeval.exchange.rows import Selected, unfinished
from simeval.policies.names import kind_of
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


def is_scripted(run: Run) -> bool:
    """Whether the policy has no training data, so that changes of the state are in the default units."""
    return kind_of(str(run.manifest["identity"]["settings"].get("policy"))) == "scripted"
