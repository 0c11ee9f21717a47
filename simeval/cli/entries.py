"""What there is to choose from, as records: `simeval list --json` prints them, the documentation is made from them."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from envs.protocols import PROTOCOLS
from envs.suites import find_suite, limits, other_goals, suite_names, tasks
from perturbations.base import AxisInfo, axes, find_axis
from perturbations.units import Argument
from simeval.config.evaluation import EvalConfig
from simeval.config.suites import OWN_SOURCE
from simeval.core.errors import ConfigError, nearest
from simeval.core.texts import shown
from simeval.policies import bundled
from simeval.policies.registry import SCRIPTED_POLICIES
from simeval.policies.remote import conventions
from simeval.policies.remote.load import SCHEMES
from simeval.policies.user_defined import installed

SCHEMA_VERSION = 1
"""Of the JSON; a field that changes its meaning or goes raises it."""


@dataclass(frozen=True, slots=True)
class SuiteEntry:
    """A suite and how many tasks it has."""

    name: str
    tasks: int


@dataclass(frozen=True, slots=True)
class TaskEntry:
    """A task.

    Attributes:
        suite: name of its suite.
        task: its number.
        name: as the benchmark calls it.
        instruction: what a policy is instructed to do.
        other_goals: instructions of other tasks that make sense in its scene; `None` where they are not counted.
    """

    suite: str
    task: int
    name: str
    instruction: str
    other_goals: int | None


@dataclass(frozen=True, slots=True)
class TextEntry:
    """A text of a task of a suite that has several, see `--instruction-source`.

    Attributes:
        suite: name of the suite.
        task: its number.
        source: `rule` for the suite's own, or another source.
        instruction: the text.
        differs: whether it is not the suite's own.
    """

    suite: str
    task: int
    source: str
    instruction: str
    differs: bool


@dataclass(frozen=True, slots=True)
class ArgumentEntry:
    """What may follow a word after another colon.

    Attributes:
        means: what it is.
        words: the allowed texts; none for a number.
        minimum, maximum: of a number; `None` for texts.
        presets: the numbers behind s1 to s5.
        default: what a missing argument means; `None` if it must be given.
    """

    means: str
    words: tuple[str, ...]
    minimum: float | None
    maximum: float | None
    presets: tuple[float, ...]
    default: str | None


@dataclass(frozen=True, slots=True)
class WordEntry:
    """A value of a word axis.

    Attributes:
        name: as written.
        meaning: what it does to the meaning of the instruction: `kept`, `changed` or `not_applicable`.
        explained: what it does, in a few words; empty if the word explains itself.
        argument: what may follow it.
    """

    name: str
    meaning: str
    explained: str
    argument: ArgumentEntry | None


@dataclass(frozen=True, slots=True)
class SettingEntry:
    """A setting of an axis, written `/name=value`."""

    name: str
    accepted: str
    default: str


@dataclass(frozen=True, slots=True)
class AxisEntry:
    """A perturbation axis; see `perturbations.base.AxisInfo`.

    Attributes:
        name: as written in `--perturb`.
        aliases: other accepted names.
        channel: what it changes: `language`, `physics`, `scene`, `image`, `timing`, `state`, `action` or
            `latency`.
        stage: where it acts, in the order of application.
        family: `V`, `S` or `E`: vision, semantics, execution.
        value_means: what its value is.
        unit: of its number; `word` for a word axis.
        suffixes: the accepted suffixes of its number; the empty one is the bare number.
        minimum, maximum: smallest and largest number, both allowed; `None` for words and where there is no limit.
        words: its values if it takes words; of an axis with a unit, those that it takes besides numbers.
        identity: the value that changes nothing.
        presets: the numbers behind s1 to s5.
        settings: what may follow the value after a slash.
        cameras: what may follow `@`.
        writes: fields of the simulator's model that it changes.
        draws: whether it uses random numbers.
        source: where its definition and presets come from.
        example: a condition that changes something.
    """

    name: str
    aliases: tuple[str, ...]
    channel: str
    stage: str
    family: str
    value_means: str
    unit: str
    suffixes: tuple[str, ...]
    minimum: float | None
    maximum: float | None
    words: tuple[WordEntry, ...]
    identity: float | str
    presets: tuple[float, ...]
    settings: tuple[SettingEntry, ...]
    cameras: tuple[str, ...]
    writes: tuple[str, ...]
    draws: bool
    source: str
    example: str


@dataclass(frozen=True, slots=True)
class ConventionEntry:
    """What `--convention` may say; a file of one's own is another.

    Attributes:
        name: its name.
        description: what it is for.
    """

    name: str
    description: str


@dataclass(frozen=True, slots=True)
class PolicyEntry:
    """What `--policy` may say.

    Attributes:
        name: as written; `FOLDER`, `OWNER/NAME` and `FILE.py:MAKER` stand for any.
        kind: `bundled`, `scripted`, `checkpoint`, `server`, `file` or `installed`; see `simeval.policies.names`.
        description: what it is.
    """

    name: str
    kind: str
    description: str


@dataclass(frozen=True, slots=True)
class LimitsEntry:
    """Numbers of a protocol for one suite: control steps, idle steps before them, side of an image (px)."""

    suite: str
    max_steps: int
    settle_steps: int
    resolution: int


@dataclass(frozen=True, slots=True)
class ProtocolEntry:
    """A protocol; see `envs.suites.Protocol`.

    Attributes:
        name: for `--protocol`.
        default: whether it is the default.
        source: where its numbers come from.
        limits: by suite.
    """

    name: str
    default: bool
    source: str
    limits: tuple[LimitsEntry, ...]


Entry = SuiteEntry | TaskEntry | TextEntry | AxisEntry | PolicyEntry | ConventionEntry | ProtocolEntry


def suite_entries() -> Iterator[SuiteEntry]:
    """Every suite."""
    yield from (SuiteEntry(name, len(tasks(name))) for name in suite_names())


def task_entries(suite: str | None = None) -> Iterator[TaskEntry]:
    """Every task, or those of one suite."""
    for name in (suite,) if suite else suite_names():
        for task in tasks(name):
            # Comparing libero_90's ninety scenes with each other takes too long for a list.
            others = len(other_goals(name, task.index)) if name != "libero_90" else None
            yield TaskEntry(name, task.index, task.name, task.instruction, others)


def text_entries(suite: str | None = None) -> Iterator[TextEntry]:
    """Every text of the tasks of suites that have several, or of one suite.

    Raises:
        ConfigError: the suite has no texts but its own.
    """
    several = [name for name in suite_names() if find_suite(name).instruction_sources]
    if suite is not None and suite not in several:
        raise ConfigError(f"list texts: {suite} has no instructions but its own")
    for name in (suite,) if suite else several:
        sources = find_suite(name).instruction_sources
        for task in tasks(name):
            yield TextEntry(name, task.index, OWN_SOURCE, task.instruction, differs=False)
            for source, text in sources.items():
                other = text(task)
                yield TextEntry(name, task.index, source, other, differs=other != task.instruction)


def axis_entries(name: str | None = None) -> Iterator[AxisEntry]:
    """Every registered axis in order of application, or the one of that name.

    Raises:
        SpecError: there is no such axis.
        ConfigError: there is no such convention.
    """
    yield from (_axis(info) for info in (axes() if name is None else (find_axis(name),)))


def _axis(info: AxisInfo) -> AxisEntry:
    limits = [None if info.words or abs(bound) == float("inf") else float(bound) for bound in info.bounds]
    words = tuple(
        WordEntry(word, meaning, info.explained.get(word, ""), _argument(info.arguments.get(word)))
        for word, meaning in info.words.items()
    )
    words += tuple(WordEntry(word, "kept", means, None) for word, means in info.also.items())
    return AxisEntry(
        name=info.name,
        aliases=info.aliases,
        channel=info.channel,
        stage=info.stage.name.lower(),
        family=info.family,
        value_means=info.value_means,
        unit=info.unit.name,
        suffixes=tuple(info.unit.factors),
        minimum=limits[0],
        maximum=limits[1],
        words=words,
        identity=info.identity,
        presets=info.presets,
        settings=tuple(SettingEntry(key.name, key.accepted, key.default) for key in info.keys),
        cameras=info.cameras,
        writes=info.writes,
        draws=bool(info.draws),
        source=info.source,
        example=info.example,
    )


def _argument(argument: Argument | None) -> ArgumentEntry | None:
    if argument is None:
        return None
    minimum, maximum = (None, None) if argument.words else argument.bounds
    return ArgumentEntry(argument.means, argument.words, minimum, maximum, argument.presets, argument.default)


def policy_entries() -> Iterator[PolicyEntry]:
    """What `--policy` may say."""
    for name, policy in bundled.POLICIES.items():
        text = f"a small SmolVLA, trained on {', '.join(policy.suites)} in the bundled scenes"
        yield PolicyEntry(name, "bundled", text)
    yield from (PolicyEntry(name, "scripted", text) for name, (_, text) in SCRIPTED_POLICIES.items())
    yield PolicyEntry("FOLDER", "checkpoint", "a checkpoint that lerobot saved, for instance a SmolVLA")
    hub = "a checkpoint on the Hugging Face hub, for instance HuggingFaceVLA/smolvla_libero"
    yield PolicyEntry("OWNER/NAME", "checkpoint", hub)
    for scheme, protocol in SCHEMES.items():
        yield PolicyEntry(f"{scheme}://HOST:PORT", "server", protocol.description)
    yield PolicyEntry("FILE.py:MAKER", "file", "a policy of your own: MAKER is a function that returns it")
    for name, entry in installed().items():
        package = f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value
        yield PolicyEntry(name, "installed", f"offered by the installed package {package}")


def convention_entries(name: str | None = None) -> Iterator[ConventionEntry]:
    """The cards of policy servers that come with the package.

    Raises:
        ConfigError: there is no card of that name.
    """
    if name is not None and name not in conventions.names():
        raise ConfigError(f"list conventions: no '{shown(name)}'{nearest(name, conventions.names())}")
    yield from (ConventionEntry(card, text) for card, text in conventions.catalog() if name in (None, card))


def protocol_entries() -> Iterator[ProtocolEntry]:
    """Every protocol."""
    default = EvalConfig().protocol
    for protocol in PROTOCOLS.values():
        by_suite = tuple(
            LimitsEntry(suite, found.max_steps, found.settle_steps, found.resolution)
            for suite, found in ((suite, limits(protocol.name, suite)) for suite in suite_names())
        )
        yield ProtocolEntry(protocol.name, protocol.name == default, protocol.source, by_suite)


def entries(what: str, name: str | None = None, *, suite: str | None = None) -> tuple[Entry, ...]:
    """The entries of one list.

    Args:
        what: `suites`, `tasks`, `texts`, `perturbations`, `policies`, `conventions` or `protocols`.
        name: for `perturbations` and `conventions`, only this one.
        suite: for `tasks` and `texts`, only this suite.

    Raises:
        SpecError: there is no such axis.
        ConfigError: there is no such convention, or the suite has no texts but its own.
    """
    match what:
        case "suites":
            return tuple(suite_entries())
        case "tasks":
            return tuple(task_entries(suite))
        case "texts":
            return tuple(text_entries(suite))
        case "perturbations":
            return tuple(axis_entries(name))
        case "policies":
            return tuple(policy_entries())
        case "conventions":
            return tuple(convention_entries(name))
        case _:
            return tuple(protocol_entries())


def record(what: str, found: tuple[Entry, ...]) -> dict[str, Any]:
    """The JSON object of one list: its name is the key of its entries."""
    return {"schema_version": SCHEMA_VERSION, what: [asdict(entry) for entry in found]}
