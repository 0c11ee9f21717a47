"""The options that report a run to experiment trackers."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from simeval.core.errors import ConfigError

if TYPE_CHECKING:
    from simeval.config.evaluation import EvalConfig
    from simeval.runner.progress import Progress
    from simeval.store.run import Run

Track = Annotated[
    list[str] | None,
    typer.Option("--track", metavar="wandb|trackio|mlflow", help="Report the run to this tracker; repeatable."),
]
TrackProject = Annotated[
    str | None, typer.Option("--track-project", help="Project or experiment in the tracker.  [default: simeval]")
]


@contextlib.contextmanager
def tracked(
    names: Sequence[str] | None, project: str | None, config: "EvalConfig", progress: "Progress"
) -> Iterator[tuple["Progress", Callable[["Run"], None]]]:
    """The observer of a run that reports to trackers, and what reports its final numbers.

    Args:
        names: trackers; none reports to nothing.
        project: their project; `None` for the default.
        config: of the run.
        progress: the observer that shows the run.

    Raises:
        ConfigError: a tracker cannot be used, or a project is named without one.
    """
    if project is not None and not project.strip():
        raise ConfigError("--track-project: the name is empty")
    if not names:
        if project is not None:
            raise ConfigError("--track-project: name a tracker with --track")
        yield progress, lambda done: None
        return
    from simeval.config.plan import make_plan  # not earlier: a run without trackers needs none of it
    from simeval.core.provenance import version
    from simeval.exchange.tracking import Tracked, tracking
    from simeval.report.terminal.run import summarise
    from simeval.store.resume import run_folder

    folder = run_folder(config, make_plan(config))
    about = {**config.to_dict(), "folder": str(folder), "simeval": version("simeval")}
    with tracking(Tracked(names, project or "simeval", folder, about), progress) as observer:
        yield observer, lambda done: observer.finish(summarise(done))
