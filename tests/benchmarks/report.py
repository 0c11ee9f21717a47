"""What the benchmarks share: a table on the screen, the same as JSON with its machine, and a watch over processes."""

import contextlib
import datetime
import json
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "results" / "benchmarks"
PYTHON = sys.executable
SIMEVAL = str(Path(PYTHON).with_name("simeval"))
PACKAGES = ("simeval", "mujoco", "robosuite", "hf-libero", "lerobot", "torch", "transformers", "ray", "numpy", "pandas")


def environment(**more) -> dict:
    """What every measured process gets: one thread for BLAS and for software OpenGL, no network."""
    from envs.sim.rendering import select_backend
    from simeval.runner.session import ONE_THREAD

    select_backend()
    return os.environ | ONE_THREAD | {"HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)} | more


def scenes_here() -> Iterator[tuple[str, Path]]:
    """Both kinds of LIBERO's scenes with their asset folders; says so if the real files are not here."""
    from envs.base import EnvError
    from envs.libero.files import resolve_assets

    for kind, where in (("bundled", "bundled"), ("official", "cached")):
        try:
            assets = resolve_assets(where)
        except EnvError as error:
            print(f"{kind} scenes are left out: {error}")
            continue
        yield kind, assets


def unpinned(env: dict) -> dict:
    """Variables of a process with the processor's fastest kernels, which other programs have."""
    before = json.loads(env.get("SIMEVAL_NUMERICS_BEFORE", "{}"))
    named = {name: value for name, value in {**env, **before}.items() if value is not None}
    return {name: value for name, value in named.items() if not name.startswith("SIMEVAL_NUMERICS")}


def machine() -> dict:
    """The hardware, and how busy it was before anything was measured."""
    from simeval.core import provenance

    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        processor = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "")
    return {
        "processor": processor or platform.processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "gpus": _gpus(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "load_before": [round(value, 2) for value in os.getloadavg()],
        "git": provenance.git_commit(),
        "versions": {name: provenance.version(name) for name in PACKAGES},
    }


def cpu_seconds(processes: Iterable[psutil.Process]) -> float:
    """CPU time of those of the processes that still run."""
    total = 0.0
    for process in processes:
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def _without_folders(word: str) -> str:
    """A word of the command; of an absolute path the last part, since results are passed on."""
    return Path(word).name if Path(word).is_absolute() else word


def _gpus() -> list[str]:
    query = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        return subprocess.run(query, capture_output=True, text=True, check=True).stdout.strip().splitlines()
    except (OSError, subprocess.CalledProcessError):
        return []


@dataclass
class Report:
    """Tables of one benchmark. `machine` is taken first, so that the load is that of others."""

    name: str
    about: str
    machine: dict = field(default_factory=machine)
    tables: list[dict] = field(default_factory=list)

    def table(self, title: str, rows: list[dict]) -> None:
        """Print a table, one dictionary per line, and keep it."""
        self.tables.append({"title": title, "rows": rows})
        columns = list(dict.fromkeys(key for row in rows for key in row))
        cells = [columns, *([_shown(row.get(column)) for column in columns] for row in rows)]
        widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
        print(f"\n{title}")
        for line in cells:
            first, *others = (text.rjust(width) for text, width in zip(line, widths, strict=True))
            print("  ".join([first.strip().ljust(widths[0]), *others]))
        sys.stdout.flush()

    def write(self, out: str | None) -> Path:
        """Write everything as JSON; by default below `results/benchmarks`."""
        head = {"benchmark": self.name, "about": self.about}
        return self._store(out, {**head, **self._made(), "tables": self.tables})

    def merge(self, out: str | None, titles: Iterable[str]) -> Path:
        """Put these tables into the file of an earlier run; its other tables stay as they are.

        Command, time and machine of the file are those of the other tables. Each table that is put in has its own,
        below `made`.

        Args:
            out: as for `write`.
            titles: of all tables that the benchmark has, in their order; the file keeps no other ones.

        Raises:
            OSError: there is no such file.
        """
        content = json.loads(self._path(out).read_text())
        made = self._made()
        for table in self.tables:
            table.setdefault("made", made)
        found = {table["title"]: table for table in (*content["tables"], *self.tables)}
        return self._store(out, {**content, "tables": [found[title] for title in titles if title in found]})

    def _path(self, out: str | None) -> Path:
        return Path(out) if out else RESULTS / f"{self.name}.json"

    def _made(self) -> dict:
        """How the tables were made: command, time, machine and its load."""
        script = Path(sys.argv[0]).resolve().relative_to(ROOT)
        command = " ".join(["python", str(script), *map(_without_folders, sys.argv[1:])])
        created = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        return {"command": command, "created": created, "machine": self.machine, "load_after": os.getloadavg()[0]}

    def _store(self, out: str | None, content: dict) -> Path:
        path = self._path(out)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")
        print(f"\nwritten: {path}")
        return path


def _shown(value) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return str(value)


class Memory:
    """Peak memory of a process and all its children (MB), and their CPU time (s), sampled while they run.

    `rss` counts a page once per process that maps it; `pss` counts shared pages once, and is sampled more rarely
    because the kernel has to walk the page tables. CPU time depends less on what else runs than the clock on the wall.
    """

    RSS_EVERY, PSS_EVERY = 0.5, 3.0

    def __init__(self, pid: int) -> None:
        self.rss = self.pss = 0.0
        self.worker_rss = self.worker_pss = 0.0  # of the largest rollout worker
        self._cpu: dict[int, float] = {}
        self._root, self._over = psutil.Process(pid), threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Memory":
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._over.set()
        self._thread.join()

    @property
    def cpu(self) -> float:
        """CPU seconds of all processes so far."""
        return sum(self._cpu.values())

    def _watch(self) -> None:
        turn, every = 0, round(self.PSS_EVERY / self.RSS_EVERY)
        while not self._over.wait(self.RSS_EVERY):
            with contextlib.suppress(psutil.Error):
                tree = [self._root, *self._root.children(recursive=True)]
                self.rss = max(self.rss, sum(_rss(process) for process in tree))
                self._cpu |= {process.pid: _cpu(process, self._cpu.get(process.pid, 0.0)) for process in tree}
                for worker in filter(_is_worker, tree):
                    self.worker_rss = max(self.worker_rss, _rss(worker))
                turn += 1
                if turn % every == 0:
                    self.pss = max(self.pss, sum(_pss(process) for process in tree))
                    self.worker_pss = max([self.worker_pss, *(_pss(p) for p in tree if _is_worker(p))])


def _is_worker(process) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.name().startswith("ray::RemoteWork") or "RemoteWorker" in " ".join(process.cmdline()[:1])
    return False


def _rss(process) -> float:
    with contextlib.suppress(psutil.Error):
        return process.memory_info().rss / 1e6
    return 0.0


def _cpu(process, before: float) -> float:
    with contextlib.suppress(psutil.Error):
        times = process.cpu_times()
        return times.user + times.system
    return before


def _pss(process) -> float:
    with contextlib.suppress(psutil.Error, OSError, ValueError):
        text = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
        return float(next(line for line in text.splitlines() if line.startswith("Pss:")).split()[1]) / 1e3
    return 0.0


@dataclass(frozen=True)
class Watched:
    """One `simeval run`, seen from outside.

    Attributes:
        whole: wall-clock seconds of the command.
        first: seconds until the first episode had finished.
        begun: seconds until the first episode began.
        steady: from the start of the first episode to the end of the last; further scenes, storing, idle tails count.
        rows: of the episodes, as `--json` prints them.
        memory: of the command and its children.
    """

    whole: float
    first: float
    begun: float
    steady: float
    rows: list[dict]
    memory: Memory


def watch_run(*words: object, program: str = SIMEVAL, env: dict | None = None, **told: str) -> Watched:
    """Start `simeval run WORDS` as a user would and wait for its end."""
    start, arrived = time.perf_counter(), []
    command = [program, "run", "--json", *map(str, words)]
    env = environment(**told) if env is None else env
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)
    with Memory(process.pid) as memory:
        for line in process.stdout:
            row = json.loads(line)
            if row["event"] == "episode":
                arrived.append((time.perf_counter() - start, row))
        code = process.wait()
    whole = time.perf_counter() - start
    broken = [row for _, row in arrived if row["outcome"] == "error"]
    if code or broken or not arrived:
        raise SystemExit(f"{' '.join(command)} ended with {code}, {len(arrived)} episodes, errors: {broken[:1]}")
    begun = min(end - sum(row["timings"].values()) for end, row in arrived)
    return Watched(whole, arrived[0][0], begun, arrived[-1][0] - begun, [row for _, row in arrived], memory)
