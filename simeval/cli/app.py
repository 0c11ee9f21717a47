"""The command line: a function per verb. Options of `run` and `plan` are the fields of `EvalConfig`."""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from simeval.cli.audit import audits
from simeval.cli.captions import missing_glyphs_noted
from simeval.cli.endings import report_errors
from simeval.cli.exchange import exchange
from simeval.cli.gate import Junit, Markdown, RunGate, files, finish_gate, require_gate, run_gate
from simeval.cli.numerics import enter_numerics
from simeval.cli.options import WHOLE, AsJson, ConfigFile, execution_flags, settings, with_config_options
from simeval.cli.process import carry_out, leave, open_streams
from simeval.cli.profile import profiling
from simeval.cli.reports import reports
from simeval.cli.represent import inside, show_representation
from simeval.cli.serve import serving
from simeval.cli.stages import show_stages
from simeval.cli.study import show_study, studies
from simeval.cli.threshold import searches
from simeval.cli.track import Track, TrackProject, tracked
from simeval.cli.view import viewing
from simeval.cli.worst import worst_case
from simeval.config.evaluation import SOURCES, EvalConfig, from_mapping
from simeval.core.errors import ConfigError, nearest
from simeval.core.files import is_file
from simeval.core.json_output import emit, write
from simeval.core.texts import escaped

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="How robust is a Vision-Language-Action policy? Paired, perturbed rollouts in LIBERO, with intervals.",
)

app.add_typer(audits)
app.add_typer(reports)
app.add_typer(exchange)
app.add_typer(serving)
app.add_typer(searches)
app.add_typer(profiling)
app.add_typer(worst_case)
app.add_typer(studies)
app.add_typer(viewing)
app.add_typer(inside)

LISTS = ("suites", "tasks", "texts", "perturbations", "policies", "conventions", "protocols")


def _config(file: str | None, flags: dict[str, Any]) -> EvalConfig:
    return from_mapping(settings(file, flags))


@app.command()
@with_config_options(EvalConfig)
def run(
    config: ConfigFile = None,
    resume: Annotated[str | None, typer.Option(help="Go on with the run in this folder, as it was started.")] = None,
    grow: Annotated[
        bool, typer.Option("--grow", help="With --resume: add initial states, tasks, repeats, suites or conditions.")
    ] = False,
    gate: RunGate = False,
    junit: Junit = None,
    markdown: Markdown = None,
    track: Track = None,
    track_project: TrackProject = None,
    as_json: AsJson = False,
    **flags: Any,
) -> None:
    """Roll a policy out under perturbations and print success with intervals. The same command resumes."""
    from simeval import api
    from simeval.core.console import PlainConsole
    from simeval.runner.progress import JsonProgress, LiveProgress, PlainProgress, Progress
    from simeval.store.resume import config_of

    if not gate:
        require_gate({"junit": junit, "markdown": markdown})
    judging = run_gate(flags, config, resume, files(junit, markdown)) if gate else None
    if grow:
        if resume is None:
            raise ConfigError("--grow: name the run with --resume")
        requested = _extended_config(Path(resume), config, flags)
    elif resume is not None:
        stored = config_of(Path(resume), flags)
        requested = from_mapping({**stored, **execution_flags(flags, config)})
    else:
        requested = _config(config, flags)
    enter_numerics(requested.numerics)
    console = PlainConsole()
    progress: Progress = PlainProgress(console)
    if as_json:
        progress = JsonProgress()
    elif console.is_terminal:
        progress = LiveProgress(console)
    if not as_json:
        _print_notes(console, requested)
    with tracked(track, track_project, requested, progress) as (observer, report_final):
        done = api.evaluate(requested, observer, grow=grow)
        report_final(done)
    from simeval.report.terminal.run import print_tables, summarise  # not earlier: pandas and scipy take a second

    if as_json:
        emit({"event": "summary", "folder": str(done.folder), **summarise(done)})
    else:
        print_tables(console, done)
    if requested.video != "none":
        _render_videos(done, requested, None if as_json else console)
    code = finish_gate(done, judging, None if as_json else console)
    report_errors(done)
    if code:
        raise typer.Exit(code)


def _render_videos(done: Any, requested: EvalConfig, console: Any) -> None:
    """Render the videos that a run asks for; `console` gets their paths, `None` prints nothing."""
    from simeval.media.video import Selection, find_episodes, nothing_to_show, render_videos

    count = len(find_episodes(done, Selection(outcome=requested.video)))
    selection = Selection(outcome=requested.video, limit=max(1, count), plugins=requested.plugin)
    with missing_glyphs_noted():
        for path in render_videos(done, selection) if count else ():
            if console:
                console.print(f"video: {path}", soft_wrap=True, highlight=False, markup=False, emoji=False)
    if not count and console:
        console.print(f"video: {nothing_to_show(requested.video)}", highlight=False)


def _extended_config(folder: Path, file: str | None, flags: dict[str, Any]) -> EvalConfig:
    from simeval.config.extend import EXTENDABLE, extended_config
    from simeval.store.resume import config_of

    more = {name: flags[name] for name in EXTENDABLE if flags[name] not in (None, [])}
    others = {name: value for name, value in flags.items() if name not in more}
    return extended_config(config_of(folder, flags), {**more, **execution_flags(others, file)})


def _print_notes(console: Any, config: EvalConfig) -> None:
    import os

    from simeval.config.plan import make_plan

    for note in make_plan(config).notes:
        console.print(f"note: {note}", soft_wrap=True, highlight=False)
    cores = os.cpu_count() or 1
    if config.worker_count > cores and not config.ray_address:
        console.print(f"note: {config.worker_count} workers share {cores} cores; more than {cores} will not be faster")


@app.command()
@with_config_options(EvalConfig)
def plan(
    config: ConfigFile = None,
    drop: Annotated[
        float | None, typer.Option(help="Say how large a run finds a true drop of this many points.", metavar="POINTS")
    ] = None,
    power: Annotated[float, typer.Option(help="Share of such runs that are to find it.", metavar="SHARE")] = 0.8,
    like: Annotated[
        str | None,
        typer.Option(help="Run folder: assume that as many pairs flip by chance as in this run.", metavar="RUN"),
    ] = None,
    as_json: AsJson = False,
    **flags: Any,
) -> None:
    """Print what `run` with the same options would do and could find, without a simulator."""
    from msgspec.structs import asdict as fields_of

    from simeval.cli.background import background_like
    from simeval.config.outlook import Outlook, lines_of, outlooks, wish_of
    from simeval.config.outlook_until import UntilOutlook, until_lines, until_outlooks
    from simeval.config.plan import duration, estimated_seconds, make_plan, most_episodes
    from simeval.config.preflight import named_choice
    from simeval.policies.registry import require_executable, require_feasible

    wish = wish_of(drop, power)
    requested = _config(config, flags)
    planned = make_plan(requested)
    require_feasible(requested.policy_name, planned.episodes)
    require_executable(named_choice(requested))
    seconds = estimated_seconds(planned, requested)
    background = background_like(like)
    found: Sequence[Outlook | UntilOutlook]
    if requested.until:
        found = ahead = until_outlooks(planned, requested, background, wish)
        lines = until_lines(ahead, background, wish)
    else:
        found = fixed = outlooks(planned, requested, background, wish)
        lines = lines_of(fixed, background)
    if as_json:
        rows = [{"id": spec.id, **fields_of(spec)} for spec in planned.episodes]
        findable = {"background": asdict(background), "suites": [asdict(outlook) for outlook in found]}
        emit({"digest": planned.digest, "seconds": seconds, "episodes": rows, "findable": findable})
        return
    most = most_episodes(planned, requested)
    print(
        f"{f'at most {most}' if requested.until else most} episodes: {'+'.join(requested.suite)}, "
        f"{requested.policy_name}, protocol {requested.protocol}"
    )
    print(f"conditions ({len(planned.conditions)}): {', '.join(planned.conditions)}")
    for note in planned.notes:
        print(f"note: {note}")
    print(
        f"at most about {duration(seconds)} with {requested.worker_count} workers, software rendering, "
        "without inference"
    )
    for line in lines:
        print(line)


@app.command(name="list")
def list_(
    what: Annotated[str, typer.Argument(help=" | ".join(LISTS))],
    name: Annotated[
        str | None, typer.Argument(help="Everything about this perturbation, or the YAML of this convention.")
    ] = None,
    suite: Annotated[str | None, typer.Option(help="Only this suite's tasks or texts.")] = None,
    plugin: Annotated[
        list[str] | None, typer.Option(help="Python file with axes or suites of your own; repeatable.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List suites, tasks, texts of tasks, perturbations, policies, conventions of policy servers, or protocols."""
    from simeval.cli import catalog
    from simeval.cli.entries import record

    if what not in LISTS:
        raise ConfigError(f"list: no list '{what}'{nearest(what, LISTS)}")
    if as_json:
        emit(record(what, catalog.checked(what, name, suite=suite, plugin_files=tuple(plugin or ()))))
        return
    for line in catalog.render(what, name, suite=suite, plugin_files=tuple(plugin or ())):
        print(line)


@app.command()
def video(
    folder: Annotated[str, typer.Argument(metavar="RUN", help="Run folder.")],
    episode: Annotated[str | None, typer.Option(help="Only this episode id.")] = None,
    failures: Annotated[bool, typer.Option("--failures", help="Only failed episodes.")] = False,
    successes: Annotated[bool, typer.Option("--successes", help="Only successful episodes.")] = False,
    flips: Annotated[bool, typer.Option("--flips", help="Only pairs whose outcome a perturbation changed.")] = False,
    camera: Annotated[str, typer.Option(help="agentview, wrist or both.")] = "both",
    size: Annotated[int, typer.Option(help="Side of an image (px), 64 to 1024, even.", **WHOLE)] = 512,
    compare: Annotated[bool, typer.Option("--compare", help="Clean and perturbed episode side by side.")] = False,
    limit: Annotated[int, typer.Option(help="At most this many videos.", **WHOLE)] = 20,
    plugin: Annotated[
        list[str] | None, typer.Option(help="Python file that the run was made with; repeatable.")
    ] = None,
) -> None:
    """Render stored episodes to MP4: what the policy saw, or clean and perturbed side by side."""
    from simeval.media.video import Selection, render_videos
    from simeval.store.run import Run

    chosen = [name for name, on in (("flips", flips), ("failures", failures), ("successes", successes)) if on]
    if len(chosen) > 1:
        raise ConfigError(f"--{chosen[0]} and --{chosen[1]}: choose one")
    which = chosen[0] if chosen else "all"
    plugins = tuple(plugin or ())
    selection = Selection(which, episode, camera=camera, size=size, compare=compare, limit=limit, plugins=plugins)
    with missing_glyphs_noted():
        for path in render_videos(Run.load(folder), selection):
            print(escaped(str(path)))


@app.command()
def preview(
    suite: Annotated[str, typer.Option(help="Suite.")] = "libero_spatial",
    instruction_source: Annotated[
        str, typer.Option(metavar="|".join(SOURCES), help="Texts of suites that publish several, as for run.")
    ] = SOURCES[0],
    task: Annotated[int, typer.Option(help="Task number.", **WHOLE)] = 0,
    init_state: Annotated[int, typer.Option(help="Initial state.", **WHOLE)] = 0,
    perturb: Annotated[
        list[str] | None, typer.Option(help="Condition or sweep to show beside the clean image; repeatable.")
    ] = None,
    step: Annotated[int, typer.Option(help="Control steps that the robot holds still, with --perturb.", **WHOLE)] = 0,
    plugin: Annotated[
        list[str] | None, typer.Option(help="Python file with axes or suites of your own; repeatable.")
    ] = None,
    assets: Annotated[
        str | None, typer.Option(help="Only these scenes.  [default: bundled, and official if here]")
    ] = None,
    size: Annotated[int, typer.Option(help="Side of an image (px), 64 to 1024.", **WHOLE)] = 256,
    out: Annotated[str, typer.Option(help="PNG file.")] = "preview.png",
) -> None:
    """Render what a policy would see: a task's first frame from both cameras, or what perturbations make of it."""
    from simeval.media.preview import write_preview

    config = from_mapping(
        {
            "suite": suite,
            "instruction_source": instruction_source,
            "tasks": str(task),
            "init_states": str(init_state),
            "assets": assets,
            "perturb": perturb,
            "plugin": plugin,
        }
    )
    with missing_glyphs_noted():
        print(escaped(str(write_preview(config, size=size, out=Path(out), step=step))))


@app.command()
def show(
    folder: Annotated[str, typer.Argument(metavar="RUN", help="Folder of a run, a study or a look inside policies.")],
    by_task: Annotated[bool, typer.Option("--by-task", help="One table per task as well.")] = False,
    stages: Annotated[
        bool, typer.Option("--stages", help="How far failures got as well; computed from the stored states, once.")
    ] = False,
    plugin: Annotated[
        list[str] | None, typer.Option("--plugin", help="Plugin that the run was made with, for --stages; repeatable.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print the tables of a run or a study, finished or not, or of what `represent` found."""
    from simeval.store.run import REPRESENTATION
    from simeval.store.study import Study, is_study

    what = "a study" if is_study(folder) else "what represent found" if is_file(Path(folder) / REPRESENTATION) else ""
    if what and (by_task or stages or plugin):
        option = "--by-task" if by_task else "--stages" if stages else "--plugin"
        raise ConfigError(f"{option}: {folder} is {what}; name a run")
    if is_study(folder):
        show_study(Study.load(folder), as_json=as_json)
        return
    if what:
        show_representation(Path(folder), as_json=as_json)
        return
    from simeval.store.run import Run

    stored = Run.load(folder)
    if plugin:
        from simeval.core import plugins

        plugins.load(plugins.named_again(stored.folder, stored.manifest, plugin))
    if stages:
        show_stages(stored, by_task=by_task, as_json=as_json)
        return
    from simeval.core.console import PlainConsole
    from simeval.report.terminal.run import print_tables, summarise  # not before: a mistyped folder needs no pandas

    if as_json:
        emit(summarise(stored))
        return
    print_tables(PlainConsole(), stored, tasks=by_task)


@app.command()
def doctor(
    policy: Annotated[
        str | None, typer.Option(help="What will be run: a checkpoint, a policy's file, or a server, which is asked.")
    ] = None,
    convention: Annotated[str | None, typer.Option(help="Card of a policy server, as for run.")] = None,
    ray: Annotated[
        str | None, typer.Option(help="local: start Ray for a moment; auto or HOST:PORT: ask a running cluster.")
    ] = None,
    out: Annotated[str, typer.Option(help="Where runs will be written.")] = "results",
    only: Annotated[str, typer.Option(help="Checks to run, for instance gpu,opengl.  [default: all]")] = "",
    as_json: AsJson = False,
) -> None:
    """Is this machine ready for a run? Says what is wrong and the command that mends it; exit code 1 if anything is."""
    from simeval.doctor import Request, run_and_print

    names = tuple(name for name in only.split(",") if name)
    request = Request(policy, ray, Path(out), names, convention)
    raise typer.Exit(run_and_print(request, write if as_json else sys.stdout.write, json=as_json))


def command(argv: Sequence[str]) -> int:
    """Carry out a command line; returns its exit code, see `simeval.cli.process.carry_out`."""
    return carry_out(app, argv)


def main() -> None:
    """Entry point. Does not return: see `simeval.cli.process.leave`."""
    open_streams()
    leave(command(sys.argv[1:]))
