"""Numbers and days that stand for nothing: -999 among temperatures, 1900-01-01 among birthdays.

Who must write something writes what cannot be. A number of nines below zero or a day from the end of a calendar stands
for nothing where it is repeated and lies far from all others. Numbers above all others may
have been cut off there (99999 for all that is more), so they are left.
"""

import re
from collections import Counter
from collections.abc import Callable

NINES = re.compile(r"-?9{2,}([.,](0+|9+))?")
DAYS = re.compile(r"(0001|1800|1900|9999)\D?0?1\D?0?1|9999\D?12\D?31|1899\D?12\D?3[01]|1753\D?0?1\D?0?1")
NEW_YEAR = re.compile(r"\d{4}\D?0?1\D?0?1(?!\d)")
LEAST_TIMES, MOST = 5, 0.4
"""Cells of such a value, and its largest share."""
LEAST_DISTINCT, LEAST_GAP = 10, 0.25
"""Different other values, and the distance to them over their range."""


def words_for_nothing(values: Counter[str], read: Callable[[str], float | None]) -> list[str]:
    """Local: of the different cells of a column of numbers or days and how often each occurs those that stand for
    nothing. read: a cell -> its number, of a day its ordinal; None for what is none."""
    suspects = [cell for cell in values if NINES.fullmatch(cell.strip()) or DAYS.match(cell.strip())]
    if not suspects:
        return []
    others = {cell: number for cell in values if cell not in suspects and (number := read(cell)) is not None}
    if len(others) < LEAST_DISTINCT:
        return []
    if 2 * sum(NEW_YEAR.match(cell.strip()) is not None for cell in others) > len(others):
        suspects = [cell for cell in suspects if not NEW_YEAR.match(cell.strip())]  # years that are written as days
    low, high = min(others.values()), max(others.values())
    return sorted(cell.strip() for cell in suspects if LEAST_TIMES <= values[cell] <= MOST * values.total()
                  and _is_far(read(cell), low, high) and not (NINES.fullmatch(cell.strip()) and read(cell) > high))


def _is_far(number: float | None, low: float, high: float) -> bool:
    return number is not None and max(low - number, number - high) >= LEAST_GAP * (high - low)
