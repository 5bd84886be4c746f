"""The input tables as the ranks read them: structure from the beginning of each file, rows by byte ranges."""

from dataclasses import dataclass

from mpiedge.cleaning.ragged import Rows, read_rows
from mpiedge.cleaning.structure import SAMPLE_BYTES, Structure, find_encoding, find_structure
from mpiedge.errors import InputError
from mpiedge.store.access import InputFile
from mpiedge.store.layout import table_name
from mpiedge.store.ranges import RecordRange, as_utf8, read_head, read_text, scan_records

BLOCK_BYTES = 1 << 19
"""Bytes of a range: some thousand rows, a tenth of a second of work."""
LARGEST_SAMPLE = 1 << 24
CONTROL = bytes(set(range(32)) - set(b"\t\n\r\x0b\x0c\x1a\x1c\x1d\x1e\x1f"))


@dataclass
class Source:
    """One input table. encoding: that of the user's file; the dialect's is that of the file that is read."""

    name: str
    path: str
    file: InputFile
    encoding: str
    structure: Structure
    ranges: list[RecordRange]

    def rows(self, access, index: int) -> Rows:
        """Local: the rows of a range, repaired and rejected; belongs inside `queue.run`."""
        record_range = self.ranges[index]
        text, stand_in = read_text(access, self.file, record_range, self.structure.dialect)
        return read_rows(text, stand_in, record_range.first_line, self.structure)


def open_sources(stage, paths: list[str]) -> list[Source]:
    """Collective: `open_source` for each file."""
    taken: set[str] = set()
    return [open_source(stage, path, taken) for path in paths]


def open_source(stage, path: str, taken: set[str]) -> Source:
    """Collective: finds the structure of a file and cuts it into ranges of whole records.

    Raises InputError on every rank for a file that is missing, empty, a folder, unreadable or no text.
    """
    file = stage.access.input(path)
    head = read_head(stage, file, SAMPLE_BYTES)
    encoding = find_encoding(head)
    if encoding.startswith(("utf-16", "utf-32")):
        file = as_utf8(stage, file, encoding)
        head = read_head(stage, file, SAMPLE_BYTES)
    _refuse_binary(path, head)
    while len(head) < file.size and head.count(b"\n") < 20 and len(head) < LARGEST_SAMPLE:
        head = read_head(stage, file, 4 * len(head))
    read_as = "utf-8" if encoding.startswith("utf") else encoding
    structure = find_structure(head, read_as, whole=len(head) >= file.size)
    ranges, structure.dialect = scan_records(stage, file, structure.dialect, BLOCK_BYTES, structure.width)
    ranges = ranges or [RecordRange(file.size, file.size, 0, 0, 1)]   # no rows: one empty chunk
    name = base = table_name(path)
    number = 1
    while name in taken:
        number += 1
        name = f"{base}_{number}"
    taken.add(name)
    return Source(name, path, file, encoding, structure, ranges)


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
