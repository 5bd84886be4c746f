"""Broken patterns: cells of digits and signs in a shape of their own, an edit away from a usual one."""

import re
from collections import Counter

from rapidfuzz.distance import Levenshtein

from mpiedge.cleaning.spelling import Repairs

SHAPE_SHARE, SHAPE_COVER, DIGIT_SHARE = 0.05, 0.7, 0.8


def broken_patterns(values, counts) -> Repairs:
    """Cells of digits and signs in a shape of their own, a deletion or a swap away from a usual shape."""
    shapes: Counter[str] = Counter()
    total = digits = 0
    for value, number in zip(values, counts.tolist()):
        if value:
            total += number
            digits += number * any(map(str.isdigit, value))
            shapes[_shape(value)] += number
    usual = {shape for shape, number in shapes.items() if number >= SHAPE_SHARE * total}
    if not total or digits < DIGIT_SHARE * total or sum(shapes[shape] for shape in usual) < SHAPE_COVER * total:
        return {}
    found: Repairs = {}
    for value, number in zip(values, counts.tolist()):
        shape = _shape(value)
        if not value or shape in usual or shapes[shape] > 0.01 * total or number > 2:
            continue
        if min(Levenshtein.distance(shape, other, score_cutoff=2) for other in usual) > 2:
            continue
        ways = {value[:at] + value[at + 1:] for at, sign in enumerate(value)
                if not sign.isdigit() and not _divides_number(value, at)}
        ways |= {value[:at] + value[at + 1] + value[at] + value[at + 2:] for at in range(len(value) - 1)}
        fitting = {way for way in ways if _shape(way) in usual}
        found[value] = (fitting.pop(), "pattern", 0.9) if len(fitting) == 1 else (None, "flag: pattern", 0.6)
    return found if len(found) <= 0.2 * len(values) else {}


def _shape(value: str) -> str:
    return re.sub(r"[^\W\d_]", "a", re.sub(r"\d", "9", value))


def _divides_number(value: str, at: int) -> bool:
    """Whether a sign stands between two digits as a decimal mark does."""
    return value[at] in ".,:" and value[at - 1:at].isdigit() and value[at + 1:at + 2].isdigit()
