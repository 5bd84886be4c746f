"""Wrong values seen from their column alone, by what each way of finding them says."""

import numpy as np

from mpiedge.cleaning.noise import constant_with_noise
from mpiedge.cleaning.patterns import broken_patterns
from mpiedge.cleaning.spelling import Repairs, misspelt
from mpiedge.cleaning.tokens import misspelt_words

MOST_VALUES = 8000
"""Distinct values of a column in which rare spellings are looked for."""


def find_repairs(values: list[str], counts: np.ndarray, is_text: bool) -> Repairs:
    """Local: the wrong values of a column, from its distinct values and how often each occurs ("" = blank)."""
    found = constant_with_noise(values, counts)
    if is_text and 1 < len(values) <= MOST_VALUES:
        for step in (misspelt, misspelt_words, broken_patterns):
            found = {**step(values, counts), **found}
    return {value: repair for value, repair in found.items() if value and repair[0] != value}
