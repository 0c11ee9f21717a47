"""The language axis: other instructions for the policy.

    instruction:empty  instruction:paraphrase  instruction:typo:0.1  instruction:lang:de  instruction:counterfactual:all

Each text is the task's own, an entry of a reviewed pool, or a function of these and of a number that is stored in the
row. Its `source` says which, so that `is_declared` can recompute it. The random choice is made once per pair: every
policy and every strength gets the same one.

There are three ways to choose from a pool:

- `instruction:counterfactual` samples one entry for each episode.
- `instruction:counterfactual:all` rotates: the episodes of a task get its first, second, ... entry and start again.
  With as many initial states as the task has entries, each entry is used once, and the condition remains one row of the
  table. (One condition per number would compare entries of different tasks that share nothing but the number.)
- `instruction:counterfactual:2` uses the second entry everywhere; it is infeasible for tasks with fewer entries.

The effect of a kind on the meaning decides how it enters a report. Meaning is kept if a careful reader understands the
original request. It is changed if an instruction-following policy must do something else: another goal, or, for
`empty`, `mismatch`, `negation`, `noreferent` and `gibberish`, nothing at all. For `scramble` and `mask` the request is
not always recognisable, so neither expectation is fair. Success always means the original goal, except if the text asks
for another goal that the scene can check (`Instruction.goal`).
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from perturbations.base import (
    WORD,
    Argument,
    AxisInfo,
    Infeasible,
    Instruction,
    InstructionContext,
    Meaning,
    Stage,
    register,
)
from perturbations.language import degrade, rules, swaps
from perturbations.language.pools import LANGUAGES, TaskTexts, texts

AXIS = "instruction"
"""Name of the axis."""

Made = Sequence[str] | Sequence[swaps.Swap]

KINDS: Mapping[str, Meaning] = {
    "original": "kept",
    "empty": "changed",
    "counterfactual": "changed",
    "mismatch": "changed",
    "changed": "changed",
    "negation": "changed",
    "noreferent": "changed",
    "paraphrase": "kept",
    "padding": "kept",
    "reasoning": "kept",
    "synonym": "kept",
    "verb": "kept",
    "objectswap": "changed",
    "placeswap": "changed",
    "scramble": "not_applicable",
    "typo": "kept",
    "case": "kept",
    "mask": "not_applicable",
    "gibberish": "changed",
    "lang": "kept",
}
"""Each kind's effect on the meaning."""

EXPLAINED: Mapping[str, str] = {
    "original": "the task's own text",
    "empty": "no text",
    "counterfactual": "the text of another task, for a goal that this scene can reach",
    "mismatch": "the text of another suite's task, whose object is not in this scene",
    "changed": "what the suite made of this base task (--base-arm, --instruction-source); its goal counts",
    "negation": "'do not ...'",
    "noreferent": "the text with an object that is not in this scene",
    "paraphrase": "the same in other words, from a reviewed list; by rule in libero_90",
    "padding": "the text within small talk",
    "reasoning": "the text with advice on how to go about it",
    "synonym": "another noun for the same object",
    "verb": "other verbs for the same",
    "objectswap": "the text with another object of this scene; its goal counts",
    "placeswap": "the text with another place of this scene; its goal counts",
    "scramble": "the words in another order",
    "typo": "wrong and missing letters, at least one; those of a smaller probability are among those of a larger",
    "case": "CAPITALS",
    "mask": "the text without its nouns or verbs",
    "gibberish": "words without meaning, as many and as long",
    "lang": "a translation, not checked by native speakers",
}

APART = "libero_90"
"""Argument of `counterfactual`: texts that a policy trained on the four suites of ten tasks has not seen."""
WITH_GOAL = ("counterfactual", f"counterfactual:{APART}", "objectswap", "placeswap", "changed")
"""Kinds whose texts ask for another goal of the scene."""
TURNS = "all"
MOST = 15
"""Largest number of an entry; no LIBERO task has more counterfactuals."""
SEEDS = 2**32

_NUMBERS = tuple(str(i) for i in range(1, MOST + 1))
_WHICH = "the entry (all: episodes take turns)"
_ENTRY = Argument(_WHICH, words=(TURNS, *_NUMBERS), default="")
ARGUMENTS: Mapping[str, Argument] = {
    "counterfactual": Argument(f"{_WHICH} or {APART}'s", words=(TURNS, APART, *_NUMBERS), default=""),
    "paraphrase": _ENTRY,
    "padding": _ENTRY,
    "objectswap": _ENTRY,
    "placeswap": _ENTRY,
    "synonym": Argument("the slot", words=("object", "place"), default="object"),
    "mask": Argument("the slot", words=("object", "verb", "place"), default="object"),
    "lang": Argument("the language", words=LANGUAGES),
    "typo": Argument("the probability per letter", bounds=(0.01, 1.0), presets=(0.02, 0.05, 0.1, 0.2, 0.4)),
}

_POOLS: Mapping[str, Callable[[InstructionContext, str], Made]] = {
    "negation": lambda context, _: rules.framed(context.original, "negation"),
    "noreferent": lambda context, _: rules.without_referent(context),
    "paraphrase": lambda context, _: _paraphrases(context),
    "padding": lambda context, _: rules.framed(context.original, "padding"),
    "reasoning": lambda context, _: rules.framed(context.original, "reasoning"),
    "synonym": lambda context, slot: rules.synonyms(context.original, slot),
    "verb": lambda context, _: rules.verbs(context.original),
    "objectswap": lambda context, _: swaps.object_swaps(context),
    "placeswap": lambda context, _: swaps.place_swaps(context),
    "case": lambda context, _: (context.original.upper(),),
    "mask": lambda context, slot: rules.masked(context.original, slot),
    "lang": lambda context, language: _translations(context, language),
}
_DEGRADED: Mapping[str, Callable[[str, str, int], str]] = {
    "typo": lambda text, probability, seed: degrade.typo(text, float(probability), seed),
    "scramble": lambda text, _, seed: degrade.scramble(text, seed),
    "gibberish": lambda text, _, seed: degrade.gibberish(text, seed),
}

_WHY = {
    "counterfactual": "no other task of its suite can be done in its scene",
    f"counterfactual:{APART}": f"only libero_10 has tasks whose scene {APART} has as well",
    "changed": "it is the suite's own; --base-arm puts the base task in its place",
    "paraphrase": "it has no reviewed texts, and its wording has no slots",
    "objectswap": "its scene has no other object that the same could be asked of",
    "placeswap": "its scene has no other place that could be meant",
    "lang": "its texts have not been translated",
    "mask": "it has no such slot",
    "synonym": "it has no such slot with a known noun",
    "noreferent": "its wording has no slots",
    "verb": "its wording has no slots",
    "scramble": "its words have no other order",
}


@register(
    AxisInfo(
        name=AXIS,
        stage=Stage.LANGUAGE,
        unit=WORD,
        value_means="which instruction the policy is given",
        words=KINDS,
        explained=EXPLAINED,
        arguments=ARGUMENTS,
        identity="original",
        source="kinds of LIBERO-plus, LIBERO-PRO and LIBERO-Para, texts our own; "
        "counterfactuals after LIBERO-CF (arXiv 2602.17659)",
    )
)
def instruction(context: InstructionContext, value: str, rng: np.random.Generator) -> Instruction:
    """Another instruction for the task; see the module's docstring.

    Raises:
        Infeasible: the task has no such instruction.
    """
    kind, _, argument = value.partition(":")
    if kind == "empty":
        return Instruction("", None, "empty")
    if kind in _DEGRADED:
        degraded = _degraded(context, value, int(rng.integers(SEEDS)))
        if degraded.text == context.original:
            raise _infeasible(context, value)
        return degraded
    pool = entries(context, value)
    if not pool:
        raise _infeasible(context, value)
    if argument in _NUMBERS:
        if int(argument) > len(pool):
            raise Infeasible(f"instruction:{value}: the task {context.original!r} has only {len(pool)} of this kind")
        return pool[int(argument) - 1]
    if argument == TURNS:
        return pool[context.turn % len(pool)]
    return pool[int(rng.integers(len(pool)))]


def entries(context: InstructionContext, value: str) -> tuple[Instruction, ...]:
    """All texts that a kind can choose from in a task, in the order of the entries' numbers.

    Args:
        context: the task.
        value: a kind, with its argument if it has one. Kinds that are functions of a random number have no entries.
    """
    kind, _, argument = value.partition(":")
    if kind == "original":
        return (Instruction(context.original, None, kind),)
    if kind == "counterfactual":
        return context.apart if argument == APART else context.counterfactuals
    if kind == "changed":
        return (context.changed,) if context.changed else ()
    if kind == "mismatch":
        return tuple(Instruction(text, None, f"{kind}/{i}") for i, text in enumerate(context.mismatches))
    if kind not in _POOLS:
        return ()
    slot = argument or ARGUMENTS[kind].default if kind in ARGUMENTS else ""
    made = [(entry, None) if isinstance(entry, str) else entry for entry in _POOLS[kind](context, slot or "")]
    # The id of an entry does not depend on how it was chosen.
    name = kind if argument in (TURNS, *_NUMBERS) else value
    return tuple(Instruction(text, goal, f"{name}/{_task(context)}/{i}") for i, (text, goal) in enumerate(made, 1))


def is_declared(instruction: Instruction, context: InstructionContext) -> bool:
    """Whether an instruction is what its source says: no other text may reach a policy.

    Text and goal are recomputed from the task's instruction and the pools.
    """
    if instruction.source == "empty":
        return instruction == Instruction("", None, "empty")
    if instruction in (Instruction(context.original, None, "original"), *context.counterfactuals, *context.apart):
        return True
    value, _, rest = instruction.source.partition("/")
    number = rest.rpartition("/")[2]
    if value.partition(":")[0] in _DEGRADED and number.isdecimal():
        try:
            return instruction == _degraded(context, value, int(number))
        except ValueError:
            return False  # not a probability
    return value != "counterfactual" and instruction in entries(context, value)


def _degraded(context: InstructionContext, value: str, seed: int) -> Instruction:
    kind, _, argument = value.partition(":")
    text = _DEGRADED[kind](context.original, argument, seed)
    return Instruction(text, None, f"{value}/{_task(context)}/{seed}")


def _infeasible(context: InstructionContext, value: str) -> Infeasible:
    kind = value.partition(":")[0]
    reason = _WHY.get(value, _WHY.get(kind))
    return Infeasible(
        f"instruction:{value}: no {kind} instruction exists for the task {context.original!r}"
        + (f" ({reason})" if reason else "")
    )


def _task(context: InstructionContext) -> str:
    return f"{context.suite or 'task'}/{context.task}"


def _texts(context: InstructionContext) -> TaskTexts | None:
    entry = texts(context.suite, context.task)
    return entry if entry and entry.original == context.original else None


def _paraphrases(context: InstructionContext) -> tuple[str, ...]:
    entry = _texts(context)
    return entry.paraphrases if entry else rules.reworded(context.original)


def _translations(context: InstructionContext, language: str) -> tuple[str, ...]:
    entry = _texts(context)
    return (entry.translations[language],) if entry and language in entry.translations else ()
