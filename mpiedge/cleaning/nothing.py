"""Numbers and days that stand for nothing: -999 among temperatures, 1900-01-01 among birthdays.

Who must write something writes what cannot be. A number of at least three nines or the first day of a calendar stands
for nothing where it is repeated and lies far below all others. What lies above them is left: numbers may have been cut
off there (99999 for all that is more), and days be those of what has no end (9999-12-31).
"""

import re
from collections import Counter
from collections.abc import Callable

NINES = re.compile(r"-?(9{3,}([.,](0+|9+))?|99[.,]9+)")
DAYS = re.compile(r"(0001|1753|1800|1900|9999)\D?0?1\D?0?1|9999\D?12\D?31|1899\D?12\D?3[01]")
NEW_YEAR = re.compile(r"\d{4}\D?0?1\D?0?1(?!\d)")
LEAST_TIMES, MOST = 5, 0.2
"""Cells of such a value, and its largest share."""
LEAST_DISTINCT, LEAST_GAP = 20, 0.25
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
                  and (number := read(cell)) is not None and low - number >= LEAST_GAP * (high - low))
