"""Makes the list of episodes from a configuration; runs nothing and imports nothing heavy."""

import hashlib
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from envs.interface import ACTION_SIZE, CAMERAS, CONTROL_HZ, STATE_SIZE
from envs.protocols import PROTOCOLS
from envs.suites import find_suite, tasks
from envs.suites import limits as limits_of
from perturbations.base import SpecError
from perturbations.latency import MEASURED
from perturbations.spec import Condition, parse_sweep, rounded_up
from simeval.config.evaluation import EvalConfig
from simeval.config.options import parse_indices
from simeval.config.suites import check_suites, interface_of
from simeval.config.task_numbers import task_numbers
from simeval.core import plugins
from simeval.core.errors import ConfigError
from simeval.core.instructions import infeasible_reason
from simeval.core.texts import shown
from simeval.core.types import CLEAN, EpisodeSpec
from simeval.policies import bundled
from simeval.policies.names import SCRIPTED

LONGEST = 150
"""Characters of a condition at most; it is part of file names, which file systems limit to 255 bytes."""


@dataclass(frozen=True)
class Plan:
    """The episodes of a run, in order.

    Attributes:
        episodes: by suite, task, initial state and repeat, each pair's conditions together, `none` first.
        conditions: canonical strings, `none` first.
        notes: what was left out and why, and what is not to be expected of the policy.
    """

    episodes: tuple[EpisodeSpec, ...]
    conditions: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the episodes as one JSON array: equal plans are equal work."""
        total, names = hashlib.sha256(b"["), sorted(EpisodeSpec.__struct_fields__)
        for index, spec in enumerate(self.episodes):
            text = json.dumps({name: getattr(spec, name) for name in names})
            total.update(f"{', ' if index else ''}{text}".encode())
        total.update(b"]")
        return total.hexdigest()


def make_plan(config: EvalConfig) -> Plan:
    """List the episodes of a configuration.

    Raises:
        ConfigError: a task, initial state or perturbation does not exist, or there are too many episodes.
    """
    plugins.load(plugins.read(config.plugin))
    check_suites(config.suite)
    _require_steps(config, interface_of(config.suite).control_hz)
    conditions = _conditions(config.perturb)
    names = tuple(str(condition) for condition in conditions)  # one string shared by all episodes of a condition
    _require_writable_size(config, len(conditions))
    protocol = PROTOCOLS[config.protocol]
    episodes: list[EpisodeSpec] = []
    notes = [f"{rounded}: rounded up to whole control steps" for text in config.perturb for rounded in rounded_up(text)]
    notes += [
        f"{condition}: its rows depend on this machine and on what else it computes; another run has other ones"
        for condition in conditions
        if condition.latency is not None and condition.latency.value == MEASURED
    ]
    known = bundled.POLICIES[config.policy_name].suites if config.policy_name in bundled.POLICIES else config.suite
    if unknown := [suite for suite in config.suite if suite not in known and find_suite(suite).base not in known]:
        notes.append(
            f"policy {config.policy_name}: trained on {', '.join(known)} alone; nothing can be expected of it on "
            f"{', '.join(unknown)}"
        )
    for suite in config.suite:
        limits = limits_of(config.protocol, suite)
        numbers = task_numbers(config.tasks, suite)
        notes += find_suite(suite).notes(numbers)
        with plugins.limited(config.plugin):
            infeasible = {name: _infeasible_tasks(c, suite, numbers) for name, c in zip(names, conditions, strict=True)}
        notes += [_note(suite, condition, reasons) for condition, reasons in infeasible.items() if reasons]
        episodes += [
            EpisodeSpec(
                suite=suite,
                task=task,
                init_state=init_state,
                condition=condition,
                repeat=repeat,
                root_seed=config.seed,
                env_seed=protocol.env_seed(init_state),
                max_steps=limits.max_steps,
                settle_steps=limits.settle_steps,
                resolution=limits.resolution,
            )
            for task in numbers
            for init_state in parse_indices(config.init_states, find_suite(suite).init_states, "init_states")
            for repeat in range(config.repeats)
            for condition in names
            if task not in infeasible[condition]
        ]
    _check_all_run(conditions, episodes, notes)
    return Plan(tuple(episodes), names, tuple(notes))


def parse_conditions(texts: Sequence[str]) -> tuple[Condition, ...]:
    """The different conditions of `--perturb` options, in order.

    Raises:
        ConfigError: one cannot be read.
    """
    try:
        return tuple(dict.fromkeys(condition for text in texts for condition in parse_sweep(text)))
    except SpecError as error:
        raise ConfigError(f"--perturb: {error}") from None


def _conditions(specs: tuple[str, ...]) -> tuple[Condition, ...]:
    conditions = parse_conditions((CLEAN, *specs))
    for condition in conditions:
        if len(str(condition)) > LONGEST:
            raise ConfigError(
                f"--perturb {str(condition)[:60]}...: longer than {LONGEST} characters, too long for file names"
            )
    return conditions


def _require_steps(config: EvalConfig, control_hz: int) -> None:
    """Check that no time is given in milliseconds to robots whose control steps are not those of the grammar.

    Raises:
        ConfigError: one is.
    """
    timed = next((text for text in config.perturb if re.search(r"\dms\b", text)), None)
    if timed is not None and control_hz != CONTROL_HZ:
        raise ConfigError(
            f"--perturb {shown(timed)}: 'ms' counts control steps of {1000 / CONTROL_HZ:g} ms, those of "
            f"{config.suite[0]} take {1000 / control_hz:g} ms; give the number of steps"
        )


def _infeasible_tasks(condition: Condition, suite: str, numbers: tuple[int, ...]) -> dict[int, str]:
    """Tasks that have no instruction for a condition, with the reason."""
    unfit = _unfit(condition, suite)
    reasons = {number: unfit or infeasible_reason(condition, tasks(suite)[number]) for number in numbers}
    return {number: reason for number, reason in reasons.items() if reason}


def _unfit(condition: Condition, suite: str) -> str | None:
    """Why a condition does not apply to a suite's robot; `None` if it does."""
    found = find_suite(suite)
    interface = found.interface
    for term in condition.active_terms():
        if term.axis in found.inapplicable:
            return f"{condition}: {term.axis} does not apply to {suite}; {found.inapplicable[term.axis]}"
        if term.info.channel in ("state", "action") and not interface.is_default:
            return (
                f"{condition}: {term.axis} is written for states of {STATE_SIZE} and actions of {ACTION_SIZE} numbers, "
                f"{suite} has {interface.state_size} and {interface.action_size}"
            )
        if term.camera in CAMERAS and term.camera not in interface.cameras:
            return f"{condition}: {suite} has no camera '{term.camera}'"
    return None


def _note(suite: str, condition: str, reasons: dict[int, str]) -> str:
    reason = next(iter(reasons.values())).partition(": ")[2]
    return f"{condition}: {suite} tasks {', '.join(map(str, reasons))} are left out; {reason}"


def _check_all_run(conditions: tuple[Condition, ...], episodes: list[EpisodeSpec], notes: list[str]) -> None:
    planned = {spec.condition for spec in episodes}
    for condition in map(str, conditions):
        if condition not in planned and episodes:
            note = next(note for note in notes if note.startswith(f"{condition}: "))
            raise ConfigError(f"--perturb {note}; no task is left")


MAX_EPISODES = 2_000_000
"""Most episodes of a plan. Planning a million takes half a minute and half a gigabyte; more belong in several runs."""


def _require_writable_size(config: EvalConfig, conditions: int) -> None:
    """Check the number of episodes before they are listed.

    Raises:
        ConfigError: there are too many.
    """
    total = sum(
        len(task_numbers(config.tasks, suite))
        * len(parse_indices(config.init_states, find_suite(suite).init_states, "init_states"))
        * config.repeats
        * conditions
        for suite in config.suite
    )
    if total > MAX_EPISODES:
        raise ConfigError(f"{total} episodes: a run has at most {MAX_EPISODES}; ask for fewer repeats or conditions")


ASSUMED_ACTION_STEPS = 10
"""Assumed for a checkpoint, whose configuration is not read here."""


def most_episodes(plan: Plan, config: EvalConfig) -> int:
    """Episodes that a run has at most: those planned, unless `--max-pairs` ends it before."""
    if config.max_pairs is None:
        return len(plan.episodes)
    return min(len(plan.episodes), config.max_pairs * len(config.suite) * len(plan.conditions) * config.repeats)


def estimated_seconds(plan: Plan, config: EvalConfig) -> float:
    """An upper estimate of the run time without inference: all episodes at full length, software rendering."""
    uses_images = config.policy_name not in SCRIPTED or config.policy_name == "seeker"
    total = 0.0
    for spec in plan.episodes:
        suite = find_suite(spec.suite)
        frame_seconds = suite.frame_seconds
        if suite.bundled_frame_seconds is not None and config.assets_choice == "bundled":
            frame_seconds = suite.bundled_frame_seconds
        frames = -(-spec.max_steps // (config.n_action_steps or ASSUMED_ACTION_STEPS)) if uses_images else 0
        steps = spec.max_steps + spec.settle_steps
        total += steps * suite.step_seconds + frames * frame_seconds
    cores = config.worker_count if config.ray_address else os.cpu_count() or 1
    share = most_episodes(plan, config) / max(1, len(plan.episodes))
    return share * total / max(1, min(config.worker_count, cores))


def duration(seconds: float) -> str:
    """A duration as text, for instance `3 minutes`."""
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"
