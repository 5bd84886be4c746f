"""The input tables as the ranks read them: structure from the beginning of each file, rows by byte ranges."""

from dataclasses import dataclass, field, replace

from mpiedge.cleaning.encodings import find_encoding
from mpiedge.cleaning.fits import Fits, fitted_name, read_fits
from mpiedge.cleaning.ragged import Rows, read_rows
from mpiedge.cleaning.structure import SAMPLE_BYTES, Structure, find_structure
from mpiedge.cleaning.tail import find_tail
from mpiedge.errors import InputError
from mpiedge.store.access import InputFile
from mpiedge.store.layout import table_name
from mpiedge.store.ranges import RecordRange, as_utf8, read_head, read_text, scan_records, text_of

BLOCK_BYTES, LARGEST_BLOCK_BYTES, FEWEST_BLOCKS = 1 << 19, 1 << 21, 64
"""Bytes of a range: some thousand rows; more in a file that has many ranges nevertheless."""
LARGEST_SAMPLE = 1 << 24
MOST_TABLES = 50
"""Tables in one file that are looked for."""
MOST_COLUMNS = 32_768
"""Columns of a table; each is judged, described and stored by itself, which takes milliseconds and kilobytes."""
BYTES_PER_COLUMN = 160
"""Bytes of a range for each column at least: some ten rows, as what is counted of a column is sent range by range."""
CONTROL = bytes(set(range(32)) - set(b"\t\n\r\x0b\x0c\x1a\x1c\x1d\x1e\x1f"))


@dataclass
class Source:
    """One input table. encoding: that of the user's file; the dialect's is that of the file that is read.

    fitted: range -> (number, checksum) of the parts that tell what its damaged lines fit.
    """

    name: str
    path: str
    file: InputFile
    encoding: str
    structure: Structure
    ranges: list[RecordRange]
    fitted: dict[int, list[tuple[int, str]]] = field(default_factory=dict)

    def rows(self, access, index: int, most: int | None = None) -> Rows:
        """Local: the rows of a range, repaired and rejected; belongs inside `queue.run`.

        most: damaged lines that are fitted at once; where there are more, the rows are not whole (`Rows.fits`).
        """
        record_range, known = self.ranges[index], {}
        for number, checksum in self.fitted.get(index, ()):
            known |= read_fits(access, fitted_name(self.name), number, checksum)
        text, stand_in = read_text(access, self.file, record_range, self.structure.dialect)
        return read_rows(text, stand_in, record_range.first_line, self.structure, Fits(self.structure, known, most))


def open_sources(stage, paths: list[str], told: dict[str, dict]) -> list[Source]:
    """Collective: the tables of each file. told: what a plan says of how tables are written, by their names."""
    taken: set[str] = set()
    return [source for path in paths for source in open_file(stage, path, taken, told)]


def open_file(stage, path: str, taken: set[str], told: dict[str, dict]) -> list[Source]:
    """Collective: finds the structure of a file and cuts it into ranges of whole records; one Source for each table.

    Raises InputError on every rank for a file that is missing, empty, a folder, unreadable or no text.
    """
    file = stage.access.input(path)
    head = read_head(stage, file, SAMPLE_BYTES)
    encoding = told.get(_free_name(path, taken), {}).get("encoding") or find_encoding(head)
    if encoding.startswith(("utf-16", "utf-32")):
        file = as_utf8(stage, file, encoding)
        head = read_head(stage, file, SAMPLE_BYTES)
    _refuse_binary(path, head)
    sources, start = [], 0
    while 0 <= start < file.size and len(sources) < MOST_TABLES:
        name = _free_name(path, taken)
        source, start = _open_table(stage, file, encoding, start, told.get(name, {}))
        taken.add(name)
        source.name, source.path = name, path
        sources.append(source)
    return sources


def _free_name(path: str, taken: set[str]) -> str:
    """Local: the name of the next table of a file."""
    name = base = table_name(path)
    number = 1
    while name in taken:
        number += 1
        name = f"{base}_{number}"
    return name


def _open_table(stage, file: InputFile, encoding: str, start: int, told: dict) -> tuple[Source, int]:
    """Collective: the table that begins at a byte of the file, and where a further one begins (-1: none does)."""
    size = SAMPLE_BYTES
    head = read_head(stage, file, size, start)
    while len(head) < file.size - start and head.count(b"\n") < 20 and len(head) < LARGEST_SAMPLE:
        size *= 4
        head = read_head(stage, file, size, start)
    structure = find_structure(head, "utf-8" if encoding.startswith("utf") else encoding,
                               len(head) >= file.size - start, told)
    structure.dialect = replace(structure.dialect, data_start=structure.dialect.data_start + start)
    if start:
        above = len(read_head(stage, file, start).splitlines())
        structure.preamble = [(line + above, text) for line, text in structure.preamble]
    _refuse_wide(file, structure)
    block_bytes = min(max(file.size // FEWEST_BLOCKS, BLOCK_BYTES), LARGEST_BLOCK_BYTES)
    block_bytes = max(block_bytes, BYTES_PER_COLUMN * structure.width)
    ranges, structure.dialect = scan_records(stage, file, structure.dialect, block_bytes, structure.width)
    more = -1
    if ranges and ranges[-1].stop - ranges[-1].start <= 4 * LARGEST_BLOCK_BYTES:
        ranges[-1], structure.footnotes, more = _end_of_table(stage, file, structure, ranges)
        if not ranges[-1].records:
            ranges.pop()
    ranges = ranges or [RecordRange(file.size, file.size, 0, 0, 1)]   # no rows: one empty chunk
    return Source("", "", file, encoding, structure, ranges), more


def _end_of_table(stage, file: InputFile, structure: Structure, ranges: list[RecordRange]):
    """Collective: (the last range up to the last row, footnotes, byte where a further table begins or -1)."""
    last = ranges[-1]
    data = read_head(stage, file, last.stop - last.start, last.start)
    text, stand_in = text_of(data, last.start, structure.dialect)
    tail = find_tail(text, structure, 1 if len(ranges) == 1 else 0)
    lines = data.splitlines(keepends=True)
    if tail.lines >= len(lines) or (not tail.footnotes and tail.more < 0):
        return last, [], -1
    bytes_kept = sum(map(len, lines[:tail.lines]))
    dropped = sum(1 for line in lines[tail.lines:] if line.strip())
    quote = structure.dialect.quotechar
    notes = [(last.first_line + line, note.replace(stand_in or quote, quote)) for line, note in tail.footnotes]
    more = last.start + sum(map(len, lines[:tail.more])) if tail.more >= 0 else -1
    kept = max(int(bytes_kept > 0), last.records - dropped)
    return last._replace(stop=last.start + bytes_kept, records=kept), notes, more


def _refuse_wide(file: InputFile, structure: Structure) -> None:
    if structure.width > MOST_COLUMNS:
        error = InputError(file.path, f"has {structure.width:,} columns, more than {MOST_COLUMNS:,}",
                           "Cut it by columns, or turn it so that its columns are rows")
        error.everywhere = True   # every rank has the same structure
        raise error


def _refuse_binary(path: str, head: bytes) -> None:
    controls = len(head) - len(head.translate(None, CONTROL))
    text = head.strip(b"\x00\r\n\t \xef\xbb\xbf")
    if not text:
        error = InputError(path, "holds no text, only blanks", "Give a CSV with a header line and rows")
    elif controls > 0.05 * len(head) and head.count(0) < 0.9 * controls:
        error = InputError(path, "is no text file", "Give a CSV; a spreadsheet must be exported first")
    else:
        return
    error.everywhere = True   # every rank sees the same bytes
    raise error
