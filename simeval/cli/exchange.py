"""The verbs that exchange results with other tools: `export` and `import`."""

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simeval.cli.options import WHOLE
from simeval.core.errors import ConfigError, nearest
from simeval.core.files import require_inside, whole_file
from simeval.core.texts import escaped
from simeval.core.types import CLEAN

if TYPE_CHECKING:
    from simeval.core.progress_bar import Bar
    from simeval.exchange.lerobot_dataset import DatasetOptions
    from simeval.store.run import Run

exchange = typer.Typer()

FORMATS = ("csv", "parquet", "lerobot", "rrd", "junit", "markdown")
_WITH_IMAGES = ("lerobot", "rrd")
_VERDICTS = {"junit": "gate.xml", "markdown": "gate.md"}
"""Formats of a run's verdicts, and the names of their files."""
SOURCES = ("lerobot-eval", "vla-eval")
_DATASET_ONLY = ("cameras", "size", "fps", "view", "lossless")


@exchange.command()
def export(
    folder: Annotated[str, typer.Argument(metavar="RUN", help="Run folder.")],
    to: Annotated[
        str,
        typer.Option(
            metavar="|".join(FORMATS), help="A table of rows, rollouts for lerobot or Rerun, or verdicts for CI."
        ),
    ],
    out: Annotated[str | None, typer.Option(help="File; for lerobot, rrd a folder.  [default: in RUN/export]")] = None,
    only: Annotated[
        str, typer.Option(metavar="all|successes|failures", help="Only episodes with this outcome.")
    ] = "all",
    conditions: Annotated[
        list[str] | None, typer.Option(help="Only this condition or sweep, for instance noise:0.05; repeatable.")
    ] = None,
    cameras: Annotated[
        str | None, typer.Option(help="For lerobot, rrd: agentview, wrist, or both by a comma.  [default: all]")
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(help="For lerobot, rrd: side of an image (px), 64 to 1024, even.  [default: the run's]", **WHOLE),
    ] = None,
    fps: Annotated[
        int | None,
        typer.Option(
            help="For lerobot: frames per second that the dataset states; every control step is a frame.  "
            "[default: the suite's control rate]",
            **WHOLE,
        ),
    ] = None,
    view: Annotated[
        str | None,
        typer.Option(
            metavar="policy|clean", help="For lerobot, rrd: images as the policy got them, or clean.  [default: policy]"
        ),
    ] = None,
    lossless: Annotated[bool, typer.Option("--lossless", help="For lerobot, rrd: images without loss.")] = False,
    plugin: Annotated[
        list[str] | None, typer.Option(help="Python file that the run was made with; repeatable.")
    ] = None,
) -> None:
    """Write a run for other tools: a table, a dataset that lerobot trains on, Rerun recordings, or verdicts for CI."""
    from simeval.store.run import Run

    if to not in FORMATS:
        raise ConfigError(f"--to: no '{to}'{nearest(to, FORMATS)}")
    given = dict(zip(_DATASET_ONLY, (cameras, size, fps, view, lossless), strict=True))
    if to not in _WITH_IMAGES:
        for name, value in given.items():
            if value:
                raise ConfigError(f"--{name}: is for --to lerobot and rrd, not for {to}")
    if to == "rrd" and fps is not None:
        raise ConfigError("--fps: is for --to lerobot; a recording has the suite's simulated time")
    run = Run.load(folder)
    if to in _VERDICTS:
        if only != "all" or conditions or plugin:
            raise ConfigError(f"--to {to}: judges all episodes, so it takes no --only, --conditions or --plugin")
        _export_verdicts(run, to, _target(run, out, _VERDICTS[to]))
        return
    if to not in _WITH_IMAGES:
        _export_rows(run, to, _target(run, out, f"episodes.{to}"), only, conditions or (), plugin or ())
        return
    from simeval.exchange.lerobot_dataset import DatasetOptions

    options = DatasetOptions(
        outcome=only,
        conditions=tuple(conditions or ()),
        cameras=tuple(name.strip() for name in cameras.split(",")) if cameras else (),
        size=size,
        fps=fps,
        view=view or "policy",
        lossless=lossless,
        plugins=tuple(plugin or ()),
    )
    if to == "rrd":
        _export_recordings(run, options, _target(run, out, "rerun"))
    else:
        _export_dataset(run, options, _target(run, out, "lerobot"))


def _export_dataset(run: "Run", options: "DatasetOptions", folder: Path) -> None:
    from simeval.exchange.lerobot_dataset import write_dataset

    with _bar() as started:
        written = write_dataset(run, options, folder, started)
    _note(written.notes)
    print(escaped(f"{written.folder}: {written.episodes} episodes, {written.frames} frames"))
    if written.damaged:
        raise typer.Exit(1)


def _export_recordings(run: "Run", options: "DatasetOptions", folder: Path) -> None:
    from simeval.exchange.rerun_recording import write_recordings

    with _bar() as started:
        written = write_recordings(run, options, folder, started)
    _note(written.notes)
    print(escaped(f"{written.folder}: {len(written.files)} recordings; rerun {written.folder}/*.rrd shows them"))
    if written.damaged:
        raise typer.Exit(1)


def _export_rows(
    run: "Run", to: str, path: Path, only: str, conditions: Sequence[str], plugin_files: Sequence[str]
) -> None:
    from simeval.core import plugins
    from simeval.exchange.rows import Selected, table, write_csv, write_parquet

    if plugin_files:
        plugins.load(plugins.named_again(run.folder, run.manifest, plugin_files))
    found = table(run, Selected.of(run, only, conditions))
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as partial:
        if to == "csv":
            write_csv(found.rows, partial)
        else:
            identity = run.manifest["identity"]
            write_parquet(found.rows, partial, {"policy": identity["policy"], "scenes": run.manifest["assets"]})
    _note(found.notes)
    print(escaped(f"{path}: {len(found.rows)} episodes"))
    if found.damaged:
        raise typer.Exit(1)


def _export_verdicts(run: "Run", to: str, path: Path) -> None:
    """Write what `run --gate` says of a run; the exit code is that of an export, not of the verdict."""
    from simeval.cli.gate import Files, RunGateRequest, judge_run
    from simeval.config.layout import is_search

    if is_search(run.manifest):
        raise ConfigError(
            f"{run.folder}: is a search, whose conditions were chosen by their outcomes; --to csv takes it"
        )
    if not any(result.spec.condition != CLEAN for result in run.results):
        raise ConfigError(f"{run.folder}: has no perturbed condition to judge")
    files = Files(path if to == "junit" else None, path if to == "markdown" else None)
    judged = judge_run(run, RunGateRequest(None, files))
    print(escaped(f"{path}: {judged.verdict}"))


def _target(run: "Run", out: str | None, name: str) -> Path:
    if out is None:
        require_inside(run.folder, "export")
        return run.folder / "export" / name
    path = Path(out)
    if name not in ("lerobot", "rerun") and path.is_dir():
        raise ConfigError(f"--out {out}: is a folder; name a file")
    return path


def _note(notes: Sequence[str]) -> None:
    for note in notes:
        sys.stderr.write(f"note: {escaped(note)}\n")


@contextlib.contextmanager
def _bar() -> Iterator[Callable[[int], Callable[[], None]]]:
    """A progress bar of episodes on the terminal, if there is one."""
    from rich.console import Console

    console, bars = Console(stderr=True), list["Bar"]()

    def started(episodes: int) -> Callable[[], None]:
        if not console.is_terminal:
            return lambda: None
        from simeval.core.progress_bar import Bar

        bars.append(Bar(console, "episodes", total=episodes, done=0))
        bars[0].start()
        return lambda: bars[0].advance(1)

    try:
        yield started
    finally:
        for bar in bars:
            bar.stop()


@exchange.command(name="import")
def import_(
    file: Annotated[str, typer.Argument(metavar="FILE", help="eval_info.json, or recording-*.sqlite.")],
    source: Annotated[
        str, typer.Option("--from", metavar="|".join(SOURCES), help="The evaluator that wrote the file.")
    ],
    policy: Annotated[str | None, typer.Option(help="Name of the policy.  [default: of the file's folder]")] = None,
    out: Annotated[str | None, typer.Option(help="Run folder to write.  [default: results/imported-...]")] = None,
) -> None:
    """Make a run folder of another evaluator's results, for `show`, `compare` and `export`; nothing in it is paired."""
    from simeval.exchange.imported import write_imported
    from simeval.exchange.lerobot_eval import read_lerobot_eval
    from simeval.exchange.vla_eval import read_vla_eval

    if source not in SOURCES:
        raise ConfigError(f"--from: no '{source}'{nearest(source, SOURCES)}")
    if policy is not None and not policy.strip():
        raise ConfigError("--policy: is empty; leave it out, or name the policy")
    read = read_lerobot_eval if source == "lerobot-eval" else read_vla_eval
    path = Path(file)
    foreign = read(path)
    run = write_imported(path, foreign, policy=policy, out=Path(out) if out else None)
    _note(run.manifest["notes"])
    print(escaped(f"{run.folder}: {len(foreign.episodes)} episodes"))
