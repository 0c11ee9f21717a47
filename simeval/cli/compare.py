"""The verb `compare`: two policies on the same episodes, with a verdict for machines, or the ranks of several."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simeval.cli.gate import (
    Files,
    GateSwitch,
    Junit,
    Margin,
    Markdown,
    files,
    fraction,
    record,
    require_gate,
    write_gate,
    write_markdown,
)
from simeval.cli.options import AsJson
from simeval.core.errors import ConfigError
from simeval.core.json_output import emit

if TYPE_CHECKING:
    from simeval.analysis.compare import Comparison
    from simeval.analysis.gate import Gate
    from simeval.core.drift_row import DriftRow
    from simeval.store.run import Run

COMPARISON_SCHEMA = 1


def compare(
    a: Annotated[str, typer.Argument(metavar="RUN_A", help="Run folder of the one policy: before, the baseline.")],
    b: Annotated[str, typer.Argument(metavar="RUN_B", help="Run folder of the other policy: after.")],
    more: Annotated[
        list[str] | None, typer.Argument(metavar="RUN", help="More run folders: all policies are ranked.")
    ] = None,
    audit_a: Annotated[str | None, typer.Option(help="Audit of the one.  [default: RUN_A/audit, if both are]")] = None,
    audit_b: Annotated[str | None, typer.Option(help="Audit of the other.  [default: RUN_B/audit]")] = None,
    gate: GateSwitch = False,
    margin: Margin = None,
    junit: Junit = None,
    markdown: Markdown = None,
    rank_by: Annotated[
        str | None, typer.Option(help="With three or more runs: this condition.  [default: mean over all]")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare two policies on the same episodes: success, robustness, and drift where both were audited."""
    several = bool(more)
    if gate and several:
        raise ConfigError(f"--gate: judges RUN_B against RUN_A; {2 + len(more or ())} runs are given, name two")
    if not gate:
        require_gate({"margin": margin, "junit": junit, **({} if several else {"markdown": markdown})})
    if several and (audit_a or audit_b):
        raise ConfigError("--audit-a and --audit-b: drift is compared of two runs, not of more")
    if rank_by is not None and not several:
        raise ConfigError(f"--rank-by {rank_by}: needs three or more runs")
    paths, allowed = files(junit, markdown), fraction(margin)
    if several:
        _rank([a, b, *(more or ())], rank_by, paths, as_json=as_json)
        return
    from simeval.store.run import Run

    runs = Run.load(a), Run.load(b)
    if gate:
        raise typer.Exit(_verdict(runs, _drift_of_both(runs, (audit_a, audit_b)), allowed, paths, as_json=as_json))
    if any(run.imported_from for run in runs):
        _compare_unpaired(*runs, as_json=as_json)
        return
    from simeval.analysis.compare import compare as compare_runs

    _print(compare_runs(*runs, _drift_of_both(runs, (audit_a, audit_b))), None, as_json=as_json)


def _verdict(
    runs: "tuple[Run, Run]",
    drift: "tuple[Sequence[DriftRow], Sequence[DriftRow]] | None",
    margin: float,
    paths: Files,
    *,
    as_json: bool,
) -> int:
    """Judge, write and print; returns the exit code."""
    comparison, judged = _judge(runs, drift, margin)
    write_gate(judged, paths)
    _print(comparison, judged, as_json=as_json)
    return judged.exit_code


def _print(comparison: "Comparison | None", judged: "Gate | None", *, as_json: bool) -> None:
    from simeval.core.console import PlainConsole
    from simeval.report.terminal.compare import print_comparison
    from simeval.report.verdict.terminal import print_gate

    if as_json:
        verdict = {"gate": record(judged)} if judged else {}
        emit({"schema_version": COMPARISON_SCHEMA, **(asdict(comparison) if comparison else {}), **verdict})
        return
    console = PlainConsole()
    if comparison:
        print_comparison(console, comparison)
    if judged:
        console.print()
        print_gate(console, judged)


def _compare_unpaired(a: "Run", b: "Run", *, as_json: bool) -> None:
    from simeval.analysis.unpaired import compare_unpaired
    from simeval.core.console import PlainConsole
    from simeval.report.terminal.unpaired import print_unpaired

    comparison = compare_unpaired(a, b)
    if as_json:
        emit({"schema_version": COMPARISON_SCHEMA, "paired": False, **asdict(comparison)})
        return
    print_unpaired(PlainConsole(), comparison)


def _judge(
    runs: "tuple[Run, Run]", drift: "tuple[Sequence[DriftRow], Sequence[DriftRow]] | None", margin: float
) -> "tuple[Comparison | None, Gate]":
    """The comparison and its verdict; without a comparison if the runs cannot be compared.

    Raises:
        ConfigError: rows cannot be read.
    """
    from simeval.analysis import evidence, gate
    from simeval.analysis.compare import compare as compare_runs
    from simeval.analysis.compare import unique_names

    for run in runs:  # what is damaged is bad input, not a verdict
        _ = run.results, run.episodes
    a, b = unique_names(runs)
    try:
        comparison = compare_runs(*runs, drift)
    except ConfigError as error:
        return None, gate.Gate("compare", "not comparable", margin, (), a, b, reason=str(error))
    verdict, conditions = gate.judge(evidence.of_comparison(comparison, evidence.absent_pairs(*runs)), margin)
    notes = (*evidence.unshared(*runs), *evidence.equal_episodes(*runs), *comparison.notes)
    return comparison, gate.Gate("compare", verdict, margin, conditions, a, b, notes=notes)


def _rank(folders: Sequence[str], condition: str | None, paths: Files, *, as_json: bool) -> None:
    from simeval.analysis.compare import compare as compare_runs
    from simeval.analysis.ranks import rank_runs
    from simeval.core.console import PlainConsole
    from simeval.report.verdict.markdown import ranks_markdown
    from simeval.report.verdict.terminal import print_ranking
    from simeval.store.run import Run

    runs = [Run.load(folder) for folder in folders]
    comparisons = [compare_runs(runs[0], run) for run in runs[1:]]
    ranking = rank_runs(runs, comparisons, condition=condition)
    if paths.markdown:
        write_markdown(paths.markdown, ranks_markdown(ranking))
    if as_json:
        compared = [asdict(comparison) for comparison in comparisons]
        emit({"schema_version": COMPARISON_SCHEMA, "ranking": asdict(ranking), "comparisons": compared})
    else:
        print_ranking(PlainConsole(), ranking)


def _drift_of_both(
    runs: "tuple[Run, Run]", given: tuple[str | None, str | None]
) -> "tuple[tuple[DriftRow, ...], tuple[DriftRow, ...]] | None":
    """Rows of two audits: the named ones, else those in the run folders; `None` if these do not both exist.

    Raises:
        ConfigError: only one was named, one is not an audit, or it is of another policy than its run.
    """
    from simeval.analysis.correlate import refuse_other_policy
    from simeval.store.audit import MANIFEST, Audit

    if (given[0] is None) != (given[1] is None):
        raise ConfigError("--audit-a and --audit-b: name both or none")
    folders = [Path(name) if name else run.folder / "audit" for name, run in zip(given, runs, strict=True)]
    if given[0] is None and not all((folder / MANIFEST).exists() for folder in folders):
        return None
    first, second = map(Audit.load, folders)
    for run, audit in zip(runs, (first, second), strict=True):
        refuse_other_policy(run, audit)
    return first.rows, second.rows
