"""Verb, object and place of an instruction in LIBERO's style, by rule.

    pick up the [black bowl] on the stove and place it on the [plate]
    verb         object      where            verb     place

The rules parse every instruction of LIBERO's five suites and of the toy suite; other wording has no slots.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

_CLAUSE = re.compile(r" and (?=(?:put|place|close|open|turn) )")
_VERB = re.compile(r"(pick up|put|place|open|close|turn on|turn off|push|stack|touch) (.+)")
_PICK = re.compile(r"(?P<object>.+?)(?P<where> (?:between|next to|from|on|in|at) .+)?")
_PUT = re.compile(
    r"(?P<object>.+?)"
    r"(?P<where> at the (?:back|front)| in the middle| on the (?:left|right))?"
    r"(?: (?P<place>inside|(?:on top of|on|in|under|to the (?:left|right|front) of) .+))?"
)
_PREPOSITION = re.compile(r"(?:on top of|on|in|under|to the (?:left|right|front) of) the ")
_NOUN = re.compile(r"(?:both )?(?:the )?(.+)")
_PRONOUNS = ("it", "them")

PUTTING = ("put", "place", "push", "stack")
"""Verbs with a place."""
MOVING = ("pick up", *PUTTING, "touch")
"""Verbs whose object can be moved."""


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A part of a text: `text[start:end]`."""

    start: int
    end: int

    def of(self, text: str) -> str:
        """The words of this part."""
        return text[self.start : self.end]


@dataclass(frozen=True, slots=True)
class Clause:
    """One action of an instruction.

    Attributes:
        verb: as written in the text.
        verb_span: span of the verb.
        objects: spans of the object nouns, without article; empty for a pronoun.
        where: words that say which of several objects is meant (`on the stove`), with the blank before them.
        place: the destination, with its preposition.
        place_noun: the noun of the destination, without article; `None` for a pronoun or `inside`.
    """

    verb: str
    verb_span: Span
    objects: tuple[Span, ...]
    where: Span | None
    place: Span | None
    place_noun: Span | None


def clauses(text: str) -> tuple[Clause, ...]:
    """The clauses of an instruction in order; empty if the rules cannot parse it."""
    parsed = []
    start = 0
    for part in _CLAUSE.split(text):
        clause = _clause(part, start)
        if clause is None:
            return ()
        parsed.append(clause)
        start += len(part) + len(" and ")
    return tuple(parsed)


def _clause(text: str, start: int) -> Clause | None:
    match = _VERB.fullmatch(text)
    if not match:
        return None
    verb, offset = match[1], start + match.start(2)
    pattern = _PICK if verb == "pick up" else _PUT if verb in PUTTING else _NOUN
    parts = pattern.fullmatch(match[2])
    if parts is None:
        return None
    groups = parts.groupdict()
    noun = groups.get("object", match[2])
    objects = tuple(Span(offset + a, offset + b) for a, b in _nouns(noun))
    where = Span(offset + parts.start("where"), offset + parts.end("where")) if groups.get("where") else None
    place = Span(offset + parts.start("place"), offset + parts.end("place")) if groups.get("place") else None
    lead = _PREPOSITION.match(groups.get("place") or "")
    place_noun = Span(place.start + lead.end(), place.end) if place and lead else None
    return Clause(verb, Span(start, start + len(verb)), objects, where, place, place_noun)


def _nouns(text: str) -> list[tuple[int, int]]:
    """Spans of the nouns in `the x`, `both the x and the y` or `both xs`; none for a pronoun."""
    if text in _PRONOUNS:
        return []
    nouns, start = [], 0
    for part in re.split(r" and the ", text):
        match = _NOUN.fullmatch(part)
        if match:
            nouns.append((start + match.start(1), start + match.end(1)))
        start += len(part) + len(" and the ")
    return nouns


def replaced(text: str, changes: Iterable[tuple[Span, str]]) -> str:
    """The text with new words in some of its parts, which must not overlap."""
    for span, words in sorted(changes, reverse=True):
        text = text[: span.start] + words + text[span.end :]
    return " ".join(text.split())


def spans(parts: Iterable[Clause], pick: Callable[[Clause], Iterable[Span | None]]) -> tuple[Span, ...]:
    """All spans that `pick` selects from the clauses."""
    return tuple(span for clause in parts for span in pick(clause) if span is not None)
