"""Carries out a study: every policy's episodes, then its audit, one after the other; last a look inside all of them.

The same call resumes.

Non-obvious behaviour:
- All policies are checked before the first one starts: a mistake in the last line of a file costs no night.
- A policy that fails while it runs is noted in the study's manifest, and the next one starts. The same call tries it
  again. Only what would stop all of them ends the study: Ctrl-C, and a full disk.
"""

import errno
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from simeval import api
from simeval.config.audit import AuditConfig
from simeval.config.plan import estimated_seconds, make_plan, parse_conditions
from simeval.config.represent import RepresentConfig
from simeval.config.study import POLICIES, REPRESENTATION, StudyConfig, StudyPolicy
from simeval.core.errors import ConfigError, SimevalError, ends_process, error_line
from simeval.core.files import FULL
from simeval.core.lock import locked
from simeval.core.texts import shown
from simeval.store.run import MANIFEST, Run, outcomes, require_writable
from simeval.store.study import Member, Study, is_measured, is_study, read_study, write_study

if TYPE_CHECKING:
    from simeval.drift.progress import AuditProgress
    from simeval.runner.progress import Progress

_log = logging.getLogger("simeval")
_SETTLED = tuple(f.name for f in fields(AuditConfig) if f.metadata["changes_results"] and f.name not in ("policy",))
"""Settings of an audit that must be as they were; that the policy is the same follows from its run."""
_INSIDE = tuple(f.name for f in fields(RepresentConfig) if f.metadata["changes_results"] and f.name != "source")
"""Settings of the look inside that must be as they were."""


@dataclass(frozen=True, slots=True)
class Observers:
    """Observes a study.

    Attributes:
        policy: is told each policy that has something left to do: its number from 1, and how many there are.
        run: makes the observer of a run.
        audit: makes the observer of an audit.
        representation: is told what is done next inside the policies.
    """

    policy: Callable[[StudyPolicy, int, int], None]
    run: "Callable[[], Progress | None]"
    audit: "Callable[[], AuditProgress | None]"
    representation: Callable[[str], None]


SILENT = Observers(lambda policy, number, count: None, lambda: None, lambda: None, lambda text: None)


@dataclass(frozen=True, slots=True)
class Left:
    """What is left to do for one policy; `episodes` and `seconds` of its whole run, without inference."""

    policy: StudyPolicy
    run: bool
    audit: bool
    episodes: int
    finished: int
    seconds: float


def run_study(config: StudyConfig, observers: Observers = SILENT) -> Study:
    """Do what is left of a study, and return it.

    Raises:
        ConfigError: the request cannot be carried out; raised before anything starts.
        OSError: the disk is full; what was finished is stored.
    """
    left = tuple(what_is_left(config))
    with locked(config.folder, "study"):
        _carry_out(config, left, observers)
    return Study.load(config.folder)


def _carry_out(config: StudyConfig, left: Sequence["Left"], observers: Observers) -> None:
    failed = _failures(config.folder)
    members = {one.name: _member(one, failed.get(one.name, "")) for one in config.policies}

    def note(policy: StudyPolicy, text: str) -> None:
        members[policy.name] = _member(policy, text)
        write_study(config.folder, config.baseline, tuple(members.values()))

    write_study(config.folder, config.baseline, tuple(members.values()))
    for number, one in enumerate(left, 1):
        if not (one.run or one.audit):
            if members[one.policy.name].failed:
                note(one.policy, "")
            continue
        observers.policy(one.policy, number, len(left))
        text = _carried_out(one, observers)
        if text:
            _log.warning("simeval: %s: %s", one.policy.name, shown(text, 400))
        note(one.policy, text)
    if config.representation is not None and not is_represented(config):
        text = _represented(config.representation, tuple(members.values()), observers)
        write_study(config.folder, config.baseline, tuple(members.values()), text)


def is_represented(config: StudyConfig) -> bool:
    """Whether all policies of a study that expose their layers have been looked into, as it asks."""
    from simeval.probing.results import read_results
    from simeval.probing.session import made_with

    requested = config.representation
    if requested is None:
        return True
    before = made_with(requested.folder)
    if {name: before.get(name) for name in _INSIDE} != {name: requested.to_dict()[name] for name in _INSIDE}:
        return False
    try:
        found = read_results(requested.folder)
    except ConfigError:
        return False
    left_out = {name for name, _ in found.left_out}
    return {one.name for one in config.policies} <= {*found.policies, *left_out}


def _represented(requested: RepresentConfig, members: Sequence[Member], observers: Observers) -> str:
    """Look inside the policies; returns why that failed, empty if it did not."""
    if failed := [one.name for one in members if one.failed]:
        return f"waits for {', '.join(failed)}"  # else its frames would be of a part of the episodes
    try:
        api.represent(requested, observers.representation)
    except (Exception, SystemExit) as error:  # noqa: BLE001  what ends all is raised again
        return _reason(error)
    return ""


def what_is_left(config: StudyConfig) -> Iterator[Left]:
    """Check every policy as `simeval run` would before it starts, and say what is left of it.

    Raises:
        ConfigError: one cannot run, or its folder or that of the study holds something else.
    """
    require_writable(config.folder)
    if (config.folder / MANIFEST).exists():
        raise ConfigError(f"{config.folder}: holds a run; a study needs another --out")
    for policy in config.policies:
        try:
            done = api.is_done(policy.run)
            plan = make_plan(policy.run)
            audit = policy.audit
            if audit is not None:
                require_writable(Path(str(audit.out)))
            measured = audit is None or is_measured(Path(str(audit.out)), audit.to_dict(), _SETTLED)
        except ConfigError as error:
            raise ConfigError(f"{POLICIES}.{policy.name}: {error}") from None
        folder = Path(str(policy.run.out))
        finished = len(plan.episodes) if done else len(outcomes(folder)) if (folder / "episodes.jsonl").exists() else 0
        seconds = estimated_seconds(plan, policy.run)
        yield Left(policy, not done, not measured, len(plan.episodes), finished, seconds)
    if config.representation is not None:
        try:
            _require_representable(config, config.representation)
        except ConfigError as error:
            raise ConfigError(f"{REPRESENTATION}: {error}") from None


def _require_representable(config: StudyConfig, requested: RepresentConfig) -> None:
    """Check what can be known of a look inside before the first episode.

    Raises:
        ConfigError: no policy exposes its layers, or a condition is none.
    """
    from simeval.probing.session import exposes_layers

    parse_conditions(requested.perturb)
    if not any(exposes_layers(one.run.policy_name, requested, one.run) for one in config.policies):
        raise ConfigError("no policy of this study exposes its layers: only smolvla does")


def _carried_out(left: Left, observers: Observers) -> str:
    """Run and audit one policy; returns why it failed, empty if it did not."""
    policy = left.policy
    try:
        broken = _broken(api.evaluate(policy.run, observers.run())) if left.run else ""
        if policy.audit is not None and left.audit and not broken.startswith("all "):
            api.audit(policy.audit, observers.audit())
    except (Exception, SystemExit) as error:  # noqa: BLE001  foreign code may raise anything: it ends its policy only
        return _reason(error)
    return broken


def _reason(error: BaseException) -> str:
    """Why a part of a study failed; what would stop all parts is raised again."""
    if ends_process(error) or (isinstance(error, OSError) and error.errno in (*FULL, errno.EROFS)):
        raise error
    return str(error) if isinstance(error, SimevalError) else error_line(error)


def _member(policy: StudyPolicy, failed: str) -> Member:
    audited = policy.audit is not None
    return Member(policy.name, policy.group, policy.seed, policy.run.policy_name, audited, failed)


def _broken(run: Run) -> str:
    ended = outcomes(run.folder)
    count = sum(outcome == "error" for outcome in ended.values())
    if not count:
        return ""
    return f"{'all ' if count == len(ended) else ''}{count} of {len(ended)} episodes broke; `simeval show` says how"


def _failures(folder: Path) -> dict[str, str]:
    return {member.name: member.failed for member in read_study(folder).policies} if is_study(folder) else {}
