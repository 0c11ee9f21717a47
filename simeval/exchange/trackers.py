"""Experiment trackers: Weights & Biases, Trackio and MLflow, each behind one small class.

Non-obvious behaviour:
- Each is configured as its own documentation says (environment variables, login), and decides itself whether it talks
  to a server: `WANDB_MODE=offline`, Trackio's local database, `MLFLOW_TRACKING_URI=file:./mlruns`.
- The packages print to standard output, which may be JSON for a machine. `quiet` sends that to standard error.
"""

import contextlib
import importlib
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from simeval.core.errors import ConfigError, error_line, nearest


@dataclass(frozen=True, slots=True)
class TrackedRun:
    """How a run is called in a tracker.

    Attributes:
        project: the tracker's project or experiment.
        name: for people.
        key: the run's identity, for trackers whose runs are named by their users.
        stored_id: the id that the tracker gave it when it was opened before; `None` for a new run.
        config: settings of the run, JSON-ready.
    """

    project: str
    name: str
    key: str
    stored_id: str | None
    config: Mapping[str, Any]


class Tracker(Protocol):
    """A run in an experiment tracker. Every method may raise whatever the package raises."""

    def open(self, run: TrackedRun) -> str:
        """Start the run, or go on with it; returns the id that finds it again."""

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Add a point to the curves; `step` counts finished episodes."""

    def close(self, summary: Mapping[str, float], *, complete: bool) -> None:
        """End the run with its final numbers; not `complete` if it was interrupted or failed."""


@dataclass
class Wandb:
    """Weights & Biases."""

    _run: Any = field(default=None, init=False)

    def open(self, run: TrackedRun) -> str:
        """See `Tracker`."""
        import wandb

        settings = wandb.Settings(silent=True, console="off", x_disable_stats=True)
        identity = run.stored_id or run.key
        self._run = wandb.init(
            project=run.project, id=identity, name=run.name, config=dict(run.config), resume="allow", settings=settings
        )
        return identity

    def log(self, values: Mapping[str, float], step: int) -> None:
        """See `Tracker`."""
        self._run.log(dict(values), step=step)

    def close(self, summary: Mapping[str, float], *, complete: bool) -> None:
        """See `Tracker`."""
        self._run.summary.update(dict(summary))
        self._run.finish(exit_code=0 if complete else 1)


@dataclass
class Trackio:
    """Trackio, whose runs are found again by their names, so that the name ends with the key."""

    _run: Any = field(default=None, init=False)

    def open(self, run: TrackedRun) -> str:
        """See `Tracker`."""
        import trackio

        name = run.stored_id or f"{run.name}-{run.key}"
        self._run = trackio.init(
            project=run.project,
            name=name,
            config=dict(run.config),
            resume="allow",
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )
        return name

    def log(self, values: Mapping[str, float], step: int) -> None:
        """See `Tracker`."""
        self._run.log(dict(values), step=step)

    def close(self, summary: Mapping[str, float], *, complete: bool) -> None:
        """See `Tracker`."""
        self._run.log({**summary, "complete": float(complete)})
        self._run.finish()


@dataclass
class Mlflow:
    """MLflow, through its client alone: the process-wide active run is left to the user's own code."""

    _names: dict[str, str] = field(default_factory=dict, init=False)
    _id: str = field(default="", init=False)

    def open(self, run: TrackedRun) -> str:
        """See `Tracker`."""
        from mlflow import MlflowClient

        self._client = MlflowClient()
        if run.stored_id:
            self._client.update_run(run.stored_id, status="RUNNING")
            self._id = run.stored_id
            return self._id
        found = self._client.get_experiment_by_name(run.project)
        experiment = found.experiment_id if found else self._client.create_experiment(run.project)
        self._id = str(self._client.create_run(experiment, run_name=run.name).info.run_id)
        for key, value in run.config.items():
            self._client.log_param(self._id, key, str(value)[:500])  # older servers take 500 characters
        return self._id

    def log(self, values: Mapping[str, float], step: int) -> None:
        """See `Tracker`."""
        for name, value in values.items():
            self._client.log_metric(self._id, self._allowed(name), value, step=step)

    def close(self, summary: Mapping[str, float], *, complete: bool) -> None:
        """See `Tracker`."""
        for name, value in summary.items():
            self._client.log_metric(self._id, self._allowed(name), value)
        self._client.set_terminated(self._id, "FINISHED" if complete else "KILLED")

    def _allowed(self, name: str) -> str:
        """A metric's name with the characters that MLflow takes; different names stay different."""
        if name not in self._names:
            allowed = base = re.sub(r"[^\w\-./ :]", "_", name, flags=re.ASCII)
            number = 2
            while allowed in self._names.values():
                allowed, number = f"{base}_{number}", number + 1
            self._names[name] = allowed
        return self._names[name]


TRACKERS: dict[str, tuple[Callable[[], Tracker], str]] = {
    "wandb": (Wandb, "wandb"),
    "trackio": (Trackio, "trackio"),
    "mlflow": (Mlflow, "mlflow"),
}
"""Trackers by the name that `--track` takes: the class, and the package, which is also the extra that installs it."""


def tracker(name: str) -> Tracker:
    """A tracker that is not open yet.

    Raises:
        ConfigError: there is no such tracker, or its package is not installed.
    """
    if name not in TRACKERS:
        raise ConfigError(f"--track: no tracker '{name}'{nearest(name, tuple(TRACKERS))}")
    make, package = TRACKERS[name]
    try:
        with quiet():
            importlib.import_module(package)
    except ImportError as error:
        raise ConfigError(
            f"--track {name}: the package {package} cannot be imported ({error_line(error)}): "
            f"pip install 'simeval[{package}]'"
        ) from None
    return make()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Send what a package prints to standard error."""
    with contextlib.redirect_stdout(sys.stderr):
        yield
