"""The options of a gate, and its files: `compare --gate` and `run --gate`."""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from simeval.cli.options import settings
from simeval.config.options import flag
from simeval.core.errors import ConfigError
from simeval.core.files import replace_file
from simeval.core.json_output import emit

if TYPE_CHECKING:
    from simeval.analysis.gate import Gate
    from simeval.core.console import PlainConsole
    from simeval.store.run import Run

CODES = (
    "Exit code: 0 better or no worse, 3 regression, 4 cannot tell, 5 not comparable (1 not to its end, 2 bad input)."
)
MOST_MARGIN = 50

GateSwitch = Annotated[bool, typer.Option("--gate", help=f"End with a verdict. {CODES}")]
Margin = Annotated[
    float | None,
    typer.Option(help="With --gate: points of success that B may lose, above 0.  [default: 5]", metavar="POINTS"),
]
Junit = Annotated[
    str | None, typer.Option(help="With --gate: JUnit XML to write, a test case per condition.", metavar="FILE")
]
Markdown = Annotated[
    str | None,
    typer.Option(help="Markdown to write; appended to $GITHUB_STEP_SUMMARY.", metavar="FILE"),
]
RunGate = Annotated[
    bool,
    typer.Option(
        "--gate", help=f"End with a verdict: does a condition cost more success than --margin points? {CODES}"
    ),
]


@dataclass(frozen=True, slots=True)
class Files:
    """Files that a gate writes; `None` for none."""

    junit: Path | None
    markdown: Path | None


def files(junit: str | None, markdown: str | None) -> Files:
    """The files, after a check that they can be written: better now than after hours of rollouts.

    Raises:
        ConfigError: one cannot.
    """
    for name, value in (("--junit", junit), ("--markdown", markdown)):
        if value is not None:
            _require_writable(name, value)
    return Files(Path(junit) if junit else None, Path(markdown) if markdown else None)


def _require_writable(name: str, value: str) -> None:
    path = Path(value)
    try:
        if not value or path.is_dir():
            raise ConfigError(f"{name} {value}: name a file")
        existing = next(folder for folder in path.absolute().parents if folder.exists())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{name} {value}: {getattr(error, 'strerror', None) or error}") from None
    if not existing.is_dir():
        raise ConfigError(f"{name} {value}: {existing} is not a folder")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise ConfigError(f"{name} {value}: {existing} cannot be written")


def fraction(margin: float | None) -> float:
    """The margin as a fraction.

    Raises:
        ConfigError: it is out of range.
    """
    from simeval.config.decisions import MARGIN  # not earlier: SciPy takes half a second

    points = MARGIN if margin is None else margin
    if not 0 < points <= MOST_MARGIN:  # NaN neither
        raise ConfigError(f"--margin {points:g}: must be above 0 and at most {MOST_MARGIN}, in points of success")
    return points / 100


def require_gate(given: Mapping[str, object]) -> None:
    """Refuse options that only a gate has.

    Args:
        given: values of the options, by field name.

    Raises:
        ConfigError: one was given.
    """
    for name, value in given.items():
        if value is not None:
            text = f"{value:g}" if isinstance(value, float) else value
            raise ConfigError(f"{flag(name)} {text}: needs --gate")


@dataclass(frozen=True, slots=True)
class RunGateRequest:
    """What `run --gate` is to judge.

    Attributes:
        margin: the drop that is allowed (fraction); `None` for that of the run's own decisions.
        files: what to write.
    """

    margin: float | None
    files: Files


def run_gate(flags: dict[str, Any], file: str | None, resume: str | None, paths: Files) -> RunGateRequest:
    """Read the options of `run --gate`; takes `margin` out of `flags` unless it is the run's own.

    Args:
        flags: of the configuration; changed.
        file: of `--config`.
        resume: the folder of `--resume`.
        paths: files to write.

    Raises:
        ConfigError: there is no perturbed condition to judge, or the margin is out of range.
    """
    from simeval.core.types import CLEAN
    from simeval.store.resume import config_of

    margin = flags.get("margin")
    others = {name: value for name, value in flags.items() if name != "margin"}
    planned = (
        settings(file, others) if resume is None else {**config_of(Path(resume), others), **settings(None, others)}
    )
    named = planned.get("perturb") or ()
    perturbed = not isinstance(named, list | tuple) or any(name != CLEAN for name in named)
    if not perturbed and not planned.get("base_arm", planned.get("base-arm")):
        raise ConfigError("--gate: needs a condition to judge; name one with --perturb")
    if planned.get("until"):
        return RunGateRequest(None, paths)
    own = fraction(margin)
    flags["margin"] = None
    return RunGateRequest(own, paths)


def finish_gate(run: "Run", request: RunGateRequest | None, console: "PlainConsole | None") -> int:
    """Judge a run, print the verdict, and return its exit code; 0 without a request.

    Args:
        run: the run.
        request: what to judge.
        console: where to print; `None` for a line of JSON.
    """
    if request is None:
        return 0
    found = judge_run(run, request)
    if console is None:
        emit({"event": "gate", **record(found)})
    else:
        from simeval.report.verdict.terminal import print_gate

        console.print()
        print_gate(console, found)
    return found.exit_code


def judge_run(run: "Run", request: RunGateRequest) -> "Gate":
    """Judge a run's conditions against its clean episodes, and write the files."""
    from simeval.analysis import evidence, gate, success
    from simeval.analysis.sequential import sequential
    from simeval.config.decisions import margin_of

    episodes = run.table(success.USED)
    manifest = run.manifest
    if request.margin is not None:
        manifest = {**manifest, "config": {**manifest["config"], "margin": 100 * request.margin}}
    followed = sequential(manifest, episodes)  # also of a run that grew
    analysed = success.analyse(episodes, margin_of(manifest), followed)
    verdict, conditions = gate.judge(evidence.of_run(analysed), analysed.margin)
    policy = str(run.manifest["identity"]["policy"]["name"])
    reason = "" if conditions else "no condition has a complete pair"
    found = gate.Gate("run", verdict, analysed.margin, conditions, policy, policy, reason)
    write_gate(found, request.files)
    return found


def write_gate(gate: "Gate", paths: Files) -> None:
    """Write the files of a gate.

    Raises:
        OSError: one cannot be written.
    """
    if paths.junit:
        from simeval.report.verdict.junit import junit_xml

        paths.junit.parent.mkdir(parents=True, exist_ok=True)
        replace_file(paths.junit, junit_xml(gate))
    if paths.markdown:
        from simeval.report.verdict.markdown import gate_markdown

        write_markdown(paths.markdown, gate_markdown(gate))


def write_markdown(path: Path, text: str) -> None:
    """Write Markdown; the summary of a GitHub job is appended to, as it is shared with the job's other steps.

    Raises:
        OSError: it cannot be written.
    """
    if str(path) == os.environ.get("GITHUB_STEP_SUMMARY"):
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, text.encode("utf-8"))


def record(gate: "Gate") -> dict[str, Any]:
    """A gate, JSON-ready."""
    return {**asdict(gate), "exit_code": gate.exit_code, "pairs_to_settle": gate.pairs_to_settle}
