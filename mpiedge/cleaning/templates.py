"""Codes divided in another way: `(310) 555-1234` in a column of `310-555-1234` is the same number.

Where nearly all cells of a column are groups of digits of one shape, the few that hold as many digits, and divide them
at no other place, are written in that shape.
"""

import re
from collections import Counter

import numpy as np

from mpiedge.cleaning.cells import DATES, form_of
from mpiedge.cleaning.patterns import with_nines

LEAST_DIGITS, LEAST_SHARE, LEAST_CELLS = 6, 0.8, 20
CONFIDENCE = 0.92
_ALLOWED = re.compile(r"[\d\s()+./_-]+")


def find_template(values: list[str], counts: np.ndarray) -> str:
    """Local: the usual shape of a column (digits as 9), "" without one; from its distinct values and their counts."""
    shapes: Counter[str] = Counter()
    for value, number in zip(values, counts.tolist()):
        if value:
            shapes[with_nines(value)] += number
    usual = min(shapes, key=lambda shape: (-shapes[shape], shape), default="")
    told = shapes[usual] >= max(LEAST_CELLS, LEAST_SHARE * shapes.total())
    if not told or usual.count("9") < LEAST_DIGITS or not _ALLOWED.fullmatch(usual) or usual.isdigit():
        return ""
    if any(form_of(value) in DATES or form_of(value) == "time" for value in values[:20] if with_nines(value) == usual):
        return ""
    return usual


def rewrite(cell: str, template: str) -> str | None:
    """Local: a cell in the usual shape; None where it is in it already or holds something else."""
    if not cell or not _ALLOWED.fullmatch(cell) or with_nines(cell) == template or form_of(cell) in DATES:
        return None
    digits = re.sub(r"\D", "", cell)
    if len(digits) != template.count("9") or not _cuts(cell) <= _cuts(template):
        return None
    left = iter(digits)
    return "".join(next(left) if sign == "9" else sign for sign in template)


def _cuts(text: str) -> set[int]:
    """After how many digits something else stands, but for the ends."""
    cuts, digits = set(), 0
    for sign in text:
        if sign.isdigit():
            digits += 1
        else:
            cuts.add(digits)
    return cuts - {0, digits}
