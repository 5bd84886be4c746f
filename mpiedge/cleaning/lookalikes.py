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
SHAPE_SHARE, SHAPE_COVER = 0.02, 0.9
"""Share of a usual shape, and what all of them cover."""
SURE = 0.95
_WORD = re.compile(r"[^\W\d_]+")
_NUMBER = re.compile(r"\d+")
_FOREIGN = re.compile("[\u0370-\u03ff\u0400-\u04ff]")


def lookalikes(values: list[str], counts: np.ndarray) -> Repairs:
    """Local: values with characters that stand for others of the same looks, given how often each value occurs."""
    return {**letters_for_digits(values, counts), **mixed_alphabets(values, counts)}


def mixed_alphabets(values: list[str], counts: np.ndarray) -> Repairs:
    """Words of two alphabets, all of whose letters are there in that of the column, too.

    Those put in their place must be in use there (in Russian no letter looks like S or I), and in a word of one case:
    SMS with an ending is no misspelt word.
    """
    if not any(map(_FOREIGN.search, values)):
        return {}
    words: Counter[str] = Counter()
    letters: dict[str, set] = {"latin": set(), "cyrillic": set()}
    for value, number in zip(values, counts.tolist()):
        for word in _WORD.findall(value):
            script = _alphabet(word)
            words[script] += number
            letters.get(script, set()).update(word.lower())
    usual, often = max(((script, words[script]) for script in ("latin", "cyrillic")), key=lambda pair: pair[1])
    if often < SCRIPT_SHARE * sum(number for script, number in words.items() if script != "mixed"):
        return {}
    table = TO_LATIN if usual == "latin" else TO_CYRILLIC

    def in_one(match) -> str:
        new = "".join(table.get(sign, sign) for sign in match[0])
        right = _alphabet(match[0]) == "mixed" and _alphabet(new) == usual and letters[usual].issuperset(new.lower())
        return new if right and (new[1:].islower() or new.isupper()) else match[0]

    new = {value: _WORD.sub(in_one, value) for value in values}
    return {value: (right, "look-alike", SURE) for value, right in new.items() if right != value}


def _alphabet(word: str) -> str:
    found = {"greek" if "\u0370" <= sign <= "\u03ff" else "cyrillic" if "\u0400" <= sign <= "\u04ff" else "latin"
             for sign in word}
    return found.pop() if len(found) == 1 else "mixed"


def letters_for_digits(values: list[str], counts: np.ndarray) -> Repairs:
    """Values of a rare shape which have a usual one when O and 0, l, I and 1 are taken for each other.

    What is put in a place must stand there in other values, and a number is no letters in part: among 9A and 12A, 10
    stays. Nor is a value changed most others of whose shape cannot be: that shape is one of its own. At its end l is a
    litre and I a numeral, so such a value is flagged.
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
    rare = [value for value in values if value and shapes[shape_of(value)] < SHAPE_SHARE * total
            and any(map(str.isdigit, value)) and any(sign in DIGITS or sign in LETTERS for sign in value)]
    if not rare:
        return {}
    by_length: dict[int, list[str]] = {}
    for shape in usual:
        by_length.setdefault(len(shape), []).append(shape)
    seen: dict[str, set] = {shape: set() for shape in usual}
    for value in values:
        if (shape := shape_of(value)) in seen:
            seen[shape].update(enumerate(value))
    found: Repairs = {}
    for value in rare:
        ways = {_as_shape(value, shape, seen[shape]) for shape in by_length.get(len(value), ())} - {""}
        if len(ways) != 1:
            continue
        (right,) = ways
        if _has_needless_zero(right) and not zeros:
            continue
        doubtful = value[-1] in "lI" and right[-1] == "1"
        found[value] = (None, "flag: look-alike", 0.7) if doubtful else (right, "look-alike", SURE)
    number, alike = dict(zip(values, counts.tolist())), Counter()
    for value in found:
        alike[shape_of(value)] += number[value]
    return {value: repair for value, repair in found.items() if 2 * alike[shape_of(value)] >= shapes[shape_of(value)]}


def _has_needless_zero(value: str) -> bool:
    return value[:1] == "0" and value[1:2].isdigit()


def _as_shape(value: str, shape: str, seen: set) -> str:
    """The value with such characters changed that its shape is this one, "" if that cannot be; seen: (place, character)
    of the values of that shape."""
    signs = [sign if kind == wanted else (DIGITS if wanted == "9" else LETTERS if wanted == "a" else {}).get(sign, "")
             for sign, kind, wanted in zip(value, shape_of(value), shape)]
    changed = [place for place, (old, new) in enumerate(zip(value, signs)) if old != new]
    if not all(signs) or not seen.issuperset((place, signs[place]) for place in changed):
        return ""
    whole = all(len({signs[place].isdecimal() for place in range(*number.span())}) == 1
                for number in _NUMBER.finditer(value))
    return "".join(signs) if whole else ""
