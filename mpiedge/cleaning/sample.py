"""The records of a file's beginning, as they are read before anything else of it is known."""

from collections import Counter

from mpiedge.cleaning.lines import LONG_LINE, MOST_CELLS, lines_of, read_line, rows_by_themselves
from mpiedge.store.ranges import Dialect, csv_reader

LEAST_RUN = 0.3
"""Share of the records from which on a second width means a second table."""
FAR_LONGER = 10
"""Times as long as any other line of the sample."""
DELIMITERS = (",", ";", "\t", "|", "^", "~", "\x1f", ":", " ")


def read_sample(text: str, dialect: Dialect) -> tuple[list[list[str]], list[tuple[int, int]]]:
    """The records of a text that are not blank, and the lines (from 0: first, last + 1) of each.

    Where a quote that opens nothing glued rows together, they are records by themselves.
    """
    lines = lines_of(text)
    records, spans, start, width = [], [], 0, 0
    while start < len(lines):
        reader, before = csv_reader(lines[start:], dialect), 0
        for record in reader:
            first, last, before = start + before, start + reader.line_num, reader.line_num
            if last - first > 1:
                width = width or _width_of_lines(lines, dialect)
                if width > 1 and rows_by_themselves(lines[first:last], dialect, width, len(record)):
                    record, last = read_line(lines[first].rstrip("\r\n"), dialect)[0], first + 1
            if any(cell.strip() for cell in record):
                records.append(record)
                spans.append((first, last))
            if last < start + before:
                break
        start = last
    return records, spans


def _width_of_lines(lines: list[str], dialect: Dialect) -> int:
    """The usual width of the records that are one line long, else of the lines by themselves."""
    reader, before, found = csv_reader(lines, dialect), 0, []
    for record in reader:
        if reader.line_num - before == 1 and record:
            found.append(record)
        before = reader.line_num
    return usual_width(found if len(found) > 1 else [
        read_line(line.rstrip("\r\n"), dialect)[0] for line in lines])


def usual_width(records: list[list[str]]) -> int:
    """The commonest width, of equally common ones the larger; of two common ones that of the first run of three."""
    widths = Counter(len(record) for record in records)
    common = {width for width, number in widths.items() if width > 1 and number >= max(4, LEAST_RUN * len(records))}
    if len(common) > 1:
        for three in zip(records, records[1:], records[2:]):
            if len({len(record) for record in three}) == 1 and len(three[0]) in common:
                return len(three[0])
    return max(widths, key=lambda width: (widths[width], width), default=1)


def without_giants(lines: list[bytes]) -> list[bytes]:
    """The lines, but blank ones for those with far more signs that might be delimiters than any table has columns."""
    shown = list(lines)
    for place, line in enumerate(lines):
        if len(line) > LONG_LINE:
            others = max((len(other) for other in lines if other is not line), default=len(line))
            most = max(line.count(sign.encode()) for sign in DELIMITERS if sign != " ")
            if most > MOST_CELLS and len(line) > FAR_LONGER * others:
                shown[place] = b"\n"
    return shown
