"""Rows with a wrong number of cells: repaired where one reading alone fits the columns, else rejected."""

import csv
import io
import math
from collections import Counter
from dataclasses import dataclass, field

from mpiedge.cleaning.structure import Structure, coarse_form
from mpiedge.store.ranges import csv_reader

MOST_EXTRA = 3
"""Cells too many that a repair may join again."""
SURE_MARGIN = 1.5
"""Nats by which the best reading of a row must fit better than the second."""
WORST_CELL = 4.0
"""Nats per cell a repaired row may cost on average: about one cell in fifty looks like this."""


@dataclass
class Rows:
    """The rows of one range, `total` with the rejected ones.

    cells: rows of the table's width; places: their numbers among all rows of the range. repairs: (index in `cells`,
    rule, text, confidence). rejects: (line, reason, text).
    """

    cells: list[list[str]] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    repairs: list[tuple[int, str, str, float]] = field(default_factory=list)
    rejects: list[tuple[int, str, str]] = field(default_factory=list)
    total: int = 0


def read_rows(text: str, stand_in: str, first_line: int, structure: Structure) -> Rows:
    """The rows of a range's text; `stand_in` stands for quotes that open nothing (see `store.ranges.read_text`)."""
    dialect, width = structure.dialect, structure.width
    rows = Rows()
    lines = list(io.StringIO(text, newline=""))
    before = 0
    for record, after in _records(lines, dialect):
        start, before = before, after
        if not record:
            continue
        if stand_in:
            record = [cell.replace(stand_in, dialect.quotechar) for cell in record]
        if len(record) == width and after - start == 1 and record[0].strip() and record != structure.header_cells:
            rows.places.append(rows.total)
            rows.cells.append(record)
            rows.total += 1
            continue
        if after - start > 1 and width > 1:
            alone = _rows_by_themselves(lines[start:after], dialect, width)
            if alone:
                for place, cells in enumerate(alone):
                    _place(rows, cells, lines[start + place], first_line + start + place, structure)
                continue
        _place(rows, record, "".join(lines[start:after]), first_line + start, structure)
    return rows


def _records(lines, dialect):
    """(record, lines read so far) of every record."""
    reader = csv_reader(lines, dialect)
    while True:
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error:   # an escape at the very end
            record = []
        yield record, reader.line_num


def _rows_by_themselves(lines: list[str], dialect, width: int) -> list[list[str]] | None:
    """The lines of a record as rows of their own, if a stray quote had glued them: two or more lines are whole rows."""
    alone = []
    for line in lines:
        opened = next(csv_reader(line.replace(dialect.quotechar, "") if dialect.quotechar else line, dialect), [])
        alone.append(opened)
    whole = sum(len(cells) == width for cells in alone)
    if whole < 2 or whole < len(lines) - 1:
        return None
    rows = []
    for line in lines:
        cells = next(csv_reader(line.rstrip("\r\n"), dialect), [])
        rows.append(cells if len(cells) == width and "\n" not in line.rstrip("\r\n") else _split_plainly(line, dialect))
    return rows


def _split_plainly(line: str, dialect) -> list[str]:
    return line.rstrip("\r\n").split(dialect.delimiter)


def _place(rows: Rows, cells: list[str], text: str, line: int, structure: Structure) -> None:
    """Keep, repair or reject one row."""
    width = structure.width
    if width == 1 and len(cells) > 1:
        cells = [structure.dialect.delimiter.join(cells)]
    filled = sum(1 for cell in cells if cell.strip())
    if not filled and width > 1:
        rows.rejects.append((line, "no cell is filled", text.rstrip("\r\n")))
    elif cells == structure.header_cells:
        rows.rejects.append((line, "the header line again", text.rstrip("\r\n")))
    elif len(cells) == width:
        rows.places.append(rows.total)
        rows.cells.append(cells)
    else:
        repaired = repair(cells, structure)
        if repaired is None:
            reason = f"{len(cells)} cell{'s' if len(cells) > 1 else ''} instead of {width}"
            rows.rejects.append((line, reason, text.rstrip("\r\n")))
        else:
            rows.repairs.append((len(rows.cells), repaired[1], text.rstrip("\r\n"), repaired[2]))
            rows.places.append(rows.total)
            rows.cells.append(repaired[0])
    rows.total += 1


def repair(cells: list[str], structure: Structure) -> tuple[list[str], str, float] | None:
    """(row of the table's width, rule, confidence), or None when no reading or more than one fits the columns."""
    width = structure.width
    extra = len(cells) - width
    if extra > MOST_EXTRA and not any(cell.strip() for cell in cells[width:]):
        return cells[:width], "empty cells too many", 0.99
    if 0 < extra <= MOST_EXTRA:
        sign = structure.dialect.delimiter
        joined = [[*cells[:place], sign.join(cells[place:place + extra + 1]), *cells[place + extra + 1:]]
                  for place in range(width) if all(cells[place:place + extra + 1])]
        dropped = [[*cells[:place], *cells[place + extra:]]
                   for place in range(width, -1, -1) if not any(cells[place:place + extra])]
        return _best(dropped + joined, cells, structure, "delimiter too many")
    if extra < 0 and 2 * len(cells) >= width and len(cells) > 1:
        readings = [[*cells[:place], *[""] * -extra, *cells[place:]] for place in range(len(cells), -1, -1)]
        return _best(readings, cells, structure, "cells missing")
    return None


def _best(readings, cells, structure: Structure, rule: str) -> tuple[list[str], str, float] | None:
    if not readings:
        return None
    costs = sorted((sum(map(cost, structure.forms, reading)), index) for index, reading in enumerate(readings))
    best = costs[0]
    different = [other for other in costs[1:] if readings[other[1]] != readings[best[1]]]
    margin = different[0][0] - best[0] if different else math.inf
    # The end of a row is by far the commonest place for cells too few or too many: there no margin is asked for.
    present = min(len(cells), structure.width)
    at_end = readings[best[1]][:present] == cells[:present]
    enough = 0.0 if at_end else SURE_MARGIN
    if margin < enough or best[0] > WORST_CELL * structure.width:
        return None
    return readings[best[1]], rule, round(1 - 0.5 * math.exp(-max(margin, 0.1)), 2)


def cost(forms: Counter, cell: str) -> float:
    """Nats of a cell in its column: minus the logarithm of how common its form is there."""
    total = sum(forms.values())
    return -math.log((forms[coarse_form(cell)] + 0.05) / (total + 1))
