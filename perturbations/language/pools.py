"""Reads the texts of this package's TOML files."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

SUITES = ("libero_spatial", "libero_object", "libero_goal", "libero_10")
"""Suites that have a file of texts."""

LANGUAGES = ("de", "fr", "es", "it", "pt", "nl", "zh", "ja")
"""Languages of the translations, as ISO 639-1 codes."""


@dataclass(frozen=True, slots=True)
class TaskTexts:
    """The texts of one task.

    Attributes:
        original: the task's instruction, to detect a file that belongs to other tasks.
        paraphrases: the same request in other words.
        translations: the same request by language. An English vocabulary needs more tokens for them, up to one per
            byte; a policy that truncates its text (SmolVLA after 48 tokens) may lose the end of the longest ones.
    """

    original: str
    paraphrases: tuple[str, ...]
    translations: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Thing:
    """A kind of object in the scenes.

    Attributes:
        names: nouns for it in instructions.
        movable: whether an instruction can sensibly ask to move it.
        plural: noun for two of them; `None` if they cannot be counted.
    """

    names: tuple[str, ...]
    movable: bool = False
    plural: str | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """A place where an object can be put.

    Attributes:
        predicate: the goal predicate, `on` or `in`.
        words: the phrase, for instance `in the basket`.
    """

    predicate: str
    words: str


@dataclass(frozen=True)
class Lexicon:
    """The contents of `lexicon.toml`; its comments describe each table.

    Attributes:
        things: kinds of objects by category of the simulator.
        places: by the simulator's name without its number.
        synonyms: other nouns by noun.
        verbs: other verbs by verb.
        absent: objects that are in no scene, by verb.
        frames: templates around an instruction, by kind.
    """

    things: Mapping[str, Thing]
    places: Mapping[str, Place]
    synonyms: Mapping[str, tuple[str, ...]]
    verbs: Mapping[str, tuple[str, ...]]
    absent: Mapping[str, tuple[str, ...]]
    frames: Mapping[str, tuple[str, ...]]


@cache
def texts(suite: str, task: int) -> TaskTexts | None:
    """The texts of a task; `None` if it has no entry."""
    if suite not in SUITES:
        return None
    return _tasks(suite).get(f"{suite}/{task}")


@cache
def lexicon() -> Lexicon:
    """The lexicon."""
    tables = _read("lexicon")
    things = {
        category: Thing(tuple(entry["names"]), entry.get("movable", False), entry.get("plural"))
        for category, entry in tables["things"].items()
    }
    places = {name: Place(predicate, words) for name, (predicate, words) in tables["places"].items()}
    lists = ("synonyms", "verbs", "absent", "frames")
    words = {name: {key: tuple(entries) for key, entries in tables[name].items()} for name in lists}
    return Lexicon(things, places, **words)


@cache
def _tasks(suite: str) -> dict[str, TaskTexts]:
    return {
        entry["id"]: TaskTexts(entry["original"], tuple(entry["paraphrase"]), entry["lang"])
        for entry in _read(suite)["task"]
    }


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads((files("perturbations.language") / f"{name}.toml").read_text(encoding="utf-8"))
