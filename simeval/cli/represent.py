"""The verb that looks inside policies."""

from typing import Annotated, Any

import typer

from simeval.cli.captions import missing_glyphs_noted
from simeval.cli.numerics import enter_numerics
from simeval.cli.options import AsJson, ConfigFile, settings, with_config_options
from simeval.config.represent import RepresentConfig, represent_from_mapping
from simeval.core.json_output import emit
from simeval.core.texts import escaped

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
    if as_json:
        import msgspec

        emit({"event": "summary", "folder": str(requested.folder), **msgspec.to_builtins(found)})
        return
    from simeval.core.console import PlainConsole
    from simeval.report.representation.terminal import print_representation

    print_representation(PlainConsole(), found)
    print(f"report: {escaped(str(page))}")
