"""Sequences along the rows: a column that counts by a constant step tells what a cell that is off must have been.

Rows are in sequence with each other if their values lie on one line: value = offset + step * row. Between two rows of a
line there is no doubt about the others. A table in which rows were left out has several lines, one after the other.
"""

import re
from collections import Counter
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from mpiedge.cleaning.cells import DATES, SEPARATORS, form_of, read_date

LEAST_ROWS, LEAST_READABLE = 30, 0.7
NEIGHBOURS, WITHIN = 2, 10
"""A row is on a line if so many others within so many rows are on it."""
LEAST_ON_LINES = 0.5
LEAST_ON_LINE, LEAST_DENSE, WHOLE = 8, 0.4, 0.8
MOST_LINES = 5000
LONG_RUN = 5
CONFIDENCE = 0.97
_WHOLE = re.compile(r"[+-]?\d{1,15}(\.0+)?")
_DAY_NUMBER = re.compile(r"(1[6-9]|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(\.0+)?")
_EPOCH = date(1, 1, 1).toordinal()


@dataclass
class Sequence:
    """How one column counts: notation of its cells, step, and the lines: first row, last row, offset (int64 n x 3)."""

    notation: str
    day_first: bool | None
    sample: str
    step: int
    lines: np.ndarray

    def to_message(self) -> dict:
        """What travels to the other ranks."""
        return dict(vars(self))

    def expected(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Local: (places in `rows` that lie on a line, the values there) for sorted numbers of rows."""
        line = np.searchsorted(self.lines[:, 0], rows, side="right") - 1
        on = np.flatnonzero((line >= 0) & (rows <= self.lines[np.maximum(line, 0), 1]))
        return on, self.lines[line[on], 2] + self.step * rows[on]

    def judge(self, cells: list[str], rows: np.ndarray) -> list[tuple[int, str]]:
        """Local: [(place, what it must have been)] of the cells that are off their line.

        What may be right stays: a number between those of the nearest cells on the line, one that stands nowhere else
        while the one expected does (rows that changed places), and many in a row that rise or fall as the line does.
        """
        places, values = self.expected(rows)
        known = [read(cells[place], self.notation, self.day_first) for place in places.tolist()]
        right = np.array([mine == value for mine, value in zip(known, values.tolist())], bool)
        line = np.searchsorted(self.lines[:, 0], rows[places], side="right")
        often, found = Counter(known), []
        for run in _runs(np.flatnonzero(~right)):
            run = [place for place in run if known[place] is None or not (
                _in_order(known[place], place, values, line, (run[0] - 1, run[-1] + 1), self.step > 0)
                or (often[known[place]] == 1 and often[int(values[place])]))]
            there = [known[place] for place in run if known[place] is not None]
            if len(there) < LONG_RUN or there != sorted(there, reverse=self.step < 0):
                found += [(int(places[place]), write(int(values[place]), self.notation, self.day_first, self.sample))
                          for place in run]
        return found


def _runs(places: np.ndarray) -> list[list[int]]:
    """Ascending places as runs of neighbours."""
    return [run.tolist() for run in np.split(places, np.flatnonzero(np.diff(places) > 1) + 1)]


def _in_order(value: int, place: int, values: np.ndarray, line: np.ndarray, ends: tuple[int, int],
              rising: bool) -> bool:
    """Whether a value lies between those expected at `ends`, as far as these are on the same line."""
    return all(value == values[end] or (value > values[end]) == ((end < place) == rising)
               for end in ends if 0 <= end < len(values) and line[end] == line[place])


def read(cell: str, notation: str, day_first: bool | None) -> int | None:
    """Local: a cell as a whole number or as the number of a day; None for others."""
    cell = cell.strip()
    if notation == "number":
        return int(cell.partition(".")[0]) if _WHOLE.fullmatch(cell) else None
    try:
        if notation == "day number":
            return date(int(cell[:4]), int(cell[4:6]), int(cell[6:8])).toordinal() if _DAY_NUMBER.fullmatch(
                cell) else None
        found = read_date(cell, day_first) if form_of(cell) == notation else None
    except ValueError:
        return None
    return found[0].toordinal() if found else None


def write(value: int, notation: str, day_first: bool | None, sample: str) -> str:
    """Local: a value in the notation of the column, with what stands behind the number or day in `sample`."""
    if notation == "number":
        return f"{value}{sample[sample.index('.'):] if '.' in sample else ''}"
    day = date(1, 1, 1) + timedelta(days=max(0, value - _EPOCH))
    if notation == "day number":
        return f"{day:%Y%m%d}{sample[8:]}"
    order, name = notation.split("_")
    sign, rest = SEPARATORS[name], read_date(sample, day_first)[1]
    parts = re.split(r"\D", sample)
    wide = all(len(part) >= 2 for part in parts[:3])
    months, days = (f"{day.month:02d}", f"{day.day:02d}") if wide else (str(day.month), str(day.day))
    first = [f"{day.year:04d}", months, days] if order == "ymd" else (
        [days, months, f"{day.year:04d}"] if day_first else [months, days, f"{day.year:04d}"])
    return sign.join(first) + rest


def find_sequence(cells: list[str], rows: np.ndarray, day_first: bool | None) -> Sequence | None:
    """Local: how a column counts along its rows (their numbers, ascending), None for a column that does not."""
    if len(cells) < LEAST_ROWS:
        return None
    for notation in _notations(cells):
        values = [read(cell, notation, day_first) for cell in cells]
        there = np.flatnonzero([value is not None for value in values])
        if len(there) < LEAST_READABLE * len(cells):
            continue
        number = np.array([values[place] for place in there], dtype=np.int64)
        found = _lines(number, rows[there], len(cells))
        if found is not None:
            tails = [re.sub(r"^.*?(\.0+)?$", r"\1", cells[place]) for place in there[:100].tolist()]
            usual = max(sorted(set(tails)), key=tails.count)
            sample = cells[int(there[tails.index(usual)])]
            return Sequence(notation, day_first, sample.strip(), *found)
    return None


def _notations(cells: list[str]) -> list[str]:
    """The notations that the first cells can have, in the order in which they are tried."""
    some = [cell.strip() for cell in cells[:200] if cell.strip()]
    forms = [form_of(cell) for cell in some]
    usual = max(sorted(set(forms)), key=forms.count, default="text")
    if usual in DATES and usual.startswith(("ymd", "dmy")):
        return [usual]
    whole = sum(bool(_WHOLE.fullmatch(cell)) for cell in some)
    days = sum(bool(_DAY_NUMBER.fullmatch(cell)) for cell in some)
    zeros = sum(bool(re.match(r"0\d", cell)) for cell in some)
    if not some or whole < LEAST_READABLE * len(some) or zeros:
        return []
    return ["day number", "number"] if days >= LEAST_READABLE * len(some) else ["number"]


def _lines(value: np.ndarray, row: np.ndarray, total: int):
    """(step, lines) of the values at these rows, None where too few lie on lines."""
    near = np.flatnonzero(np.diff(row) == 1)
    steps, often = np.unique(np.diff(value)[near], return_counts=True)
    moving = steps != 0
    if not moving.any():
        return None
    step = int(steps[moving][np.argmax(often[moving])])
    offset = value - step * row
    lines = _apart(_candidates(offset, _supported(offset)), len(value))
    if sum(count for *_, count in lines) < LEAST_ON_LINES * total:
        return None
    return step, _with_rows(lines, row)


def _with_rows(lines, row: np.ndarray) -> np.ndarray:
    """Lines with numbers of rows for places; one line alone goes on to both ends of the table."""
    found = np.array([[row[first], row[last], kind] for first, last, kind, _ in lines], np.int64)
    if len(lines) == 1 and lines[0][1] - lines[0][0] >= 0.9 * (len(row) - 1):
        found[0, :2] = row[0], row[-1]
    return found


def _candidates(offset: np.ndarray, supported: np.ndarray) -> list[tuple[int, int, int, int]]:
    """(first place, last place, offset, values on it) of each line with LEAST_ON_LINE values, the fullest first."""
    order = np.lexsort((np.arange(len(offset)), offset))
    order = order[supported[order]]
    kinds, starts, counts = np.unique(offset[order], return_index=True, return_counts=True)
    found = [(int(order[start]), int(order[start + count - 1]), int(kind), int(count))
             for kind, start, count in zip(kinds.tolist(), starts.tolist(), counts.tolist()) if count >= LEAST_ON_LINE]
    return sorted(found, key=lambda line: (-line[3], line[0]))[:MOST_LINES]


def _apart(lines, total: int) -> list[tuple[int, int, int, int]]:
    """Of lines those that are dense and overlap no fuller one, in the order of rows.

    Where another one is whole within a line, counting went on from elsewhere for a while: the line has a gap there.
    """
    owner, kept = np.full(total, -1), []
    for first, last, kind, count in lines:
        share, inside = count / (last - first + 1), owner[first:last + 1]
        if share >= LEAST_DENSE and (inside < 0).all():
            kept.append((first, last, kind, count))
            inside[:] = len(kept) - 1
        elif share >= WHOLE:
            inside[:] = -1
    pieces = []
    for number, (first, last, kind, count) in enumerate(kept):
        mine = np.flatnonzero(owner[first:last + 1] == number) + first
        cuts = np.split(mine, np.flatnonzero(np.diff(mine) > 1) + 1)
        pieces += [(int(cut[0]), int(cut[-1]), kind, count * len(cut) // (last - first + 1))
                   for cut in cuts if len(cut)]
    return sorted(pieces)


def _supported(offset: np.ndarray) -> np.ndarray:
    """Whether NEIGHBOURS others of the same offset lie within WITHIN places."""
    order = np.lexsort((np.arange(len(offset)), offset))
    place, kind = order, offset[order]
    supported = np.zeros(len(offset), bool)
    for back in range(NEIGHBOURS + 1):   # so many of the neighbours before, the rest behind
        first, last = np.arange(len(order)) - back, np.arange(len(order)) - back + NEIGHBOURS
        inside = np.flatnonzero((first >= 0) & (last < len(order)))
        first, last = first[inside], last[inside]
        fits = (kind[first] == kind[last]) & (place[last] - place[first] <= WITHIN)
        supported[order[inside[fits]]] = True
    return supported
