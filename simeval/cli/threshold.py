"""The verb that searches for the strength at which success falls to a level of the clean rate."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from simeval.cli.endings import report_errors
from simeval.cli.numerics import enter_numerics
from simeval.cli.options import WHOLE, AsJson, ConfigFile, execution_flags, settings, with_config_options
from simeval.config.evaluation import EvalConfig, from_mapping
from simeval.config.threshold_defaults import LEVEL, NOT_USED, PER_AXIS, WIDTH
from simeval.core.errors import ConfigError
from simeval.core.json_output import emit
from simeval.core.texts import shown

if TYPE_CHECKING:
    from simeval.config.threshold import ThresholdConfig

searches = typer.Typer()

RESULT = "threshold.json"
Perturb = Annotated[
    list[str] | None,
    typer.Option(
        help="Axis, with a range if it should not be the whole one: noise, light:1..0.2, noise:0..0.5@wrist; "
        "repeatable. All axes share the clean episodes."
    ),
]


@searches.command()
@with_config_options(EvalConfig, without=(*NOT_USED, "video"))
def threshold(
    perturb: Perturb = None,
    level: Annotated[
        float | None,
        typer.Option(help=f"Share of the clean success rate that is searched for.  [default: {LEVEL}]"),
    ] = None,
    width: Annotated[
        float | None,
        typer.Option(
            help=f"An axis is done when its 95 % interval is as narrow as this share of its range.  [default: {WIDTH}]"
        ),
    ] = None,
    max_episodes: Annotated[
        int | None,
        typer.Option(help=f"Most episodes of all, clean ones included.  [default: {PER_AXIS} per axis]", **WHOLE),
    ] = None,
    config: ConfigFile = None,
    resume: Annotated[str | None, typer.Option(help="Go on with the search in this folder.")] = None,
    as_json: AsJson = False,
    **flags: Any,
) -> None:
    """Find the strength at which success falls to half of clean (--level), by placing episodes where they tell most.

    The same command resumes; with another --level, --width or --max-episodes it goes on in the same folder.
    """
    from simeval import api
    from simeval.core.console import PlainConsole
    from simeval.runner.search_progress import search_progress

    own = {"level": level, "width": width, "max_episodes": max_episodes}
    if resume is not None:
        search = _resumed(Path(resume), config, {**flags, "perturb": perturb}, own)
    else:
        search = _requested(config, {**flags, "perturb": perturb}, own)
    enter_numerics(search.run.numerics)
    console = PlainConsole()
    run = api.threshold(search, search_progress(console, as_json=as_json))
    from simeval.report.figures.thresholds import write_figure  # not earlier: pandas and scipy take a second
    from simeval.report.terminal.thresholds import print_thresholds, summarise_thresholds, thresholds_of
    from simeval.store.run import write_json

    found = thresholds_of(run)
    assert found is not None  # `api.threshold` has written its manifest
    summary = summarise_thresholds(run, found)
    write_json(run.folder / RESULT, summary)
    write_figure(found, run.folder)
    if as_json:
        emit({"event": "summary", "folder": str(run.folder), **summary})
    else:
        print_thresholds(console, run, found)
    report_errors(run)


def _requested(file: str | None, flags: Mapping[str, Any], own: Mapping[str, Any]) -> "ThresholdConfig":
    from simeval.config.threshold import threshold_config  # not earlier: it loads NumPy

    texts, given, values = own_settings(settings(file, flags), own)
    return threshold_config(texts, given, **values)


def own_settings(given: Mapping[str, Any], own: Mapping[str, Any]) -> tuple[list[str], dict[str, Any], dict[str, Any]]:
    """The settings of a recipe and of flags, parted.

    Args:
        given: all settings.
        own: flags of the verb itself, numbers, `None` where a recipe decides.

    Returns:
        The axes, the settings of the run, and those of the verb.

    Raises:
        ConfigError: a number of the recipe is none.
    """
    rest = dict(given)
    texts = rest.pop("perturb", ())
    recipe = {name: rest.pop(name, rest.pop(name.replace("_", "-"), None)) for name in own}
    values = {name: _number(name, recipe[name]) if value is None else value for name, value in own.items()}
    return [texts] if isinstance(texts, str) else [str(text) for text in texts], rest, values


def _number(name: str, value: Any) -> Any:
    """A number of a recipe.

    Raises:
        ConfigError: it is none.
    """
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise ConfigError(f"--{name.replace('_', '-')}: '{shown(str(value), 60)}' is not a number")
    return value


def _resumed(folder: Path, file: str | None, flags: Mapping[str, Any], own: Mapping[str, Any]) -> "ThresholdConfig":
    from dataclasses import replace

    from simeval.config.layout import SEARCH
    from simeval.config.threshold import from_record
    from simeval.store.resume import config_of
    from simeval.store.run import read_manifest

    stored = config_of(folder, flags, verb=SEARCH)
    run = from_mapping({**stored, **execution_flags(dict(flags), file)})
    before = from_record(run, read_manifest(folder)[SEARCH])
    return replace(before, **{name: value for name, value in own.items() if value is not None})
