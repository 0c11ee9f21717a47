"""The verb that measures offline drift."""

import json
from typing import Annotated, Any

import typer

from simeval.audit_config import AuditConfig, audit_from_mapping
from simeval.cli_options import ConfigFile, settings, with_config_options

audits = typer.Typer()


@audits.command()
@with_config_options(AuditConfig)
def audit(
    run: Annotated[
        str | None, typer.Argument(metavar="RUN", help="Run folder whose clean episodes give the frames.")
    ] = None,
    config: ConfigFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON for machines instead of text for people.")] = False,
    **flags: Any,
) -> None:
    """Measure how far perturbations move the predicted action on single frames. The same command resumes."""
    from simeval import api
    from simeval.audit.progress import AuditProgress, JsonLines, Lines, LiveBar
    from simeval.terminal import PlainConsole

    wanted = audit_from_mapping(settings(config, {"run": run, **flags}))
    console = PlainConsole()
    progress: AuditProgress = JsonLines() if as_json else LiveBar(console) if console.is_terminal else Lines(console)
    done = api.audit(wanted, progress)
    if as_json:
        summary = {"event": "summary", "folder": str(done.folder), **api.summarise_audit(done)}
        print(json.dumps(summary, allow_nan=False))
    else:
        api.print_audit(console, done)
