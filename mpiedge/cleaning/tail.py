"""Where a table ends before its file does: footnotes below the last row, and further tables behind a gap."""

from dataclasses import dataclass, field

from mpiedge.cleaning.cells import form_of
from mpiedge.cleaning.sample import read_sample
from mpiedge.cleaning.structure import Structure

FAR_OFF = 2.2
"""Nats per column, above a usual row, from which a record at the end is no row."""
STRANGE_CELL = 3.0
MOST_FOOTNOTES = 30
LEAST_ROWS = 2
"""Rows a further table has below its header."""


@dataclass
class Tail:
    """lines: lines (from the start of the text) that belong to the table. footnotes: (line, text) from 0. more: the
    line at which a further table begins, -1 for none."""

    lines: int
    footnotes: list[tuple[int, str]] = field(default_factory=list)
    more: int = -1


def find_tail(text: str, structure: Structure, in_table: int) -> Tail:
    """Local: the end of the table in the text of its last range, of which the first `in_table` records surely are rows.
    """
    records, spans = read_sample(text, structure.dialect)
    total = spans[-1][1] if spans else 0
    if structure.width < 2 or not structure.profiles or not structure.profiles[0].cells:
        return Tail(total)
    stop, more = _next_table(records, spans, structure, in_table)
    last = stop
    while last > in_table and stop - last < MOST_FOOTNOTES and _is_strange(records[last - 1], structure):
        last -= 1
    if stop - last == MOST_FOOTNOTES or last == 0:
        last = stop
    notes = [(spans[place][0], structure.dialect.delimiter.join(records[place]).rstrip(structure.dialect.delimiter))
             for place in range(last, stop)]
    if last == len(records):
        return Tail(total)
    return Tail(spans[last][0], notes, more)


def _next_table(records, spans, structure: Structure, in_table: int) -> tuple[int, int]:
    """(number of records before a further table, the line at which it begins or -1)."""
    for place in range(max(1, in_table), len(records) - LEAST_ROWS):
        if spans[place][0] == spans[place - 1][1]:
            continue   # no gap
        head = place
        while head < len(records) - LEAST_ROWS and head < place + 3 and len(_filled(records[head])) == 1:
            head += 1
        width = len(_filled(records[head]))
        rows = records[head + 1:head + 1 + max(LEAST_ROWS, 3)]
        if (width > 1 and _is_naming(_filled(records[head])) and len(rows) >= LEAST_ROWS
                and all(len(_filled(row)) in (width, width - 1) for row in rows)
                and _is_strange(records[head], structure) and all(_is_strange(row, structure) for row in rows)):
            return place, spans[place][0]
    return len(records), -1


def _is_naming(cells: list[str]) -> bool:
    return all(cells) and len(set(cells)) == len(cells) and all(form_of(cell) == "text" for cell in cells)


def _filled(record: list[str]) -> list[str]:
    cells = [cell.strip() for cell in record]
    while cells and not cells[-1]:
        cells.pop()
    return cells


def _is_strange(record: list[str], structure: Structure) -> bool:
    """Whether a record fits the columns nowhere: another width, or cells that are unlike those above, the first too."""
    width, profiles = structure.width, structure.profiles
    filled = _filled(record)
    if not filled or len(filled) > width:
        return bool(filled) and 2 * len(filled) > 3 * width
    cells = filled + [""] * (width - len(filled))
    excess = sum(profile.cost(cell) for profile, cell in zip(profiles, cells)) - structure.usual_cost
    return profiles[0].cost(cells[0]) > STRANGE_CELL and excess > FAR_OFF * width and 2 * len(filled) <= width + 1
