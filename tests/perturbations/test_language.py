"""Every kind of instruction in every task: declared, different, repeatable, and of the meaning that it claims."""

import math
import re
from collections import Counter
from itertools import product

import numpy as np
import pytest

from envs import suites
from perturbations.base import Infeasible, find_axis
from perturbations.instruction import ARGUMENTS, KINDS, entries, instruction, is_declared
from perturbations.language.pools import LANGUAGES, SUITES, lexicon, texts
from perturbations.language.rules import category, present
from perturbations.language.slots import clauses
from perturbations.spec import parse, parse_sweep
from simeval.core.instructions import language_context

TASKS = [task for suite in suites.BUILT_IN for task in suites.tasks(suite)]
MAIN = [task for task in TASKS if task.suite in SUITES]
DRAWN = ("typo:0.02", "typo:0.1", "typo:0.4", "scramble", "gibberish")
KEPT_BY_RULE = ("paraphrase", "padding", "reasoning", "synonym", "synonym:place", "verb")
LISTED = (
    *("counterfactual", "counterfactual:libero_90", "mismatch", "negation", "noreferent", *KEPT_BY_RULE),
    *("objectswap", "placeswap", "case", "mask", "mask:verb", "mask:place", *(f"lang:{code}" for code in LANGUAGES)),
)
VALUES = ("empty", *DRAWN, *LISTED)

LACKING = {
    "counterfactual": {"libero_10": 7},
    "counterfactual:libero_90": {
        "libero_spatial": 10,
        "libero_object": 10,
        "libero_goal": 10,
        "libero_90": 90,
        "toy": 4,
    },
    "objectswap": {"libero_spatial": 1, "libero_goal": 1, "libero_10": 1, "libero_90": 22},
    "placeswap": {
        "libero_spatial": 2,
        "libero_object": 10,
        "libero_goal": 3,
        "libero_10": 7,
        "libero_90": 42,
        "toy": 4,
    },
    "mask:place": {"libero_goal": 3, "libero_10": 1, "libero_90": 16, "toy": 4},
    "synonym:place": {"libero_goal": 3, "libero_10": 1, "libero_90": 16, "toy": 4},
    **{f"lang:{code}": {"libero_90": 90, "toy": 4} for code in LANGUAGES},
}
"""Tasks in which a kind is infeasible, by suite."""


def name(task):
    return f"{task.suite}/{task.index}"


def rng(seed=0):
    return np.random.default_rng(seed)


def told_in(task, value, seed=0):
    return instruction(language_context(task), value, rng(seed))


def told_or_refusal(context, value):
    try:
        return instruction(context, value, rng())
    except Infeasible as refusal:
        return refusal


def test_all_kinds_are_tested_here():
    # `changed` needs a suite with a base arm: tests/envs/test_variants.py
    assert {value.partition(":")[0] for value in VALUES} == set(KINDS) - {"original", "changed"}
    assert {value.partition(":")[2] for value in VALUES} >= {*LANGUAGES, "libero_90", "verb", "place"}


@pytest.mark.parametrize("value", VALUES)
def test_a_kind_differs_from_the_original_repeats_and_is_declared_in_every_task(value):
    lacking = Counter()
    for task in TASKS:
        context = language_context(task)
        told = told_or_refusal(context, value)
        if isinstance(told, Infeasible):
            lacking[task.suite] += 1
            kind = value.partition(":")[0]
            assert re.fullmatch(
                rf"instruction:{value}: no {kind} instruction exists for the task '.*' \(.+\)", str(told)
            )
            continue
        assert told == instruction(context, value, rng())
        assert told.text != task.instruction
        assert told.text == told.text.strip()
        assert is_declared(told, context)
        assert (told.text == "") == (value == "empty")
    assert lacking == LACKING.get(value, {})


@pytest.mark.parametrize("value", LISTED)
def test_every_entry_of_a_pool_is_declared_once_and_none_is_the_original(value):
    for task in TASKS:
        context = language_context(task)
        found = entries(context, value)
        assert len({told.source for told in found}) == len(found), name(task)
        # Scenes of libero_90 share some instructions.
        assert len({told.text for told in found}) == len(found) or value == "counterfactual", name(task)
        for told in found:
            assert told.text
            assert told.text != task.instruction
            assert is_declared(told, context)
            assert "  " not in told.text


@pytest.mark.parametrize("value", ["paraphrase", "paraphrase:4", "lang:zh", "objectswap", "typo:0.1", "synonym:place"])
def test_the_source_is_the_id_of_an_entry(value):
    task = suites.tasks("libero_goal")[8]
    told = told_in(task, value)
    head, suite, index, number = told.source.split("/")
    assert (head, suite, index) == (value.removesuffix(":4"), "libero_goal", "8")
    assert int(number) >= 1
    if value == "paraphrase:4":
        assert told.text == texts("libero_goal", 8).paraphrases[3]
        assert number == "4"


@pytest.mark.parametrize("value", ["paraphrase", "counterfactual", "mismatch", "padding", "noreferent", "objectswap"])
def test_the_draw_reaches_every_entry_and_depends_on_the_stream_alone(value):
    context = language_context(suites.tasks("libero_object")[3])
    found = entries(context, value)
    drawn = {instruction(context, value, rng(seed)) for seed in range(400)}
    assert drawn == set(found)
    assert len(found) > 2


def test_taking_turns_tells_every_alternative_equally_often():
    task = suites.tasks("libero_object")[3]
    told = [instruction(language_context(task, turn), "counterfactual:all", rng(turn)) for turn in range(10)]
    assert Counter(told) == dict.fromkeys(suites_others(task), 2)
    assert told[:5] == told[5:]


def suites_others(task):
    return language_context(task).counterfactuals


def test_a_numbered_entry_is_the_same_everywhere_or_infeasible():
    task = suites.tasks("libero_goal")[0]
    assert {told_in(task, "counterfactual:3", seed) for seed in range(5)} == {suites_others(task)[2]}
    with pytest.raises(Infeasible, match=r"instruction:counterfactual:3: the task .* has only 1 of this kind"):
        told_in(suites.tasks("libero_spatial")[0], "counterfactual:3")


def test_no_task_has_more_counterfactuals_than_can_be_asked_for():
    most = max(len(suites.other_goals(task.suite, task.index)) for task in TASKS)
    assert str(most) in ARGUMENTS["counterfactual"].words
    assert str(most + 1) not in ARGUMENTS["counterfactual"].words


# What nobody declared.


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("{original} view 0 0 100 0 0 initstate 0", "original"),
        ("{original} noise 45", "original"),
        ("{original}", "empty"),
        ("{original}", "paraphrase/libero_spatial/3/1"),
        ("{paraphrase} please", "paraphrase/libero_spatial/3/1"),
        ("{paraphrase}", "paraphrase/libero_spatial/3/2"),
        ("{paraphrase}", "paraphrase/libero_spatial/4/1"),
        ("{paraphrase}", "paraphrase/libero_spatial/3/99"),
        ("{paraphrase}", "paraphrase/libero_spatial/3"),
        ("{paraphrase}", "paraphrase"),
        ("{paraphrase}", ""),
        ("{typo}", "typo:0.1/libero_spatial/3/6"),
        ("{typo}", "typo:0.2/libero_spatial/3/5"),
        ("{typo}", "typo:x/libero_spatial/3/5"),
        ("{typo}", "typo/libero_spatial/3/5"),
        ("{typo}", "scramble/libero_spatial/3/5"),
        ("put the bowl on the plate", "libero_goal/8"),
        ("put the bowl on the plate", "mine/1"),
        ("{mismatch}", "mismatch/99"),
    ],
)
def test_a_leak_is_not_declared(text, source):
    from perturbations.base import Instruction
    from perturbations.language.degrade import typo

    context = language_context(suites.tasks("libero_spatial")[3])
    words = {
        "original": context.original,
        "paraphrase": texts("libero_spatial", 3).paraphrases[0],
        "typo": typo(context.original, 0.1, 5),
        "mismatch": context.mismatches[0],
    }
    assert is_declared(Instruction(words["paraphrase"], None, "paraphrase/libero_spatial/3/1"), context)
    assert is_declared(Instruction(words["typo"], None, "typo:0.1/libero_spatial/3/5"), context)
    assert not is_declared(Instruction(text.format(**words), None, source), context)


def test_a_declared_text_with_another_goal_is_not_declared():
    from dataclasses import replace

    context = language_context(suites.tasks("libero_goal")[8])
    told = instruction(context, "objectswap", rng())
    assert is_declared(told, context)
    assert not is_declared(replace(told, goal=None), context)
    assert not is_declared(replace(told, goal=context.counterfactuals[0].goal), context)


# The reviewed files.


def test_the_files_belong_to_these_tasks_and_are_complete():
    assert len(MAIN) == 40
    for task in MAIN:
        found = texts(task.suite, task.index)
        assert found.original == task.instruction
        assert len(found.paraphrases) >= 5
        assert tuple(found.translations) == LANGUAGES
        for text in (*found.paraphrases, *found.translations.values()):
            assert text == " ".join(text.split())
            assert not text.endswith(".")
    assert all(texts(task.suite, task.index) is None for task in TASKS if task not in MAIN)


def test_no_text_stands_for_two_tasks_of_a_suite():
    """Two tasks may only share a text where LIBERO itself has them share their instruction."""
    for suite in SUITES:
        said = Counter()
        for task in suites.tasks(suite):
            found = texts(suite, task.index)
            said.update({*found.paraphrases, *found.translations.values(), task.instruction})
        assert said.most_common(1)[0][1] == 1


def test_paraphrases_name_what_the_instruction_names():
    """A paraphrase that loses a noun, or gains that of another thing of the scene, asks for something else."""
    nouns = {n for thing in lexicon().things.values() for n in thing.names}
    heads = {noun.split()[-1].removesuffix("s") for noun in nouns} - {"box"}
    for task in MAIN:
        spoken = words_of(task.instruction)
        for text in texts(task.suite, task.index).paraphrases:
            assert heads & words_of(text) == heads & spoken, text
            for side in ("left", "right", "front", "between"):
                assert (side in words_of(text)) == (side in spoken) or side == "between", text


def words_of(text):
    return {word.removesuffix("'s").removesuffix("s") for word in re.findall(r"[a-z']+", text)}


def test_translations_are_in_their_language():
    scripts = {"zh": r"[\u4e00-\u9fff\uff0c]+", "ja": r"[\u3040-\u30ff\u4e00-\u9fff、ー]+"}
    typical = {
        **{"de": {"den", "die", "das", "der", "dem", "beide"}, "fr": {"le", "la", "les", "l'assiette"}},
        **{"es": {"el", "la", "las"}, "it": {"il", "la", "le", "lo", "sul"}, "pt": {"o", "a", "as", "no"}},
        "nl": {"de", "het", "beide"},
    }
    for task, code in product(MAIN, LANGUAGES):
        text = texts(task.suite, task.index).translations[code]
        if code in scripts:
            assert re.fullmatch(scripts[code], text), text
        else:
            assert typical[code] & set(text.split()), text
            assert not {"the", "and", "put"} & set(text.split()), text


def test_translations_name_the_same_thing_by_one_word():
    """Within a suite, texts that differ in one slot differ in one translation of it."""
    for code in LANGUAGES:
        ends = [texts("libero_object", i).translations[code] for i in range(10)]
        shared = {text.split()[0][:2] for text in ends} if code not in ("zh", "ja") else {text[-3:] for text in ends}
        assert len(shared) == 1


# Meaning.


def test_meanings_are_those_of_the_words():
    meanings = {
        kind: parse(f"instruction:{kind}{':de' if kind == 'lang' else ':0.1' * (kind == 'typo')}") for kind in KINDS
    }
    assert {kind: condition.meaning for kind, condition in meanings.items()} == dict(KINDS)
    assert {kind for kind, meaning in KINDS.items() if meaning == "changed"} == {
        *(
            "empty",
            "counterfactual",
            "mismatch",
            "changed",
            "negation",
            "noreferent",
            "objectswap",
            "placeswap",
            "gibberish",
        ),
    }


@pytest.mark.parametrize("value", VALUES)
def test_only_texts_that_ask_for_another_goal_carry_one(value):
    wanted = value.partition(":")[0] in ("counterfactual", "objectswap", "placeswap")
    for task in TASKS:
        for told in entries(language_context(task), value):
            assert (told.goal is not None) == wanted


@pytest.mark.parametrize("value", ["objectswap", "placeswap"])
def test_a_swap_asks_for_what_the_scene_can_check_and_neither_goal_implies_the_other(value):
    for task in TASKS:
        context = language_context(task)
        for told in entries(context, value):
            goal, original = set(told.goal), set(task.goal)
            assert not goal <= original
            assert not original <= goal
            assert len(told.goal) == len(task.goal)
            assert all(part in task.scenery.names for atom in goal for part in atom[1:])
            for atom in goal - original:
                assert context.starts.get(atom[1]) != atom[-1], "it holds already"


@pytest.mark.parametrize("suite", ["libero_object", "toy"])
def test_where_only_the_object_differs_a_swap_is_the_counterfactual(suite):
    for task in suites.tasks(suite):
        context = language_context(task)
        swapped = {(told.text, told.goal) for told in entries(context, "objectswap")}
        assert swapped == {(told.text, told.goal) for told in context.counterfactuals}


def test_swaps_agree_with_the_tasks_that_ask_for_the_same():
    """Where the words are those of another task of the same scene, the goal is that task's."""
    agreed = 0
    for task in TASKS:
        context = language_context(task)
        others = {told.text: told.goal for told in (*context.counterfactuals, *context.apart)}
        for value in ("objectswap", "placeswap"):
            for told in entries(context, value):
                if told.text in others:
                    agreed += 1
                    assert set(told.goal) == set(others[told.text]), told.text
    assert agreed > 100


def test_swaps_of_a_task_by_hand():
    context = language_context(suites.tasks("libero_goal")[1])
    assert [(told.text, told.goal) for told in entries(context, "placeswap")] == [
        ("put the bowl on the plate", (("on", "akita_black_bowl_1", "plate_1"),)),
        ("put the bowl on the rack", (("on", "akita_black_bowl_1", "wine_rack_1_top_region"),)),
        ("put the bowl on top of the cabinet", (("on", "akita_black_bowl_1", "wooden_cabinet_1_top_side"),)),
    ]
    (told,) = entries(language_context(suites.tasks("libero_10")[4]), "placeswap")
    assert told.text == "put the white mug on the right plate and put the yellow and white mug on the left plate"
    assert told.goal == (("on", "porcelain_mug_1", "plate_2"), ("on", "white_yellow_mug_1", "plate_1"))
    # The other bowl stands on the stove.
    context = language_context(suites.tasks("libero_spatial")[6])
    assert [told.text for told in entries(context, "placeswap")] == [
        "pick up the black bowl next to the cookie box and place it on top of the cabinet"
    ]


def test_synonyms_fit_no_other_thing_of_the_scene():
    for task in TASKS:
        here = Counter(set(present(language_context(task)).values()))
        for kind in here:
            mine = set(lexicon().things[kind].names)
            others = {n for other in here if other != kind for n in lexicon().things[other].names} - mine
            others |= {s for noun in others for s in lexicon().synonyms.get(noun, ())}
            for noun in mine & said(task):
                own = set(lexicon().synonyms[noun])
                assert not own & others, (task, noun, own & others)
                if any(re.search(rf"\b{noun}$", other) for other in others):
                    continue  # LIBERO itself says "white mug" beside a yellow and white one
                alike = [(w, o) for w, o in product(own, others) if re.search(rf"\b{re.escape(w)}$", o)]
                assert not alike, (task, noun)


def said(task):
    text = task.instruction
    spans = [span for clause in clauses(text) for span in (*clause.objects, clause.place_noun) if span]
    return {noun for noun in lexicon().synonyms for span in spans if noun == span.of(text)}


def test_what_a_text_without_referent_names_is_not_there():
    for task in TASKS:
        context = language_context(task)
        names = {n for kind in present(context).values() for n in lexicon().things[kind].names}
        for told in entries(context, "noreferent"):
            before = {span.of(task.instruction) for clause in clauses(task.instruction) for span in clause.objects}
            after = {span.of(told.text) for clause in clauses(told.text) for span in clause.objects} - before
            assert after, told.text
            assert not after & names, told.text


@pytest.mark.parametrize("value", ["synonym", "verb", "paraphrase"])
def test_rules_keep_the_rest_of_the_text(value):
    task = suites.tasks("libero_90")[24]
    assert task.instruction == "put the black bowl in the bottom drawer of the cabinet"
    assert {told.text for told in entries(language_context(task), value)} == {
        "synonym": {f"put the {noun} in the bottom drawer of the cabinet" for noun in ("dark bowl", "black basin")},
        "verb": {f"{verb} the black bowl in the bottom drawer of the cabinet" for verb in ("place", "set")},
        "paraphrase": {
            f"{verb} the {noun} in the bottom drawer of the cabinet"
            for verb, noun in product(("place", "set"), ("dark bowl", "black basin"))
        },
    }[value]


def test_every_thing_of_the_scenes_is_in_the_lexicon():
    unknown = {
        category(n)
        for task in TASKS
        for n in task.scenery.placements
        if category(n) not in lexicon().things and not n.endswith("_region")
    }
    assert unknown == set()
    nouns = {n for thing in lexicon().things.values() for n in thing.names}
    assert nouns <= lexicon().synonyms.keys()


# Length.


def rough_tokens(text):
    """An upper estimate for a vocabulary made for English, such as SmolVLA's: a token per five letters of a word."""
    if re.search(r"[\u3000-\u9fff]", text):
        return math.ceil(1.5 * len(text))
    ascii_only = text.isascii() and text.islower()
    return sum(math.ceil(len(word) / (5 if ascii_only else 3)) for word in re.findall(r"\w+|[^\w\s]", text)) + 1


@pytest.mark.parametrize("value", [value for value in VALUES if value != "padding"])
def test_texts_are_short_enough_for_smolvla(value):
    """It reads 48 tokens; what is padded may be longer, and so may Japanese."""
    for task in MAIN:
        context = language_context(task)
        found = [told.text for told in entries(context, value)]
        if value in DRAWN:
            found = [told_in(task, value).text]
        longest = max(map(rough_tokens, found), default=0)
        assert longest <= (70 if value == "lang:ja" else 48), (value, name(task))


def test_padding_does_not_push_the_request_out_of_what_smolvla_reads():
    for task in TASKS:
        for kind in ("padding", "reasoning"):
            for frame in lexicon().frames[kind]:
                assert rough_tokens(frame.partition("{text}")[0] + task.instruction) <= 40


# How it is written.


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("instruction:typo:s3", "instruction:typo:0.1"),
        ("instruction:typo:5%", "instruction:typo:0.05"),
        ("instruction:mask:object", "instruction:mask"),
        ("instruction:synonym:object", "instruction:synonym"),
        ("instruction:lang:de", "instruction:lang:de"),
        ("instruction:counterfactual:all", "instruction:counterfactual:all"),
        ("instruction:original", "instruction:original"),
    ],
)
def test_arguments_have_one_canonical_form(text, canonical):
    assert str(parse(text)) == canonical
    assert parse(canonical) == parse(text)


def test_a_sweep_over_kinds_and_arguments():
    assert len(parse_sweep("instruction:typo:s1,typo:s2,lang:de,lang:fr,empty")) == 5
    assert find_axis("instruction").arguments["typo"].presets == (0.02, 0.05, 0.1, 0.2, 0.4)
