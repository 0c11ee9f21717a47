"""The values that flow through a run: what is planned (`EpisodeSpec`) and what came of it (`EpisodeResult`)."""

from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Any, Literal

from simeval.errors import Phase

CLEAN = "none"
"""The unperturbed condition: the baseline of every pair."""

Outcome = Literal["success", "failure", "error"]
Reached = Literal["original", "counterfactual", "neither"]


@dataclass(frozen=True)
class EpisodeSpec:
    """One planned episode. Its outcome is a function of these values and of the policy, of nothing else.

    Attributes:
        suite: suite name, for instance `libero_spatial`.
        task: index of the task in its suite.
        init_state: index of the published initial state.
        condition: canonical perturbation string, `none` for the baseline.
        repeat: index of the policy-sampling repeat.
        root_seed: root of every random stream of the run.
        env_seed: seed for what the simulator draws at reset; never depends on the condition.
        max_steps: control steps after settling before the episode counts as a failure.
        settle_steps: idle control steps before the first policy frame.
        resolution: side of the square camera pictures (px).
    """

    suite: str
    task: int
    init_state: int
    condition: str
    repeat: int
    root_seed: int
    env_seed: int
    max_steps: int
    settle_steps: int
    resolution: int

    @cached_property
    def pair_id(self) -> str:
        """Identity without the condition: equal for an episode and its unperturbed twin."""
        return f"{self.suite}/{self.task}/init{self.init_state:02d}/r{self.repeat}"

    @cached_property
    def id(self) -> str:
        """Readable unique name within a run, for instance `libero_spatial/3/init07/noise=0.05/r0`."""
        condition = self.condition.replace(":", "=").replace("/", "~")
        return f"{self.suite}/{self.task}/init{self.init_state:02d}/{condition}/r{self.repeat}"


@dataclass(frozen=True, slots=True)
class Timings:
    """Wall-clock seconds by part of the loop."""

    reset: float = 0.0
    physics: float = 0.0
    render: float = 0.0
    perturb: float = 0.0
    inference: float = 0.0


@dataclass(frozen=True, slots=True)
class Counts:
    """How often the expensive things happened."""

    control_steps: int = 0
    renders: int = 0
    policy_calls: int = 0


@dataclass(frozen=True, slots=True)
class Magnitude:
    """What the image perturbation really did to the policy's pixels, over the frames it consumed.

    Attributes:
        mean_abs: mean absolute difference to the clean picture (levels of 255).
        psnr: peak signal-to-noise ratio (dB); `None` where nothing differed.
    """

    mean_abs: float
    psnr: float | None


@dataclass(frozen=True)
class EpisodeResult:
    """What came of one episode.

    Attributes:
        spec: the plan it fulfils.
        outcome: `success` if the goal that counts for the condition was reached within `max_steps`.
        steps: control steps executed after settling.
        first_success: step at which that goal first held, 1-based; `None` without success.
        reached: which goal was reached first; `counterfactual` only where the instruction names another goal.
        instruction: the text the policy was given.
        error_phase: what the loop was doing when the episode broke; `None` unless `outcome == "error"`.
        error_text: the reason in one line.
        timings: wall-clock seconds.
        counts: control steps, renders, policy calls.
        state_digest: SHA-256 (16 hex digits) of the trace of states: equal digests mean bit-identical motion.
        magnitude: realised image change; `None` where the condition has no image part.
    """

    spec: EpisodeSpec
    outcome: Outcome
    steps: int = 0
    first_success: int | None = None
    reached: Reached = "neither"
    instruction: str = ""
    error_phase: Phase | None = None
    error_text: str | None = None
    timings: Timings = Timings()
    counts: Counts = Counts()
    state_digest: str = ""
    magnitude: Magnitude | None = None

    def row(self) -> dict[str, Any]:
        """A JSON-ready record; `EpisodeResult.from_row` reads it back."""
        return {"id": self.spec.id, "pair_id": self.spec.pair_id, **asdict(self)}

    @staticmethod
    def from_row(row: dict[str, Any]) -> "EpisodeResult":
        """Rebuild a result from `row()`.

        Raises:
            KeyError, TypeError: the record is not one of ours.
        """
        known = {field.name for field in fields(EpisodeResult)}
        values = {key: value for key, value in row.items() if key in known}
        values["spec"] = EpisodeSpec(**row["spec"])
        values["timings"] = Timings(**row["timings"])
        values["counts"] = Counts(**row["counts"])
        values["magnitude"] = Magnitude(**row["magnitude"]) if row["magnitude"] else None
        return EpisodeResult(**values)
