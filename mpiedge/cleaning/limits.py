"""Numbers far outside their column: another unit, a point that was lost, 9999 for nothing; a sign where none is.

Heavy tails have no such limits. So what lies outside must be few, and farther from the rest than the rest is wide, by
differences and by ratios; or one value that stands alone at the end of the column, far oftener than any near to it.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from mpiedge.cleaning.orders import ends_at_zero

MOST_OUTSIDE, LEAST_ROWS, LEAST_DISTINCT = 0.05, 50, 10
MOST_NEGATIVE = 0.03
LEAST_REPEATED, TIMES_REPEATED, LEAST_GAP = 5, 5, 0.25
"""Rows of a value that stands for nothing; how much oftener it is than others; its distance over the column's range."""
MOST_REPEATED = 4
"""Rows of each value beyond a limit, on average: errors are scattered."""
CONFIDENCE, POINT = 0.75, 0.85
LEAST_SAME = 0.8
"""Share of the numbers with as many decimals, from which on one without a point has lost it."""


@dataclass
class Limits:
    """Of one column: the least and the greatest sound value (-inf, inf: no limit), its usual decimals."""

    column: int
    least: float
    greatest: float
    decimals: int = 0

    def judge(self, numbers: np.ndarray) -> list[int]:
        """Local: the rows whose number is beyond the limits."""
        return np.flatnonzero((numbers < self.least) | (numbers > self.greatest)).tolist()


    def with_point(self, cell: str) -> str | None:
        """Local: a number beyond the limits with the point that it has lost; None where that is none within them."""
        if not self.decimals or not cell.isdigit() or len(cell) <= self.decimals:
            return None
        found = f"{cell[:-self.decimals]}.{cell[-self.decimals:]}"
        return found if self.least <= float(found) <= self.greatest else None


def decimals_of(cells: list[str]) -> int:
    """Local: how many decimals nearly all cells have, 0 where none do or they have different ones."""
    times = Counter(len(cell.partition(".")[2]) for cell in cells if cell)
    usual = min(times, key=lambda number: (-times[number], number), default=0)
    return usual if times[usual] >= LEAST_SAME * times.total() else 0


def find_limits(column: int, numbers: np.ndarray, ratios: bool, decimals: int) -> Limits | None:
    """Local: the limits of a column from its sampled numbers (float64, nan = none); None where nothing is beyond.

    ratios: they mean something, as those of days do not.
    """
    values = np.sort(numbers[~np.isnan(numbers)])
    if len(values) < LEAST_ROWS or len(np.unique(values)) < LEAST_DISTINCT:
        return None
    most = int(MOST_OUTSIDE * len(values))
    first, last = most, len(values) - 1 - most   # of the rest, as far as it is certain
    for _ in range(2):   # the second time without what lies outside at the other end
        last_found = _end(values, first, len(values) - 1 - most, ratios)
        first_found = len(values) - 1 - _end(-values[::-1], len(values) - 1 - last_found, len(values) - 1 - most,
                                             ratios)
        first, last = first_found, last_found
    first, last = _without_repeated(values, first, last)
    least = values[first] if first > 0 else -np.inf
    greatest = values[last] if last < len(values) - 1 else np.inf
    kept = values[first:last + 1]
    if len(np.unique(kept)) < LEAST_DISTINCT:
        return None
    if least == -np.inf and _has_false_signs(kept):
        least = 0.0
    found = Limits(column, float(least), float(greatest), decimals)
    if not (_are_errors(values[values < least]) and _are_errors(values[values > greatest])):
        return None
    return found if np.isfinite(least) or np.isfinite(greatest) else None


def _are_errors(outside: np.ndarray) -> bool:
    """Whether values beyond a limit are scattered, but for one that may stand for nothing; else they are a kind."""
    times = np.sort(np.unique(outside, return_counts=True)[1])[:-1]
    return MOST_REPEATED * len(times) >= times.sum()


def _without_repeated(values: np.ndarray, first: int, last: int) -> tuple[int, int]:
    """The places of the first and the last value, without one at either end that stands for nothing."""
    for sign in (1, -1):
        kept = sign * values[first:last + 1][::sign]
        at = int(np.searchsorted(kept, kept[-1]))
        rest = kept[:at]
        times = len(kept) - at
        if (len(rest) and LEAST_REPEATED <= times <= MOST_OUTSIDE * len(kept)
                and times * len(np.unique(rest)) >= TIMES_REPEATED * len(rest)
                and kept[-1] - rest[-1] >= LEAST_GAP * (rest[-1] - rest[0])):
            first, last = (first, first + at - 1) if sign > 0 else (last - at + 1, last)
    return first, last


def _end(values: np.ndarray, first: int, sure: int, ratios: bool) -> int:
    """The place of the last sound value at the upper end of sorted values, which begin to be sound at `first`."""
    middle = values[len(values) // 2]
    spread = float(np.median(np.abs(values - middle)))
    for last in range(len(values) - 2, sure - 1, -1):
        inside, outside = values[last], values[last + 1]
        if outside - inside < inside - values[first] or outside == inside:
            continue
        if not ratios:
            far = True
        elif values[first] > 0:
            far = outside * values[first] >= inside * inside
        else:
            far = spread > 0 and 1 + (outside - middle) / spread >= (1 + (inside - middle) / spread) ** 2
        if far:
            return last
    return len(values) - 1


def _has_false_signs(values: np.ndarray) -> bool:
    """Whether the negative whole numbers of a column are as large as its others, which end at zero."""
    below = values[values < 0]
    if not 0 < len(below) <= MOST_NEGATIVE * len(values) or (values != np.floor(values)).any():
        return False
    return 2 * float(np.median(-below)) >= float(np.median(values[values > 0])) and ends_at_zero(values)
