"""CONTRIBUTING.md and the hooks before a commit say what the Makefile and pyproject.toml say."""

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text()
LINT = re.search(r"^lint: setup\n((?:\t.+\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)[1]


def test_the_commands_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z-]+)`", TEXT)) <= targets


def test_the_floors_are_those_of_the_contract():
    (contract,) = (
        contract
        for contract in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
        if contract["type"] == "layers"
    )
    floors = [set(layer.replace(".", "/").split(" | ")) for layer in contract["layers"]]
    cells = re.findall(r"^\| (\d+) \| ([^|]+) \|", TEXT, re.MULTILINE)
    said = [{name.removesuffix(".py") for name in re.findall(r"`([^`]+)`", cell)} for _, cell in cells]
    assert [int(number) for number, _ in cells] == [*range(len(floors), 0, -1)]
    assert said == floors


def test_hooks_and_lint_run_the_same_tools():
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert repository["repo"] == "local", "hooks from elsewhere would have versions of their own"
    entries = [hook["entry"] for hook in repository["hooks"]]
    wanted = [line.strip().replace("$(BIN)/", ".venv/bin/") for line in LINT.splitlines()]
    assert {re.search(r"\.venv/bin/\S+(?: check| format)?", line)[0] for line in wanted} == {
        re.search(r"\.venv/bin/\S+(?: check| format)?", entry)[0] for entry in entries
    }
    assert any(entry.endswith(wanted[2].removeprefix("MYPYPATH=. ")) for entry in entries), "mypy with the same words"
