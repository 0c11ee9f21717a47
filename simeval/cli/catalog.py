"""What `simeval list` prints."""

from collections.abc import Iterator, Sequence

from envs.goals import EnvError
from envs.suites import is_suite, suite_names
from perturbations.base import AxisInfo, SpecError, axes, find_axis
from simeval.cli.entries import (
    ConventionEntry,
    Entry,
    PolicyEntry,
    ProtocolEntry,
    SuiteEntry,
    TaskEntry,
    TextEntry,
    entries,
)
from simeval.config.suites import OWN_SOURCE
from simeval.core import plugins
from simeval.core.errors import ConfigError, nearest
from simeval.policies.remote.conventions import card_file


def checked(
    what: str, name: str | None = None, *, suite: str | None = None, plugin_files: tuple[str, ...] = ()
) -> tuple[Entry, ...]:
    """The entries of one list.

    Args:
        what: `suites`, `tasks`, `texts`, `perturbations`, `policies`, `conventions` or `protocols`.
        name: for `perturbations` and `conventions`, only this one.
        suite: for `tasks` and `texts`, only this suite.
        plugin_files: files with user-defined axes.

    Raises:
        ConfigError: no such suite or perturbation, or a file that cannot be loaded, or a suite's files are not here.
    """
    if name is not None and what not in ("perturbations", "conventions"):
        raise ConfigError(f"list {what}: takes no name ('{name}')")
    plugins.load(plugins.read(plugin_files))
    if suite is not None and not is_suite(suite):
        raise ConfigError(f"--suite: no suite '{suite}'{nearest(suite, suite_names())}")
    try:
        return entries(what, name, suite=suite)
    except SpecError as error:
        raise ConfigError(f"list perturbations: {error}") from None
    except EnvError as error:
        raise ConfigError(f"list {what}: {error}") from None


def render(
    what: str, name: str | None = None, *, suite: str | None = None, plugin_files: tuple[str, ...] = ()
) -> Iterator[str]:
    """The lines of one list; arguments and errors are those of `checked`."""
    if what == "perturbations":
        checked(what, name, suite=suite, plugin_files=plugin_files)
        yield from _perturbations() if name is None else _explained(find_axis(name))
        return
    if what == "conventions" and name is not None:
        checked(what, name)
        yield from card_file(name).read_text(encoding="utf-8").splitlines()
        return
    found = checked(what, name, suite=suite, plugin_files=plugin_files)
    width = max((len(suite_of) for suite_of in map(_suite_of, found)), default=0)
    for entry in found:
        yield from _entry_lines(entry, width)
    if what == "texts":
        yield from _differences([entry for entry in found if isinstance(entry, TextEntry)], width)


def _differences(texts: Sequence[TextEntry], width: int) -> Iterator[str]:
    """How many texts of each suite and source are not the suite's own."""
    yield ""
    for suite, source in dict.fromkeys((text.suite, text.source) for text in texts if text.source != OWN_SOURCE):
        differ = [text.differs for text in texts if (text.suite, text.source) == (suite, source)]
        yield f"{suite:{width}} {source:10} {sum(differ)} of {len(differ)} texts are not the suite's own"


def _suite_of(entry: Entry) -> str:
    match entry:
        case SuiteEntry():
            return entry.name
        case TaskEntry() | TextEntry():
            return entry.suite
        case ProtocolEntry():
            return max((row.suite for row in entry.limits), key=len)
        case _:
            return ""


def _entry_lines(entry: Entry, width: int) -> Iterator[str]:
    """The lines of an entry; names of suites are padded to `width`."""
    match entry:
        case SuiteEntry():
            yield f"{entry.name:{width}} {entry.tasks:5} tasks"
        case TaskEntry():
            others = f"  ({entry.other_goals} other goals)" if entry.other_goals else ""
            yield f"{entry.suite:{width}} {entry.task:4}  {entry.instruction}{others}"
        case TextEntry():
            own = entry.source == OWN_SOURCE
            text = entry.instruction if own or entry.differs else "(the same)"
            place = f"{entry.suite:{width}} {entry.task:4}" if own else ""
            yield f"{place:{width + 5}}  {entry.source:10} {text}"
        case PolicyEntry():
            yield f"{entry.name:19} {entry.description}"
        case ConventionEntry():
            yield f"{entry.name:20} {entry.description}"
        case ProtocolEntry():
            yield f"{entry.name}{' (default)' if entry.default else ''}: {entry.source}"
            for row in entry.limits:
                steps = f"max {row.max_steps} steps, {row.settle_steps} settle steps"
                yield f"  {row.suite:{width}} {steps}, {row.resolution} px"


FAMILIES = {"V": "vision", "S": "semantics", "E": "execution"}
CHANNELS = {
    "language": "the instruction",
    "physics": "the simulation, before anything settles",
    "scene": "what is rendered, in every view",
    "image": "single images",
    "timing": "when the policy sees what",
    "state": "the robot's report of its own body",
    "action": "the robot's commands",
    "latency": "how long the policy's answers take, and what the robot does meanwhile",
}


def _perturbations() -> Iterator[str]:
    yield "Written NAME:VALUE, joined by +; several values (0.1,0.2) are a sweep. `simeval list perturbations NAME`"
    yield "says more about one."
    channel = ""
    for axis in axes():
        if axis.channel != channel:
            channel = axis.channel
            yield ""
            yield f"{channel}: {CHANNELS[channel]}"
        yield f"  {axis.name:17} {axis.value_means}"
        if axis.presets:
            yield f"  {'':17} s1..s5: {', '.join(f'{value:g}' for value in axis.presets)} ({axis.unit.name})"
        elif len(axis.allowed) < 90:
            yield f"  {'':17} {axis.allowed}"


def _explained(axis: AxisInfo) -> Iterator[str]:
    yield axis.name + (f" (also {', '.join(axis.aliases)})" if axis.aliases else "")
    yield f"  value     {axis.value_means}"
    if axis.words:
        yield from _words(axis)
    else:
        yield f"  unit      {axis.unit.name}, written as {axis.unit.accepted}" + (
            ", whole numbers" if axis.unit.whole else ""
        )
        yield f"  range     {axis.allowed.removeprefix('in ')}; {axis.identity:g} changes nothing"
    for word, meaning in axis.also.items():
        yield f"  or        {word}: {meaning}"
    if axis.presets:
        yield f"  presets   {', '.join(f's{i}={value:g}' for i, value in enumerate(axis.presets, 1))}"
    if axis.keys:
        yield "  settings"
    for key in axis.keys:
        default = f" [default: {key.default}]" if key.default else ""
        means = key.means or KEYS.get(key.name, "setting of this axis")
        yield f"    /{f'{key.name}={key.accepted}':22} {means}{default}"
    if axis.cameras:
        yield f"  cameras   {', '.join(f'@{camera}' for camera in axis.cameras)}; without one all of them"
    writes = f"; writes {', '.join(axis.writes)}" if axis.writes else ""
    yield f"  acts on   {CHANNELS[axis.channel]} (channel {axis.channel}, stage {axis.stage.name.lower()}){writes}"
    yield f"  family    {axis.family}: {FAMILIES[axis.family]}"
    yield f"  source    {axis.source}"
    yield f"  example   --perturb {axis.example}"


KEYS = {
    "from": "first control step that is perturbed",
    "until": "first control step that is clean again",
    "mode": "new random numbers for every frame (flicker), or the same ones for the whole episode (static)",
    "seed": "other random numbers than those of the run",
    "target": "an object or fixture by its name in the task file",
    "gripper": "whether the gripper's command is perturbed as well",
    "fill": "what it is filled with",
}


def _words(axis: AxisInfo) -> Iterator[str]:
    meanings = {"kept": "", "changed": "changes what is asked for", "not_applicable": "asks for nothing certain"}
    yield f"  words     ({axis.identity} changes nothing)"
    for word, meaning in axis.words.items():
        argument = axis.arguments.get(word)
        more = ""
        if argument is not None:
            optional = argument.default is not None
            more = f"{'[' if optional else ''}:...{']' if optional else ''} {argument.means}, {argument.allowed}"
        yield f"    {word}{more}" + (
            f"  ({meanings[meaning]})" if axis.channel == "language" and meanings[meaning] else ""
        )
