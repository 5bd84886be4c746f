"""Cells as numbers for predictions: a value and a step for each of a few quantiles, or a place for each common word."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np

from mpiedge.cleaning import formats
from mpiedge.cleaning.types import ColumnPlan

MOST_WORDS, LEAST_OFTEN = 40, 5
STEPS, ROWS_PER_STEP = 8, 100
FURTHEST = 4.0
"""Numbers further from the mean count as so many standard deviations."""
USUAL, DIGITS = 0.95, 6
"""Share of the numbers that have so few decimals as predicted ones; digits that tell numbers apart."""
MOST_WIDTH = 400
"""Numbers that a row becomes."""
NUMBERS = ("integer", "decimal")


@dataclass
class Code:
    """How the cells of a column become numbers.

    words: common values. most: numbers for each cell at most, so that a wide table has room. mean, scale, steps (limits
    between quantiles), low, high, decimals: of a column of numbers.
    """

    plan: ColumnPlan
    words: list[str] = field(default_factory=list)
    most: int = MOST_WORDS
    mean: float = 0.0
    scale: float = 0.0
    steps: np.ndarray = field(default_factory=lambda: np.empty(0))
    low: float = 0.0
    high: float = 0.0
    decimals: int = 0

    @property
    def is_number(self) -> bool:
        """Whether the cells are read as numbers."""
        return self.plan.kind in NUMBERS

    @property
    def width(self) -> int:
        """Numbers for each cell."""
        if self.is_number:
            return min(self.most, 2 + len(self.steps)) if self.scale else 0
        return min(self.most, len(self.words))

    def read(self, cells: list[str]) -> np.ndarray:
        """Local: the cells as numbers (float64, NaN for none) or as places among the words (int64, -1 for none)."""
        if self.is_number:
            return np.array([_number(text) for text in formats.canonical(self.plan, cells)], np.float64)
        places = {word: place for place, word in enumerate(self.words)}
        return np.array([places.get(cell, -1) for cell in cells], np.int64)

    def encode(self, read: np.ndarray) -> np.ndarray:
        """Local: what was read as float64 rows x width; zeros (and a one for "missing") where a number is missing."""
        if not self.width or not self.is_number:
            return read[:, None] == np.arange(self.width) + 0.0
        there = np.isfinite(read)
        scaled = np.clip((np.where(there, read, self.mean) - self.mean) / self.scale, -FURTHEST, FURTHEST)
        above = np.where(there, read, -np.inf)[:, None] > self.steps
        return np.column_stack([scaled, ~there * 1.0, above * 1.0])[:, :self.width]

    def write(self, values: np.ndarray) -> list[str]:
        """Local: predicted numbers as cells, in the range and with the decimals of the column."""
        mark = self.plan.mark if self.plan.kind == "decimal" else "."
        return [f"{value + 0.0:.{self.decimals}f}".replace(".", mark)
                for value in np.round(np.clip(values, self.low, self.high), self.decimals).tolist()]


def make_code(plan: ColumnPlan, distinct: Sequence, places: np.ndarray) -> Code:
    """Local: how a column is encoded, from a sample of its cells: "" and the other different ones, and the place of
    each cell among them."""
    code = Code(plan)
    if plan.key:
        return Code(ColumnPlan(plan.name))
    if not code.is_number:
        counts = np.bincount(places, minlength=len(distinct))
        counts[0] = 0
        often = sorted((-int(counts[place]), distinct[place])
                       for place in np.flatnonzero(counts >= LEAST_OFTEN).tolist())
        code.words = [value for _, value in often[:MOST_WORDS]]
        return code
    values = code.read(distinct)[places]
    values = values[np.isfinite(values)]
    with np.errstate(over="ignore", invalid="ignore"):   # squares beyond 1e308
        scale = float(values.std()) if len(values) else 0.0
    if 0 < scale < np.inf:
        code.mean, code.scale = float(values.mean()), scale
        code.low, code.high = float(values.min()), float(values.max())
        steps = min(STEPS, len(values) // ROWS_PER_STEP)
        code.steps = np.unique(np.quantile(values, np.arange(1, steps) / steps, method="lower")) if steps > 1 else (
            np.empty(0))
        code.steps = code.steps[code.steps < code.high]
        code.decimals = 0 if plan.kind == "integer" else _decimals(formats.canonical(plan, distinct), places, scale)
    return code


def _decimals(distinct: list[str], places: np.ndarray, scale: float) -> int:
    """How many decimals nearly all numbers do with ("" = none), but none below a millionth of their spread."""
    shown = np.array([max(0, -int(Decimal(text).normalize().as_tuple().exponent)) if text else -1 for text in distinct])
    shown = np.sort(shown[places])
    shown = shown[np.searchsorted(shown, 0):]
    return min(int(shown[int(USUAL * (len(shown) - 1))]), max(0, DIGITS - math.floor(math.log10(scale))))


def make_room(codes: list[Code]) -> None:
    """Local: in a wide table each column becomes fewer numbers, as many as MOST_WIDTH has room for."""
    widths = np.array([code.width for code in codes])
    most = next((most for most in range(MOST_WORDS, 1, -1) if np.minimum(widths, most).sum() <= MOST_WIDTH), 1)
    for code in codes:
        code.most = most


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return np.nan
