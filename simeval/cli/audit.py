"""The verb that measures offline drift."""

from typing import Annotated, Any

import typer

from simeval.cli.captions import missing_glyphs_noted
from simeval.cli.numerics import enter_numerics
from simeval.cli.options import AsJson, ConfigFile, settings, with_config_options
from simeval.config.audit import AuditConfig, audit_from_mapping
from simeval.core.json_output import emit

audits = typer.Typer()


@audits.command()
@with_config_options(AuditConfig)
def audit(
    run: Annotated[
        str | None, typer.Argument(metavar="RUN", help="Run folder whose clean episodes give the frames.")
    ] = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
    **flags: Any,
) -> None:
    """Measure how far perturbations move the predicted action on single frames. The same command resumes."""
    from simeval import api
    from simeval.core.console import PlainConsole
    from simeval.drift.progress import AuditProgress, JsonLines, Lines, LiveBar
    from simeval.report.terminal.audit import print_audit_table, summarise_audit

    requested = audit_from_mapping(settings(config, {"run": run, **flags}))
    enter_numerics(api.audit_numerics(requested))
    console = PlainConsole()
    progress: AuditProgress = JsonLines() if as_json else LiveBar(console) if console.is_terminal else Lines(console)
    with missing_glyphs_noted():  # of attention maps
        done = api.audit(requested, progress)
    if as_json:
        emit({"event": "summary", "folder": str(done.folder), **summarise_audit(done)})
    else:
        print_audit_table(console, done)
