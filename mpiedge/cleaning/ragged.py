"""Rows with a wrong number of cells or a stray quote: repaired where one reading fits the columns, else rejected."""

import csv

import numpy as np

from mpiedge.cleaning.fits import ENOUGH, Fits
from mpiedge.cleaning.lines import (
    LONG_LINE,
    has_too_many,
    is_plain,
    lines_of,
    looks_glued,
    most_cells,
    read_line,
    rows_by_themselves,
)
from mpiedge.cleaning.repair import may_be_foreign
from mpiedge.cleaning.structure import Structure
from mpiedge.kernels.cells import Cells
from mpiedge.kernels.columns import ODD, PlainRecords, gather
from mpiedge.store.ranges import csv_reader

LEAST_MARGIN = 0.5
"""Nats by which the best reading of a row must fit better than the second."""
WORST = 2.2
"""Nats per column, above what a row of the table usually costs, above which no reading is taken."""
WORTH_CUTTING = 16
"""Plain rows in a row; where fewer come between others, reading one by one goes on for longer each time."""
JOIN = 2.0
"""Nats that a row broken over two lines must be cheaper than two rows."""


class Rows:
    """The rows of one range, `total` with the rejected ones.

    rejected: numbers of the rejected rows among all of the range. repairs: (index among the kept rows, rule, text,
    confidence). rejects: (line, reason, text). fits: what its damaged lines fit; where some are open, rows are missing.
    """

    def __init__(self, block: PlainRecords, fits: Fits):
        self.block, self.fits, self.total, self.kept = block, fits, 0, 0
        self.rejected: list[int] = []
        self.repairs: list[tuple[int, str, str, float]] = []
        self.rejects: list[tuple[int, str, str]] = []
        self._found: list[np.ndarray] = []
        self._texts: list[bytes] = []
        self._waiting: list[bytes] = []   # rows added one by one, their cells divided by NUL
        self._end = len(block.data)

    def add(self, cells: list[str]) -> None:
        """Local: keep one row."""
        self._waiting.append("\x00".join(cells).encode("utf-8", ODD) + b"\x00")
        self.total += 1
        self.kept += 1

    def add_plain(self, found: np.ndarray) -> None:
        """Local: keep rows of the block, given by the places of their cells."""
        if len(found):
            self._settle()
            self._found.append(found)
            self.total += len(found)
            self.kept += len(found)

    def reject(self, line: int, reason: str, text: str) -> None:
        """Local: leave one row out."""
        self.rejects.append((line, reason, text))
        self.rejected.append(self.total)
        self.total += 1

    def _settle(self) -> None:
        if not self._waiting:
            return
        text = b"".join(self._waiting)
        stops = np.flatnonzero(np.frombuffer(text, np.uint8) == 0)
        starts = np.concatenate([[0], stops[:-1] + 1])
        self._found.append(np.stack([starts + self._end, stops - starts], axis=1).astype(np.uint32)
                           .reshape(-1, self.block.width, 2))
        self._texts.append(text)
        self._end += len(text)
        self._waiting = []

    def to_cells(self) -> Cells:
        """Local: the cells of the kept rows."""
        self._settle()
        data, found = self.block.data, self._found
        if self._texts:
            data = np.concatenate([data, *(np.frombuffer(text, np.uint8) for text in self._texts)])
        return Cells(data, found[0] if len(found) == 1 else np.concatenate(
            [np.empty((0, self.block.width, 2), np.uint32), *found]))

    @property
    def places(self) -> np.ndarray:
        """Local: numbers of the kept rows among all of the range."""
        return np.delete(np.arange(self.total), self.rejected)

    @property
    def cells(self) -> list[list[str]]:
        """Local: the cells of the kept rows, as lists."""
        columns = gather(self.to_cells())
        return [list(row) for row in zip(*(columns.cells(place) for place in range(columns.width)))]


def read_rows(text: str, stand_in: str, first_line: int, structure: Structure, fits: Fits | None = None) -> Rows:
    """The rows of a range's text; `stand_in` stands for quotes that open nothing (see `store.ranges.read_text`).

    Plain rows are cut by a kernel. Where it stops, records are read one by one until rows are plain again.
    """
    dialect = structure.dialect
    data = text.encode("utf-8", ODD)
    block = PlainRecords(data, dialect.delimiter, dialect.quotechar, structure.width, structure.header_cells)
    rows = Rows(block, fits or Fits(structure))
    plainly = block.able and not (dialect.escapechar or dialect.skip_initial_space or stand_in)
    at, line, lines, patience = 0, 0, None, 1
    while at < len(data):
        if plainly:
            found, passed, at = block.cut(at)
            rows.add_plain(found)
            line += passed
            patience = 1 if len(found) >= WORTH_CUTTING else 2 * patience
        if at < len(data):
            lines = lines or lines_of(text)
            stop = _read_slowly(rows, lines, line, stand_in, first_line, structure, patience if plainly else len(lines))
            at += sum(len(item.encode("utf-8", ODD)) for item in lines[line:stop])
            line = stop
    return rows


def _read_slowly(rows: Rows, lines: list[str], line: int, stand_in: str, first_line: int, structure: Structure,
                 patience: int) -> int:
    """Read records from a line on until `patience` plain rows have come; returns the line after the last one."""
    dialect, width = structure.dialect, structure.width
    held = None   # a short row that may go on in the next one
    for record, start, after in _records(lines, line, structure):
        if record is None:
            text = lines[start].rstrip("\r\n").replace(stand_in or dialect.quotechar, dialect.quotechar)
            held = _hold(rows, held, (text, first_line + start), structure)
            continue
        if not record:
            continue
        if stand_in:
            record = [cell.replace(stand_in, dialect.quotechar) for cell in record]
        if (len(record) == width and after - start == 1 and record[0].strip() and record != structure.header_cells
                and is_plain(lines[start].rstrip("\r\n"), dialect)):
            held = _settle(rows, held, structure)
            rows.add(record)
            patience -= 1
            if patience <= 0:
                return after
            continue
        glued = lines[start:after]
        alone = after - start > 1 and width > 1 and rows_by_themselves(glued, dialect, width, len(record))
        whole = "".join(glued).rstrip("\r\n")
        pieces = [piece.rstrip("\r\n") for piece in glued] if alone else [whole]
        for place, piece in enumerate(pieces):
            piece = piece.replace(stand_in, dialect.quotechar) if stand_in else piece
            if not alone and len(record) == width and is_plain(whole, dialect):
                held = _settle(rows, held, structure)
                _keep(rows, record, whole, first_line + start, structure)
                continue
            held = _hold(rows, held, (piece, first_line + start + place), structure)
    _settle(rows, held, structure)
    return len(lines)


def _records(lines: list[str], line: int, structure: Structure):
    """(record, its first line, the line after it) of every record from a line on; None for one of too many cells."""
    dialect, at = structure.dialect, line

    def following():
        nonlocal at
        while at < len(lines):
            at += 1
            yield lines[at - 1]

    reader = csv_reader(following(), dialect)
    while at < len(lines):
        start = at
        if has_too_many(lines[at], dialect, structure.width):
            at += 1
            yield None, start, at
            continue
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error:   # an escape at the very end
            record = []
        yield record, start, at


def _hold(rows: Rows, held, line, structure: Structure):
    """Place one line that is no plain row. A short one is held until the next shows whether it goes on there."""
    if has_too_many(line[0], structure.dialect, structure.width):
        _settle(rows, held, structure)
        if structure.width == 1:
            _keep(rows, [line[0]], *line, structure)
        else:
            rows.reject(line[1], f"more than {most_cells(structure.width)} cells instead of {structure.width}", line[0])
        return None
    cells, stray = read_line(line[0], structure.dialect)
    usual = len(cells) == structure.row_width
    short = 1 <= len(cells) < structure.width and not stray and any(cells) and not usual
    if held and short and structure.width <= len(held[2]) + len(cells) <= structure.width + 1:
        joined = _joined(rows.fits, held, line)
        if joined is not None:
            rows.repairs.append((rows.kept, "row broken over two lines", f"{held[0]}\n{line[0]}", joined[1]))
            rows.add(joined[0])
            return None
    held = _settle(rows, held, structure)
    if short and structure.width > 1:
        return *line, cells
    _place(rows, *line, structure)
    return None


def _settle(rows: Rows, held, structure: Structure) -> None:
    if held:
        _place(rows, *held[:2], structure)


def _joined(fits: Fits, first, second) -> tuple[list[str], float] | None:
    """(cells, confidence) of two short rows that are one, if that costs clearly less than two rows."""
    structure = fits.structure
    if len(structure.profiles) < 3 or len(first[0]) + len(second[0]) > LONG_LINE:
        return None
    whole = [fits.of(first[0] + between + second[0]) for between in (structure.dialect.delimiter, " ", "")]
    best = min((found for found in whole if found), key=lambda found: found[0].cost, default=None)
    apart = [fits.of(text) for text in (first[0], second[0])]
    separate = sum(found[0].cost if found else 10 * structure.width for found in apart)
    if best is None or best[1] > ENOUGH + 0.3 or best[0].cost + JOIN >= separate - structure.usual_cost:
        return None
    return best[0].cells, 0.9


def _keep(rows: Rows, cells: list[str], text: str, line: int, structure: Structure) -> None:
    """Keep a row of the right width, unless it says nothing."""
    reason = None
    if structure.width > 1 and not any(cell.strip() for cell in cells):
        reason = "no cell is filled"
    elif cells == structure.header_cells:
        reason = "the header line again"
    if reason is None:
        rows.add(cells)
        return
    rows.reject(line, reason, text)


def _place(rows: Rows, text: str, line: int, structure: Structure) -> None:
    """Keep, repair or reject one line."""
    width = structure.width
    cells, stray = read_line(text, structure.dialect)
    if width == 1:
        _keep(rows, [text] if len(cells) > 1 else cells, text, line, structure)
        return
    glued = looks_glued(text, structure.dialect)
    sound = len(cells) == width and not stray and not glued
    if sound or not any(cell.strip() for cell in cells) or cells == structure.header_cells:
        _keep(rows, cells if len(cells) == width else [""] * width, text, line, structure)
        return
    if len(cells) == structure.row_width < width and not stray:
        rule, repaired, confidence = "cells missing", cells + [""] * (width - len(cells)), 0.99
    elif not any(cell.strip() for cell in cells[width:]) and len(cells) > width + 1:
        rule, repaired, confidence = "empty cells too many", cells[:width], 0.99
    else:
        near = len(text) <= LONG_LINE and (
            2 * len(cells) >= width or may_be_foreign(text, structure.dialect, width))
        found = rows.fits.of(text, thorough=glued) if near else None
        if found is None or found[1] > WORST or found[0].margin < LEAST_MARGIN:
            reason = f"{len(cells)} cell{'s' if len(cells) > 1 else ''} instead of {width}"
            reason = "a quote too many" if len(cells) == width else reason
            rows.reject(line, reason, text)
            return
        repaired = found[0].cells
        if repaired == cells:
            rows.add(cells)
            return
        rule = "stray quote" if stray else "delimiter too many" if len(cells) > width else \
            "cells missing" if repaired[len(cells):] == [""] * (width - len(cells)) else "delimiter missing"
        confidence = 0.99 if found[1] < 0.3 else 0.9 if found[1] < ENOUGH else 0.7
    rows.repairs.append((rows.kept, rule, text, confidence))
    rows.add(repaired)
