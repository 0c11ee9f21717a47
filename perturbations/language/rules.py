"""Texts with changed slots, by rule: other words, missing words, words for absent objects.

Every function lists all texts that it can derive from an instruction, in a fixed order: an entry's number is its id.
"""

import re
from collections.abc import Iterator, Mapping
from itertools import cycle, islice

from perturbations.handles import InstructionContext
from perturbations.language.pools import lexicon
from perturbations.language.slots import MOVING, Clause, Span, clauses, replaced, spans


def category(name: str) -> str:
    """The category of an object of the simulator: its name without the number."""
    return re.sub(r"_\d+$", "", name)


def present(context: InstructionContext) -> dict[str, str]:
    """Categories of the scene's objects that are in the lexicon, by name, sorted."""
    known = lexicon().things
    return {name: category(name) for name in sorted(context.names) if category(name) in known}


def find[Entry](noun: str, table: Mapping[str, Entry]) -> tuple[Span, Entry] | None:
    """The longest phrase of a table that occurs in a noun: its span and its entry."""
    for phrase in sorted(table, key=len, reverse=True):
        match = re.search(rf"\b{re.escape(phrase)}\b", noun)
        if match:
            return Span(*match.span()), table[phrase]
    return None


def with_where(clause: Clause, span: Span) -> Span:
    """The span of a noun including the words that say which one is meant; they would be wrong for another object."""
    return Span(span.start, clause.where.end) if clause.where and span == clause.objects[-1] else span


def synonyms(text: str, slot: str) -> tuple[str, ...]:
    """The text with synonyms for the object (slot `object`) or for the place where it is put (`place`)."""
    options = []
    for span in _slot(clauses(text), slot):
        noun = find(span.of(text), lexicon().synonyms)
        if noun:
            where, words = noun
            options.append((Span(span.start + where.start, span.start + where.end), words))
    return _combined(text, options)


def verbs(text: str) -> tuple[str, ...]:
    """The text with other verbs."""
    return _combined(text, [(clause.verb_span, lexicon().verbs[clause.verb]) for clause in clauses(text)])


def reworded(text: str) -> tuple[str, ...]:
    """Paraphrases by rule, for tasks without reviewed ones: other verbs and other nouns at once."""
    return tuple(dict.fromkeys(made for noun in synonyms(text, "object") for made in verbs(noun)))


def masked(text: str, slot: str) -> tuple[str, ...]:
    """The text without the words of a slot: `verb`, `object` or `place`."""
    parts = _slot(clauses(text), slot)
    return (replaced(text, [(span, "") for span in parts]),) if parts else ()


def without_referent(context: InstructionContext) -> tuple[str, ...]:
    """The text with its objects replaced by objects that are not in the scene."""
    text, parts = context.original, clauses(context.original)
    moving = [clause for clause in parts if clause.verb in MOVING and clause.objects]
    changed = moving[:] or [clause for clause in parts if clause.objects][:1]
    nouns = [(clause, span) for clause in changed for span in clause.objects]
    if not nouns:
        return ()
    lists = {clause.verb: _absent(context, clause.verb, plural="both moka pots" in text) for clause in changed}
    count = min(map(len, lists.values()))
    made = []
    for i in range(count if count >= len(nouns) else 0):
        words = [lists[clause.verb][(i + k) % count] for k, (clause, _) in enumerate(nouns)]
        made.append(replaced(text, [(with_where(c, s), word) for (c, s), word in zip(nouns, words, strict=True)]))
    return tuple(made)


def framed(text: str, kind: str) -> tuple[str, ...]:
    """The text inside each template of a kind."""
    return tuple(frame.format(text=text) for frame in lexicon().frames[kind])


def _absent(context: InstructionContext, verb: str, *, plural: bool) -> list[str]:
    """Nouns for objects that are not in the scene and that fit the verb."""
    known, kinds = lexicon(), set(present(context).values())
    if verb in known.absent:
        return list(known.absent[verb])
    nouns = {name for kind in kinds for name in known.things[kind].names}
    others = [t for kind, t in known.things.items() if t.movable and kind not in kinds and not nouns & set(t.names)]
    words = [thing.plural if plural else thing.names[0] for thing in others if not thing.names[0].endswith(" block")]
    return list(dict.fromkeys(word for word in words if word))


def _slot(parts: tuple[Clause, ...], slot: str) -> tuple[Span, ...]:
    if slot == "verb":
        return tuple(clause.verb_span for clause in parts)
    if slot == "place":
        return spans(parts, lambda clause: (clause.place_noun,))
    return spans(parts, lambda clause: clause.objects)


def _combined(text: str, options: list[tuple[Span, tuple[str, ...]]]) -> tuple[str, ...]:
    """The i-th text uses the i-th option of every part, cyclically where a part has fewer options."""
    if not options:
        return ()
    count = max(len(words) for _, words in options)
    columns: Iterator[list[str]] = (list(islice(cycle(words), count)) for _, words in options)
    rows = zip(*columns, strict=True)
    places = [span for span, _ in options]
    made = (replaced(text, list(zip(places, row, strict=True))) for row in rows)
    return tuple(dict.fromkeys(made))
