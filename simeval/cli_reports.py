"""The verbs that look at finished runs together: correlation with drift, comparison of two policies, the report."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simeval.errors import ConfigError
from simeval.texts import escaped

if TYPE_CHECKING:
    from simeval.audit.base import DriftRow

reports = typer.Typer()

AsJson = Annotated[bool, typer.Option("--json", help="JSON for machines instead of text for people.")]
RUN = typer.Argument(metavar="RUN", help="Run folder.")
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
    from simeval.comparison import compare as compare_runs
    from simeval.report.change_table import print_comparison
    from simeval.store import Run
    from simeval.terminal import PlainConsole

    found = compare_runs(Run.load(a), Run.load(b), _drift_of_both((a, b), (audit_a, audit_b)))
    if as_json:
        print(json.dumps({"schema_version": COMPARISON_SCHEMA, **asdict(found)}, allow_nan=False))
        return
    print_comparison(PlainConsole(), found)


@reports.command()
def correlate(
    folder: Annotated[str, RUN],
    audit: Annotated[str | None, typer.Option(help="Audit folder.  [default: RUN/audit]")] = None,
    as_json: AsJson = False,
) -> None:
    """Does the offline drift of a policy's actions predict its loss of success? The numbers alone."""
    from simeval import findings
    from simeval.audit.folder import Audit
    from simeval.report.drift_table import print_study
    from simeval.report.files import correlation_record
    from simeval.store import Run
    from simeval.terminal import PlainConsole

    run = Run.load(folder)
    found = findings.correlate(run, Audit.load(Path(audit) if audit else run.folder / findings.AUDIT))
    policy = str(run.manifest["identity"]["policy"]["name"])
    if as_json:
        print(json.dumps(correlation_record([(policy, result) for result in found]), allow_nan=False))
        return
    console = PlainConsole()
    for result in found:
        print_study(console, policy, result)
    console.print(run.manifest["assets"], highlight=False)


@reports.command()
def report(
    folders: Annotated[list[str], typer.Argument(metavar="RUN...", help="Run folders, one per policy.")],
    audit: Annotated[
        list[str] | None, typer.Option(help="Audit folder; repeatable.  [default: RUN/audit where there is one]")
    ] = None,
    out: Annotated[str | None, typer.Option(help="Folder to write.  [default: RUN/report]")] = None,
) -> None:
    """Write report.html with its figures and the numbers behind them as CSV and JSON; needs no simulator."""
    from simeval import findings
    from simeval.audit.folder import Audit
    from simeval.report.page import write_report
    from simeval.store import Run, refuse_unwritable

    if out is None and len(folders) > 1:
        raise ConfigError("--out: name the folder to write a report of several runs to")
    target = Path(out) if out else Path(folders[0]) / "report"
    refuse_unwritable(target)
    data = findings.report_data([Run.load(name) for name in folders], [Audit.load(name) for name in audit or ()])
    print(escaped(str(write_report(data, target))))


def _drift_of_both(
    runs: tuple[str, str], given: tuple[str | None, str | None]
) -> "tuple[tuple[DriftRow, ...], tuple[DriftRow, ...]] | None":
    """Rows of two audits; those beside the runs if both are there and none was named.

    Raises:
        ConfigError: only one was named, or one is not an audit.
    """
    from simeval.audit.folder import MANIFEST, Audit

    if (given[0] is None) != (given[1] is None):
        raise ConfigError("--audit-a and --audit-b: name both or none")
    folders = [Path(name) if name else Path(run) / "audit" for name, run in zip(given, runs, strict=True)]
    if given[0] is None and not all((folder / MANIFEST).exists() for folder in folders):
        return None
    first, second = (Audit.load(folder).rows for folder in folders)
    return first, second
