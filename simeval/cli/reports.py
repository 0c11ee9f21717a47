"""The verbs that read finished runs: comparison of two policies, correlation with drift, the report."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simeval.cli.options import AsJson
from simeval.core.errors import ConfigError
from simeval.core.files import require_inside
from simeval.core.json_output import emit
from simeval.core.texts import escaped

if TYPE_CHECKING:
    from simeval.core.drift_row import DriftRow
    from simeval.store.run import Run

reports = typer.Typer()

RUN = typer.Argument(metavar="RUN", help="Run folder.")
Plugins = Annotated[list[str] | None, typer.Option("--plugin", help="Plugin that a run was made with; repeatable.")]
COMPARISON_SCHEMA = 1


@reports.command()
def compare(
    a: Annotated[str, typer.Argument(metavar="RUN_A", help="Run folder of the one policy: before.")],
    b: Annotated[str, typer.Argument(metavar="RUN_B", help="Run folder of the other policy: after.")],
    audit_a: Annotated[str | None, typer.Option(help="Audit of the one.  [default: RUN_A/audit, if both are]")] = None,
    audit_b: Annotated[str | None, typer.Option(help="Audit of the other.  [default: RUN_B/audit]")] = None,
    as_json: AsJson = False,
) -> None:
    """Compare two policies on the same episodes: success, robustness, and drift where both were audited."""
    from simeval.analysis.compare import compare as compare_runs
    from simeval.core.console import PlainConsole
    from simeval.report.terminal.compare import print_comparison
    from simeval.store.run import Run

    runs = Run.load(a), Run.load(b)
    if any(run.imported_from for run in runs):
        _compare_unpaired(*runs, as_json=as_json)
        return
    comparison = compare_runs(*runs, _drift_of_both((a, b), (audit_a, audit_b)))
    if as_json:
        emit({"schema_version": COMPARISON_SCHEMA, **asdict(comparison)})
        return
    print_comparison(PlainConsole(), comparison)


def _compare_unpaired(a: "Run", b: "Run", *, as_json: bool) -> None:
    from simeval.analysis.unpaired import compare_unpaired
    from simeval.core.console import PlainConsole
    from simeval.report.terminal.unpaired import print_unpaired

    comparison = compare_unpaired(a, b)
    if as_json:
        emit({"schema_version": COMPARISON_SCHEMA, "paired": False, **asdict(comparison)})
        return
    print_unpaired(PlainConsole(), comparison)


@reports.command()
def correlate(
    folder: Annotated[str, RUN],
    audit: Annotated[str | None, typer.Option(help="Audit folder.  [default: RUN/audit]")] = None,
    plugin: Plugins = None,
    as_json: AsJson = False,
) -> None:
    """Does the offline drift of a policy's actions predict its loss of success? The numbers alone."""
    from simeval.analysis.correlate import correlate as correlate_run
    from simeval.core.console import PlainConsole
    from simeval.report.collect import AUDIT
    from simeval.report.export import correlation_record
    from simeval.report.terminal.drift import print_study
    from simeval.store.audit import Audit
    from simeval.store.run import Run

    run = Run.load(folder)
    _load_plugins([run], plugin or ())
    results = correlate_run(run, Audit.load(Path(audit) if audit else run.folder / AUDIT))
    policy = str(run.manifest["identity"]["policy"]["name"])
    if as_json:
        emit(correlation_record([(policy, result) for result in results]))
        return
    console = PlainConsole()
    for result in results:
        print_study(console, policy, result)
    console.print(run.manifest["assets"], highlight=False)


@reports.command()
def report(
    folders: Annotated[list[str], typer.Argument(metavar="RUN...", help="Run folders, one per policy.")],
    audit: Annotated[
        list[str] | None, typer.Option(help="Audit folder; repeatable.  [default: RUN/audit where there is one]")
    ] = None,
    out: Annotated[str | None, typer.Option(help="Folder to write.  [default: RUN/report]")] = None,
    plugin: Plugins = None,
) -> None:
    """Write report.html with its figures and the numbers behind them as CSV and JSON; needs no simulator."""
    from simeval.report.collect import report_data
    from simeval.report.page import write_report
    from simeval.store.audit import Audit
    from simeval.store.run import Run, require_writable

    if out is None and len(folders) > 1:
        raise ConfigError("--out: name the folder to write a report of several runs to")
    if out is None:
        require_inside(Path(folders[0]), "report")
    target = Path(out) if out else Path(folders[0]) / "report"
    require_writable(target)
    runs = [Run.load(name) for name in folders]
    _load_plugins(runs, plugin or ())
    data = report_data(runs, [Audit.load(name) for name in audit or ()])
    print(escaped(str(write_report(data, target))))


def _load_plugins(runs: "Sequence[Run]", named: Sequence[str]) -> None:
    """Register the axes of the plugins that runs were made with; the user must name these.

    Raises:
        ConfigError: a plugin of a run is not named, or has another text.
    """
    from simeval.core import plugins

    for run in runs:
        plugins.load(plugins.named_again(run.folder, run.manifest, named))


def _drift_of_both(
    runs: tuple[str, str], given: tuple[str | None, str | None]
) -> "tuple[tuple[DriftRow, ...], tuple[DriftRow, ...]] | None":
    """Rows of two audits: the named ones, else those in the run folders; `None` if these do not both exist.

    Raises:
        ConfigError: only one was named, or one is not an audit.
    """
    from simeval.store.audit import MANIFEST, Audit

    if (given[0] is None) != (given[1] is None):
        raise ConfigError("--audit-a and --audit-b: name both or none")
    folders = [Path(name) if name else Path(run) / "audit" for name, run in zip(given, runs, strict=True)]
    if given[0] is None and not all((folder / MANIFEST).exists() for folder in folders):
        return None
    first, second = (Audit.load(folder).rows for folder in folders)
    return first, second
