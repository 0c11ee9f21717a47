"""Everything a user can set about a measurement of a policy's latency."""

from dataclasses import dataclass
from typing import Literal

from envs.numerics import MODES
from simeval.config.evaluation import DEVICES, DTYPES
from simeval.config.options import check_ranges, option
from simeval.policies.names import MAX_ACTION_STEPS

MAX_CALLS = 10_000


@dataclass(frozen=True)
class ProfileConfig:
    """What `simeval profile` does."""

    policy: str = option("bundled", "As for run: bundled, a checkpoint folder, a hub id, a server's address ...")
    suite: str = option("libero_spatial", "Suite whose observations it gets, and whose control steps are counted.")
    calls: int = option(50, "Questions that are timed.", between=(2, MAX_CALLS))
    warmup: int = option(5, "Questions before them that are not.", between=(0, MAX_CALLS))
    out: str | None = option(None, "JSON file for the times.")
    device: Literal["auto", "cuda", "mps", "cpu"] = option("auto", "Where the policy runs.", choices=DEVICES)
    n_action_steps: int | None = option(
        None, "Actions executed per predicted chunk.  [default: the checkpoint's]", between=(1, MAX_ACTION_STEPS)
    )
    dtype: Literal["bfloat16"] | None = option(
        None, "Matrix products of the policy's network in bfloat16.  [default: the checkpoint's]", choices=DTYPES
    )
    convention: str | None = option(None, "Convention of a policy server, as for run.")
    numerics: Literal["portable", "native"] = option(
        "portable", "portable: as runs compute by default; native: the fastest kernels.", choices=MODES
    )

    def __post_init__(self) -> None:
        check_ranges(self)
