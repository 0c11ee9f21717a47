"""Policies by name: the values of `--policy`, and how each policy is loaded."""

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from envs.interface import LIBERO_INTERFACE, Interface
from envs.metaworld.catalog import INTERFACE as METAWORLD_INTERFACE
from envs.suites import find_suite, tasks
from simeval.core.errors import ConfigError, nearest
from simeval.core.source_file import SourceFile, read_source
from simeval.core.types import EpisodeSpec
from simeval.policies import bundled
from simeval.policies.base import Policy, PolicySpec
from simeval.policies.names import SCRIPTED, Kind, kind_of, split_file

_log = logging.getLogger("simeval")


@dataclass(frozen=True)
class PolicyChoice:
    """A policy and how to run it: everything that a process needs to load it. Made by `choose`.

    Attributes:
        name: a value of `--policy`; see `simeval.policies.names.kind_of`.
        device: `auto`, `cuda`, `mps` or `cpu`.
        n_action_steps: actions executed per chunk; `None` for the policy's default.
        batch_size: samples per call of the network.
        dtype: `bfloat16` for the network's matrix products; `None` for the checkpoint's dtype.
        file: the Python file of a policy of kind `file`.
        convention: card of a policy of kind `server`, a name or the path of a YAML file; `None` for the protocol's.
        interface: of the suites that it is for.

    Raises:
        ConfigError: an option is given that this kind of policy does not have.
    """

    name: str
    device: str = "auto"
    n_action_steps: int | None = None
    batch_size: int = 1
    dtype: Literal["bfloat16"] | None = None
    file: SourceFile | None = None
    convention: str | None = None
    interface: Interface = LIBERO_INTERFACE

    def __post_init__(self) -> None:
        if self.convention is not None and self.kind != "server":
            raise ConfigError(f"--convention: '{self.name}' is no policy server, which alone has one")
        if self.kind == "server" and self.dtype is not None:
            raise ConfigError(f"--dtype: the network of {self.name} computes where it is served; set it there")
        if self.kind == "scripted" and self.n_action_steps is not None:
            raise ConfigError(f"--n-action-steps: '{self.name}' is scripted and has no chunks to cut")
        if self.kind == "scripted" and self.dtype is not None:
            raise ConfigError(f"--dtype: '{self.name}' is scripted and has no network")

    @property
    def kind(self) -> Kind:
        """The kind of policy that the name means."""
        return kind_of(self.name)

    @property
    def has_network(self) -> bool:
        """Whether it computes in the process that loads it, where a GPU and batches may speed it up."""
        return self.kind not in ("scripted", "server", "object")


def choose(
    name: str,
    *,
    device: str = "auto",
    n_action_steps: int | None = None,
    batch_size: int | None = None,
    dtype: Literal["bfloat16"] | None = None,
    convention: str | None = None,
    interface: Interface = LIBERO_INTERFACE,
) -> PolicyChoice:
    """A policy and how to run it, with the default batch size filled in and its file read.

    Raises:
        ConfigError: an option does not fit the policy, or its file cannot be read.
    """
    file = read_source(str(Path(split_file(name)[0]).expanduser()), "--policy") if kind_of(name) == "file" else None
    choice = PolicyChoice(
        name, device, n_action_steps, dtype=dtype, file=file, convention=convention, interface=interface
    )
    default = GPU_BATCH if choice.has_network and has_gpu(device) else 1
    return replace(choice, batch_size=batch_size or default)


def _zero(interface: Interface) -> Policy:
    from simeval.policies.scripted import ZeroPolicy

    return ZeroPolicy(interface)


def _random(interface: Interface) -> Policy:
    from simeval.policies.scripted import RandomPolicy

    return RandomPolicy(interface)


def _seeker(interface: Interface) -> Policy:
    del interface
    from simeval.policies.scripted import SeekerPolicy

    return SeekerPolicy()


def _expert(interface: Interface) -> Policy:
    if interface == METAWORLD_INTERFACE:
        from simeval.policies.expert.metaworld import MetaworldExpert

        return MetaworldExpert()
    from simeval.policies.expert.policy import LiberoExpert

    return LiberoExpert()


SCRIPTED_POLICIES: Mapping[str, tuple[Callable[[Interface], Policy], str]] = {
    "expert": (_expert, "scripted, sees the simulator's state; for LIBERO ours, for Meta-World the package's"),
    "seeker": (_seeker, "scripted, finds the named colour in the agent view; toy suite only"),
    "zero": (_zero, "never moves: the floor of every success rate"),
    "random": (_random, "uniform random actions"),
}


def load_policy(choice: PolicyChoice) -> Policy:
    """Load a policy (a checkpoint takes 15 s and 1 GB, mostly for imports).

    Raises:
        ConfigError: it does not exist, does not fit, or cannot run here.
    """
    options = {name: getattr(choice, name) for name in ("device", "n_action_steps", "batch_size", "dtype")}
    match choice.kind:
        case "scripted":
            return SCRIPTED_POLICIES[choice.name][0](choice.interface)
        case "file":
            from simeval.policies import user_defined

            assert choice.file is not None, "made by choose"
            return user_defined.from_file(choice.file, split_file(choice.name)[1], options)
        case "installed":
            from simeval.policies import user_defined

            return user_defined.from_entry_point(choice.name, options)
        case "server":
            from simeval.policies.remote import load

            return load.load(choice.name, n_action_steps=choice.n_action_steps, convention=choice.convention)
        case "object":
            raise ConfigError(_object_elsewhere(choice.name))
        case _:
            from simeval.policies import lerobot

            return lerobot.load(choice.name, **options, interface=choice.interface)


def _object_elsewhere(name: str) -> str:
    return f"--policy {name}: is an object of a Python program; run it there: simeval.evaluate(config, policy=...)"


def batch_note(choice: PolicyChoice | Policy, spec: PolicySpec) -> str | None:
    """A note for the user if the device has too little memory for the requested batch size; else `None`."""
    if not isinstance(choice, PolicyChoice):
        return None
    facts = dict(spec.fingerprint)
    used = facts.get("batch_size", choice.batch_size)
    if used == choice.batch_size or facts.get("noise") == "global":
        return None
    requested = choice.batch_size
    return f"the device has memory for batches of {used}, not {requested}; --batch-size {used} gives these numbers"


def validate_choice(choice: PolicyChoice, episodes: tuple[EpisodeSpec, ...]) -> None:
    """Check a choice before anything slow is loaded or started, and log notes about the checkpoint.

    Raises:
        ConfigError: a mistyped name, a broken checkpoint or file, or a task that a scripted policy cannot do.
    """
    match choice.kind:
        case "scripted":
            require_feasible(choice.name, episodes)
        case "file":
            from simeval.policies.user_defined import require_maker

            assert choice.file is not None, "made by choose"
            require_maker(choice.file, split_file(choice.name)[1])
        case "installed":
            from simeval.policies.user_defined import installed

            known = [*bundled.POLICIES, *SCRIPTED, *installed()]
            if choice.name not in known:
                raise ConfigError(f"--policy: no policy or folder '{choice.name}'{nearest(choice.name, known)}")
        case "server":
            from simeval.policies.remote import load

            load.check(choice.name, n_action_steps=choice.n_action_steps, convention=choice.convention)
        case "object":
            raise ConfigError(_object_elsewhere(choice.name))
        case _:
            _check_checkpoint(choice, episodes)


def _check_checkpoint(choice: PolicyChoice, episodes: tuple[EpisodeSpec, ...]) -> None:
    from simeval.policies.checkpoint.files import printable
    from simeval.policies.checkpoint.image_sizes import require_size
    from simeval.policies.checkpoint.notes import notes
    from simeval.policies.checkpoint.read import read

    checkpoint = read(choice.name, n_action_steps=choice.n_action_steps, interface=choice.interface)
    sizes = [(spec.resolution, spec.resolution) for spec in episodes]
    require_size(checkpoint.only_size, sizes, name=checkpoint.name)
    libero = any(find_suite(suite).benchmark.startswith("LIBERO") for suite in {spec.suite for spec in episodes})
    for note in notes(checkpoint, steps_given=choice.n_action_steps is not None, libero=libero):
        _log.warning("simeval: %s", printable(note))


def require_executable(choice: PolicyChoice) -> None:
    """Check that a policy can execute so many actions of a chunk, as far as files here say it: nothing is downloaded.

    Raises:
        ConfigError: it cannot.
    """
    is_here = choice.kind == "bundled" or (choice.kind == "checkpoint" and Path(choice.name).expanduser().is_dir())
    if choice.n_action_steps is not None and is_here:
        from simeval.policies.checkpoint.read import read

        read(choice.name, n_action_steps=choice.n_action_steps, interface=choice.interface)


def require_feasible(name: str, episodes: tuple[EpisodeSpec, ...]) -> None:
    """Check that a scripted policy can do the tasks; no other policy is looked at.

    Raises:
        ConfigError: it cannot.
    """
    planned = {(spec.suite, spec.task) for spec in episodes}
    if name == "seeker":
        for suite, task in sorted(planned):
            if any(atom[0] != "touch" for atom in tasks(suite)[task].goal):
                raise ConfigError(f"--policy seeker: it only touches blocks of the toy suite, not {suite} task {task}")
    if name == "expert":
        from simeval.policies.expert import metaworld
        from simeval.policies.expert.policy import supports

        def can(suite: str, task: int) -> bool:
            goal = tasks(suite)[task].goal
            return supports(goal) or (find_suite(suite).interface == METAWORLD_INTERFACE and metaworld.supports(goal))

        for suite, task in sorted(planned):
            if not can(suite, task):
                others = sorted(planned) if {name for name, _ in planned} == {suite} else []
                feasible = ",".join(str(other) for _, other in others if can(suite, other))
                raise ConfigError(
                    f"--policy expert: it cannot do {suite} task {task} ({tasks(suite)[task].instruction})"
                    + (f"; it can try --tasks {feasible}" if feasible else "")
                )


GPU_BATCH = 8
"""Batch size on a GPU. It does not depend on the number of workers, so that their number changes no row."""


def use_actor(choice: PolicyChoice, inference: str) -> bool:
    """Whether the policy runs batched in its own actor rather than in each worker."""
    if not choice.has_network or inference == "worker":
        return False
    return inference == "actor" or has_gpu(choice.device)


def has_gpu(device: str) -> bool:
    """Whether the policy will run on a GPU; determined without importing torch."""
    if device in ("cuda", "mps"):
        return True
    return device == "auto" and any(os.path.exists(f"/dev/{name}") for name in ("nvidia0", "dxg"))  # noqa: PTH110
