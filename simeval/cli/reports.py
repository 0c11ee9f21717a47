"""The verbs that read finished runs: comparison of two policies, correlation with drift, the report."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simeval.cli.compare import compare
from simeval.cli.options import AsJson
from simeval.cli.study import report_study
from simeval.core.errors import ConfigError
from simeval.core.files import require_inside
from simeval.core.json_output import emit
from simeval.core.texts import escaped

if TYPE_CHECKING:
    from simeval.store.run import Run

reports = typer.Typer()

RUN = typer.Argument(metavar="RUN", help="Run folder.")
Plugins = Annotated[list[str] | None, typer.Option("--plugin", help="Plugin that a run was made with; repeatable.")]

reports.command()(compare)


@reports.command()
def correlate(
    folder: Annotated[str, RUN],
    audit: Annotated[str | None, typer.Option(help="Audit folder.  [default: RUN/audit]")] = None,
    plugin: Plugins = None,
    as_json: AsJson = False,
) -> None:
    """Does the offline drift of a policy's actions predict its loss of success? The numbers alone."""
    from simeval.analysis.correlate import correlate as correlate_run
    from simeval.analysis.pair_drift import AUDIT
    from simeval.core.console import PlainConsole
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
    folders: Annotated[list[str], typer.Argument(metavar="RUN...", help="Run folders, one per policy, or a study's.")],
    audit: Annotated[
        list[str] | None, typer.Option(help="Audit folder; repeatable.  [default: RUN/audit where there is one]")
    ] = None,
    out: Annotated[str | None, typer.Option(help="Folder to write.  [default: RUN/report]")] = None,
    plugin: Plugins = None,
) -> None:
    """Write report.html with its figures and the numbers behind them as CSV and JSON; needs no simulator."""
    from simeval.store.study import Study, is_study

    if any(map(is_study, folders)):
        if len(folders) > 1 or audit:
            raise ConfigError(f"report {folders[0]}: a study is reported alone, with its own audits")
        print(escaped(str(report_study(Study.load(folders[0]), out))))
        return
    from simeval.report.collect import report_data
    from simeval.report.page import write_report
    from simeval.store.audit import Audit
    from simeval.store.run import Run, require_writable

    if out is None and len(folders) > 1:
        raise ConfigError("--out: name the folder to write a report of several runs to")
    if out is None:
        require_inside(Path(folders[0]), "report")
    target = Path(out) if out else Path(folders[0]) / "report"
    runs = [Run.load(name) for name in folders]
    require_writable(target)
    _load_plugins(runs, plugin or ())
    data = report_data(runs, [Audit.load(name) for name in audit or ()])
    for problem in (section.stages_problem for section in data.sections if section.stages_problem):
        typer.echo(f"simeval: {problem}", err=True)
    print(escaped(str(write_report(data, target))))


def _load_plugins(runs: "Sequence[Run]", named: Sequence[str]) -> None:
    """Register the axes of the plugins that runs were made with; the user must name these.

    Raises:
        ConfigError: a plugin of a run is not named, or has another text.
    """
    from simeval.core import plugins

    for run in runs:
        plugins.load(plugins.named_again(run.folder, run.manifest, named))
