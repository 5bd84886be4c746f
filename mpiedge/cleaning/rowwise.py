"""What the cells of one row say of each other, and numbers of the rest of their column: learnt and judged.

Cells in the wrong column (`misplaced`), orders between columns (`orders`) and limits of columns (`limits`).
"""

from dataclasses import dataclass, field

import numpy as np

from mpiedge.cleaning.cells import read_date, read_number
from mpiedge.cleaning.limits import CONFIDENCE, POINT, Limits, decimals_of, find_limits
from mpiedge.cleaning.misplaced import Misplaced, find_misplaced
from mpiedge.cleaning.names import words_of
from mpiedge.cleaning.orders import Order, Orders, find_orders

MOST_ROWS = 20_000
"""Sampled rows from which orders and limits are learnt."""


@dataclass
class Rowwise:
    """readers: column -> (kind, decimal mark, day first) of those read as numbers."""

    misplaced: list[Misplaced] = field(default_factory=list)
    orders: Orders = field(default_factory=Orders)
    limits: list[Limits] = field(default_factory=list)
    readers: dict[int, tuple[str, str, bool | None]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.misplaced or self.orders.found or self.limits)

    def to_message(self) -> dict:
        """Local: what travels between ranks."""
        return {"misplaced": [[pair.one, pair.other, sorted(pair.of_one), sorted(pair.of_other), pair.alone]
                              for pair in self.misplaced],
                "orders": [[order.low, order.high, sorted(order.gaps)] for order in self.orders.found],
                "scale": [[place, *of] for place, of in self.orders.scale.items()],
                "limits": [[limits.column, limits.least, limits.greatest, limits.decimals] for limits in self.limits]}

    @classmethod
    def from_message(cls, message: dict, plans) -> "Rowwise":
        """Local: the inverse of `to_message`, for a table with such columns."""
        places = {low for low, _, _ in message["orders"]} | {high for _, high, _ in message["orders"]} | {
            place for place, *_ in message["limits"]}
        return cls([Misplaced(one, other, frozenset(of_one), frozenset(of_other), tuple(alone))
                    for one, other, of_one, of_other, alone in message["misplaced"]],
                   Orders([Order(low, high, frozenset(gaps)) for low, high, gaps in message["orders"]],
                          {place: (values, width) for place, values, width in message["scale"]}),
                   [Limits(*limits) for limits in message["limits"]],
                   {place: _reader(plans[place]) for place in places})

    def read(self, place: int, cells: list[str]) -> np.ndarray:
        """Local: the numbers of a column's cells, days as ordinals; nan for all else."""
        kind, mark, day_first = self.readers[place]
        known = {cell: _read(cell, kind, mark, day_first) for cell in set(cells)}
        return np.array([known[cell] for cell in cells], np.float64)

    def judge_places(self, columns: list[list[str]]):
        """Local: (row, column, what it is, rule, confidence) of cells in the wrong column."""
        for pair in self.misplaced:
            for row, place, after, sure, how in pair.judge(columns):
                yield row, place, after, how, sure

    def judge_numbers(self, columns: list[list[str]], names: list[str]):
        """Local: (row, column, what it is, rule, confidence) of numbers that break an order or a limit."""
        for row, place, after, sure, order in self.orders.judge(columns, self.read) if self.orders.found else ():
            rule = f"order: {names[order.low]} <= {names[order.high]}"
            yield row, place, after, rule if after else f"flag: {rule}", sure
        for limits in self.limits:
            cells = columns[limits.column]
            for row in limits.judge(self.read(limits.column, cells)):
                after = limits.with_point(cells[row])
                yield (row, limits.column, after, "lost point", POINT) if after else (
                    row, limits.column, None, "flag: out of range", CONFIDENCE)

    def to_toml(self, names: list[str]) -> list[dict]:
        """What plan.toml says of it."""
        found = [{"column": names[pair.one], "by": "wrong column", "with": names[pair.other]}
                 for pair in self.misplaced]
        found += [{"column": names[order.low], "by": "order", "at_most": names[order.high]}
                  for order in self.orders.found]
        return found + [{"column": names[limits.column], "by": "range", "least": limits.least,
                         "decimals": limits.decimals, "greatest": limits.greatest} for limits in self.limits]


def find_rowwise(cells: list[list[str]], plans, open_: list[int], may) -> Rowwise:
    """Local: what the sampled cells tell; may: (column, by, other column) -> whether it is to be looked for."""
    found = Rowwise()
    text = [place for place in open_ if plans[place].kind == "text"]
    found.misplaced = [pair for pair in find_misplaced(cells, text) if may(pair.one, "wrong column", pair.other)]
    found.readers = {place: _reader(plans[place]) for place in open_
                     if plans[place].kind in ("integer", "decimal", "date")}
    numbers = {place: found.read(place, cells[place][:MOST_ROWS]) for place in found.readers}
    found.orders = find_orders(numbers, {place: plans[place].kind == "date" for place in numbers},
                               {place: words_of(plans[place].name) for place in numbers},
                               lambda low, high: may(low, "order", high))
    limits = [find_limits(place, column, plans[place].kind != "date", decimals_of(
        cells[place][:MOST_ROWS]) if plans[place].mark == "." else 0) for place, column in numbers.items()
              if may(place, "range")]
    found.limits = [limit for limit in limits if limit]
    return found


def _reader(plan) -> tuple[str, str, bool | None]:
    return plan.kind, plan.mark, plan.day_first


def _read(cell: str, kind: str, mark: str, day_first: bool | None) -> float:
    if kind == "date":
        found = read_date(cell, day_first)
        return found[0].toordinal() if found else np.nan
    number = read_number(cell, mark)
    return np.nan if number is None else number
