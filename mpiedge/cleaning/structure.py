"""How a CSV file is written, judged from its beginning: encoding, delimiter, quotes, preamble and header."""

import codecs
from collections import Counter
from dataclasses import dataclass, field

from mpiedge.cleaning.cells import HARD, form_of
from mpiedge.cleaning.lines import LONG_LINE, MOST_CELLS, lines_of, read_line, rows_by_themselves
from mpiedge.cleaning.profiles import Profile
from mpiedge.store.ranges import BYTE_ORDER_MARKS, Dialect, csv_reader, decode

SAMPLE_BYTES = 1 << 17
SAMPLE_LINES = 400
LEAST_RUN = 0.3
"""Share of the records from which on a second width means a second table."""
FAR_LONGER = 10
"""Times as long as any other line of the sample."""
LEAST_REGULAR = 0.7
"""Share of the rows that have the usual width where blanks part cells: else they part the words of one column."""
PRIORS = {",": 1.0, ";": 1.0, "\t": 1.0, "|": 1.0, "^": 0.9, "~": 0.9, "\x1f": 1.0, ":": 0.45, " ": 0.6}
"""Delimiters tried, and how common they are; colons and blanks also stand inside text."""
WESTERN_FAMILIES = ("cp125", "iso8859", "latin", "mac", "cp85", "cp4", "cp77", "cp86", "hp_")
OTHER_SCRIPTS = ("cp1251", "cp1253", "iso8859_5", "iso8859_7")
CENTRAL_EUROPE = ("Polish", "Czech", "Slovak", "Hungarian", "Romanian", "Croatian", "Slovene")
TYPE_SCORES = {"empty": 0.5, "text": 0.3, "null": 1.0}


@dataclass
class Structure:
    """What the beginning of a file tells.

    names: one per column, unique. preamble, footnotes: (line, text) above and below the table. profiles: what the cells
    of each column look like in rows of the usual width (what repairs go by), which cost usual_cost on average. notes:
    what a person should know. row_width: cells of most rows, less than `width` where the header names more.
    """

    dialect: Dialect
    names: list[str]
    preamble: list[tuple[int, str]] = field(default_factory=list)
    footnotes: list[tuple[int, str]] = field(default_factory=list)
    profiles: list[Profile] = field(default_factory=list)
    usual_cost: float = 0.0
    row_width: int = 0
    header_cells: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def width(self) -> int:
        """Cells of a row."""
        return len(self.names)

    @property
    def names_as_written(self) -> list[str]:
        """The cells of the header line, whatever they are; `names` without a header line."""
        cells = self.header_cells or self.names
        return cells + [""] * (self.width - len(cells))


def find_encoding(head: bytes) -> str:
    """The encoding of a file from its first bytes: by mark, pattern of NUL bytes, validity, or letters."""
    for mark, name in sorted(BYTE_ORDER_MARKS, key=lambda entry: -len(entry[0])):
        if head.startswith(mark):
            return name
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if len(head) > 3 and max(even, odd) > 0.2 * len(head) and 4 * min(even, odd) < max(even, odd):
        return "utf-16-le" if odd > even else "utf-16-be"
    valid, invalid = 0, 0
    for line in head.splitlines()[:-1] or [head]:
        if not line.isascii():
            try:
                line.decode()
                valid += 1
            except UnicodeDecodeError:
                invalid += 1
    if invalid <= 0.5 * (valid + invalid):
        return "utf-8"   # single lines in another encoding are read as cp1252
    return _legacy_encoding(head)


def _legacy_encoding(head: bytes) -> str:
    from charset_normalizer import from_bytes

    best = from_bytes(head[:32768], cp_exclusion=["utf_7"]).best()
    found = best.encoding if best else "cp1252"
    if not _keeps_ascii(found):
        return "cp1252"
    # Western text is cp1252 far more often than its many near relatives, which differ in a few signs.
    central = found == "cp1250" and best.language in CENTRAL_EUROPE
    if found.startswith(WESTERN_FAMILIES) and found not in OTHER_SCRIPTS and not central:
        return "cp1252"
    return codecs.lookup(found).name


def _keeps_ascii(encoding: str) -> bool:
    try:
        return bytes(range(32, 127)).decode(encoding) == bytes(range(32, 127)).decode("ascii")
    except (LookupError, UnicodeDecodeError):
        return False


def find_structure(head: bytes, encoding: str, whole: bool) -> Structure:
    """The structure of a table from its first bytes (`whole`: these are all its bytes)."""
    start = 3 if head.startswith(codecs.BOM_UTF8) else 0
    lines = head[start:].splitlines(keepends=True)
    if not whole and len(lines) > 1:
        lines.pop()   # cut off somewhere
    lines = lines[:SAMPLE_LINES]
    text = decode(b"".join(_without_giants(lines)), encoding)
    dialect = find_dialect(text, encoding)
    records, spans = read_sample(text, dialect)
    if len(records) > 20 and sum(map(len, lines)) + start < len(head):
        records.pop()   # may go on after the sample
    width = _usual_width(records)
    top = _skip_preamble(records, width)
    header = top < len(records) and is_header(records[top], records[top + 1:], width)
    data_from = top + 1 if header else top
    header_cells = records[top] if header else []
    if len(header_cells) == width + 1 > 3 and not _wide_header(header_cells, width) and "" in header_cells:
        header_cells = [cell for cell in header_cells if cell]
    wide = _wide_header(header_cells, width)
    names, notes = unique_names(header_cells, len(header_cells) if wide else width)
    # Rows of blanks below the header are rows too: they are rejected, and those after them keep their number.
    first_line = spans[top][1] if header else spans[top][0] if top < len(records) else len(lines)
    data_start = start + sum(map(len, lines[:first_line]))
    preamble = [(spans[index][0] + 1, dialect.delimiter.join(records[index])) for index in range(top)]
    if not header:
        notes.append("no header line: columns are called column_1, column_2, ...")
    structure = Structure(
        Dialect(dialect.delimiter, dialect.quotechar, dialect.escapechar, encoding, header, dialect.skip_initial_space,
                data_start),
        names, preamble, profiles=[Profile() for _ in names], header_cells=header_cells,
        notes=notes, row_width=width)
    for record in records[data_from:]:
        if len(record) in (width, structure.width):
            for profile, cell in zip(structure.profiles, record + [""] * (structure.width - len(record))):
                profile.add(cell)
    structure.usual_cost = sum(profile.usual for profile in structure.profiles)
    return structure


def _without_giants(lines: list[bytes]) -> list[bytes]:
    """The lines, but blank ones for those with far more signs that might be delimiters than any table has columns."""
    shown = list(lines)
    for place, line in enumerate(lines):
        if len(line) > LONG_LINE:
            others = max((len(other) for other in lines if other is not line), default=len(line))
            most = max(line.count(sign.encode()) for sign in PRIORS if sign != " ")
            if most > MOST_CELLS and len(line) > FAR_LONGER * others:
                shown[place] = b"\n"
    return shown


# -- the dialect -----------------------------------------------------------------------------------------------------

def find_dialect(text: str, encoding: str) -> Dialect:
    """Delimiter, quote and escape of a text: the pair whose rows have one width, many cells and cells of clear type.

    Score: pattern x type x (.15 + share of the usual width) x prior, after van den Burg, Nazabal & Sutton 2019.
    """
    quotes = ['"'] if '"' in text else []
    if text.count("'") > 3 and _quotes_whole_cells(text, "'") > max(3, _quotes_whole_cells(text, '"')):
        quotes.append("'")
    candidates = []
    for order, delimiter in enumerate(sign for sign in PRIORS if sign in text):
        for quote in [*quotes, ""] if quotes else ['"']:
            escape = _escape(text, quote, delimiter)
            space = delimiter != " " and text.count(f"{delimiter} {quote}") > text.count(delimiter + quote)
            dialect = Dialect(delimiter, quote, escape, encoding, skip_initial_space=bool(quote) and space)
            score = _score(text, dialect) * PRIORS[delimiter] * (1.0 if quote else 0.95)
            candidates.append((score, -order, dialect))
    best = max(candidates, key=lambda entry: entry[:2], default=(0.0, 0, None))
    return best[2] if best[0] > 0 else Dialect(",", '"', None, encoding)


def _quotes_whole_cells(text: str, quote: str) -> int:
    return sum(text.count(f"{sign}{quote}") for sign in ",;\t|\n")


def _escape(text: str, quote: str, delimiter: str) -> str | None:
    if not quote:
        return None
    escaped = text.count("\\" + quote) - text.count("\\" + quote + delimiter) - text.count("\\" + quote + "\n")
    return "\\" if escaped >= 2 and escaped > text.count(quote * 2) - text.count(delimiter + quote * 2) else None


def _score(text: str, dialect: Dialect) -> float:
    records, _ = read_sample(text, dialect)
    widths = Counter(len(record) for record in records)
    if not records or max(widths) < 2:
        return 0.0
    pattern = sum(number * (width - 1) / width for width, number in widths.items()) / len(records) / len(widths) ** 0.5
    usual = max((number for width, number in widths.items() if width > 1), default=0) / len(records)
    if dialect.delimiter == " " and usual < LEAST_REGULAR:
        return 0.0
    cells = [cell for record in records[:100] for cell in record]
    types = sum(_type_score(cell, dialect) for cell in cells) / len(cells)
    stray = 0.0
    if dialect.quotechar:
        stray = sum(dialect.quotechar in cell.replace(dialect.quotechar * 2, "") for cell in cells) / len(cells)
    return pattern * types * (0.15 + usual) * (1 - 0.5 * stray)


def _type_score(cell: str, dialect: Dialect) -> float:
    form = form_of(cell)
    if form in HARD:
        return 1.0
    if form == "text":
        quoted = not dialect.quotechar and cell[:1] == '"'
        return 0.05 if quoted else 0.6 if cell.strip().isalnum() else 0.3 if len(cell) < 80 else 0.1
    return TYPE_SCORES[form]


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
    return _usual_width(found if len(found) > 1 else [
        read_line(line.rstrip("\r\n"), dialect)[0] for line in lines])


# -- preamble and header ---------------------------------------------------------------------------------------------

def _usual_width(records: list[list[str]]) -> int:
    """The commonest width, of equally common ones the larger; of two common ones that of the first run of three."""
    widths = Counter(len(record) for record in records)
    common = {width for width, number in widths.items() if width > 1 and number >= max(4, LEAST_RUN * len(records))}
    if len(common) > 1:
        for three in zip(records, records[1:], records[2:]):
            if len({len(record) for record in three}) == 1 and len(three[0]) in common:
                return len(three[0])
    return max(widths, key=lambda width: (widths[width], width), default=1)


def _skip_preamble(records: list[list[str]], width: int) -> int:
    """Number of records before the header: those that are far from the usual width."""
    for index, record in enumerate(records):
        filled = sum(bool(cell.strip()) for cell in record)
        if len(record) == width and (2 * filled > width or width < 3):
            return index
        if _wide_header(record, width) or (len(record) == width - 1 > 1 and all(
                form_of(cell) == "text" for cell in record)):
            return index
        if len(record) == width + 1 > 3 and _is_naming([cell for cell in record if cell.strip()]) and \
                sum(not cell.strip() for cell in record) == 1:
            return index   # a delimiter too many
    return 0


def _is_naming(cells: list[str]) -> bool:
    texts = [cell.strip() for cell in cells]
    return all(texts) and len(set(texts)) == len(texts) and all(form_of(cell) == "text" for cell in texts)


def _wide_header(cells: list[str], width: int) -> bool:
    return width > 1 and width < len(cells) <= width + 2 and _is_naming(cells)


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
