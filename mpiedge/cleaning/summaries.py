"""What the cells of a column look like, counted so that parts merge in any order to the same whole."""

import re
from collections import Counter

import numpy as np

from mpiedge.cleaning.cells import NULL_WORDS, NUMERIC_DATES, form_of
from mpiedge.kernels.columns import Columns
from mpiedge.kernels.forms import COUNTS, DAY_FORMS, EMPTY_FORM, FORMS, ODD_FORM, cell_forms, cell_hashes

MOST_VALUES = 1000
"""Distinct values counted exactly; a column with more of them keeps no counts of values."""
MOST_COUNTED_BYTES = 4_000_000
"""Text of a column in one range, beyond which it holds cells too long to be counted and kept as values."""
SKETCH = 512
_NULL_TEXT = "".join(f"{word}\x00" for word in sorted(NULL_WORDS)).encode()
WORD = re.compile(r"(?<![^\W\d_])(?:(?<![0-9])[^\W\d_]{3,}(?![^\W\d_])(?![0-9])"
                  r"|(?=[^\W\d_]{3})[A-Za-z]*[^\W\d_A-Za-z])")
"""A word: letters that touch no digit, as those of codes do (0xbfa2, 3fdce), or letters that are not all ASCII: Chinese
addresses have digits among them."""


def mix(values: np.ndarray) -> np.ndarray:
    """64 well-mixed bits per uint64 (the finaliser of splitmix64, Steele, Lea & Flood 2014)."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


class ColumnSummary:
    """What the cells of a column look like, counted so that summaries of parts merge in any order to the same whole.

    forms: notation -> cells; worded: cells with a word (WORD); nulls: null word as written -> cells;
    values: value -> cells, None beyond MOST_VALUES; the sketch holds the SKETCH smallest mixed hashes of the values
    (distinct values: Bar-Yossef et al. 2002).
    """

    def __init__(self):
        self.rows = self.empty = self.edge_blanks = self.longest = self.widest_integer = 0
        self.narrowest_integer = 99
        self.long_integers = self.characters = self.worded = 0
        self.forms: Counter[str] = Counter()
        self.nulls: Counter[str] = Counter()
        self.first_above_12: Counter[str] = Counter()
        self.second_above_12: Counter[str] = Counter()
        self.values: Counter[str] | None = Counter()
        self.sketch = np.empty(0, dtype=np.uint64)

    def add(self, cells) -> None:
        """Local: count the cells (a sequence of str) of one chunk."""
        if len(cells):
            self.add_column(Columns.of([cells]), 0)

    def add_column(self, columns: Columns, place: int) -> None:
        """Local: count the cells of one column of a chunk."""
        if not columns.rows:
            return
        self.rows += columns.rows
        if len(columns.part(place)) > MOST_COUNTED_BYTES:
            self.values = None
        if self.values is None:
            blank, hashes = self._add_forms(columns, place), cell_hashes(columns, place)
        else:
            cells, times, hashes = columns.distinct(place)
            blank = self._add_forms(Columns.of([cells]), 0, times)
            self._merge_values(dict(zip(cells, times.tolist())))
        self._merge_sketch(mix(hashes[~blank]))

    def _add_forms(self, columns: Columns, place: int, times: np.ndarray | None = None) -> np.ndarray:
        """Local: count the forms of cells (times: for how many each stands); returns which of them are blank."""
        forms, counts = cell_forms(columns, place, _NULL_TEXT, times)
        numbers = np.bincount(forms, times, minlength=len(FORMS)).astype(np.int64).tolist()
        self.empty += numbers[EMPTY_FORM]
        self.forms.update({form: number for form, number in zip(FORMS[EMPTY_FORM + 1:], numbers[EMPTY_FORM + 1:])
                           if number})
        self._add_counts(dict(zip(COUNTS, counts.tolist())))
        for form, first, second in zip(DAY_FORMS, counts[len(COUNTS):].tolist(), counts[-3:].tolist()):
            if self.forms[form]:
                self.first_above_12[form] += first
                self.second_above_12[form] += second
        blank, odd = forms == EMPTY_FORM, np.flatnonzero(forms == ODD_FORM)
        cells = columns.some(place, odd)
        blanks = self._add_odd(Counter(cells) if times is None else dict(zip(cells, times[odd].tolist())))
        if blanks:
            blank[odd] = [cell in blanks for cell in cells]
        return blank

    def _add_counts(self, counts: dict[str, int]) -> None:
        self.longest = max(self.longest, counts["longest"])
        self.widest_integer = max(self.widest_integer, counts["widest_integer"])
        self.narrowest_integer = min(self.narrowest_integer, counts["narrowest_integer"])
        for name in ("edge_blanks", "characters", "worded", "long_integers"):
            setattr(self, name, getattr(self, name) + counts[name])

    def _add_odd(self, counts: dict[str, int]) -> set[str]:
        """Local: count cells by the rules of `cleaning.cells`; returns those that are blank."""
        blanks = set()
        for cell, number in counts.items():
            stripped = cell.strip()
            if not stripped:
                self.empty += number
                blanks.add(cell)
                continue
            form = form_of(stripped)
            self.forms[form] += number
            self.characters += number * len(cell)
            self.longest = max(self.longest, len(cell))
            self.edge_blanks += number * (len(stripped) != len(cell))
            if form == "text":
                self.worded += number * bool(WORD.search(stripped))
            elif form != "leading_zero":
                self._add_form(form, stripped, number)
        return blanks

    def _add_form(self, form: str, cell: str, number: int) -> None:
        if form == "null":
            self.nulls[cell] += number
        elif form == "integer":
            self.widest_integer = max(self.widest_integer, len(cell))
            self.narrowest_integer = min(self.narrowest_integer, len(cell))
            if len(cell.lstrip("+-")) > 3:
                self.long_integers += number
        elif form in NUMERIC_DATES:
            first, second = re.split(r"\D", cell, maxsplit=2)[:2]
            self.first_above_12[form] += number * (int(first) > 12)
            self.second_above_12[form] += number * (int(second) > 12)

    def merge(self, other: "ColumnSummary") -> None:
        """Local: count the cells of another part of the column in."""
        for name in ("rows", "empty", "edge_blanks", "worded", "long_integers", "characters"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.longest = max(self.longest, other.longest)
        self.widest_integer = max(self.widest_integer, other.widest_integer)
        self.narrowest_integer = min(self.narrowest_integer, other.narrowest_integer)
        for name in ("forms", "nulls", "first_above_12", "second_above_12"):
            getattr(self, name).update(getattr(other, name))
        self._merge_values(other.values)
        self._merge_sketch(other.sketch)

    def _merge_values(self, counts: Counter | None) -> None:
        # Distinct values only grow, so a column ends without counts exactly if it has more than MOST_VALUES in all, or
        # too much text in one range, which is the same for any number of ranks.
        if self.values is None or counts is None:
            self.values = None
            return
        self.values.update(counts)
        if len(self.values) > MOST_VALUES:
            self.values = None

    def _merge_sketch(self, hashes: np.ndarray) -> None:
        if len(self.sketch) == SKETCH:
            hashes = hashes[hashes < self.sketch[-1]]
        self.sketch = np.union1d(self.sketch, hashes)[:SKETCH]

    @property
    def filled(self) -> int:
        """Cells with a value: neither blank nor a null word."""
        return self.rows - self.empty - self.forms["null"]

    @property
    def distinct(self) -> float:
        """Number of different filled cells: exact below SKETCH, else estimated within about 9 %."""
        if len(self.sketch) < SKETCH:
            return float(len(self.sketch))
        return (SKETCH - 1) / (float(self.sketch[-1]) / 2.0**64)

    def to_message(self) -> dict:
        """What travels to the other ranks."""
        plain = {name: value for name, value in vars(self).items() if not isinstance(value, (Counter, np.ndarray))}
        counts = {name: [list(value), list(value.values())] for name, value in vars(self).items()
                  if isinstance(value, Counter)}
        return {"plain": plain, "counts": counts, "sketch": self.sketch}

    @classmethod
    def from_message(cls, message: dict) -> "ColumnSummary":
        """The summary of a message."""
        summary = cls()
        vars(summary).update(message["plain"])
        for name, (keys, numbers) in message["counts"].items():
            setattr(summary, name, Counter(dict(zip(keys, numbers))))
        summary.sketch = np.asarray(message["sketch"], dtype=np.uint64)
        return summary
