"""Tables as columns: one text per column, its cells divided by NUL, read and written at memory speed."""

import csv
import ctypes
import io
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from mpiedge.kernels import dictionary, native
from mpiedge.kernels.cells import PADDING, Cells

ODD = "surrogatepass"  # halves of a character pair, left by a broken encoding, are cells like others


def _declare(library):
    size, pointer = ctypes.c_int64, ctypes.c_void_p
    library.mpiedge_plain_records.restype = size
    library.mpiedge_plain_records.argtypes = [pointer, *[size] * 6, ctypes.c_char_p, size, ctypes.c_char_p, size,
                                              pointer, pointer]
    library.mpiedge_gather_columns.restype = None
    library.mpiedge_gather_columns.argtypes = [pointer, size, pointer, size, size, pointer, pointer, pointer]
    library.mpiedge_cell_starts.restype = size
    library.mpiedge_cell_starts.argtypes = [pointer, size, size, pointer]
    library.mpiedge_write_csv.restype = size
    library.mpiedge_write_csv.argtypes = [pointer, pointer, pointer, size, size, pointer, pointer]
    library.mpiedge_write_numbers.restype = size
    library.mpiedge_write_numbers.argtypes = [pointer, pointer, size, pointer]
    library.mpiedge_fixed_width.restype = None
    library.mpiedge_fixed_width.argtypes = [pointer, pointer, size, size, pointer]
    return library


_library = _declare(native.library) if native.library is not None else None


@dataclass
class Columns:
    """Columns of text. text: uint8; ends: int64, where each column ends, 0 first. No cell holds a NUL; "" = missing."""

    text: np.ndarray
    ends: np.ndarray
    rows: int
    _starts: dict[int, np.ndarray] = field(default_factory=dict, repr=False, compare=False)

    @property
    def width(self) -> int:
        return len(self.ends) - 1

    @classmethod
    def of(cls, columns: list) -> "Columns":
        """Local: columns given as lists of str."""
        texts = [_joined(cells) for cells in columns]
        return cls(np.frombuffer(b"".join(texts), np.uint8), np.cumsum([0, *map(len, texts)], dtype=np.int64),
                   len(columns[0]) if columns else 0)

    def part(self, place: int) -> np.ndarray:
        """Local: the text of one column."""
        return self.text[self.ends[place]:self.ends[place + 1]]

    def cells(self, place: int) -> list[str]:
        """Local: the cells of one column."""
        return str(memoryview(self.part(place)), "utf-8", ODD).split("\x00") if self.rows else []

    def starts(self, place: int) -> np.ndarray:
        """Local: where each cell of a column starts in its text, and one past where the last ends + 1 (uint32)."""
        if place not in self._starts:
            self._starts[place] = self._find_starts(self.part(place))
        return self._starts[place]

    def _find_starts(self, text: np.ndarray) -> np.ndarray:
        if _library is None:
            gaps = np.flatnonzero(text == 0) + 1
            return np.concatenate([[0] * min(1, self.rows), gaps, [len(text) + 1]]).astype(np.uint32)
        starts = np.zeros(self.rows + 1, np.uint32)
        found = _library.mpiedge_cell_starts(text.ctypes.data, len(text), self.rows, starts.ctypes.data)
        if found != self.rows:
            raise ValueError(f"a column of {self.rows} cells holds {found}")
        return starts

    def some(self, place: int, rows: np.ndarray) -> list[str]:
        """Local: chosen cells of one column."""
        if 4 * len(rows) > self.rows:
            cells = self.cells(place)
            return [cells[row] for row in rows.tolist()]
        text, starts = memoryview(self.part(place)), self.starts(place)
        return [str(text[start:stop - 1], "utf-8", ODD)
                for start, stop in zip(starts[rows].tolist(), starts[rows + 1].tolist())]

    def distinct(self, place: int) -> tuple[list[str], np.ndarray, np.ndarray]:
        """Local: the different cells of a column in order of first occurrence, how often each is there, and its hash
        (see `forms.cell_hashes`)."""
        ids, first, hashes = self._grouped(place)
        return self.some(place, first), np.bincount(ids, minlength=len(first)), hashes

    def coded(self, place: int) -> tuple["Values", np.ndarray]:
        """Local: "" and then the other different cells of a column in order of first occurrence, and the place among
        them of each cell (int64)."""
        ids, first, _ = self._grouped(place)
        starts = self.starts(place)
        blank = np.flatnonzero(starts[first + 1] - starts[first] == 1)
        codes = np.arange(1, len(first) + 1)
        for found in blank.tolist():   # one at most
            codes[found:] -= 1
            codes[found] = 0
        return Values(self, place, np.delete(first, blank)), codes[ids]

    def _grouped(self, place: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        starts = self.starts(place)
        sizes = np.diff(starts.astype(np.int64)) - 1
        return dictionary.group(np.ascontiguousarray(self.part(place)), starts[:-1], sizes)

    def replaced(self, new: dict[int, list[str]]) -> "Columns":
        """Local: with other cells in some columns."""
        if not new:
            return self
        texts = [np.frombuffer(_joined(new[place]), np.uint8) if place in new
                 else self.part(place) for place in range(self.width)]
        return Columns(np.concatenate(texts), np.cumsum([0, *map(len, texts)], dtype=np.int64), self.rows)

    def to_csv(self) -> bytes:
        """Local: the rows as CSV by RFC 4180, lines ending in \\n."""
        if _library is None:
            return csv_text(zip(*(self.cells(place) for place in range(self.width))))
        starts = np.array([self.starts(place).ctypes.data for place in range(self.width)], np.uint64)
        into = np.empty(2 * len(self.text) + 3 * self.rows * self.width + 16, np.uint8)
        special = np.empty(self.width, np.uint8)
        size = _library.mpiedge_write_csv(self.text.ctypes.data, self.ends.ctypes.data, starts.ctypes.data, self.rows,
                                          self.width, special.ctypes.data, into.ctypes.data)
        return into[:size].tobytes()

    def fixed(self, place: int, widest: int) -> np.ndarray | None:
        """Local: the cells of a column as bytes of one width (dtype S), at least 1; None where one is too wide."""
        starts = self.starts(place)
        width = max(1, int(np.diff(starts.astype(np.int64)).max(initial=1)) - 1)
        if width > widest:
            return None
        if _library is None:
            return np.array([cell.encode("utf-8", ODD) for cell in self.cells(place)], dtype=f"S{width}")
        into = np.empty(self.rows, dtype=f"S{width}")
        text = self.part(place)
        _library.mpiedge_fixed_width(text.ctypes.data, starts.ctypes.data, self.rows, width, into.ctypes.data)
        return into


class Values(Sequence):
    """"" and the other different cells of a column; they become strings when they are looked at, as few need to be.

    letters: bytes of all of them in UTF-8.
    """

    def __init__(self, columns: Columns, place: int, rows: np.ndarray):
        self._columns, self._place, self._rows, self._cells = columns, place, rows, None
        starts = columns.starts(place)
        self.letters = int((starts[rows + 1] - starts[rows]).sum()) - len(rows)

    def __len__(self) -> int:
        return len(self._rows) + 1

    def __iter__(self):
        return iter(self.all())

    def __getitem__(self, at):
        if self._cells is not None:
            return self._cells[at]
        if not isinstance(at, slice):
            at = range(len(self))[at]
            return self._columns.some(self._place, self._rows[at - 1:at])[0] if at else ""
        wanted = np.arange(len(self))[at]
        if 4 * len(wanted) > len(self):
            return self.all()[at]
        found = iter(self._columns.some(self._place, self._rows[wanted[wanted > 0] - 1]))
        return [next(found) if place else "" for place in wanted.tolist()]

    def all(self) -> list[str]:
        """Local: all of them as a list, which is kept."""
        if self._cells is None:
            whole = len(self._rows) == self._columns.rows
            self._cells = ["", *(self._columns.cells(self._place) if whole else
                                 self._columns.some(self._place, self._rows))]
            self._columns = None
        return self._cells


def stacked(parts: list[Columns], width: int) -> Columns:
    """Local: the rows of all parts, one below the other; `width` columns."""
    parts = [part for part in parts if part.rows]
    pieces, sizes, gap = [], [], np.zeros(1, np.uint8)
    for place in range(width):
        column = [piece for part in parts for piece in (part.part(place), gap)][:-1]
        sizes.append(sum(map(len, column)))
        pieces += column
    return Columns(np.concatenate([gap[:0], *pieces]), np.cumsum([0, *sizes], dtype=np.int64),
                   sum(part.rows for part in parts))


def _joined(cells) -> bytes:
    text = "\x00".join(cells)
    if text.count("\x00") >= max(1, len(cells)):
        text = "\x00".join(cell.replace("\x00", "") for cell in cells)
    return text.encode("utf-8", ODD)


def csv_text(rows) -> bytes:
    """Local: rows as UTF-8 CSV by RFC 4180, lines ending in \\n; a lone carriage return is quoted too."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows := list(rows))
    if "\r" in text.getvalue():
        lines = [",".join(_quoted(str(cell)) for cell in row) or '""' for row in rows]
        text = io.StringIO("".join(f"{line}\n" for line in lines))
    return text.getvalue().encode("utf-8", ODD)


def _quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"' if any(sign in cell for sign in ',"\r\n') else cell


def number_lines(left: np.ndarray, right: np.ndarray) -> bytes:
    """Local: two columns of whole numbers, none below 0, as CSV."""
    if _library is None:
        return "".join(map("%d,%d\n".__mod__, zip(left.tolist(), right.tolist()))).encode()
    left, right = np.ascontiguousarray(left, np.int64), np.ascontiguousarray(right, np.int64)
    into = np.empty(40 * len(left) + 1, np.uint8)
    return into[:_library.mpiedge_write_numbers(left.ctypes.data, right.ctypes.data, len(left),
                                                into.ctypes.data)].tobytes()


def gather(cells: Cells) -> Columns:
    """Local: the cells of records, column by column."""
    rows, width, _ = cells.places.shape
    if _library is None:
        return Columns.of([[text.decode("utf-8", ODD) for text in cells.texts(place)] for place in range(width)])
    places = np.ascontiguousarray(cells.places)
    ends = np.zeros(width + 1, np.int64)
    size = int(places[:, :, 1].sum(dtype=np.int64)) + rows * width
    text, starts = np.empty(size + 16, np.uint8), np.empty((width, rows + 1), np.uint32)
    _library.mpiedge_gather_columns(cells.data.ctypes.data, len(cells.data), places.ctypes.data, rows, width,
                                    text.ctypes.data, ends.ctypes.data, starts.ctypes.data)
    return Columns(text[:ends[-1]], ends, rows, dict(enumerate(starts)))


class PlainRecords:
    """The rows of a block that are written plainly: one line each, quotes only around whole cells.

    data: uint8, the block with PADDING behind it, the text of `places`; quotes are removed in place as rows are cut.
    able: whether `cut` can be called.
    """

    def __init__(self, block: bytes, delimiter: str, quote: str, width: int, header: list[str]):
        self.size, self.width = len(block), width
        self.data = np.zeros(len(block) + PADDING, np.uint8)
        self.data[:len(block)] = np.frombuffer(block, np.uint8)
        self.signs = ord(delimiter), ord(quote) if quote else -1
        self.able = _library is not None and max(self.signs) < 128 and 0 not in block
        self.edges = [header[0].encode(), header[-1].encode()] if len(header) == width else None

    def cut(self, at: int) -> tuple[np.ndarray, int, int]:
        """Local: (places of the plain rows from byte `at` on, lines passed, byte where they end)."""
        capacity = 1 + (self.size - at) // max(1, self.width)
        places, out = np.empty((capacity, self.width, 2), np.uint32), np.zeros(2, np.int64)
        first, last = self.edges or (b"", b"")
        found = _library.mpiedge_plain_records(
            self.data.ctypes.data, self.size, at, *self.signs, self.width, len(places), first,
            len(first) if self.edges else -1, last, len(last), places.ctypes.data, out.ctypes.data)
        return places[:found].copy(), int(out[0]), int(out[1])
