"""Values that were shortened with a point: `Amer.` where `American` is usual."""

import numpy as np

from mpiedge.cleaning.spelling import LEAST_FREQUENT, Repairs

LEAST_LETTERS, LEAST_LEFT_OUT = 4, 2
MOST = 0.1
"""Share of the cells that end with a point, beyond which that is how they are written."""
TIMES = 4
"""How much oftener the whole value is than all others that begin so."""
SURE = 0.9


def abbreviated(values: list[str], counts: np.ndarray) -> Repairs:
    """Local: rare values that end with a point, where one value begins as they do, and hardly any other one does.

    values: the distinct ones of a column, counts: how often each occurs.
    """
    number = dict(zip(values, counts.tolist()))
    short = [value for value in values if value.endswith(".") and sum(map(str.isalpha, value)) >= LEAST_LETTERS]
    if not short or sum(number[value] for value in values if value.endswith(".")) > MOST * counts.sum():
        return {}
    repairs: Repairs = {}
    for value in short:
        begin = [other for other in values if other.startswith(value[:-1]) and other != value]
        usual = max(begin, key=lambda other: (number[other], other), default="")
        others = sum(number[other] for other in [*begin, value] if other != usual)
        if len(usual) >= len(value) - 1 + LEAST_LEFT_OUT and not usual.endswith(".") and (
                number[usual] >= max(LEAST_FREQUENT, TIMES * others)):
            repairs[value] = usual, "abbreviation", SURE
    return repairs
