"""Corrupted texts: functions of the text and a random number from the pair's stream."""

import numpy as np

KEYBOARD = {
    **{"q": "wa", "w": "qes", "e": "wrd", "r": "etf", "t": "ryg", "y": "tuh", "u": "yij", "i": "uok", "o": "ipl"},
    **{"p": "ol", "a": "qsz", "s": "adw", "d": "sfe", "f": "dgr", "g": "fht", "h": "gjy", "j": "hku", "k": "jli"},
    **{"l": "kop", "z": "xas", "x": "zcd", "c": "xvf", "v": "cbg", "b": "vnh", "n": "bmj", "m": "nk"},
}
"""Neighbours of each key of a QWERTY keyboard."""

MISSED = 0.4
"""Fraction of typos that omit the letter; the others replace it by a neighbouring key. Our choice."""

CONSONANTS, VOWELS = "bdfgklmnprstvz", "aeiou"


def _generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(seed))


def typo(text: str, probability: float, seed: int) -> str:
    """Mistype each letter with a given probability, and at least one letter.

    The typos of a smaller probability are a subset of those of a larger one.
    """
    rng = _generator(seed)
    luck, missed, beside = rng.random((3, len(text)))
    letters = [i for i, letter in enumerate(text) if letter.lower() in KEYBOARD]
    unluckiest = min(letters, key=lambda i: luck[i], default=-1)
    result = list(text)
    for i in letters:
        if luck[i] < probability or i == unluckiest:
            keys = KEYBOARD[text[i].lower()]
            result[i] = "" if missed[i] < MISSED else keys[int(beside[i] * len(keys))]
    return "".join(result)


def scramble(text: str, seed: int) -> str:
    """Shuffle the words; the text itself if there is no other order."""
    words = text.split()
    rng = _generator(seed)
    mixed = words
    while mixed == words and len(set(words)) > 1:
        mixed = [words[i] for i in rng.permutation(len(words))]
    return " ".join(mixed)


def gibberish(text: str, seed: int) -> str:
    """Pronounceable words without meaning, of the same number and lengths as those of the text."""
    rng = _generator(seed)
    letters = ((CONSONANTS, VOWELS)[i % 2] for word in text.split() for i in range(len(word) + 1))
    drawn = "".join(kind[int(rng.integers(len(kind)))] for kind in letters)
    words, start = [], 0
    for word in text.split():
        words.append(drawn[start : start + len(word)])
        start += len(word) + 1
    return " ".join(words)
