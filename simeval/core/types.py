"""The records of a run: the planned episode (`EpisodeSpec`) and its result (`EpisodeResult`).

They are msgspec structs: a million of them are made, sent and read several times as fast as dataclasses. Use
`msgspec.structs.replace` for a changed copy and `msgspec.structs.asdict` for a dictionary.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, convert
from msgspec.structs import asdict

from simeval.core.errors import Phase

CLEAN = "none"
"""The unperturbed condition: the baseline of every pair."""


def condition_part(condition: str) -> str:
    """A condition as part of an episode's name: `noise:0.05` -> `noise=0.05`."""
    return condition.replace(":", "=").replace("/", "~")


Outcome = Literal["success", "failure", "error", "infeasible"]
Reached = Literal["original", "counterfactual", "neither"]
_Count = Annotated[int, Meta(ge=0)]
_Positive = Annotated[int, Meta(ge=1)]


class EpisodeSpec(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """One planned episode. Its outcome depends on these values and on the policy alone.

    Attributes:
        suite: suite name, for instance `libero_spatial`.
        task: index of the task in its suite.
        init_state: index of the published initial state.
        condition: canonical perturbation string, `none` for the baseline.
        repeat: index of the policy-sampling repeat.
        root_seed: root of every random stream of the run.
        env_seed: seed of the simulator's random numbers at reset; never depends on the condition.
        max_steps: control steps after settling before the episode counts as a failure.
        settle_steps: idle control steps before the first policy frame.
        resolution: side of the square camera images (px).
    """

    suite: str
    task: _Count
    init_state: _Count
    condition: str
    repeat: _Count
    root_seed: _Count
    env_seed: _Count
    max_steps: _Positive
    settle_steps: _Count
    resolution: _Positive

    # Not cached: a million planned episodes would hold a gigabyte of names.
    @property
    def pair_id(self) -> str:
        """Identity without the condition: equal for an episode and its unperturbed twin."""
        return f"{self.suite}/{self.task}/init{self.init_state:02d}/r{self.repeat}"

    @property
    def id(self) -> str:
        """Readable unique name within a run, for instance `libero_spatial/3/init07/noise=0.05/r0`."""
        return f"{self.suite}/{self.task}/init{self.init_state:02d}/{condition_part(self.condition)}/r{self.repeat}"


class Timings(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """Wall-clock seconds by part of the loop."""

    reset: float = 0.0
    physics: float = 0.0
    render: float = 0.0
    perturb: float = 0.0
    inference: float = 0.0


class Counts(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """How often the expensive operations ran.

    Attributes:
        control_steps: control steps after settling.
        renders: camera images rendered, also those used only for a check.
        policy_calls: chunks predicted.
        frames: images that the policy consumed.
        perturbed_frames: those of them that an image perturbation changed.
    """

    control_steps: int = 0
    renders: int = 0
    policy_calls: int = 0
    frames: int = 0
    perturbed_frames: int = 0


class RealizedStrength(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """Measured effect of a perturbation in one episode. A value is `None` where the condition has no such part.

    Attributes:
        mean_abs: mean absolute difference of the policy's images to the clean ones (levels of 255), by the image
            part, over the frames it consumed.
        psnr: the same as peak signal-to-noise ratio (dB); `None` also where nothing differed.
        scene_mean_abs, scene_psnr: the same for the scene part, at the first frame.
        state: mean absolute change of the state (training standard deviations), over the frames consumed.
        action: mean absolute change of the action (of [-1, 1]), over the steps executed.
        age_steps: mean age of the observations consumed (control steps).
        moved_cm: largest displacement of an object by the physics part (cm).
        joints_rad: norm of the displacement of the arm's joints (rad).
    """

    mean_abs: float | None = None
    psnr: float | None = None
    scene_mean_abs: float | None = None
    scene_psnr: float | None = None
    state: float | None = None
    action: float | None = None
    age_steps: float | None = None
    moved_cm: float | None = None
    joints_rad: float | None = None


class Execution(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """How an episode went on while the policy was thinking; all numbers are control steps, except `replans`.

    Attributes:
        latencies: from each question to its answer, also one that came after the end of the episode.
        replans: answers that took over while the last chunk had actions left.
        stale_steps: executed from the last chunk while an answer was awaited.
        idle_steps: without an action of the policy: the arm held.
    """

    latencies: tuple[int, ...] = ()
    replans: int = 0
    stale_steps: int = 0
    idle_steps: int = 0


class EpisodeResult(Struct, frozen=True, gc=False):
    """The result of one episode.

    Attributes:
        spec: the planned episode.
        outcome: `success` if the goal that counts for the condition was reached within `max_steps`; `infeasible` if the
            condition cannot be applied to this pair: neither a success nor a failure, and not tried again.
        steps: control steps executed after settling.
        first_success: step at which that goal first held, 1-based; `None` without success.
        reached: the goal that was reached first; `counterfactual` only if the instruction names another goal.
        instruction: the text the policy was given.
        error_phase: phase of the loop in which the episode broke; `None` unless `outcome == "error"`.
        error_text: the reason of an error or of infeasibility, in one line.
        timings: wall-clock seconds.
        counts: control steps, renders, policy calls.
        state_digest: SHA-256 (16 hex digits) of the trace of states: equal digests mean bit-identical motion.
        magnitude: realised strength; `None` if the condition changes nothing measurable.
        first_hit: step at which the goal in `reached` was reached; `None` for neither.
        source: origin of the instruction: `original`, or an entry of a pool.
        goal: the other goal that the instruction asks for, as text; `None` if it asks for none.
        hits: (goal, step) for every other goal of the scene that was reached before the episode ended; these do not end
            it. `None` if they were not tracked (rows of older versions).
        approached: the object the gripper first closed next to; see `envs.base.Env.approached`.
        visible: (camera, share) of the target's outline that is visible in the first frame; empty where the condition
            perturbs no image.
        flags: warnings about the episode: `no_op:PART` if a part of the condition changed nothing, `spill:CAMERA` if it
            changed the view of a camera that it is not aimed at, `dark:CAMERA` if an own axis made its images of
            numbers up to 1 (of 255), `target_hidden`; under any condition
            `object_off_table` if an object fell off the table, `unstable` if the simulation moved in a physically
            impossible way (see `simeval.rollout.anomalies`), `far_state` if the policy was given a state, `far_action`
            if it chose an action, outside the range of its training data, `cut_action` if that range is not known and
            an action was far outside -1 to 1, `gripper_never_opened` where the task asks for an open gripper,
            `not_repeatable` if a user's policy gave another answer to the same request.
        execution: what latency did to the execution; `None` without latency, and left out of the record.
        start_digest: SHA-256 (16 hex digits) of the state after settling, before anything is changed: the episodes of a
            pair start alike if it is equal. Empty, and left out of the record, where the condition changes the start,
            in rows of older versions, and where the episode did not run to its end.
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
    magnitude: RealizedStrength | None = None
    first_hit: int | None = None
    source: str = "original"
    goal: str | None = None
    hits: tuple[tuple[str, int], ...] | None = None
    approached: str | None = None
    visible: tuple[tuple[str, float], ...] = ()
    flags: tuple[str, ...] = ()
    execution: Execution | None = None
    start_digest: str = ""

    def row(self) -> dict[str, Any]:
        """A JSON-ready record; `EpisodeResult.from_row` reads it back."""
        magnitude = asdict(self.magnitude) if self.magnitude else None
        parts = {"spec": asdict(self.spec), "timings": asdict(self.timings), "counts": asdict(self.counts)}
        row = {"id": self.spec.id, "pair_id": self.spec.pair_id, **asdict(self), **parts, "magnitude": magnitude}
        execution, start = row.pop("execution"), row.pop("start_digest")
        return (
            row | ({"execution": asdict(execution)} if execution else {}) | ({"start_digest": start} if start else {})
        )

    @staticmethod
    def from_row(row: dict[str, Any]) -> "EpisodeResult":
        """Rebuild a result from `row()`, also from one that an older version wrote with fewer fields.

        Raises:
            msgspec.ValidationError: the record is not an episode's.
        """
        return convert(row, Row).result()


class Row(EpisodeResult, frozen=True, gc=False, kw_only=True):
    """A whole row, as it is stored. A later version may add fields to a row, but not to the parts of a row."""

    id: str
    pair_id: str
    timings: Timings
    counts: Counts
    magnitude: RealizedStrength | None

    def result(self) -> EpisodeResult:
        """The result without the names, which follow from its specification."""
        return EpisodeResult(*[getattr(self, name) for name in EpisodeResult.__struct_fields__])
