"""The names that `import simeval` gives: each is there, explains itself, and raises what it says."""

import ast
import builtins
import inspect
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import simeval
from envs.base import EnvError
from perturbations.base import Infeasible, SpecError
from simeval.core import errors

PROMISED = {
    "audit", "AuditConfig", "Audit", "compare", "ConfigError", "correlate", "EpisodeError", "EpisodeResult",
    "EpisodeSpec", "EvalConfig", "evaluate", "make_plan", "Plan", "render_videos", "report_data", "Run", "SimevalError",
    "threshold", "threshold_config", "worst", "worst_config", "write_preview", "write_report",
}  # fmt: skip
"""Other people's code uses these: a name that is taken away breaks it."""


def test_the_public_names_are_these():
    assert set(simeval.__all__) == PROMISED
    assert set(dir(simeval)) >= PROMISED


@pytest.mark.parametrize("name", sorted(PROMISED))
def test_a_public_name_is_there_and_explains_itself(name):
    value = getattr(simeval, name)
    assert value.__name__ == name
    assert value.__module__.startswith("simeval.")
    assert value.__doc__, f"{name} has no docstring of its own"


def test_type_checkers_are_told_the_same_names():
    """Their imports are never executed, so nothing else would notice a name that is missing or from elsewhere."""
    tree = ast.parse(Path(simeval.__file__).read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    told = {
        alias.asname: f"{node.module}.{alias.name}"
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert told == {name: f"simeval.{home}.{name}" for name, home in simeval._HOMES.items()}


def test_another_name_is_an_ordinary_error():
    with pytest.raises(AttributeError, match="module 'simeval' has no attribute 'judge'"):
        simeval.judge  # noqa: B018


def test_a_star_import_gives_the_public_names():
    code = "from simeval import *; print(*sorted(name for name in globals() if name[0] != '_'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == PROMISED


def documented(value: object) -> Iterator[str]:
    """Names of the exceptions in the `Raises:` section of a docstring."""
    _, _, section = (inspect.getdoc(value) or "").partition("\nRaises:\n")
    yield from re.findall(r"^    (\w+): ", section.partition("\n\n")[0], re.MULTILINE)


def callables() -> Iterator[tuple[str, object]]:
    for name in sorted(PROMISED):
        value = getattr(simeval, name)
        yield name, value
        if inspect.isclass(value):
            yield from ((f"{name}.{key}", getattr(value, key)) for key in vars(value) if not key.startswith("_"))


def test_what_public_names_say_they_raise_can_be_caught_as_one():
    said = {(name, error) for name, value in callables() for error in documented(value)}
    assert {("evaluate", "ConfigError"), ("Run.load", "ConfigError"), ("Run.results", "ConfigError")} <= said
    for name, error in said:
        kind = getattr(errors, error, None) or getattr(builtins, error)
        assert issubclass(kind, simeval.SimevalError | OSError), f"{name} raises {error}"


REFUSED: dict[str, Callable[[Path], object]] = {
    "a value that is none": lambda folder: simeval.EvalConfig(workers=-1),
    "a suite that does not exist": lambda folder: simeval.make_plan(simeval.EvalConfig(suite=("toi",))),
    "an axis that does not exist": lambda folder: simeval.evaluate(
        simeval.EvalConfig(suite=("toy",), perturb=("nois:0.1",), out=str(folder))
    ),
    "an audit of an axis that does not exist": lambda folder: simeval.audit(
        simeval.AuditConfig(dataset=str(folder), perturb=("nois:0.1",))
    ),
    "no run": lambda folder: simeval.Run.load(folder),
    "no audit": lambda folder: simeval.Audit.load(folder),
    "scenes that are not there": lambda folder: simeval.write_preview(
        simeval.EvalConfig(suite=("libero_spatial",), tasks="0", init_states="0", assets=str(folder / "none")),
        size=64,
        out=folder / "preview.png",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_refusal_is_an_error_of_ours_with_one_line(case, tmp_path):
    with pytest.raises(simeval.SimevalError) as refused:
        REFUSED[case](tmp_path)
    assert str(refused.value)
    assert "\n" not in str(refused.value)


def test_errors_of_the_packages_below_are_not_ours():
    """They cannot know simeval; where one of them meets a public function, a `ConfigError` or a row comes of it."""
    assert not any(issubclass(kind, simeval.SimevalError) for kind in (EnvError, SpecError, Infeasible))
