"""Rows with a wrong number of cells or a stray quote: repaired where one reading fits the columns, else rejected."""

import csv
from dataclasses import dataclass, field

from mpiedge.cleaning.lines import is_plain, lines_of, looks_glued, read_line
from mpiedge.cleaning.repair import best_fit, may_be_foreign
from mpiedge.cleaning.structure import Structure
from mpiedge.store.ranges import csv_reader

LEAST_MARGIN = 0.5
"""Nats by which the best reading of a row must fit better than the second."""
ENOUGH, WORST = 0.7, 2.2
"""Nats per column, above what a row of the table usually costs: taken at once, and not taken at all."""
JOIN = 2.0
"""Nats that a row broken over two lines must be cheaper than two rows."""


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
    lines = lines_of(text)
    before = 0
    held = None   # a short row that may go on in the next one
    for record, after in _records(lines, dialect):
        start, before = before, after
        if not record:
            continue
        if stand_in:
            record = [cell.replace(stand_in, dialect.quotechar) for cell in record]
        if (len(record) == width and after - start == 1 and record[0].strip() and record != structure.header_cells
                and is_plain(lines[start].rstrip("\r\n"), dialect)):
            if held:
                held = _settle(rows, held, structure)
            rows.places.append(rows.total)
            rows.cells.append(record)
            rows.total += 1
            continue
        glued = lines[start:after]
        alone = after - start > 1 and width > 1 and _rows_by_themselves(glued, dialect, width)
        whole = "".join(glued).rstrip("\r\n")
        pieces = [line.rstrip("\r\n") for line in glued] if alone else [whole]
        for place, piece in enumerate(pieces):
            piece = piece.replace(stand_in, dialect.quotechar) if stand_in else piece
            if not alone and len(record) == width and is_plain(whole, dialect):
                held = _settle(rows, held, structure)
                _keep(rows, record, whole, first_line + start, structure)
                continue
            held = _hold(rows, held, (piece, first_line + start + place), structure)
    _settle(rows, held, structure)
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


def _rows_by_themselves(lines: list[str], dialect, width: int) -> bool:
    """Whether a stray quote glued these lines: two or more, and all but one, are whole rows."""
    whole = sum(len(read_line(line.rstrip("\r\n"), dialect)[0]) == width for line in lines)
    return whole >= 2 and whole >= len(lines) - 1


def _hold(rows: Rows, held, line, structure: Structure):
    """Place one line that is no plain row. A short one is held until the next shows whether it goes on there."""
    cells, stray = read_line(line[0], structure.dialect)
    usual = len(cells) == structure.row_width
    short = 1 <= len(cells) < structure.width and not stray and any(cells) and not usual
    if held and short and structure.width <= len(held[2]) + len(cells) <= structure.width + 1:
        joined = _joined(held, line, structure)
        if joined is not None:
            rows.repairs.append((len(rows.cells), "row broken over two lines", f"{held[0]}\n{line[0]}", joined[1]))
            _add(rows, joined[0])
            return None
    held = _settle(rows, held, structure)
    if short and structure.width > 1:
        return *line, cells
    _place(rows, *line, structure)
    return None


def _settle(rows: Rows, held, structure: Structure) -> None:
    if held:
        _place(rows, *held[:2], structure)


def _joined(first, second, structure: Structure) -> tuple[list[str], float] | None:
    """(cells, confidence) of two short rows that are one, if that costs clearly less than two rows."""
    if len(structure.profiles) < 3:
        return None
    fits = [fit(first[0] + between + second[0], structure) for between in (structure.dialect.delimiter, " ", "")]
    best = min((found for found in fits if found), key=lambda found: found[0].cost, default=None)
    apart = [fit(text, structure) for text in (first[0], second[0])]
    separate = sum(found[0].cost if found else 10 * structure.width for found in apart)
    if best is None or best[1] > ENOUGH + 0.3 or best[0].cost + JOIN >= separate - structure.usual_cost:
        return None
    return best[0].cells, 0.9


def _add(rows: Rows, cells: list[str]) -> None:
    rows.places.append(rows.total)
    rows.cells.append(cells)
    rows.total += 1


def _keep(rows: Rows, cells: list[str], text: str, line: int, structure: Structure) -> None:
    """Keep a row of the right width, unless it says nothing."""
    reason = None
    if structure.width > 1 and not any(cell.strip() for cell in cells):
        reason = "no cell is filled"
    elif cells == structure.header_cells:
        reason = "the header line again"
    if reason is None:
        _add(rows, cells)
        return
    rows.rejects.append((line, reason, text))
    rows.total += 1


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
        near = 2 * len(cells) >= width or may_be_foreign(text, structure.dialect, width)
        found = fit(text, structure, thorough=glued) if near else None
        if found is None or found[1] > WORST or found[0].margin < LEAST_MARGIN:
            reason = f"{len(cells)} cell{'s' if len(cells) > 1 else ''} instead of {width}"
            reason = "a quote too many" if len(cells) == width else reason
            rows.rejects.append((line, reason, text))
            rows.total += 1
            return
        repaired = found[0].cells
        if repaired == cells:
            _add(rows, cells)
            return
        rule = "stray quote" if stray else "delimiter too many" if len(cells) > width else \
            "cells missing" if repaired[len(cells):] == [""] * (width - len(cells)) else "delimiter missing"
        confidence = 0.99 if found[1] < 0.3 else 0.9 if found[1] < ENOUGH else 0.7
    rows.repairs.append((len(rows.cells), rule, text, confidence))
    _add(rows, repaired)


def fit(text: str, structure: Structure, thorough: bool = False):
    """(best fit of a line, nats per column above a usual row), None when no reading comes near.

    thorough: all readings are compared, even if the first one fits well.
    """
    usual = structure.usual_cost
    enough = 0.0 if thorough else usual + ENOUGH * structure.width
    found = best_fit(text, structure.dialect, structure.profiles, enough)
    return None if found is None else (found, (found.cost - usual) / structure.width)
