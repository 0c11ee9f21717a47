"""The verb that searches for a condition at which the policy fails most."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from simeval.cli.endings import report_errors
from simeval.cli.numerics import enter_numerics
from simeval.cli.options import WHOLE, AsJson, ConfigFile, execution_flags, settings, with_config_options
from simeval.cli.threshold import own_settings
from simeval.config.evaluation import EvalConfig, from_mapping
from simeval.config.worst_defaults import BUDGET, COMBINE, CONFIRM, NOT_USED
from simeval.core.errors import ConfigError
from simeval.core.json_output import emit

if TYPE_CHECKING:
    from simeval.config.worst import WorstConfig

worst_case = typer.Typer()

RESULT = "worst.json"
Perturb = Annotated[
    list[str] | None,
    typer.Option(
        help="Axis, with a range if it should not be the whole one: noise, light:1..0.2, camera.orbit:-30..30, "
        "noise:0..0.5@wrist; repeatable."
    ),
]


@worst_case.command()
@with_config_options(EvalConfig, without=(*NOT_USED, "video"))
def worst(
    perturb: Perturb = None,
    combine: Annotated[
        int | None, typer.Option(help=f"Most axes of one condition.  [default: {COMBINE}]", **WHOLE)
    ] = None,
    budget: Annotated[
        int | None,
        typer.Option(help=f"Most episodes of all, clean and confirming ones included.  [default: {BUDGET}]", **WHOLE),
    ] = None,
    confirm: Annotated[
        int | None,
        typer.Option(help=f"Fresh pairs that confirm what was found.  [default: {CONFIRM}]", **WHOLE),
    ] = None,
    config: ConfigFile = None,
    resume: Annotated[str | None, typer.Option(help="Go on with the search in this folder.")] = None,
    as_json: AsJson = False,
    **flags: Any,
) -> None:
    """Find a condition at which the policy fails most, and confirm it on fresh pairs beside the mean and clean rates.

    The same command resumes.
    """
    from simeval import api
    from simeval.core.console import PlainConsole
    from simeval.runner.search_progress import search_progress

    own = {"combine": combine, "budget": budget, "confirm": confirm}
    given = {**flags, "perturb": perturb}
    search = _requested(config, given, own) if resume is None else _resumed(Path(resume), config, given, own)
    enter_numerics(search.run.numerics)
    console = PlainConsole()
    run = api.worst(search, search_progress(console, as_json=as_json))
    from simeval.report.terminal.worst import (  # not earlier: pandas takes a second
        print_worst,
        summarise_worst,
        worst_of,
    )
    from simeval.store.run import write_json

    found = worst_of(run)
    assert found is not None  # `api.worst` has written its manifest
    summary = summarise_worst(run, found)
    write_json(run.folder / RESULT, summary)
    if as_json:
        emit({"event": "summary", "folder": str(run.folder), **summary})
    else:
        print_worst(console, run, found)
    report_errors(run)


def _requested(file: str | None, flags: Mapping[str, Any], own: Mapping[str, Any]) -> "WorstConfig":
    from simeval.config.worst import worst_config  # not earlier: it loads NumPy

    texts, given, values = own_settings(settings(file, flags), own)
    for name, value in values.items():
        if isinstance(value, float):
            raise ConfigError(f"--{name} {value:g}: must be a whole number")
    return worst_config(texts, given, **values)


def _resumed(folder: Path, file: str | None, flags: Mapping[str, Any], own: Mapping[str, Any]) -> "WorstConfig":
    from simeval.config.layout import WORST
    from simeval.config.worst import from_record
    from simeval.store.resume import config_of
    from simeval.store.run import read_manifest

    stored = config_of(folder, flags, verb=WORST)
    run = from_mapping({**stored, **execution_flags(dict(flags), file)})
    for name, value in own.items():
        if value is not None:
            raise ConfigError(f"--resume: --{name} is settled by the run; start a new one to change it")
    return from_record(run, read_manifest(folder)[WORST])
