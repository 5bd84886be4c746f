"""Byte strings at memory speed: cells of CSV text, numbering of equal strings, copying; with the plain versions."""

import csv
import ctypes
import re
import sys

import numpy as np

from mpiedge.kernels import native

MULTIPLIER = 0x9E3779B97F4A7C15


class RaggedRecord(Exception):
    """A record `offset` bytes into the block whose number of `cells` is not the table's (-1: a quote never closed)."""

    def __init__(self, offset: int, cells: int):
        self.offset, self.cells = offset, cells
        super().__init__(f"record at byte {offset} has {cells} cells")


def _declare(library):
    size, pointer = ctypes.c_int64, ctypes.c_void_p
    library.mpiedge_csv_cells.restype = size
    library.mpiedge_csv_cells.argtypes = [pointer, size, ctypes.c_uint8, ctypes.c_uint8, size, size, *[pointer] * 3]
    library.mpiedge_group.restype = size
    library.mpiedge_group.argtypes = [*[pointer] * 3, size, size, pointer, size, *[pointer] * 3]
    library.mpiedge_group_columns.restype = None
    library.mpiedge_group_columns.argtypes = [*[pointer] * 3, size, size, pointer, size, *[pointer] * 4]
    library.mpiedge_copy_strings.restype = None
    library.mpiedge_copy_strings.argtypes = [*[pointer] * 3, size, pointer]
    return library


_library = _declare(native.library) if native.library is not None else None


def csv_cells(text: bytes, delimiter: str, columns: int, quote: str = '"'):
    """Local: cut whole CSV records (RFC 4180, any line ending, blank lines skipped) into cells.

    Returns (bytes as uint8 array with the quotes removed, start int64 (records, columns), length int32 (records,
    columns)). Raises RaggedRecord.
    """
    return (_csv_cells_native if _library is not None else csv_cells_plain)(text, delimiter, columns, quote)


def _csv_cells_native(text: bytes, delimiter: str, columns: int, quote: str):
    cells = np.frombuffer(text, np.uint8).copy()
    capacity = text.count(b"\n") + text.count(b"\r") + 1
    start, length = np.empty((capacity, columns), np.int64), np.empty((capacity, columns), np.int32)
    problem = np.zeros(2, np.int64)
    records = _library.mpiedge_csv_cells(cells.ctypes.data, len(cells), ord(delimiter), ord(quote), columns, capacity,
                                         start.ctypes.data, length.ctypes.data, problem.ctypes.data)
    if records < 0:
        raise RaggedRecord(int(problem[0]), int(problem[1]))
    return cells, start[:records], length[:records]


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
    length = np.array([len(cell) for cell in records], np.int32)
    start = np.cumsum(length, dtype=np.int64) - length
    shape = (len(records) // columns, columns)
    return np.frombuffer("".join(records).encode("latin-1"), np.uint8), start.reshape(shape), length.reshape(shape)


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


def group(text: np.ndarray, start: np.ndarray, length: np.ndarray):
    """Local: number equal strings alike, in the order of first occurrence.

    String i is text[start[i] : start[i] + length[i]]. Returns ids (int32, one per string), first (int64, where each
    distinct string occurs first) and hashes (uint64, of each distinct string; the same on every host).
    """
    return (_group_native if _library is not None else group_plain)(text, start, length)


def _group_native(text, start, length):
    count = len(start)
    start, length = np.ascontiguousarray(start, np.int64), np.ascontiguousarray(length, np.int32)
    slots = _slots(count)
    ids, first, hashes = np.empty(count, np.int32), np.empty(count, np.int64), np.empty(count, np.uint64)
    distinct = _library.mpiedge_group(text.ctypes.data, start.ctypes.data, length.ctypes.data, 1, count,
                                      slots.ctypes.data, len(slots), ids.ctypes.data, first.ctypes.data,
                                      hashes.ctypes.data)
    return ids, first[:distinct].copy(), hashes[:distinct].copy()


def _slots(strings: int) -> np.ndarray:
    """Local: an empty hash table, at most half full in the end."""
    return np.zeros(1 << max(4, (2 * strings).bit_length()), np.int32)


def group_plain(text, start, length):
    """Local: the plain version of `group`, by a dict."""
    data, known, ids, first = text.tobytes(), {}, np.empty(len(start), np.int32), []
    for index, (begin, size) in enumerate(zip(start.tolist(), length.tolist())):
        string = data[begin : begin + size]
        ids[index] = known.setdefault(string, len(first))
        if len(known) > len(first):
            first.append(index)
    hashes = np.array([hash_plain(string) for string in known], np.uint64)
    return ids, np.array(first, np.int64), hashes


def hash_plain(string: bytes) -> int:
    """Local: the 64-bit hash of one string, as the compiled version computes it."""
    value = len(string)
    words = [int.from_bytes(string[at : at + 8], "little") for at in range(0, len(string), 8)]
    for word in [*words, 0]:
        value = ((value ^ word) * MULTIPLIER) & 0xFFFFFFFFFFFFFFFF
        value ^= value >> 29
    return value


def group_columns(text: np.ndarray, start: np.ndarray, length: np.ndarray):
    """Local: `group` for every column of cells; start, length: (rows, columns), C-ordered.

    Returns ids int32 (columns, rows), and by column the flat cell numbers (row * columns + column) where each distinct
    string occurs first, and their hashes.
    """
    rows, columns = start.shape
    if _library is None:
        found = [group_plain(text, start[:, column], length[:, column]) for column in range(columns)]
        ids = np.array([one[0] for one in found], np.int32).reshape(columns, rows)
        return ids, [one[1] * columns + column for column, one in enumerate(found)], [one[2] for one in found]
    start, length = np.ascontiguousarray(start, np.int64), np.ascontiguousarray(length, np.int32)
    slots = _slots(rows)
    ids, first = np.empty((columns, rows), np.int32), np.empty((columns, rows), np.int64)
    hashes, distinct = np.empty((columns, rows), np.uint64), np.empty(columns, np.int64)
    _library.mpiedge_group_columns(text.ctypes.data, start.ctypes.data, length.ctypes.data, rows, columns,
                                   slots.ctypes.data, len(slots), ids.ctypes.data, first.ctypes.data,
                                   hashes.ctypes.data, distinct.ctypes.data)
    sizes = distinct.tolist()
    return (ids, [places[:size] for places, size in zip(first, sizes)],
            [found[:size].copy() for found, size in zip(hashes, sizes)])


def copy_strings(text: np.ndarray, start: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Local: the strings one after another, as a new uint8 array."""
    start, length = np.ascontiguousarray(start, np.int64), np.ascontiguousarray(length, np.int32)
    if _library is None:
        data = text.tobytes()
        parts = [data[begin : begin + size] for begin, size in zip(start.tolist(), length.tolist())]
        return np.frombuffer(b"".join(parts), np.uint8)
    copied = np.empty(int(length.sum(dtype=np.int64)), np.uint8)
    _library.mpiedge_copy_strings(text.ctypes.data, start.ctypes.data, length.ctypes.data, len(start),
                                  copied.ctypes.data)
    return copied
