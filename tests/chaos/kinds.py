"""The kinds of chaos. A case is a function of its kind and its seed alone.

Everything runs on the toy suite. The runs that are compared are of the random policy, which needs no images: every
episode of its has other actions, so its states tell as much as those of a policy that sees.
"""

import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from random import Random

from chaos.damages import damage
from chaos.judge import Fault, digests, faults, has_foreign_lines, unfinished, unlike
from chaos.lines import command_line, recipe
from chaos.process import Ended, Stop, call

RUN = ("run", "--suite", "toy", "--tasks", "0-1", "--init-states", "0", "--perturb", "action.noise:0.2")
HERE = ("--workers", "0", "--out")
MOVING = (*RUN, "--policy", "random", *HERE)
LOOKING = (*RUN, "--policy", "seeker", *HERE)
LEARNED = ("run", "--suite", "toy", "--tasks", "0", "--init-states", "0", "--n-action-steps", "10", "--device", "cpu")
AUDIT = ("audit", "--device", "cpu", "--max-frames", "2", "--perturb", "noise:0.1")
BLOCK = 4096
"""Bytes that a tmpfs gives out at a time."""


class Ground:
    """Where the cases are carried out, and the sound things that they damage, made when one is first needed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _sound(self, *argv: object) -> Ended:
        ended = call(*argv, folder=self.folder)
        if ended.code != 0:
            raise SystemExit(f"undisturbed, simeval {' '.join(ended.argv)} ends with {ended.code}: {ended.err}")
        return ended

    @cached_property
    def looking(self) -> Path:
        """A finished run of the policy that finds blocks, of which some episodes succeed."""
        self._sound(*LOOKING, self.folder / "looking")
        return self.folder / "looking"

    @cached_property
    def shown(self) -> str:
        """What `show --json` prints of it."""
        return self._sound("show", self.looking, "--json").out

    @cached_property
    def moving(self) -> Mapping[str, tuple[str, str]]:
        """The rows that a run of the random policy has when nothing disturbs it."""
        self._sound(*MOVING, self.folder / "moving")
        return digests(self.folder / "moving")

    @cached_property
    def checkpoint(self) -> Path:
        """A small SmolVLA."""
        tests = Path(__file__).parents[1]
        subprocess.run([sys.executable, tests / "support" / "tiny_smolvla.py", self.folder / "checkpoint"], check=True,
                       capture_output=True, env=os.environ | {"PYTHONPATH": str(tests.parent)})  # fmt: skip
        self._sound(*LEARNED, "--policy", self.folder / "checkpoint", *HERE, self.folder / "learned")
        return self.folder / "checkpoint"

    @cached_property
    def dataset(self) -> Path:
        """Two episodes of a LeRobotDataset with videos."""
        write = (
            "import sys, pathlib\nimport dataset_fixture as made\n"
            "made.write(pathlib.Path(sys.argv[1]), made.gray(['fold it', 'open it'], size=64), video=True)"
        )
        tests = Path(__file__).parents[1]
        subprocess.run([sys.executable, "-c", write, self.folder / "dataset"], check=True, capture_output=True,
                       env=os.environ | {"PYTHONPATH": f"{tests.parent}:{tests / 'support'}"})  # fmt: skip
        self._sound(*AUDIT, "--dataset", self.folder / "dataset", "--policy", self.checkpoint,
                    "--out", self.folder / "audited")  # fmt: skip
        return self.folder / "dataset"


@dataclass(frozen=True)
class Case:
    """One case while it is carried out.

    Attributes:
        ground: what the cases share.
        folder: its own, empty.
        random: where its choices come from.
    """

    ground: Ground
    folder: Path
    random: Random

    def call(self, *argv: object, **more: object) -> Ended:
        """A command of simeval in the case's folder."""
        return call(*argv, folder=self.folder, **more)


def lines(case: Case) -> list[Fault]:
    """A random command line, with a finished run, a random recipe and nothing else around it."""
    shutil.copytree(case.ground.looking, case.folder / "sound")
    (case.folder / "recipe.yaml").write_bytes(recipe(case.random))
    argv = command_line(case.random)
    ended = case.call(*argv)
    found = faults(ended)
    if not found and ended.code == 0 and argv[0] == "run" and "--help" not in argv:
        found = unfinished(ended, case.folder)
    return found


def runs(case: Case) -> list[Fault]:
    """A damaged file of a finished run, and a verb that reads it."""
    run = Path(shutil.copytree(case.ground.looking, case.folder / "run"))
    episodes = run / "episodes.jsonl"
    sound = episodes.read_bytes()
    file, how = damage(run, case.random)
    if file.suffix == ".npz":
        verb = case.random.choice(("video", "run"))
    else:
        verb = case.random.choices(("show", "run", "compare", "report"), (10, 5, 4, 1))[0]
    argv = {
        "show": ("show", run, "--json"),
        "compare": ("compare", case.ground.looking, run, "--json"),
        "report": ("report", run),
        "video": ("video", run, "--size", "64", "--episode", _id_of(file)),
        "run": (*LOOKING, run),
    }[verb]
    ended = case.call(*argv)
    found = faults(ended)
    if not found and ended.code == 0 and verb == "run":
        found = unlike(ended, run, digests(case.ground.looking))
    elif not found and ended.code == 0 and file == Path("episodes.jsonl") and episodes.is_file():
        foreign = has_foreign_lines(episodes.read_bytes(), sound)
        if foreign and not (verb == "show" and ended.out == case.ground.shown):
            found = [Fault("numbers", "a damaged row was counted in silence", ended.argv)]
    return [Fault(one.kind, f"{file}, {how}: {one.words}", one.argv) for one in found]


def _id_of(trace: Path) -> str:
    return str(trace.relative_to("traces").with_suffix("")) if trace.suffix == ".npz" else ""


def checkpoints(case: Case) -> list[Fault]:
    """A damaged file of a checkpoint, and a run with it."""
    policy = Path(shutil.copytree(case.ground.checkpoint, case.folder / "policy"))
    file, how = damage(policy, case.random)
    ended = case.call(*LEARNED, "--policy", policy, *HERE, case.folder / "run")
    found = faults(ended)
    if not found and ended.code == 0:
        found = unfinished(ended, case.folder / "run")
    return [Fault(one.kind, f"{file}, {how}: {one.words}", one.argv) for one in found]


def datasets(case: Case) -> list[Fault]:
    """A damaged file of a dataset, and an audit on it."""
    dataset = Path(shutil.copytree(case.ground.dataset, case.folder / "dataset"))
    file, how = damage(dataset, case.random)
    ended = case.call(*AUDIT, "--dataset", dataset, "--policy", case.ground.checkpoint, "--out", case.folder / "out")
    return [Fault(one.kind, f"{file}, {how}: {one.words}", one.argv) for one in faults(ended)]


def kills(case: Case) -> list[Fault]:
    """A run that is ended by signals, up to three times, and the same command until it is done."""
    sound, run = case.ground.moving, case.folder / "run"
    for _ in range(case.random.choice((1, 1, 2, 3))):
        sent = case.random.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT))
        if case.random.random() < 0.5:
            stop = Stop(sent, case.random.uniform(0.0, 1.0))
            ended = case.call(*MOVING, run, stop=stop)
        else:
            ended = case.call(*MOVING, run, prepare=_killing(run, sent, case.random.randint(1, 80)))
        found = faults(ended, sent)
        if found:
            return found
    return _resumed(case, run, sound)


def _resumed(case: Case, run: Path, sound: Mapping[str, tuple[str, str]]) -> list[Fault]:
    """The same command, undisturbed: it has to end well, and with the rows of a run that was never disturbed."""
    ended = case.call(*MOVING, run)
    found = faults(ended)
    if not found and ended.code != 0:
        found = [Fault("exit code", f"{ended.code} when resumed: {ended.err[:300]}", ended.argv)]
    return found or unlike(ended, run, sound)


def _killing(run: Path, sent: int, turn: int) -> Callable[[], None]:
    """Have a process send itself a signal at its `turn`-th step towards the disk: a file opened or renamed, a sync."""

    def prepare() -> None:
        left, place, sync = turn, str(run), os.fsync

        def step() -> None:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), sent)

        def watched(descriptor: int) -> None:
            step()
            sync(descriptor)

        def hook(event: str, told: tuple[object, ...]) -> None:
            if event.startswith(("open", "os.")) and told and str(told[0]).startswith(place):
                step()

        os.fsync = watched
        sys.addaudithook(hook)

    return prepare


def disks(case: Case) -> list[Fault]:
    """A run on a disk that is full, and the same command when there is room again."""
    sound, run = case.ground.moving, case.folder / "disk" / "run"
    run.parent.mkdir()
    if os.geteuid() == 0 and case.random.random() < 0.5 and _mounted(case.random, run.parent):
        try:
            ended = case.call(*MOVING, run)
            subprocess.run(["mount", "-o", "remount,size=64m,nr_inodes=10000", run.parent], check=True)
            return faults(ended) or _resumed(case, run, sound)
        finally:
            subprocess.run(["umount", run.parent], check=True)
    limit = int(2 ** case.random.uniform(4, 14))
    ended = case.call(*MOVING, run, prepare=lambda: _limited(limit))
    return faults(ended) or _resumed(case, run, sound)


def _mounted(random: Random, place: Path) -> bool:
    """Whether a small file system is there now; containers may have no right to make one."""
    options = f"size={random.randint(1, 16) * BLOCK},nr_inodes={random.choice((3, 6, 12, 1000))}"
    return subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], capture_output=True).returncode == 0


def _limited(size: int) -> None:
    """From now on no file of this process can be larger."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


KINDS: dict[str, Callable[[Case], list[Fault]]] = {
    "lines": lines,
    "runs": runs,
    "kills": kills,
    "disks": disks,
    "checkpoints": checkpoints,
    "datasets": datasets,
}
