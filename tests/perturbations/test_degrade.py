"""Texts that are harder to read."""

from collections import Counter
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perturbations.language import degrade
from perturbations.language.degrade import KEYBOARD, gibberish, scramble, typo

TEXT = "pick up the black bowl on the stove and place it on the plate"
TEXTS = st.text(st.sampled_from("abcdefghijklmnopqrstuvwxyz "), max_size=80)
SEEDS = st.integers(0, 2**32 - 1)


@given(TEXTS, st.floats(0.01, 1), SEEDS)
def test_a_typo_changes_every_text_with_letters(text, probability, seed):
    changed = typo(text, probability, seed)
    assert changed == typo(text, probability, seed)
    assert (changed == text) == (not text.strip())
    assert len(changed) <= len(text)
    assert changed.count(" ") == text.count(" ")


@given(SEEDS, st.floats(0.01, 1), st.floats(0.01, 1))
def test_typos_are_nested(seed, one, other):
    text = "qazwsxedcrfv"
    small, large = sorted((one, other))
    few, many = typo(text, small, seed), typo(text, large, seed)
    assert any(a <= b for a, b in product(edits(text, few), edits(text, many)))


def edits(text, result):
    """Every way to read a result: mistyped positions with what stands there, a key beside or nothing."""

    def follow(i, j):
        if i == len(text):
            return [frozenset()] if j == len(result) else []
        found = []
        if j < len(result) and result[j] == text[i]:
            found += follow(i + 1, j + 1)
        if j < len(result) and result[j] in KEYBOARD[text[i]]:
            found += [rest | {(i, result[j])} for rest in follow(i + 1, j + 1)]
        return found + [rest | {(i, "")} for rest in follow(i + 1, j)]

    return follow(0, 0)


def test_the_share_of_typos_is_the_probability(monkeypatch):
    letters = sum(letter != " " for letter in TEXT)
    for probability in (0.1, 0.3, 0.6):
        missing = sum(len(TEXT) - len(typo(TEXT, probability, seed)) for seed in range(2000))
        assert missing / (2000 * letters) == pytest.approx(probability * degrade.MISSED, rel=0.05)
    # Without missing letters the texts can be compared letter by letter.
    monkeypatch.setattr(degrade, "MISSED", 0)
    for probability in (0.1, 0.3, 0.6):
        texts = [typo(TEXT, probability, seed) for seed in range(2000)]
        wrong = sum(one != other for text in texts for one, other in zip(TEXT, text, strict=True))
        assert wrong / (2000 * letters) == pytest.approx(probability, rel=0.05)


@given(TEXTS, SEEDS)
def test_scrambling_keeps_the_words(text, seed):
    words = text.split()
    mixed = scramble(text, seed)
    assert Counter(mixed.split()) == Counter(words)
    assert (mixed.split() != words) == (len(set(words)) > 1)


@given(TEXTS, SEEDS)
def test_gibberish_keeps_the_lengths_and_no_word(text, seed):
    nonsense = gibberish(text, seed)
    assert [len(word) for word in nonsense.split()] == [len(word) for word in text.split()]


def test_other_numbers_give_other_texts():
    for make in (scramble, gibberish, lambda text, seed: typo(text, 0.1, seed)):
        assert len({make(TEXT, seed) for seed in range(50)}) == 50


def test_keys_beside_each_other_are_so_both_ways_or_nearly():
    assert set(KEYBOARD) == set("abcdefghijklmnopqrstuvwxyz")
    assert all(key not in beside for key, beside in KEYBOARD.items())
    assert all(set(beside) <= KEYBOARD.keys() for beside in KEYBOARD.values())
