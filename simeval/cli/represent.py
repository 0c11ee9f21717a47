"""The verb that looks inside policies."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from simeval.cli.captions import missing_glyphs_noted
from simeval.cli.numerics import enter_numerics
from simeval.cli.options import AsJson, ConfigFile, settings, with_config_options
from simeval.config.represent import RepresentConfig, represent_from_mapping
from simeval.core.json_output import emit
from simeval.core.texts import escaped

if TYPE_CHECKING:
    from simeval.probing.results import Representations

inside = typer.Typer()


@inside.command()
@with_config_options(RepresentConfig)
def represent(
    source: Annotated[
        str | None, typer.Argument(metavar="RUN", help="Run folder that gives the frames, or a study's.")
    ] = None,
    policies: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME=]CHECKPOINT...", help="The start first.  [default: those of the study]"),
    ] = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
    **flags: Any,
) -> None:
    """Probe the layers of checkpoints on the same frames: what can be read, what is kept, where they look."""
    requested = represent_from_mapping(settings(config, {"source": source, "policies": policies, **flags}))
    enter_numerics(requested.numerics)
    from simeval import api

    def note(text: str) -> None:
        if as_json:
            emit({"event": "step", "text": text})
        else:
            print(text, flush=True)

    with missing_glyphs_noted():  # of attention maps
        found, page = api.represent(requested, note)
    _print(requested.folder, found, as_json=as_json)
    if not as_json:
        print(f"report: {escaped(str(page))}")


def show_representation(folder: Path, *, as_json: bool) -> None:
    """Print what was found inside policies.

    Raises:
        ConfigError: it is damaged.
    """
    from simeval.probing.results import read_results

    _print(folder, read_results(folder), as_json=as_json)


def _print(folder: Path, found: "Representations", *, as_json: bool) -> None:
    if as_json:
        import msgspec

        emit({"event": "summary", "folder": str(folder), **msgspec.to_builtins(found)})
        return
    from simeval.core.console import PlainConsole
    from simeval.report.representation.terminal import print_representation

    print_representation(PlainConsole(), found)
