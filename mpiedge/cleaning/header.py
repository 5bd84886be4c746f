"""Whether a record names the columns, and what it calls them."""

from collections import Counter
from itertools import pairwise

from mpiedge.cleaning.cells import HARD, form_of

MOST_LINES = 3
LEAST_TYPED, TYPED = 2, 0.9
"""Columns of numbers and days that tell a further line of the header from a row; share of such cells in them."""


def header_lines(records: list[list[str]], top: int, width: int, beside: bool) -> tuple[int, int]:
    """The first and the last + 1 record of the header of which `top` is one; beside: no blank line is above it."""
    above = records[top - 1] if top > 0 and beside else []
    start = top - (_names_groups(above, records[top], width) or complement(above, records[top], width))
    stop = top + 1
    if start == top and complement(records[top], (records[stop:stop + 1] or [[]])[0], width):
        stop += 1
    while stop < start + MOST_LINES and stop < len(records) and _goes_on(records[stop], records[stop + 1:], width):
        stop += 1
    return start, stop


def complement(first: list[str], second: list[str], width: int) -> bool:
    """Whether each column is named by one of two lines, and by one alone: some had no room in the first."""
    if not len(first) == len(second) == width > 2:
        return False
    names = [(one or other).strip() for one, other in zip(first, second) if bool(one.strip()) != bool(other.strip())]
    return len(names) == width and any(map(str.strip, first)) and any(map(str.strip, second)) and is_naming(names)


def _names_groups(cells: list[str], header: list[str], width: int) -> bool:
    """Whether a line above a header names groups of columns: words with blanks between them, for those beside."""
    named = [place for place, cell in enumerate(cells) if cell.strip()]
    return (len(cells) == len(header) == width and len(named) > 1 and len(named) <= named[-1]
            and all(form_of(cells[place]) == "text" and header[place].strip() for place in named))


def _goes_on(cells: list[str], rows: list[list[str]], width: int) -> bool:
    """Whether a line below a header belongs to it: words where the rows below have numbers and days, nowhere else."""
    columns = [[row[place] for row in rows if len(row) == width and row[place].strip()] for place in range(width)]
    typed = {place for place, column in enumerate(columns) if len(column) > 2
             and sum(form_of(cell) in HARD for cell in column) >= TYPED * len(column)}
    told = [place for place in typed if len(cells) == width and cells[place].strip()]
    return (len(told) >= LEAST_TYPED and all(form_of(cells[place]) == "text" for place in told)
            and not any(cell.strip() and cell in column for cell, column in zip(cells, columns))
            and not any(sum(form_of(row[place]) == "text" for place in typed) >= LEAST_TYPED for row in rows
                        if len(row) == width))


def joined(lines: list[list[str]]) -> list[str]:
    """One name per column from the lines of a header. A blank takes what stands left of it, where names are beneath
    both: the name of their group."""
    width = max(map(len, lines))
    lines = [[cell.strip() for cell in line] + [""] * (width - len(line)) for line in lines]
    for line, below in pairwise(lines):
        for place in range(1, width):
            if not line[place] and below[place - 1] and below[place]:
                line[place] = line[place - 1]
    return [" ".join(dict.fromkeys(filter(None, words))) for words in zip(*lines)]


def is_header(cells: list[str], rows: list[list[str]], width: int) -> bool:
    """Whether a record names the columns: it breaks their types, or its cells do not come back below it."""
    if any(form_of(cell) in HARD for cell in cells):
        counted = [cell.strip() for cell in cells] in ([str(i) for i in range(k, k + len(cells))] for k in (0, 1))
        whole = all(form_of(cell) in ("integer", "text", "empty") for cell in cells)
        return (counted and len(cells) > 2) or (whole and _is_year_header(cells, rows))
    columns = [[row[index] for row in rows if len(row) == width] for index in range(min(width, len(cells)))]
    typed = [sum(form_of(cell) in HARD for cell in column) > 0.5 * len(column) for column in columns if column]
    if any(typed):
        return True
    texts = [cell.strip() for cell in cells]
    if not rows:
        return True
    repeated = sum(column.count(text) > 0 for text, column in zip(texts, columns) if text)
    return repeated == 0 and len(set(texts) - {""}) >= 0.5 * len(texts)


def _is_year_header(cells: list[str], rows: list[list[str]]) -> bool:
    """Years as names of columns: 1900..2100 in the header, or earlier ones that rise; other numbers below."""
    numbers = [cell.strip() for cell in cells if form_of(cell) == "integer"]
    years = all(len(number) == 4 for number in numbers) and (
        all("1900" <= number <= "2100" for number in numbers)
        or (all("1000" <= number <= "2100" for number in numbers) and numbers == sorted(set(numbers))))
    below = [cell.strip() for row in rows for cell in row if form_of(cell) == "integer"]
    return years and len(numbers) > 1 and sum(len(number) == 4 for number in below) < 0.5 * max(1, len(below))


def unique_names(cells: list[str], width: int) -> tuple[list[str], list[str]]:
    """One name per column, each once; and notes on names that were empty or came twice."""
    names: list[str] = []
    notes, taken, numbers = [], set(), Counter()
    for index in range(width):
        given = " ".join(cells[index].split()) if index < len(cells) else ""
        name = base = given or f"column_{index + 1}"
        number = numbers[base] or 1
        while name in taken:
            number += 1
            name = f"{base}_{number}"
        numbers[base] = number
        taken.add(name)
        if cells and name != given:
            notes.append(f"column {index + 1} is called {name} (header: {given!r})")
        names.append(name)
    return names, notes


def is_naming(cells: list[str]) -> bool:
    texts = [cell.strip() for cell in cells]
    return all(texts) and len(set(texts)) == len(texts) and all(form_of(cell) == "text" for cell in texts)


def is_wide(cells: list[str], width: int) -> bool:
    return width > 1 and width < len(cells) <= width + 2 and is_naming(cells)
