"""The latency axis: an answer of the policy is there some control steps after its observation.

The other timing axes delay what the policy sees or what the robot is told. This one charges the time in which the
policy thinks, and says what the robot does in it. The loop carries that out; see `simeval.rollout.schedule`.
"""

import math

from perturbations.base import AxisInfo, Key, Stage, register
from perturbations.units import STEPS_UP

BLOCK, ASYNC, RTC = "block", "async", "rtc"

MODE = Key("mode", BLOCK, (BLOCK, ASYNC, RTC), means="hold, execute the rest of the last chunk, or also continue it")
"""What the robot does while the policy thinks: it holds (`block`), or executes the rest of the last chunk (`async`).

With `rtc` it executes that rest, and the answer continues it: lerobot's real-time chunking.
"""

THRESHOLD = Key(
    "threshold", "", kind="share", only_with=("mode", (ASYNC, RTC)), means="ask when this share of the chunk is left"
)
"""Ask as soon as no more than this share of the chunk is left; by default after the number of actions that are executed
of a chunk without latency. Source: `chunk_size_threshold` of lerobot's asynchronous inference, g in SmolVLA's paper."""

MERGE = Key(
    "merge", "latest", ("latest", "average", "weighted_average", "conservative"),
    only_with=("mode", (ASYNC,)), means="what counts where two chunks overlap",
)  # fmt: skip
"""What is executed where the last chunk and the answer overlap: the answer, or a mean with weights of 0.5 and 0.5, 0.3
and 0.7, or 0.7 and 0.3. Source: `AGGREGATE_FUNCTIONS` of lerobot's asynchronous inference."""

MEASURED = "measured"
"""The value of a latency by this machine's clock."""

NO_RTC = "--perturb {}: policy '{}' has no real-time chunking; use /mode=async"
"""What is said of a condition and a policy that do not go together."""


@register(
    AxisInfo(
        name="latency",
        stage=Stage.LATENCY,
        unit=STEPS_UP,
        value_means="control steps (of 50 ms, rounded up) from an observation to the actions for it",
        bounds=(0.0, 200.0),
        identity=0.0,
        presets=(1.0, 2.0, 4.0, 8.0, 16.0),
        source="our choice",
        also={MEASURED: "what each answer takes on this machine, rounded up; another time it takes another time"},
        keys=(MERGE, MODE, THRESHOLD),
    )
)
def latency(call: int, value: float | str, measured: float) -> int:
    """The same for every question, or what its answer took."""
    del call
    return math.ceil(measured) if value == MEASURED else round(float(value))
