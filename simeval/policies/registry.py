"""Policies by name: the values of `--policy`, and how each policy is loaded."""

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from envs.suites import tasks
from simeval.core.errors import ConfigError, nearest
from simeval.core.types import EpisodeSpec
from simeval.policies import bundled
from simeval.policies.base import Policy, PolicySpec

_log = logging.getLogger("simeval")


@dataclass(frozen=True)
class PolicyChoice:
    """A policy and how to run it: everything that a process needs to load it.

    Attributes:
        name: an entry of `SCRIPTED` or of `bundled.POLICIES`, a checkpoint folder, or a hub id.
        device: `auto`, `cuda`, `mps` or `cpu`.
        n_action_steps: actions executed per chunk; `None` for the policy's default.
        batch_size: samples per call of the network.
        dtype: `bfloat16` for the network's matrix products; `None` for the checkpoint's dtype.

    Raises:
        ConfigError: `n_action_steps` or `dtype` is given for a scripted policy.
    """

    name: str
    device: str = "auto"
    n_action_steps: int | None = None
    batch_size: int = 1
    dtype: Literal["bfloat16"] | None = None

    def __post_init__(self) -> None:
        if self.scripted and self.n_action_steps is not None:
            raise ConfigError(f"--n-action-steps: '{self.name}' is scripted and has no chunks to cut")
        if self.scripted and self.dtype is not None:
            raise ConfigError(f"--dtype: '{self.name}' is scripted and has no network")

    @property
    def scripted(self) -> bool:
        """Whether it is a scripted policy, which needs no checkpoint and no torch."""
        return self.name in SCRIPTED


def _zero() -> Policy:
    from simeval.policies.scripted import ZeroPolicy

    return ZeroPolicy()


def _random() -> Policy:
    from simeval.policies.scripted import RandomPolicy

    return RandomPolicy()


def _seeker() -> Policy:
    from simeval.policies.scripted import SeekerPolicy

    return SeekerPolicy()


def _expert() -> Policy:
    from simeval.policies.expert.policy import LiberoExpert

    return LiberoExpert()


SCRIPTED: Mapping[str, tuple[Callable[[], Policy], str]] = {
    "expert": (_expert, "scripted, sees the simulator's state; picks and places, opens drawers, turns on the stove"),
    "seeker": (_seeker, "scripted, finds the named colour in the agent view; toy suite only"),
    "zero": (_zero, "never moves: the floor of every success rate"),
    "random": (_random, "uniform random actions"),
}


def load_policy(choice: PolicyChoice) -> Policy:
    """Load a policy (a checkpoint takes 15 s and 1 GB, mostly for imports).

    Raises:
        ConfigError: it does not exist, does not fit, or cannot run here.
    """
    if choice.scripted:
        return SCRIPTED[choice.name][0]()
    from simeval.policies import lerobot

    return lerobot.load(
        choice.name,
        device=choice.device,
        n_action_steps=choice.n_action_steps,
        batch_size=choice.batch_size,
        dtype=choice.dtype,
    )


def batch_note(choice: PolicyChoice, spec: PolicySpec) -> str | None:
    """A note for the user if the device has too little memory for the requested batch size; else `None`."""
    facts = dict(spec.fingerprint)
    used = facts.get("batch_size", choice.batch_size)
    if used == choice.batch_size or facts.get("noise") == "global":
        return None
    requested = choice.batch_size
    return f"the device has memory for batches of {used}, not {requested}; --batch-size {used} gives these numbers"


def validate_choice(choice: PolicyChoice, episodes: tuple[EpisodeSpec, ...]) -> None:
    """Check a choice before anything slow is loaded or started, and log notes about the checkpoint.

    Raises:
        ConfigError: a mistyped name, a broken checkpoint, or a task that a scripted policy cannot do.
    """
    if not choice.scripted:
        # Unlike Path.exists, os.path.exists returns false for a name that no file system can hold.
        exists = os.path.exists(choice.name)  # noqa: PTH110
        if choice.name not in bundled.POLICIES and "/" not in choice.name and not exists:
            known = [*bundled.POLICIES, *SCRIPTED]
            raise ConfigError(f"--policy: no policy or folder '{choice.name}'{nearest(choice.name, known)}")
        from simeval.policies.checkpoint.files import printable
        from simeval.policies.checkpoint.notes import notes
        from simeval.policies.checkpoint.read import read

        checkpoint = read(choice.name, n_action_steps=choice.n_action_steps)
        libero = any(spec.suite != "toy" for spec in episodes)
        for note in notes(checkpoint, steps_given=choice.n_action_steps is not None, libero=libero):
            _log.warning("simeval: %s", printable(note))
        return
    planned = {(spec.suite, spec.task) for spec in episodes}
    if choice.name == "seeker" and any(suite != "toy" for suite, _ in planned):
        raise ConfigError("--policy seeker: it only knows the toy suite")
    if choice.name == "expert":
        from simeval.policies.expert.policy import supports

        for suite, task in sorted(planned):
            if not supports(tasks(suite)[task].goal):
                raise ConfigError(
                    f"--policy expert: it cannot do {suite} task {task} ({tasks(suite)[task].instruction})"
                )


GPU_BATCH = 8
"""Batch size on a GPU. It does not depend on the number of workers, so that their number changes no row."""


def use_actor(choice: PolicyChoice, inference: str) -> bool:
    """Whether the policy runs batched in its own actor rather than in each worker."""
    if choice.scripted or inference == "worker":
        return False
    return inference == "actor" or has_gpu(choice.device)


def has_gpu(device: str) -> bool:
    """Whether the policy will run on a GPU; determined without importing torch."""
    if device in ("cuda", "mps"):
        return True
    return device == "auto" and any(os.path.exists(f"/dev/{name}") for name in ("nvidia0", "dxg"))  # noqa: PTH110
