"""What `simeval study` does: several policies, the same episodes and audit for all of them, and a look inside."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from simeval.config.audit import AuditConfig, audit_from_mapping
from simeval.config.evaluation import EvalConfig, from_mapping
from simeval.config.options import within
from simeval.config.represent import RepresentConfig, represent_from_mapping
from simeval.core.errors import ConfigError, nearest
from simeval.core.texts import shown

AUDIT, POLICIES, BASELINE, OUT = "audit", "policies", "baseline", "out"
REPRESENTATION = "representation"
"""Settings of `simeval represent`, and its folder in a study."""
POLICY, GROUP, SEED = "policy", "group", "seed"
MAX_TRAINING_SEED = 2**63 - 1
_ELSEWHERE = ("policy", "until", "margin", "max_pairs", "video", "out")
COMMON = tuple(item.name for item in fields(EvalConfig) if item.name not in _ELSEWHERE)
"""Settings of `run` that all policies share. A run that stops early has other episodes than the others."""
MAY_DIFFER = ("n_action_steps", "device", "inference", "batch_size", "dtype")
"""Settings of `run` that belong to a policy, and do not change how episodes start."""
_NOT_OF_AUDIT = ("run", "policy", "plugin", "out", "n_action_steps", "convention", "device", "batch_size", "dtype")
OF_AUDIT = tuple(item.name for item in fields(AuditConfig) if item.name not in (*_NOT_OF_AUDIT, "numerics"))
"""Settings of the audit; the policy runs in it as in its episodes."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_+.=-]*")
OF_REPRESENTATION = tuple(
    item.name
    for item in fields(RepresentConfig)
    if item.name not in ("source", "policies", "numerics", "plugin", "out")
)
"""Settings of the look inside; it is into all policies that expose their layers."""
_RESERVED = ("report", "study.json", REPRESENTATION)
LONGEST_NAME = 100
"""Letters of a policy's name; our choice, well below the 255 bytes of file systems."""
_WITHOUT = {
    AUDIT: "leave the line out for no audit, or write {} for an audit with its defaults",
    REPRESENTATION: "leave the line out for none, or write {} for its defaults",
    BASELINE: "leave the line out for the group of the first policy",
}
"""What stands for a setting that has no value; of others to leave the line out is their default."""


@dataclass(frozen=True, slots=True)
class StudyPolicy:
    """One policy of a study.

    Attributes:
        name: of its run folder.
        group: the recipe it was trained with; its own name if it has none.
        seed: of its training; `None` if that is not known.
        run: its episodes.
        audit: its audit; `None` if the study has none.
    """

    name: str
    group: str
    seed: int | None
    run: EvalConfig
    audit: AuditConfig | None


@dataclass(frozen=True, slots=True)
class StudyConfig:
    """A study.

    Attributes:
        folder: of the study.
        baseline: the group that others are compared with.
        policies: in the order of the file.
        representation: the look inside the policies; `None` if the study has none.
    """

    folder: Path
    baseline: str
    policies: tuple[StudyPolicy, ...]
    representation: RepresentConfig | None = None


def study_from_mapping(values: Mapping[Any, Any], folder: Path) -> StudyConfig:
    """A study from YAML.

    Args:
        values: settings of `run`, and `audit`, `representation`, `policies`, `baseline`.
        folder: where the runs go, unless `values` names it.

    Raises:
        ConfigError: names the key that is wrong, and what is allowed.
    """
    common = {_key(name): value for name, value in values.items()}
    _require_values(common, "")
    own = {name: common.pop(name, None) for name in (AUDIT, REPRESENTATION, POLICIES, BASELINE, OUT)}
    _require_keys(common, COMMON, "", tuple(own))
    chosen = folder if own[OUT] is None else Path(str(own[OUT]))
    _located("", lambda: from_mapping({**common, "policy": "zero"}))
    named = _mapping(own[POLICIES], POLICIES, "NAME: {policy: FOLDER, group: RECIPE, seed: N}, two or more")
    if len(named) < 2:
        raise ConfigError(f"{POLICIES}: {len(named)} given; a study compares two or more")
    audit = None if own[AUDIT] is None else _mapping(own[AUDIT], AUDIT, f"settings: {', '.join(OF_AUDIT)}", empty=True)
    for name in named:
        _require_name(name)
    policies = tuple(_policy(name, given, common, audit, chosen) for name, given in named.items())
    _require_distinct(policies)
    groups = list(dict.fromkeys(policy.group for policy in policies))
    baseline = groups[0] if own[BASELINE] is None else str(own[BASELINE])
    if baseline not in groups:
        raise ConfigError(f"{BASELINE}: no group '{shown(baseline)}'{nearest(baseline, groups)}")
    return StudyConfig(chosen, baseline, policies, _representation(own[REPRESENTATION], policies[0].run, chosen))


def _policy(
    name: str, given: Any, common: Mapping[str, Any], audit: Mapping[str, Any] | None, folder: Path
) -> StudyPolicy:
    where = f"{POLICIES}.{name}"
    allowed = (POLICY, GROUP, SEED, *MAY_DIFFER)
    values = {_key(key): value for key, value in _mapping(given, where, f"settings: {', '.join(allowed)}").items()}
    _require_keys(values, allowed, f"{where}.")
    _require_values(values, f"{where}.")
    group, seed = values.pop(GROUP, None), values.pop(SEED, None)
    if not isinstance(values.get(POLICY), str):
        raise ConfigError(f"{where}.{POLICY}: name a folder, a hub id, or one of `simeval list policies`")
    if group is not None and (isinstance(group, bool | list | dict) or not str(group).strip()):
        raise ConfigError(f"{where}.{GROUP}: '{shown(str(group))}' is not a name")
    if seed is not None:
        if isinstance(seed, bool) or not isinstance(seed, int):
            raise ConfigError(f"{where}.{SEED}: '{shown(str(seed))}' is not a whole number")
        within(f"{where}.{SEED}", seed, 0, MAX_TRAINING_SEED)
    out = folder / name
    run = _located(where, lambda: from_mapping({**common, **values, "out": str(out)}))
    measured = None if audit is None else _located(AUDIT, lambda: _audit(audit, run, out))
    return StudyPolicy(name, name if group is None else str(group), seed, run, measured)


def _audit(values: Mapping[str, Any], run: EvalConfig, out: Path) -> AuditConfig:
    """The audit of one policy, inside its run folder."""
    settings = {_key(key): value for key, value in values.items()}
    _require_keys(settings, OF_AUDIT, "")
    _require_values(settings, "")
    about: dict[str, Any] = {"policy": run.policy, "out": str(out / AUDIT), "plugin": list(run.plugin)}
    about |= {name: getattr(run, name) for name in (*MAY_DIFFER, "convention", "numerics") if name != "inference"}
    if settings.get("dataset") is None:
        about["run"] = str(out)
    return audit_from_mapping({**settings, **about})


def _representation(given: Any, run: EvalConfig, folder: Path) -> RepresentConfig | None:
    """The look inside the policies, on frames of the first one's episodes."""
    if given is None:
        return None
    expected = f"settings: {', '.join(OF_REPRESENTATION)}"
    settings = {_key(key): value for key, value in _mapping(given, REPRESENTATION, expected, empty=True).items()}
    _require_keys(settings, OF_REPRESENTATION, f"{REPRESENTATION}.")
    _require_values(settings, f"{REPRESENTATION}.")
    about = {"source": str(folder), "plugin": list(run.plugin), "numerics": run.numerics}
    made: RepresentConfig = _located(REPRESENTATION, lambda: represent_from_mapping({**settings, **about}))
    if made.frames == "replay" and run.traces != "all":
        raise ConfigError(
            f"{REPRESENTATION}.frames: replay needs traces: all, not {run.traces}; or write frames: start"
        )
    return made


def _require_name(name: Any) -> None:
    """Check the name of a policy, which is that of its folder.

    Raises:
        ConfigError: YAML does not read it as a text, or it cannot name a folder here.
    """
    where = f"{POLICIES}.{shown(name)}"
    if not isinstance(name, str):
        kind = "true or false" if isinstance(name, bool) else "a number" if isinstance(name, int | float) else "no text"
        raise ConfigError(f"{where}: YAML reads this name as {kind}; put it in quotes")
    if len(name) > LONGEST_NAME:
        raise ConfigError(f"{where}: this name has {len(name)} letters; write 1 to {LONGEST_NAME}")
    if not _NAME.fullmatch(name) or name.lower() in _RESERVED:
        reserved = " or ".join(_RESERVED)
        raise ConfigError(f"{where}: is the name of a folder; write letters, digits and _+.=-, and not {reserved}")


def _require_values(values: Mapping[str, Any], where: str) -> None:
    """Refuse settings without a value: whoever writes `audit:` with nothing below it may mean an audit, or none.

    Raises:
        ConfigError: one has none.
    """
    for name, value in values.items():
        if value is None and name != POLICIES:  # which is refused where it is read
            remedy = _WITHOUT.get(name, "write one, or leave the line out")
            raise ConfigError(f"{where}{shown(name)}: has no value; {remedy}")


def _require_distinct(policies: tuple[StudyPolicy, ...]) -> None:
    names: dict[str, str] = {}
    members: dict[tuple[str, int | None], str] = {}
    for policy in policies:
        where = f"{POLICIES}.{policy.name}"
        if other := names.get(policy.name.lower()):
            raise ConfigError(f"{where}: another policy is called {other}; some disks take these for one folder")
        names[policy.name.lower()] = policy.name
        if other := members.get((policy.group, policy.seed)):
            seed = "no seed" if policy.seed is None else f"seed {policy.seed}"
            raise ConfigError(
                f"{where}.{SEED}: {other} of group {shown(policy.group)} has {seed}, too; write the seed of each"
            )
        members[policy.group, policy.seed] = policy.name


def _located(where: str, make: Any) -> Any:
    """What `make` returns; its refusal with the place in the file."""
    try:
        return make()
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}" if where else str(error)) from None


def _key(name: Any) -> str:
    text = str(name).replace("-", "_")
    return "plugin" if text == "plugins" else text


def _mapping(value: Any, where: str, expected: str, *, empty: bool = False) -> dict[Any, Any]:
    if not isinstance(value, dict) or not (value or empty):
        raise ConfigError(f"{where}: must hold {expected}")
    return value


def _require_keys(values: Mapping[str, Any], allowed: tuple[str, ...], where: str, more: tuple[str, ...] = ()) -> None:
    for name in values:
        if name in allowed:
            continue
        if not where and name in _ELSEWHERE:
            reason = "each policy has its own, below policies" if name == POLICY else "is no setting of a study"
            raise ConfigError(f"{name}: {reason}")
        raise ConfigError(f"{where}{shown(name)}: no such setting{nearest(name, [*allowed, *more])}")
