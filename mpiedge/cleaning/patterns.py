"""Broken patterns: cells of digits and signs in a shape of their own, an edit away from a usual one."""

import re
from collections import Counter

from rapidfuzz import process
from rapidfuzz.distance import OSA, Levenshtein

from mpiedge.cleaning.cells import NUMBERS, form_of
from mpiedge.cleaning.spelling import Repairs

SHAPE_SHARE, SHAPE_COVER, DIGIT_SHARE = 0.05, 0.7, 0.8
RARE_SHAPE, MOST_BROKEN, LEAST_OFTEN = 0.01, 0.3, 4
FIXED_COVER, RARE_BESIDE_FIXED = 0.95, 0.03
"""Where usual shapes cover so much, other shapes may be this frequent and broken all the same."""


class _Signs(dict):
    """For `str.translate`: what stands for each character that was met, by its number: digits for 9, letters for the
    given sign, or for themselves without one."""

    def __init__(self, letter: str):
        super().__init__()
        self._letter = letter

    def __missing__(self, number: int) -> str:
        sign = chr(number)
        self[number] = "9" if sign.isdecimal() else self._letter or sign if sign.isalnum() else sign
        return self[number]


_SHAPES, _DIGITS = _Signs("a"), _Signs("")


def broken_patterns(values, counts) -> Repairs:
    """Cells of digits and signs in a shape of their own, a deletion or a swap away from a usual shape."""
    shapes: Counter[str] = Counter()
    total = digits = 0
    for value, number in zip(values, counts.tolist()):
        if value:
            total += number
            digits += number * any(map(str.isdigit, value))
    if not total or digits < DIGIT_SHARE * total:
        return {}
    for value, number in zip(values, counts.tolist()):
        if value:
            shapes[shape_of(value)] += number
    usual = {shape for shape, number in shapes.items() if number >= SHAPE_SHARE * total}
    if sum(shapes[shape] for shape in usual) < SHAPE_COVER * total:
        return {}
    rare = RARE_BESIDE_FIXED if sum(shapes[shape] for shape in usual) >= FIXED_COVER * total else RARE_SHAPE
    lengths: dict[str, set[str]] = {}
    for shape in shapes:
        if shapes[shape] >= RARE_SHAPE * total:
            lengths.setdefault(runs_of(shape), set()).add(shape)
    free = {runs for runs, there in lengths.items() if len(there) > 1}   # words and numbers of any length
    runs = Counter(map(runs_of, usual))
    any_length = {one for one in runs if runs[one] > 1}   # usual ones: 9, 99 and 999 patients
    number_of = dict(zip(values, counts.tolist()))
    sound = [value for value in values if number_of[value] >= LEAST_OFTEN and shape_of(value) in usual]
    broken = [value for value in values if value and number_of[value] <= 2 and shape_of(value) not in usual
              and shapes[shape_of(value)] <= rare * total]
    if sum(map(number_of.get, broken)) > MOST_BROKEN * total:
        return {}
    found: Repairs = {}
    for value in broken:
        if min(Levenshtein.distance(shape_of(value), other, score_cutoff=2) for other in usual) > 2:
            continue
        near = process.extract(value, sound, scorer=OSA.distance, score_cutoff=1, limit=2)
        near = [found for found in near if not _has_letter_more(value, found[0])]
        if near and runs_of(shape_of(value)) in any_length and _digits(near[0][0]) != _digits(value):
            continue   # a number of another length
        ways = {value[:at] + value[at + 1:] for at in range(len(value)) if _may_go(value, at)}
        ways |= {value[:at] + value[at + 1] + value[at] + value[at + 2:] for at in range(len(value) - 1)}
        fitting = {way for way in ways if shape_of(way) in usual}
        if not value.isdigit() and form_of(value) in NUMBERS:   # without its sign it would be another number
            found[value] = (None, "flag: pattern", 0.7)
        elif len(near) == 1:
            found[value] = (near[0][0], "pattern", 0.95)
        elif len(fitting) == 1:
            found[value] = (fitting.pop(), "pattern", 0.9)
        elif runs_of(shape_of(value)) not in free:
            found[value] = (None, "flag: pattern", 0.7)
    return found


def shape_of(value: str) -> str:
    """Local: a value with letters as a and digits as 9."""
    return value.translate(_SHAPES)


def with_nines(value: str) -> str:
    """Local: a value with digits as 9."""
    return value.translate(_DIGITS)


def runs_of(shape: str) -> str:
    """Local: a shape without the lengths of its words and numbers."""
    return re.sub(r"(.)\1+", r"\1", shape)


def _digits(value: str) -> str:
    return "".join(filter(str.isdigit, value))


def _has_letter_more(value: str, right: str) -> bool:
    """Whether a value is another one with a letter at one of its ends."""
    return (value[-1].isalpha() and value[:-1] == right) or (value[0].isalpha() and value[1:] == right)


def _may_go(value: str, at: int) -> bool:
    """Whether a value can do without a sign: it parts no two numbers, and is no letter at an end, which would tell one
    thing from another (E107N)."""
    if value[at].isalpha():
        return 0 < at < len(value) - 1
    return not value[at].isdigit() and not (value[at - 1:at].isdigit() and value[at + 1:at + 2].isdigit())
