"""The verb that shows runs in a browser."""

import contextlib
import importlib.util
import sys
from pathlib import Path
from typing import Annotated

import typer

from simeval.cli.options import WHOLE
from simeval.config.options import within
from simeval.core.errors import ConfigError
from simeval.core.texts import escaped

viewing = typer.Typer()

PORT, LAST_PORT = 8765, 65535
MODULES = ("starlette", "uvicorn")
MAX_CACHE = 1_000_000


@viewing.command()
def view(
    results: Annotated[str, typer.Argument(metavar="[RESULTS]", help="Folder of runs, or a run.")] = "results",
    host: Annotated[str, typer.Option(help="Address to listen at; any other than the default asks for a token.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(help="Port to listen at; 0 for any free one.", **WHOLE)] = PORT,
    cache_mb: Annotated[int, typer.Option(help="Most megabytes of rendered videos that are kept.", **WHOLE)] = 1000,
    plugin: Annotated[
        list[str] | None, typer.Option(help="Python file that a run was made with, for its videos; repeatable.")
    ] = None,
) -> None:
    """Look at runs in a browser: tables, episodes, videos of twins side by side. Reads only; until Ctrl-C."""
    if not results.strip():
        raise ConfigError("RESULTS: the name of the folder is empty")
    within("--port", port, 0, LAST_PORT)
    within("--cache-mb", cache_mb, 0, MAX_CACHE)
    for module in MODULES:
        if importlib.util.find_spec(module) is None:
            raise ConfigError(f"view needs {module}, which is not installed: pip install {' '.join(MODULES)}")
    from simeval.core import plugins
    from simeval.viewer.serve import ViewConfig, serve

    plugins.digests(plugins.read(plugin or ()))  # refused now, not when a video is asked for
    config = ViewConfig(Path(results), host, port, 1_000_000 * cache_mb, tuple(plugin or ()))
    with contextlib.suppress(KeyboardInterrupt):  # its usual end
        serve(config, lambda url: print(f"viewing {escaped(results)}: {url}", flush=True))
    sys.stderr.write("\nstopped\n")
