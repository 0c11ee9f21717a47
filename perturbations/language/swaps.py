"""Texts that name another thing or another place of the scene, each with the goal that it then asks for.

A swap changes the words and the goal together: `put the bowl on the stove` becomes `put the bowl on the plate`, and
`on(bowl, cook region)` becomes `on(bowl, plate)`. Left out is what nobody could ask for without being misunderstood
(one of two equal things), what already holds, and what something else stands on.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from perturbations.handles import Goal, InstructionContext
from perturbations.language.pools import lexicon
from perturbations.language.rules import category, find, present, with_where
from perturbations.language.slots import MOVING, PUTTING, Clause, Span, clauses, replaced

Swap = tuple[str, Goal]

OPPOSITE = {"left": "right", "right": "left", "front": "back", "back": "front"}
LEVELS = ("top", "middle", "bottom")
"""Drawers of a cabinet."""

_SIDE = re.compile(r"\b(?:left|right|front|back)\b")


def object_swaps(context: InstructionContext) -> tuple[Swap, ...]:
    """The instruction for another thing that could be handled in the same way."""
    found = [*_drawers(context, inside=False)]
    for clause in clauses(context.original):
        for span in clause.objects if clause.verb in MOVING else ():
            found += _other_object(context, clause, span)
    return _sensible(context, found)


def place_swaps(context: InstructionContext) -> tuple[Swap, ...]:
    """The instruction for another place."""
    found = [*_drawers(context, inside=True)]
    parts = clauses(context.original)
    placing = [clause for clause in parts if clause.place]
    atoms = [atom for atom in context.original_goal if len(atom) == 3]
    # Where the text goes on to speak of the place ("and close it"), another place would change that as well.
    if any(not clause.objects and clause.place is None for clause in parts):
        return ()
    for i, clause in enumerate(placing):
        its = atoms if len(placing) == 1 else atoms[i : i + 1] if len(placing) == len(atoms) else []
        if clause.place_noun and clause.verb in PUTTING and clause.verb != "push" and its:
            found += _other_place(context, clause, its)
    return _sensible(context, found)


def _sensible(context: InstructionContext, found: list[Swap]) -> tuple[Swap, ...]:
    original = set(context.original_goal)
    kept = (swap for swap in found if not (set(swap[1]) <= original or original <= set(swap[1])))
    return tuple(dict.fromkeys(swap for swap in kept if swap[0] != context.original))


def _other_object(context: InstructionContext, clause: Clause, span: Span) -> Iterator[Swap]:
    text, goal = context.original, context.original_goal
    phrase = find(span.of(text), _named(context))
    kinds = phrase[1] if phrase else frozenset()
    handled = {atom[1] for atom in goal if category(atom[1]) in kinds and len(atom) in (2, 3)}
    if len(handled) != 1:
        return
    (old,) = handled
    whole = with_where(clause, span)
    twin = _twin(context, old)
    side = _SIDE.search(whole.of(text))
    if twin and side:
        words = whole.of(text).replace(side[0], OPPOSITE[side[0]])
        yield replaced(text, [(whole, words)]), _renamed(goal, {old: twin})
    for name, word in _unmistakable(context).items():
        if all(name not in atom for atom in goal) and name not in context.starts.values():
            yield replaced(text, [(whole, word)]), _renamed(goal, {old: name})


def _other_place(context: InstructionContext, clause: Clause, atoms: Sequence[tuple[str, ...]]) -> Iterator[Swap]:
    text, goal, old = context.original, context.original_goal, atoms[0][2]
    assert clause.place is not None
    side = _SIDE.search(clause.place.of(text))
    beside = re.sub(r"_(left|right)_region$", lambda m: f"_{OPPOSITE[m[1]]}_region", old)
    if side and beside != old and beside in context.names and old not in _places(context):
        words = clause.place.of(text).replace(side[0], OPPOSITE[side[0]])
        yield replaced(text, [(clause.place, words)]), _renamed(goal, {old: beside})
    twin = _twin(context, old)
    if side and twin:
        yield _exchanged(text, clause, side[0]), _renamed(goal, {old: twin, twin: old})
        return
    for name, (predicate, words) in _places(context).items():
        if name != old and all(name not in atom for atom in goal) and name not in context.starts.values():
            moved = tuple((predicate, atom[1], name) if atom in atoms else atom for atom in goal)
            yield replaced(text, [(clause.place, words)]), moved


def _exchanged(text: str, clause: Clause, side: str) -> str:
    """Left for right, wherever the text names such a thing: with two of them, the other one may be named as well."""
    assert clause.place_noun is not None
    thing = clause.place_noun.of(text).replace(side, "").strip()
    pattern = rf"\b({side}|{OPPOSITE[side]}) {re.escape(thing)}\b"
    return re.sub(pattern, lambda match: f"{OPPOSITE[match[1]]} {thing}", text)


def _drawers(context: InstructionContext, *, inside: bool) -> Iterator[Swap]:
    """Another drawer to open; with `inside`, one that something is put into."""
    goal, text = context.original_goal, context.original
    drawer = re.search(r"\bopen the (top|middle|bottom) drawer\b", text)
    if not drawer or inside != any(atom[0] == "in" for atom in goal):
        return
    old = next((atom[-1] for atom in goal if atom[-1].endswith(f"_{drawer[1]}_region")), None)
    for level in LEVELS if old else ():
        new = str(old).replace(f"_{drawer[1]}_region", f"_{level}_region")
        if new != old and new in context.names and not any(new in atom for atom in goal):
            yield text.replace(drawer[0], f"open the {level} drawer"), _renamed(goal, {str(old): new})


def _renamed(goal: Goal, names: Mapping[str, str]) -> Goal:
    return tuple((atom[0], *(names.get(name, name) for name in atom[1:])) for atom in goal)


def _twin(context: InstructionContext, name: str) -> str | None:
    """The other one of two equal things."""
    alike = [other for other in context.names if category(other) == category(name) and other != name]
    known = category(name) in lexicon().things
    return alike[0] if known and len(alike) == 1 else None


def _named(context: InstructionContext) -> dict[str, frozenset[str]]:
    """Categories of the scene by what instructions call them."""
    kinds = set(present(context).values())
    names = {name for kind in kinds for name in lexicon().things[kind].names}
    return {name: frozenset(k for k in kinds if name in lexicon().things[k].names) for name in names}


def _unmistakable(context: InstructionContext) -> dict[str, str]:
    """What the scene's movable things are called, without those whose name fits another thing as well."""
    here = present(context)
    called = Counter(word for kind in here.values() for word in lexicon().things[kind].names)
    things = ((name, lexicon().things[kind]) for name, kind in here.items())
    return {name: thing.names[0] for name, thing in things if thing.movable and called[thing.names[0]] == 1}


def _places(context: InstructionContext) -> dict[str, tuple[str, str]]:
    """Predicate and words of the scene's places, without those of which there are several."""
    keys = {name: re.sub(r"_\d+(?=_|$)", "", name) for name in sorted(context.names)}
    often = Counter(keys.values())
    known = lexicon().places
    return {
        name: (known[key].predicate, known[key].words) for name, key in keys.items() if key in known and often[key] == 1
    }
