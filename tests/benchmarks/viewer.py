"""How long until `simeval view` shows a page, and how much memory it takes: many runs, and a run of many episodes.

The rows are made up; there are no traces. A page is opened for the first time by a new server, then again. The first
page of a run comes before its intervals, which are computed in the background: `settled` is when all are there.
"""

import argparse
import json
import random
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path
from urllib.parse import urlencode

import psutil
from report import PYTHON, ROOT, Report, environment

from simeval.core.checksums import sealed_line
from simeval.core.types import condition_part

CONDITIONS = ("none", *(f"noise:0.{k:02d}" for k in range(1, 10)), *(f"light:0.{k}" for k in range(1, 10)), "light:1.5")
STORED = ROOT / "results" / "quickstart"
TASKS, STATES = 10, 50


def make_run(folder: Path, episodes: int) -> None:
    """A run of ten tasks and twenty conditions; a condition costs the more the later it is."""
    manifest = json.loads((STORED / "manifest.json").read_text())
    manifest |= {"conditions": list(CONDITIONS), "episodes": episodes}
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    row = json.loads((STORED / "episodes.jsonl").read_text().splitlines()[0])
    chance = random.Random(episodes)
    with (folder / "episodes.jsonl").open("wb") as file:
        for number in range(episodes):
            pair, column = divmod(number, len(CONDITIONS))
            rest, task = divmod(pair, TASKS)
            repeat, state = divmod(rest, STATES)
            condition, name = CONDITIONS[column], f"libero_spatial/{task}/init{state:02d}"
            solved = chance.random() < 0.9 - 0.03 * column
            spec = row["spec"] | {"task": task, "init_state": state, "repeat": repeat, "condition": condition}
            made = row | {
                "id": f"{name}/{condition_part(condition)}/r{repeat}", "pair_id": f"{name}/r{repeat}", "spec": spec,
                "outcome": "success" if solved else "failure", "first_success": 150 if solved else None,
                "reached": "original" if solved else "neither",
                "flags": ["far_action"] if chance.random() < 0.05 else [],
            }  # fmt: skip
            made.pop("crc", None)
            file.write(sealed_line(made))


class Server:
    """`simeval view` in a process of its own."""

    def __init__(self, folder: Path) -> None:
        start = time.perf_counter()
        command = [PYTHON, "-m", "simeval.cli", "view", str(folder), "--port", "0"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment())
        self.address = self.process.stdout.readline().split()[-1].rstrip("/")
        self.started = time.perf_counter() - start

    def open(self, path: str, **query: str) -> tuple[float, str]:
        """Seconds until a page is there, and the page."""
        start = time.perf_counter()
        with urllib.request.urlopen(f"{self.address}{path}?{urlencode(query)}", timeout=300) as answer:
            page = answer.read().decode()
        return time.perf_counter() - start, page

    def settle(self, path: str, **query: str) -> float:
        """Seconds until nothing on a page is still being computed."""
        start = time.perf_counter()
        while 'class="pending"' in self.open(path, **query)[1]:
            time.sleep(0.05)
        return time.perf_counter() - start

    @property
    def peak_mb(self) -> float:
        """Largest memory so far."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) / 1e3

    @property
    def cpu(self) -> float:
        """CPU seconds so far."""
        times = psutil.Process(self.process.pid).cpu_times()
        return times.user + times.system

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_) -> None:
        self.process.kill()
        self.process.wait()


def measure(folder: Path, path: str, **query: str) -> dict:
    """A page, opened by a new server, and again."""
    with Server(folder) as server:
        before = server.cpu
        first, _ = server.open(path, **query)
        cpu = server.cpu - before
        settled = first + server.settle(path, **query)
        again = min(server.open(path, **query)[0] for _ in range(5))
        return {
            "page": f"{path} of {folder.name}", "start s": server.started, "first s": first, "first CPU s": cpu,
            "settled s": settled, "again s": again, "peak MB": server.peak_mb,
        }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--episodes", type=int, default=100_000, help="of the large run")
    parser.add_argument("--runs", type=int, default=20, help="in the folder of many runs")
    parser.add_argument("--each", type=int, default=2000, help="episodes of each of these")
    parser.add_argument("--out", help="JSON file")
    given = parser.parse_args()
    report = Report("viewer", __doc__)
    with tempfile.TemporaryDirectory() as name:
        many, large = Path(name, "many"), Path(name, "large")
        for number in range(given.runs):
            make_run(many / f"run{number:02d}", given.each)
        make_run(large / "big", given.episodes)
        episode = f"libero_spatial/3/init07/{condition_part(CONDITIONS[5])}/r0"
        rows = [
            measure(many, "/"),
            measure(many, "/run", run="run00"),
            measure(large, "/"),
            measure(large, "/run", run="big"),
            measure(large, "/episodes", run="big", flip="harmed", task="3"),
            measure(large, "/episode", run="big", id=episode),
        ]
    report.table(f"{given.runs} runs of {given.each} episodes, and one of {given.episodes}", rows)
    report.write(given.out)


if __name__ == "__main__":
    main()
