"""The verb that runs, audits and compares several policies, and what `show` and `report` do with a study."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from simeval.cli.numerics import enter_numerics
from simeval.cli.options import WHOLE, AsJson, require_named_code
from simeval.core.errors import ConfigError
from simeval.core.files import require_inside
from simeval.core.json_output import emit
from simeval.core.texts import escaped

if TYPE_CHECKING:
    from simeval.analysis.study import StudyResults
    from simeval.config.study import StudyConfig
    from simeval.store.study import Study
    from simeval.study import Left, Observers

studies = typer.Typer()
MAX_BYTES = 1_000_000


@studies.command()
def study(
    file: Annotated[str, typer.Argument(metavar="FILE", help="YAML: settings of `run`, `audit:` and `policies:`.")],
    out: Annotated[str | None, typer.Option(help="Study folder.  [default: results/NAME of FILE]")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check all, say what is left, and start nothing.")] = False,
    workers: Annotated[int | None, typer.Option(help="Rollout workers, as for run.", **WHOLE)] = None,
    plugin: Annotated[list[str] | None, typer.Option(help="Plugin that FILE names; it is code. Repeatable.")] = None,
    policy: Annotated[
        list[str] | None, typer.Option(help="FILE.py:MAKER or server that FILE names; it is code. Repeatable.")
    ] = None,
    ray_address: Annotated[str | None, typer.Option(help="Cluster, as for run.")] = None,
    as_json: AsJson = False,
) -> None:
    """Run and audit several policies on the same episodes, and write one report. The same command resumes."""
    flags = {"out": out, "workers": workers, "plugin": plugin, "ray_address": ray_address}
    config = _requested(file, {name: value for name, value in flags.items() if value is not None}, policy or [])
    target = _target(config.folder, None)
    enter_numerics(config.policies[0].run.numerics)
    if dry_run:
        from simeval.study import is_represented, what_is_left

        _outline(config, list(what_is_left(config)), inside=not is_represented(config), as_json=as_json)
        return
    from simeval.study import run_study

    done = run_study(config, _observers(as_json=as_json))
    from simeval.analysis.study import study_results  # not earlier: pandas and SciPy take a second

    results = study_results(done)
    _print(done, results, as_json=as_json)
    page = _write(done, results, target)
    if not as_json:
        print(f"report: {escaped(str(page))}")
    failed = [one.member for one in done.policies if one.member.failed]
    for member in failed:
        typer.echo(f"simeval: {member.name}: {escaped(member.failed[:300])}; the same command tries again", err=True)
    missing = done.manifest.not_represented
    if missing:
        typer.echo(f"simeval: representation: {escaped(missing[:300])}; the same command tries again", err=True)
    if failed or missing or not done.complete:
        raise typer.Exit(1)


def _requested(file: str, flags: dict[str, Any], named: list[str]) -> "StudyConfig":
    from simeval.config.study import POLICIES, POLICY, study_from_mapping
    from simeval.core.yaml_file import read_yaml

    recipe = read_yaml(file, "study", max_bytes=MAX_BYTES)
    require_named_code(file, recipe, flags)
    policies = recipe.get(POLICIES)
    for given in policies.values() if isinstance(policies, dict) else ():
        name = given.get(POLICY) if isinstance(given, dict) else None
        require_named_code(file, {POLICY: name}, {POLICY: name} if name in named else {})
    try:
        return study_from_mapping({**recipe, **flags}, Path("results") / Path(file).stem)
    except ConfigError as error:
        raise ConfigError(f"{escaped(file)}: {error}") from None


def _observers(*, as_json: bool) -> "Observers":
    from simeval.core.console import PlainConsole
    from simeval.drift import progress as of_audit
    from simeval.runner import progress as of_run
    from simeval.study import Observers

    console = PlainConsole()
    if as_json:
        return Observers(
            lambda policy, number, count: emit({"event": "policy", "name": policy.name, "number": number, "of": count}),
            of_run.JsonProgress,
            of_audit.JsonLines,
            lambda text: emit({"event": "step", "text": text}),
        )
    live = console.is_terminal
    return Observers(
        lambda policy, number, count: print(f"[{number}/{count}] {policy.name}", flush=True),
        lambda: of_run.LiveProgress(console) if live else of_run.PlainProgress(console),
        lambda: of_audit.LiveBar(console) if live else of_audit.Lines(console),
        lambda text: print(f"representation: {escaped(text)}", flush=True),
    )


def _outline(config: "StudyConfig", left: "list[Left]", *, inside: bool, as_json: bool) -> None:
    from simeval.config.plan import duration

    seconds = sum(one.seconds * (one.episodes - one.finished) / max(1, one.episodes) for one in left)
    episodes = sum(one.episodes for one in left)
    if as_json:
        rows = [
            {"name": one.policy.name, "group": one.policy.group, "seed": one.policy.seed, "episodes": one.episodes}
            | {"finished": one.finished, "audit_left": one.audit, "policy": one.policy.run.policy_name}
            for one in left
        ]
        about = {"folder": str(config.folder), "episodes": episodes, "seconds": seconds, "representation_left": inside}
        emit({**about, "policies": rows})
        return
    for one in left:
        seed = "" if one.policy.seed is None else f", seed {one.policy.seed}"
        audit = ", then its audit" if one.audit else ""
        print(
            f"{one.policy.name} ({one.policy.group}{seed}): {one.policy.run.policy_name}, "
            f"{one.episodes - one.finished} of {one.episodes} episodes left{audit}"
        )
    if inside:
        print("then a look inside the policies (representation)")
    workers = config.policies[0].run.worker_count
    print(
        f"{len(left)} policies, {episodes} episodes -> {config.folder}: at most about {duration(seconds)} with "
        f"{workers} workers, software rendering, without inference and audits"
    )


def show_study(study: "Study", *, as_json: bool) -> None:
    """Print the tables of a study."""
    from simeval.analysis.study import study_results

    _print(study, study_results(study), as_json=as_json)


def report_study(study: "Study", out: str | None) -> Path:
    """Write the report of a study; returns the page."""
    from simeval.analysis.study import study_results

    target = _target(study.folder, out)
    return _write(study, study_results(study), target)


def _target(folder: Path, out: str | None) -> Path:
    """The folder of a study's report, after a check that it can be written.

    Raises:
        ConfigError: it cannot.
    """
    from simeval.store.run import require_writable

    if out is None:
        require_writable(folder)
        require_inside(folder, "report")
    target = Path(out) if out else folder / "report"
    require_writable(target)
    return target


def _write(study: "Study", results: "StudyResults", target: Path) -> Path:
    from simeval.report.study.extras import extras_of
    from simeval.report.study.page import write_study_report

    return write_study_report(results, study.folder, target, extras_of(study, results))


def _print(study: "Study", results: "StudyResults", *, as_json: bool) -> None:
    if as_json:
        from simeval.report.study.extras import extras_of
        from simeval.report.study.page import study_record

        emit({"event": "summary", "folder": str(study.folder), **study_record(results, extras_of(study, results))})
        return
    from simeval.core.console import PlainConsole
    from simeval.report.study.terminal import print_study_tables  # the page's modules take two seconds more

    print_study_tables(PlainConsole(), results)
