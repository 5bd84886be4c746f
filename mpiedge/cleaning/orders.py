"""Order rules: begin <= end, least <= most. They hold almost always, and where they do not, a cell is wrong.

That one column is above another one in nearly all rows may be chance (heights and weights) or growth (last year, this
year). An order is meant where the differences end at zero: as many rows as are just above it, as few are just below,
while the rows that break it are scattered; and where rows of another pairing would break it often. Numbers must besides
be of one kind: called alike, or equal in more rows than they are apart by any other difference.
"""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

MOST_BROKEN, LEAST_ROWS = 0.05, 50
EDGE_TIMES, LEAST_EDGE = 20, 3
LEAST_PAIRED, PAIRED_TIMES = 0.05, 5
LEAST_DISTINCT, MOST_ADJACENT = 10, 0.5
"""Different values of a column; share of the rows that break an order which follow upon one another."""
ENDS = frozenset(("min", "max", "minimum", "maximum", "low", "high", "lower", "upper", "least", "most", "from", "to",
                  "begin", "start", "end", "first", "last", "smallest", "largest"))
"""Words for the ends of something: columns called by them are of one kind."""
MOST_PAIRS = 1000
SPARSE_TIMES = 4
MOST_COVERED, LEAST_USUAL = 0.1, 0.9
SWAPPED, BLAMED, EITHER = 0.9, 0.75, 0.5


@dataclass
class Order:
    """low <= high. gaps: the differences that occur, where they are so few that one turned round is no accident."""

    low: int
    high: int
    gaps: frozenset[float]


@dataclass
class Orders:
    """The order rules of a table. scale: column -> (sorted values of it, how far around a value is near)."""

    found: list[Order] = field(default_factory=list)
    scale: dict[int, tuple[np.ndarray, float]] = field(default_factory=dict)

    def judge(self, columns: list[list[str]], read) -> list[tuple[int, int, str | None, float, Order]]:
        """Local: [(row, column, what it is, confidence, the order)] of the cells that break an order.

        read: (column, cells) -> float64, nan where there is no number. The column that most broken orders of a row
        have in common is to blame, else the one whose value is rare among others near to it, else both.
        """
        numbers = {place: read(place, columns[place]) for place in self.scale}
        broken: dict[int, list[Order]] = {}
        for order in self.found:
            for row in np.flatnonzero(numbers[order.low] > numbers[order.high]).tolist():
                broken.setdefault(row, []).append(order)
        return [blamed for row, orders in sorted(broken.items())
                for blamed in self._blame(row, orders, columns, numbers)]

    def _blame(self, row: int, orders: list[Order], columns, numbers) -> list[tuple]:
        blamed = []
        while orders:
            times = Counter(place for order in orders for place in (order.low, order.high))
            worst = min(times, key=lambda place: (-times[place], place))
            order = next(order for order in orders if worst in (order.low, order.high))
            low, high = order.low, order.high
            if numbers[low][row] - numbers[high][row] in order.gaps:
                guilty = {low, high}
                blamed += [(row, low, columns[high][row], SWAPPED, order),
                           (row, high, columns[low][row], SWAPPED, order)]
            else:
                guilty = {place for place in (low, high) if times[place] == times[worst]}
                if len(guilty) > 1:
                    guilty = self._rarer(low, high, numbers[low][row], numbers[high][row])
                sure = BLAMED if len(guilty) == 1 else EITHER
                blamed += [(row, place, None, sure, order) for place in sorted(guilty)]
            orders = [order for order in orders if not {order.low, order.high} & guilty]
        return blamed

    def _rarer(self, low: int, high: int, one: float, other: float) -> set[int]:
        near = {}
        for place, value in ((low, one), (high, other)):
            values, width = self.scale[place]
            near[place] = (np.searchsorted(values, value + width, "right")
                           - np.searchsorted(values, value - width)) / len(values)
        return {place for place in near if near[place] * SPARSE_TIMES <= max(near.values())} or {low, high}


def find_orders(numbers: dict[int, np.ndarray], families: dict[int, bool], names: dict[int, list[str]],
                may=lambda low, high: True) -> Orders:
    """Local: the orders between columns of one family (days or not) from their sampled values, nan = none.

    names: the words that each column is called by. may: (low, high) -> whether such an order is looked for.
    """
    orders = Orders()
    pairs = [(low, high) for low in numbers for high in numbers if low != high and families[low] == families[high]]
    if len(pairs) > MOST_PAIRS:
        pairs = [(low, high) for low, high in pairs if abs(low - high) == 1]
    for low, high in pairs:
        alike = families[low] or _called_alike(names[low], names[high])
        order = _order(low, high, numbers[low], numbers[high], alike) if may(low, high) else None
        if order:
            orders.found.append(order)
    for place in sorted({place for order in orders.found for place in (order.low, order.high)}):
        values = np.sort(numbers[place][~np.isnan(numbers[place])])
        width = float(values[len(values) * 3 // 4] - values[len(values) // 4]) / 20
        orders.scale[place] = values, width
    return orders


def _called_alike(one: list[str], other: list[str]) -> bool:
    """Whether two columns share a word of their names, or both are called an end of something."""
    shared = {word for word in set(one) & set(other) if word.isalpha() and len(word) > 1}
    return bool(shared) or bool(ENDS & set(one) and ENDS & set(other))


def _order(low: int, high: int, left: np.ndarray, right: np.ndarray, alike: bool) -> Order | None:
    both = ~np.isnan(left) & ~np.isnan(right)
    left, right = left[both], right[both]
    gap = right - left
    wrong = int((gap < 0).sum())
    if len(gap) < LEAST_ROWS or not 0 < wrong <= MOST_BROKEN * len(gap) or not ends_at_zero(gap):
        return None
    if min(len(np.unique(left)), len(np.unique(right))) < LEAST_DISTINCT or not (alike or _often_equal(gap)):
        return None
    places = np.flatnonzero(gap < 0)
    if (np.diff(places) == 1).sum() > max(LEAST_EDGE, MOST_ADJACENT * wrong):
        return None   # a part of the table in which it does not hold
    ordered = np.sort(right)
    paired = float(np.searchsorted(ordered, left).mean()) / len(ordered)   # left > right, if rows were paired anyhow
    if paired < max(LEAST_PAIRED, PAIRED_TIMES * wrong / len(gap)):
        return None
    return Order(low, high, _few_gaps(left, right, gap))


def _often_equal(gap: np.ndarray) -> bool:
    """Whether no difference is as frequent as none."""
    times = np.unique(gap[gap != 0], return_counts=True)[1]
    return int((gap == 0).sum()) > max(LEAST_EDGE, int(times.max(initial=0)))


def ends_at_zero(gap: np.ndarray) -> bool:
    """Local: whether values end at zero, and those below are scattered: far more lie just above than just below."""
    below = -gap[gap < 0]
    near = float(np.sort(below)[len(below) // 4])
    return int(((gap > 0) & (gap <= near)).sum()) >= EDGE_TIMES * max(LEAST_EDGE, int((below <= near).sum()))


def _few_gaps(left: np.ndarray, right: np.ndarray, gap: np.ndarray) -> frozenset[float]:
    """The usual differences, if they are few of those that whole numbers of this kind could have, and nearly all."""
    usual, times = np.unique(gap[gap > 0], return_counts=True)
    often = times >= LEAST_EDGE
    usual, whole = usual[often], np.concatenate([left, right])
    if (times[often].sum() < LEAST_USUAL * times.sum() or (whole != np.floor(whole)).any()
            or np.abs(whole).max() > 2**53):
        return frozenset()
    unit = int(np.gcd.reduce((whole - whole.min()).astype(np.int64)))
    return frozenset(usual.tolist()) if len(usual) * unit <= MOST_COVERED * usual[-1] else frozenset()
