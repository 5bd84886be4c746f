"""Characters that look like others: letters of another alphabet within a word, letters for digits and the reverse."""

import re
from collections import Counter

import numpy as np

from mpiedge.cleaning.patterns import shape_of
from mpiedge.cleaning.spelling import Repairs

TO_CYRILLIC = dict(zip("aceopxyijsABCEHIJKMOPSTXY", "асеорхуіјѕАВСЕНІЈКМОРЅТХУ"))
TO_LATIN = {cyrillic: latin for latin, cyrillic in TO_CYRILLIC.items()} | dict(zip(
    "ΑΒΕΗΙΚΜΝΟΡΤΧΥΖο", "ABEHIKMNOPTXYZo"))
DIGITS = {"O": "0", "o": "0", "l": "1", "I": "1"}
LETTERS = {"0": "O", "1": "I"}
SCRIPT_SHARE = 0.95
"""Of the words of one alphabet, from which on it is that of the column."""
SHAPE_SHARE, SHAPE_COVER, RARE_SHAPE = 0.02, 0.9, 0.03
"""Share of a usual shape, what all of them cover, and of a shape that may be wrong."""
SURE = 0.95
_WORD = re.compile(r"[^\W\d_]+")
_FOREIGN = re.compile("[\u0370-\u03ff\u0400-\u04ff]")


def lookalikes(values: list[str], counts: np.ndarray) -> Repairs:
    """Local: values with characters that stand for others of the same looks, given how often each value occurs."""
    return {**letters_for_digits(values, counts), **mixed_alphabets(values, counts)}


def mixed_alphabets(values: list[str], counts: np.ndarray) -> Repairs:
    """Words of two alphabets, all of whose letters are there in that of the column, too."""
    if not any(map(_FOREIGN.search, values)):
        return {}
    words: Counter[str] = Counter()
    for value, number in zip(values, counts.tolist()):
        for word in _WORD.findall(value):
            words[_alphabet(word)] += number
    usual, often = max(((script, words[script]) for script in ("latin", "cyrillic")), key=lambda pair: pair[1])
    if often < SCRIPT_SHARE * sum(number for script, number in words.items() if script != "mixed"):
        return {}
    table = TO_LATIN if usual == "latin" else TO_CYRILLIC

    def in_one(match) -> str:
        new = "".join(table.get(sign, sign) for sign in match[0])
        return new if _alphabet(match[0]) == "mixed" and _alphabet(new) == usual else match[0]

    new = {value: _WORD.sub(in_one, value) for value in values}
    return {value: (right, "look-alike", SURE) for value, right in new.items() if right != value}


def _alphabet(word: str) -> str:
    found = {"greek" if "\u0370" <= sign <= "\u03ff" else "cyrillic" if "\u0400" <= sign <= "\u04ff" else "latin"
             for sign in word}
    return found.pop() if len(found) == 1 else "mixed"


def letters_for_digits(values: list[str], counts: np.ndarray) -> Repairs:
    """Values of a rare shape which have a usual one when O and 0, l, I and 1 are taken for each other.

    At its end l is a litre and I a numeral, so such a value is flagged.
    """
    shapes: Counter[str] = Counter()
    zeros = total = 0
    for value, number in zip(values, counts.tolist()):
        if value:
            shapes[shape_of(value)] += number
            zeros += number * _has_needless_zero(value)
            total += number
    usual = [shape for shape, number in shapes.items() if number >= SHAPE_SHARE * total and "9" in shape]
    if not total or sum(map(shapes.get, usual)) < SHAPE_COVER * total:
        return {}
    rare = [value for value in values if value and shapes[shape_of(value)] <= RARE_SHAPE * total
            and any(map(str.isdigit, value)) and any(sign in DIGITS or sign in LETTERS for sign in value)]
    by_length: dict[int, list[str]] = {}
    for shape in usual:
        by_length.setdefault(len(shape), []).append(shape)
    found: Repairs = {}
    for value in rare:
        ways = {_as_shape(value, shape) for shape in by_length.get(len(value), ())} - {"", value}
        if len(ways) != 1:
            continue
        (right,) = ways
        if _has_needless_zero(right) and not zeros:
            continue
        doubtful = value[-1] in "lI" and right[-1] == "1"
        found[value] = (None, "flag: look-alike", 0.7) if doubtful else (right, "look-alike", SURE)
    return found


def _has_needless_zero(value: str) -> bool:
    return value[:1] == "0" and value[1:2].isdigit()


def _as_shape(value: str, shape: str) -> str:
    """The value with such characters changed that its shape is this one, "" if that cannot be."""
    signs = [sign if kind == wanted else (DIGITS if wanted == "9" else LETTERS if wanted == "a" else {}).get(sign, "")
             for sign, kind, wanted in zip(value, shape_of(value), shape)]
    return "".join(signs) if all(signs) else ""
