"""Pages that are made from the code when the site is built: lists, command line, Python API.

A line `<!-- made: NAME -->` in a page is replaced by what `MAKERS[NAME]` returns. Nothing on a page may be loaded from
another host: `on_post_page` refuses it.
"""

import simeval  # noqa: I001  first: it pins numerics

import html
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import typer
from mkdocs.exceptions import PluginError

from simeval.analysis.stages import MEANINGS, THRESHOLDS
from simeval.cli.app import app
from simeval.cli.catalog import CHANNELS, FAMILIES, KEYS
from simeval.cli.entries import (
    AxisEntry,
    WordEntry,
    axis_entries,
    policy_entries,
    protocol_entries,
    suite_entries,
)
from simeval.store.stages import STAGES

DOCS = Path(__file__).resolve().parent
MARK = re.compile(r"^<!-- made: ([a-z-]+) -->$", re.MULTILINE)
EXTERNAL = re.compile(
    r"<(?:script|img|iframe|video|source|audio|embed)\b[^>]*\bsrc=[\"']?(?:https?:)?//[^>]*>"
    r"|<link\b(?=[^>]*\brel=[\"']?(?:stylesheet|preload|preconnect|icon)\b)[^>]*\bhref=[\"']?(?:https?:)?//[^>]*>"
)


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Put what is made from the code where a page asks for it (an event of MkDocs)."""

    def made(match: re.Match[str]) -> str:
        if match[1] not in MAKERS:
            raise PluginError(
                f"{page.file.src_uri}: nothing is made by the name '{match[1]}'; known: {', '.join(MAKERS)}"
            )
        return "\n".join(MAKERS[match[1]]())

    return MARK.sub(made, markdown)


def on_post_page(output: str, page: Any, **_: Any) -> str:
    """Refuse a page that a browser would complete from the network (an event of MkDocs)."""
    found = EXTERNAL.search(output)
    if found is not None:
        raise PluginError(f"{page.file.src_uri}: loads something from another host: {found[0][:200]}")
    return output


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A Markdown table."""
    yield ""
    yield f"| {' | '.join(heads)} |"
    yield "|" + " --- |" * len(heads)
    for row in rows:
        yield f"| {' | '.join(map(_cell, row))} |"
    yield ""


def _cell(text: str) -> str:
    """Text inside a table: a bar would end the cell, except in code, where its escape would be shown."""
    parts = text.split("`")
    return "`".join(part if index % 2 else part.replace("|", r"\|") for index, part in enumerate(parts))


def plain(text: str) -> str:
    """Text that Markdown takes as it is."""
    return re.sub(r"([\\`*_{}\[\]])", r"\\\1", html.escape(text, quote=False))


def command_line() -> Iterator[str]:
    """Every verb with its arguments and options, from the objects behind `--help`."""
    group: Any = typer.main.get_command(app)
    for name, command in group.commands.items():
        context = command.make_context(name, [], resilient_parsing=True)
        pieces = [piece for piece in command.collect_usage_pieces(context) if piece != "[OPTIONS]"]
        yield f"## simeval {name} {{ #{name} }}"
        yield ""
        yield plain(command.help or "")
        yield ""
        yield "```text"
        yield " ".join(["simeval", name, "[OPTIONS]", *pieces])
        yield "```"
        records = [param.get_help_record(context) for param in command.params]
        yield from table(
            ("argument or option", "means"), [(_written(words), plain(text)) for words, text in filter(None, records)]
        )


def _written(words: str) -> str:
    """An option as it is written; choices one by one, so that a narrow screen can break between them."""
    return " ".join(" | ".join(f"`{choice}`" for choice in word.split("|")) for word in words.split())


def api_page() -> Iterator[str]:
    """The public names of the package, each with the documentation of the object behind it."""
    for name in sorted(simeval.__all__, key=str.lower):
        found = getattr(simeval, name)
        yield f"::: {found.__module__}.{found.__qualname__}"
        options = _options(found)
        if options:  # its signature would show how each option is declared, in hundreds of lines
            yield "    options:"
            yield "      show_signature: false"
            yield "      members: false"
            yield ""
            yield f"Fields of `{name}`, which are also the options of the command line:"
            yield from table(("field", "default", "means"), options)
        yield ""


def _options(found: Any) -> list[tuple[str, str, str]]:
    """Fields of a configuration: name, default and help; none of anything else."""
    if not is_dataclass(found):
        return []
    return [
        (f"`{item.name}`", f"`{item.default!r}`", plain(item.metadata["help"]))
        for item in fields(found)
        if "help" in item.metadata
    ]


def number(value: float | str | None) -> str:
    """A number as a person writes it; nothing for no limit."""
    return "" if value is None else value if isinstance(value, str) else f"{value:g}"


def axis_list() -> Iterator[str]:
    """Every axis: what it means, how it is written, and an image of it where there is one."""
    channel = ""
    for axis in axis_entries():
        if axis.channel != channel:
            channel = axis.channel
            yield f"## {channel.capitalize()} {{ #{channel} }}"
            yield ""
            yield f"Changes {CHANNELS[channel]}."
            yield ""
        yield f"### `{axis.name}` {{ #{axis.name.replace('.', '-')} }}"
        yield ""
        yield f"{sentence(axis.value_means)}"
        yield ""
        yield from _image(axis)
        yield from _facts(axis)
        if axis.words:
            yield from table(("word", "does", "meaning of the instruction"), [_word(axis, word) for word in axis.words])
        if axis.settings:
            rows = [
                (f"`/{key.name}={key.accepted}`", KEYS.get(key.name, "a setting of this axis"), f"`{key.default}`")
                for key in axis.settings
            ]
            yield '??? note "Settings"'
            rows = [(write, means, default.replace("``", "none")) for write, means, default in rows]
            yield from (f"    {line}" for line in table(("write", "means", "default"), rows))


def sentence(text: str) -> str:
    """A phrase of the registry as a sentence."""
    return plain(text[0].upper() + text[1:] + ".")


def _facts(axis: AxisEntry) -> Iterator[str]:
    rows = [("example", f"`--perturb {axis.example}`")]
    if axis.aliases:
        rows.append(("also called", ", ".join(f"`{name}`" for name in axis.aliases)))
    if axis.words:
        rows.append(("changes nothing", f"`{axis.identity}`"))
    else:
        suffixes = ", ".join(f"`{suffix}`" for suffix in axis.suffixes if suffix)
        rows.append(("unit", axis.unit + (f"; may be written with {suffixes}" if suffixes else "")))
        rows.append(
            ("range", f"{number(axis.minimum)} to {number(axis.maximum)}; {number(axis.identity)} changes nothing")
        )
    if axis.presets:
        rows.append(("s1 to s5", ", ".join(map(number, axis.presets))))
    if axis.cameras:
        rows.append(("cameras", ", ".join(f"`@{camera}`" for camera in axis.cameras) + "; without one both"))
    rows.append(("family", FAMILIES[axis.family]))
    rows.append(("source", plain(axis.source)))
    yield from table(("", ""), rows)


def _word(axis: AxisEntry, word: WordEntry) -> tuple[str, str, str]:
    meaning = {"kept": "kept", "changed": "changed", "not_applicable": "nothing certain"}[word.meaning]
    text = word.explained
    if word.argument is not None:
        texts = [text for text in word.argument.words if not text.isdecimal()]
        numbers = [text for text in word.argument.words if text.isdecimal()]
        if not word.argument.words:
            numbers = [number(word.argument.minimum), number(word.argument.maximum)]
        span = ", ".join([*texts, *([f"{numbers[0]} to {numbers[-1]}"] if numbers else [])])
        text += f"; after a colon: {word.argument.means} ({span})"
    return f"`{word.name}`", plain(text.removeprefix("; ")), meaning if axis.channel == "language" else ""


def _image(axis: AxisEntry) -> Iterator[str]:
    if not (DOCS / "axes" / f"{axis.name}.jpg").exists():
        return
    if axis.presets:
        shown = [f"s{i} = {number(axis.presets[i - 1])}" for i in (1, 3, 5)]
    else:
        words = [word.name for word in axis.words if word.name not in (axis.identity, "draw")]
        shown = list(dict.fromkeys((words[0], words[len(words) // 2], words[-1])))
    caption = ", ".join(["clean", *shown])
    yield f"![{axis.name}: {caption}](../axes/{axis.name}.jpg){{ loading=lazy }}"
    yield ""
    yield f"From left to right: {caption}."
    yield ""


def suite_list() -> Iterator[str]:
    """Every suite."""
    yield from table(("suite", "tasks"), [(f"`{entry.name}`", str(entry.tasks)) for entry in suite_entries()])


def policy_list() -> Iterator[str]:
    """What `--policy` may say."""
    rows = [(f"`{entry.name}`", entry.kind, plain(entry.description)) for entry in policy_entries()]
    yield from table(("`--policy`", "kind", "what it is"), rows)


def protocol_list() -> Iterator[str]:
    """Every protocol."""
    for entry in protocol_entries():
        yield f"### `{entry.name}`" + (" (default)" if entry.default else "")
        yield ""
        yield f"{plain(entry.source)}."
        rows = [
            (f"`{row.suite}`", str(row.max_steps), str(row.settle_steps), f"{row.resolution} px")
            for row in entry.limits
        ]
        yield from table(("suite", "most control steps", "idle steps before", "image"), rows)


def stage_list() -> Iterator[str]:
    """What each stage means, one table by the predicates of the goal."""
    for predicates, meanings in MEANINGS.items():
        yield f"For goals with `{predicates}`:"
        yield from table(("stage", "the robot"), [(stage, meanings[stage]) for stage in STAGES if stage in meanings])


def threshold_list() -> Iterator[str]:
    """Every number of these rules."""
    rows = [(row.meaning, f"{row.value:g} {row.unit}", row.source) for row in THRESHOLDS]
    yield from table(("what it limits", "value", "source"), rows)


MAKERS: Mapping[str, Callable[[], Iterator[str]]] = {
    "command-line": command_line,
    "api": api_page,
    "axes": axis_list,
    "suites": suite_list,
    "policies": policy_list,
    "protocols": protocol_list,
    "stages": stage_list,
    "stage-thresholds": threshold_list,
}
