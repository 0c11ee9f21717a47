"""Texts that name another object or another place of the scene, each with its goal.

A swap changes the words and the goal together: `put the bowl on the stove` becomes `put the bowl on the plate`, and
`on(bowl, cook region)` becomes `on(bowl, plate)`. Swaps to ambiguous objects (one of two equal ones), to goals that
already hold, and to objects that support another one are left out.
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
    """The instruction for another object that can be handled in the same way."""
    swaps = [*_drawers(context, inside=False)]
    for clause in clauses(context.original):
        for span in clause.objects if clause.verb in MOVING else ():
            swaps += _other_object(context, clause, span)
    return _sensible(context, swaps)


def place_swaps(context: InstructionContext) -> tuple[Swap, ...]:
    """The instruction for another place."""
    swaps = [*_drawers(context, inside=True)]
    parts = clauses(context.original)
    placing = [clause for clause in parts if clause.place]
    atoms = [atom for atom in context.original_goal if len(atom) == 3]
    # If the text refers to the place again ("and close it"), another place would change that action as well.
    if any(not clause.objects and clause.place is None for clause in parts):
        return ()
    for i, clause in enumerate(placing):
        clause_atoms = atoms if len(placing) == 1 else atoms[i : i + 1] if len(placing) == len(atoms) else []
        if clause.place_noun and clause.verb in PUTTING and clause.verb != "push" and clause_atoms:
            swaps += _other_place(context, clause, clause_atoms)
    return _sensible(context, swaps)


def _sensible(context: InstructionContext, swaps: list[Swap]) -> tuple[Swap, ...]:
    original = set(context.original_goal)
    kept = (swap for swap in swaps if not (set(swap[1]) <= original or original <= set(swap[1])))
    return tuple(dict.fromkeys(swap for swap in kept if swap[0] != context.original))


def _other_object(context: InstructionContext, clause: Clause, span: Span) -> Iterator[Swap]:
    text, goal = context.original, context.original_goal
    phrase = find(span.of(text), _kinds_by_noun(context))
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
    for name, word in _unambiguous_nouns(context).items():
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
    """Exchange left and right for every mention of the place's noun: the text may name both of two equal places."""
    assert clause.place_noun is not None
    noun = clause.place_noun.of(text).replace(side, "").strip()
    pattern = rf"\b({side}|{OPPOSITE[side]}) {re.escape(noun)}\b"
    return re.sub(pattern, lambda match: f"{OPPOSITE[match[1]]} {noun}", text)


def _drawers(context: InstructionContext, *, inside: bool) -> Iterator[Swap]:
    """Another drawer to open; with `inside`, a drawer that an object is put into."""
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
    """The other one of two equal objects; `None` if there are not exactly two."""
    alike = [other for other in context.names if category(other) == category(name) and other != name]
    known = category(name) in lexicon().things
    return alike[0] if known and len(alike) == 1 else None


def _kinds_by_noun(context: InstructionContext) -> dict[str, frozenset[str]]:
    """Categories of the scene's objects by noun."""
    kinds = set(present(context).values())
    names = {name for kind in kinds for name in lexicon().things[kind].names}
    return {name: frozenset(k for k in kinds if name in lexicon().things[k].names) for name in names}


def _unambiguous_nouns(context: InstructionContext) -> dict[str, str]:
    """Nouns of the scene's movable objects, without nouns that also fit another object."""
    kinds = present(context)
    counts = Counter(word for kind in kinds.values() for word in lexicon().things[kind].names)
    things = ((name, lexicon().things[kind]) for name, kind in kinds.items())
    return {name: thing.names[0] for name, thing in things if thing.movable and counts[thing.names[0]] == 1}


def _places(context: InstructionContext) -> dict[str, tuple[str, str]]:
    """Predicate and words of the scene's places, without places that occur several times."""
    keys = {name: re.sub(r"_\d+(?=_|$)", "", name) for name in sorted(context.names)}
    counts = Counter(keys.values())
    known = lexicon().places
    return {
        name: (known[key].predicate, known[key].words)
        for name, key in keys.items()
        if key in known and counts[key] == 1
    }
