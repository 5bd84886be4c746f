"""Cells of CSV text at memory speed, with the plain version."""

import csv
import ctypes
import re
import sys
from typing import NamedTuple

import numpy as np

from mpiedge.kernels import native

PADDING = 64
"""Bytes behind the text that the compiled version may look at."""

MOST_BYTES = (1 << 32) - PADDING
"""Text that is cut at once: places are 32 bits."""


class Cells(NamedTuple):
    """Cells of records: cell (r, c) is data[start : start + length] with (start, length) = places[r, c].

    data: uint8, quotes removed; places: uint32 (records, columns, 2).
    """

    data: np.ndarray
    places: np.ndarray

    def texts(self, column: int) -> list[bytes]:
        """Local: the cells of a column as byte strings."""
        data = self.data.tobytes()
        return [data[start : start + length] for start, length in self.places[:, column].tolist()]


class RaggedRecord(Exception):
    """A record `offset` bytes into the block whose number of `cells` is not the table's (-1: a quote never closed)."""

    def __init__(self, offset: int, cells: int):
        self.offset, self.cells = offset, cells
        super().__init__(f"record at byte {offset} has {cells} cells")


def _declare(library):
    size, pointer = ctypes.c_int64, ctypes.c_void_p
    library.mpiedge_csv_cells.restype = size
    library.mpiedge_csv_cells.argtypes = [pointer, size, ctypes.c_uint8, ctypes.c_uint8, size, size, pointer, pointer]
    return library


_library = _declare(native.library) if native.library is not None else None


def csv_cells(text: bytes, delimiter: str, columns: int, quote: str = '"', records: int | None = None) -> Cells:
    """Local: cut whole CSV records (RFC 4180, any line ending, blank lines skipped) into cells.

    records: how many there are, if it is known. Raises RaggedRecord.
    """
    if _library is None:
        return csv_cells_plain(text, delimiter, columns, quote)
    return csv_cells_native(text, delimiter, columns, quote, records)


def csv_cells_native(text: bytes, delimiter: str, columns: int, quote: str = '"', records: int | None = None) -> Cells:
    """Local: the compiled version of `csv_cells`."""
    if len(text) > MOST_BYTES:
        raise MemoryError(f"{len(text):,} bytes of CSV records at once")
    capacity = text.count(b"\n") + text.count(b"\r") + 1 if records is None else records
    data = np.empty(len(text) + PADDING, np.uint8)
    data[: len(text)] = np.frombuffer(text, np.uint8)
    data[len(text) :] = 0
    places = np.empty((capacity, columns, 2), np.uint32)
    problem = np.zeros(2, np.int64)
    found = _library.mpiedge_csv_cells(data.ctypes.data, len(text), ord(delimiter), ord(quote), columns, capacity,
                                       places.ctypes.data, problem.ctypes.data)
    if found == -1:
        raise RaggedRecord(int(problem[0]), int(problem[1]))
    if found < 0:  # more records than were announced: count them
        return csv_cells_native(text, delimiter, columns, quote)
    return Cells(data, places[:found])


def csv_cells_plain(text: bytes, delimiter: str, columns: int, quote: str = '"'):
    """Local: the plain version of `csv_cells`, by Python's csv module."""
    csv.field_size_limit(sys.maxsize)
    lines = [line.decode("latin-1") for line in text.splitlines(keepends=True)]  # one character per byte
    offsets = np.concatenate(([0], np.cumsum([len(line) for line in lines], dtype=np.int64)))
    reader = csv.reader(lines, delimiter=delimiter, quotechar=quote)
    records, before = [], 0
    for record in reader:
        first, before = before, reader.line_num
        if not record:
            continue
        if before == len(lines) and not _closed("".join(lines[first:]), delimiter, quote):
            raise RaggedRecord(int(offsets[first]), -1)
        if len(record) != columns:
            raise RaggedRecord(int(offsets[first]), len(record))
        records.extend(record)
    length = np.array([len(cell) for cell in records], np.uint32)
    places = np.stack([np.cumsum(length, dtype=np.uint32) - length, length], axis=1)
    return Cells(np.frombuffer("".join(records).encode("latin-1"), np.uint8), places.reshape(-1, columns, 2))


def _closed(record: str, delimiter: str, quote: str) -> bool:
    """Whether the first record of a text ends outside of quotes."""
    at = 0
    while True:
        if record[at : at + 1] == quote:
            at = record.find(quote, at + 1)
            while at >= 0 and record[at + 1 : at + 2] == quote:
                at = record.find(quote, at + 2)
            if at < 0:
                return False
        end = re.compile(f"[\r\n{re.escape(delimiter)}]").search(record, at)
        if end is None or end[0] != delimiter:
            return True
        at = end.end()
