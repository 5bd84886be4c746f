"""How a CSV file is written, judged from its beginning: encoding, delimiter, quotes, preamble and header."""

import codecs
from dataclasses import dataclass, field

from mpiedge.cleaning.cells import form_of
from mpiedge.cleaning.dialect import find_dialect
from mpiedge.cleaning.header import complement, header_lines, is_header, is_naming, is_wide, joined, unique_names
from mpiedge.cleaning.profiles import Profile
from mpiedge.cleaning.sample import read_sample, usual_width, without_giants
from mpiedge.errors import InputError
from mpiedge.store.ranges import Dialect, decode

SAMPLE_BYTES = 1 << 17
SAMPLE_LINES = 400


@dataclass
class Structure:
    """What the beginning of a file tells.

    names: one per column, unique. preamble, footnotes: (line, text) above and below the table. profiles: what the cells
    of each column look like in rows of the usual width (what repairs go by), which cost usual_cost on average. notes:
    what a person should know. row_width: cells of most rows, less than `width` where the header names more.
    header_cells: of all lines of the header, joined.
    """

    dialect: Dialect
    names: list[str]
    preamble: list[tuple[int, str]] = field(default_factory=list)
    footnotes: list[tuple[int, str]] = field(default_factory=list)
    profiles: list[Profile] = field(default_factory=list)
    usual_cost: float = 0.0
    row_width: int = 0
    header_cells: list[str] = field(default_factory=list)
    header_lines: int = 1
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


def find_structure(head: bytes, encoding: str, whole: bool, told: dict | None = None) -> Structure:
    """The structure of a table from its first bytes (`whole`: these are all its bytes).

    told: what is known already, named as in plan.toml: delimiter, quote, escape, header, header_lines, preamble_lines.
    Raises InputError where these are more lines than there are.
    """
    told = told or {}
    bom = 3 if head.startswith(codecs.BOM_UTF8) else 0
    lines = head[bom:].splitlines(keepends=True)
    if not whole and len(lines) > 1:
        lines.pop()   # cut off somewhere
    lines = lines[:SAMPLE_LINES]
    text = decode(b"".join(without_giants(lines)), encoding)
    dialect = find_dialect(text, encoding, told)
    records, spans = read_sample(text, dialect)
    if len(records) > 20 and sum(map(len, lines)) + bom < len(head):
        records.pop()   # may go on after the sample
    _refuse_more_lines(told, len(records))
    width = usual_width(records)
    top = told["preamble_lines"] if "preamble_lines" in told else _skip_preamble(records, width)
    header = top < len(records) and (
        told["header"] if "header" in told else is_header(records[top], records[top + 1:], width))
    start, data_from = top, top + header
    if "header_lines" in told:
        data_from = min(top + told["header_lines"], len(records)) if header else top
    elif header:
        beside = top > 0 and spans[top - 1][1] == spans[top][0] and "preamble_lines" not in told
        start, data_from = header_lines(records, top, width, beside)
    header_cells = joined(records[start:data_from]) if data_from - start > 1 else records[top] if header else []
    if len(header_cells) == width + 1 > 3 and not is_wide(header_cells, width) and "" in header_cells:
        header_cells = [cell for cell in header_cells if cell]
    wide = is_wide(header_cells, width)
    names, notes = unique_names(header_cells, len(header_cells) if wide else width)
    # Rows of blanks below the header are rows too: they are rejected, and those after them keep their number.
    first_line = spans[data_from - 1][1] if header else spans[top][0] if top < len(records) else len(lines)
    data_start = bom + sum(map(len, lines[:first_line]))
    preamble = [(spans[index][0] + 1, dialect.delimiter.join(records[index])) for index in range(start)]
    if data_from - start > 1:
        notes.append(f"the names of the columns stand in {data_from - start} lines: {' | '.join(names)[:100]}")
    if not header:
        notes.append("no header line: columns are called column_1, column_2, ...")
    structure = Structure(
        Dialect(dialect.delimiter, dialect.quotechar, dialect.escapechar, encoding, header, dialect.skip_initial_space,
                data_start),
        names, preamble, profiles=[Profile() for _ in names], header_cells=header_cells,
        header_lines=data_from - start, notes=notes, row_width=width)
    for record in records[data_from:]:
        if len(record) in (width, structure.width):
            for profile, cell in zip(structure.profiles, record + [""] * (structure.width - len(record))):
                profile.add(cell)
    structure.usual_cost = sum(profile.usual for profile in structure.profiles)
    return structure


def _refuse_more_lines(told: dict, records: int) -> None:
    above = told.get("preamble_lines", 0) + (told.get("header_lines", 1) if told.get("header") else 0)
    if above > records:
        error = InputError("plan", f"says that {above:,} lines are above the rows; the beginning of the table has "
                           f"{records:,}", "Correct its preamble_lines and header_lines")
        error.everywhere = True   # every rank has the same beginning
        raise error


def _skip_preamble(records: list[list[str]], width: int) -> int:
    """Number of records before the header: those that are far from the usual width."""
    for index, record in enumerate(records):
        filled = sum(bool(cell.strip()) for cell in record)
        if len(record) == width and (2 * filled > width or width < 3):
            return index
        if complement(record, (records[index + 1:index + 2] or [[]])[0], width):
            return index
        if is_wide(record, width) or (len(record) == width - 1 > 1 and all(
                form_of(cell) == "text" for cell in record)):
            return index
        if len(record) == width + 1 > 3 and is_naming([cell for cell in record if cell.strip()]) and \
                sum(not cell.strip() for cell in record) == 1:
            return index   # a delimiter too many
    return 0


