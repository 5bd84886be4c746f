"""Wrong values seen from their column alone, by what each way of finding them says."""

import numpy as np

from mpiedge.cleaning.abbreviations import abbreviated
from mpiedge.cleaning.addresses import broken_addresses
from mpiedge.cleaning.lookalikes import lookalikes
from mpiedge.cleaning.noise import WORDLESS, constant_with_noise
from mpiedge.cleaning.patterns import broken_patterns
from mpiedge.cleaning.spelling import Repairs, misspelt
from mpiedge.cleaning.spreadsheet import spoilt_by_spreadsheet
from mpiedge.cleaning.tokens import misspelt_words
from mpiedge.cleaning.wrapped import wrapped

MOST_VALUES = 8000
"""Distinct values of a column in which rare spellings are looked for."""
LEAST_WRONG, TIMES_WRONG, MOST_LOST = 5, 1.5, 0.15


WAYS = (constant_with_noise, spoilt_by_spreadsheet, lookalikes, broken_addresses, wrapped, abbreviated, misspelt,
        misspelt_words, broken_patterns)
"""What finds wrong values, each alone; of a value that several find wrong the first counts."""
ANY_COLUMN = (constant_with_noise, spoilt_by_spreadsheet, lookalikes, broken_addresses, wrapped)
"""Those that judge columns of numbers, too, and of any number of values."""


DEAR = {lookalikes: 4.0, spoilt_by_spreadsheet: 2.0}
"""How many times as long some take as most do."""


def find_by(way: int, values: list[str], counts: np.ndarray, is_text: bool) -> Repairs:
    """Local: the wrong values of a column by one of WAYS, from its distinct values and how often each occurs ("" =
    blank)."""
    if WAYS[way] not in ANY_COLUMN and not (is_text and 1 < len(values) <= MOST_VALUES):
        return {}
    return WAYS[way](values, counts)


def cost_of(way: int) -> float:
    """Local: how long one of WAYS takes, relative to most."""
    return DEAR.get(WAYS[way], 1.0)


def find_repairs(values: list[str], counts: np.ndarray, is_text: bool, by_ways: list[Repairs]) -> Repairs:
    """Local: the wrong values of a column from what each of WAYS found."""
    found: Repairs = {}
    for one in by_ways:
        found = {**one, **found}
    found = {value: repair for value, repair in found.items() if value and repair[0] != value}
    return {**lost(values, counts, found), **found} if is_text else found


def lost(values: list[str], counts: np.ndarray, found: Repairs) -> Repairs:
    """Blanks and cells without a letter or digit in a column that is full but for its misspelt cells: lost by the same
    hand. The commonest value stands for them, as sure as it is common."""
    misspelt = {value for value, (right, _, _) in found.items() if right and value}
    number = dict(zip(values, counts.tolist())) if misspelt else {}
    wrong = sum(number[value] for value in misspelt)
    if wrong < LEAST_WRONG:
        return {}
    empty = [value for value in values if not WORDLESS.sub("", value)]
    blank = sum(number[value] for value in empty)
    total = int(counts.sum())
    if not 0 < blank <= min(TIMES_WRONG * wrong, MOST_LOST * total):
        return {}
    right = {value: count for value, count in number.items() if value not in found and value not in empty}
    top = min(right, key=lambda value: (-right[value], value), default=None)
    sure = round(right[top] / sum(right.values()), 3) if top else 0.0
    return {value: (top, "lost value", sure) if sure >= 0.5 else (None, "flag: lost value", 0.75) for value in empty}
