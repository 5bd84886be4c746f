"""What the cells of a column usually look like, as the cost in nats of finding a given cell there."""

import math
import re
from collections import Counter
from functools import lru_cache

from mpiedge.cleaning.cells import HARD, form_of

FLOOR = 1e-4
SHARES = (0.15, 0.30, 0.30, 0.25)
"""Weight of the value itself, its pattern, its pattern with runs drawn together, and its form with its length."""
LONGEST_PATTERN = 60
LARGEST_MEMO = 20_000
_DIGIT, _UPPER, _LOWER = re.compile(r"\d"), re.compile(r"[A-Z]"), re.compile(r"[^\W\d_A-Z]")
_RUN = re.compile(r"(.)\1+")


def coarse_form(cell: str) -> str:
    """The form of a cell in few classes: empty, number by its digits, date, text by length and whether it holds digits.
    """
    form = form_of(cell)
    if form in ("empty", "null"):
        return "empty"
    if form in ("integer", "leading_zero"):
        return f"{form}{min(len(cell.strip()), 12)}"
    if form.startswith("point"):
        whole, _, fraction = cell.strip().lstrip("+-").partition(".")
        return f"point{min(len(whole), 12)}.{min(len(fraction), 12)}"
    if form in HARD:
        return form.split("_")[0]
    length = len(cell)
    digits = "9" if _DIGIT.search(cell) else ""
    return f"text{digits}{'a' if length < 4 else 'b' if length < 16 else 'c' if length < 48 else 'd'}"


@lru_cache(maxsize=LARGEST_MEMO)
def views(cell: str) -> tuple[str, str, str]:
    """Pattern, pattern with runs drawn together, and coarse form of a cell."""
    shape = _LOWER.sub("a", _UPPER.sub("A", _DIGIT.sub("9", cell[:LONGEST_PATTERN])))
    return shape, _RUN.sub(r"\1", shape), coarse_form(cell)


class Profile:
    """The cells seen in one column; `cost` is large for a cell that looks like none of them."""

    def __init__(self):
        self.cells = 0
        self.counts = tuple(Counter() for _ in SHARES)
        self._memo: dict[str, float] = {}

    def add(self, cell: str) -> None:
        """Local: count a cell."""
        self.cells += 1
        for counts, view in zip(self.counts, (cell, *views(cell))):
            counts[view] += 1

    def has(self, cell: str) -> bool:
        """Local: whether a cell was seen more than once."""
        return self.counts[0][cell] > 1

    def has_pattern(self, cell: str) -> bool:
        """Local: whether a cell of the same pattern was seen more than once."""
        return self.counts[1][views(cell)[0]] > 1

    def cost(self, cell: str) -> float:
        """Local: nats of a cell in this column."""
        known = self._memo.get(cell)
        if known is None:
            seen = (cell, *views(cell))
            likely = sum(share * counts[view] for share, counts, view in zip(SHARES, self.counts, seen))
            known = -math.log(likely / max(1, self.cells) + FLOOR)
            if len(self._memo) < LARGEST_MEMO:
                self._memo[cell] = known
        return known

    @property
    def usual(self) -> float:
        """Nats of the cells seen, on average."""
        values = self.counts[0]
        return sum(number * self.cost(cell) for cell, number in values.items()) / max(1, self.cells)
