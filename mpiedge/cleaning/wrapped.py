"""Values in braces, as exports of arrays leave them: `{"Smith, J."}` where others are `Smith, J.`."""

import re

import numpy as np

from mpiedge.cleaning.spelling import Repairs

MOST, LEAST_CELLS = 0.1, 50
"""Share of the cells in braces, beyond which that is how they are written; cells of a column that tells."""
SURE = 0.95
_WRAPPED = re.compile(r'\{\s*("?)([^{}"]*[^{}"\s])\1\s*\}')


def wrapped(values: list[str], counts: np.ndarray) -> Repairs:
    """Local: values in braces and what stands in them, if that is in quotes or another value of the column.

    values: the distinct ones of a column, counts: how often each occurs.
    """
    found = {value: match.groups() for value in values
             if value.startswith("{") and (match := _WRAPPED.fullmatch(value))}
    filled = sum(number for value, number in zip(values, counts.tolist()) if value)
    cells = sum(number for value, number in zip(values, counts.tolist()) if value.startswith("{"))
    if filled < LEAST_CELLS or cells > MOST * filled:
        return {}
    known = set(values)
    return {value: (inside, "braces", SURE) for value, (quote, inside) in found.items() if quote or inside in known}
