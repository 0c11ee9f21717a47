"""Everything a user can set about a server, one place per option: default, meaning and command-line flag."""

import os
import re
from dataclasses import dataclass
from typing import Literal

from envs.numerics import MODES
from simeval.config.evaluation import DEVICES, DTYPES, MAX_BATCH
from simeval.config.options import check_ranges, option
from simeval.core.errors import ConfigError
from simeval.core.texts import shown
from simeval.policies.names import MAX_ACTION_STEPS

KEY_VARIABLE = "SIMEVAL_API_KEY"
"""Environment variable with the key that clients must send, unless `--api-key-env` names another."""
LAST_PORT = 65535


@dataclass(frozen=True)
class ServeConfig:
    """What `simeval serve` does."""

    policy: str = option("bundled", "As for run: bundled, a checkpoint folder, a hub id, FILE.py:MAKER ...")
    host: str = option("127.0.0.1", "Address to listen at; 0.0.0.0 for every network of this machine.")
    port: int = option(8000, "Port to listen at; 0 for any free one.", between=(0, LAST_PORT))
    api_key_env: str | None = option(
        None, f"Environment variable with the key that clients must send.  [default: {KEY_VARIABLE}, if it is set]"
    )
    device: Literal["auto", "cuda", "mps", "cpu"] = option("auto", "Where the policy runs.", choices=DEVICES)
    n_action_steps: int | None = option(
        None, "Actions executed per predicted chunk.  [default: the checkpoint's]", between=(1, MAX_ACTION_STEPS)
    )
    batch_size: int | None = option(
        None, "Most requests per call of the policy; as for run.  [default: 1; 8 on a GPU]", between=(1, MAX_BATCH)
    )
    dtype: Literal["bfloat16"] | None = option(
        None, "Matrix products of the policy's network in bfloat16.  [default: the checkpoint's]", choices=DTYPES
    )
    numerics: Literal["portable", "native"] = option(
        "portable", "portable: the same answers on every x86-64-v3 processor; native: the fastest kernels.",
        choices=MODES,
    )  # fmt: skip

    def __post_init__(self) -> None:
        check_ranges(self)

    @property
    def policy_name(self) -> str:
        """The policy."""
        return self.policy

    def key(self) -> str | None:
        """The key that clients must send, from the environment; `None` for none.

        Raises:
            ConfigError: the named variable has none, or one that no header can carry.
        """
        name = self.api_key_env or KEY_VARIABLE
        value = os.environ.get(name, "")
        if not value:
            if self.api_key_env is not None:
                raise ConfigError(f"--api-key-env {shown(name)}: this environment variable is not set, or empty")
            return None
        if not re.fullmatch(r"[!-~]+", value):
            raise ConfigError(f"{shown(name)}: a key has letters, digits and signs of ASCII only, and no spaces")
        return value
