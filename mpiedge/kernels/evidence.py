"""The set of difference sets of the row pairs of one table looked at so far; compiled, and plain in numpy."""

import ctypes
from itertools import pairwise

import numpy as np

from mpiedge.errors import InputError
from mpiedge.kernels import bits, native
from mpiedge.kernels.partition import Partition

MAX_COLUMNS = 4096
FILL_ROWS = 1 << 20


def _declare(library):
    address, size, narrow = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int32
    signatures = {
        "new": (address, [size, narrow, narrow, address, address, narrow]),
        "free": (None, [address]),
        "place": (None, [address, address]),
        "frugal": (None, [address, narrow]),
        "reset": (None, [address]),
        "count": (size, [address]),
        "failed": (narrow, [address]),
        "width": (narrow, [address]),
        "masks": (address, [address]),
        "fill": (None, [address, address, address, size, size]),
        "add": (None, [address, address, size]),
        "pair": (None, [address, size, size]),
        "window": (None, [address, address, narrow, address, size, size]),
        "pairs": (None, [address, address, address, size, size, size]),
        "star": (None, [address, address, address, size, address]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, "evidence_" + name)
        function.restype, function.argtypes = result, arguments
    return library


_library = _declare(native.library) if native.library is not None else None


class NativeEvidence:
    """Difference sets found so far, over the row tiles of the compiled kernels.

    codes: one contiguous unsigned array (rows,) per tile column, columns with more bytes per code first; original: the
    column number of each in the masks; columns: how many columns the masks have; cardinality: codes are below this;
    portable: avoid intrinsics; place: a function (rows, bytes per row) that gives an array for the tiles, which others
    may fill as well, and the range of rows to fill here. Masks are (k, words) uint64.
    """

    def __init__(self, codes: list[np.ndarray], original: list[int], columns: int, cardinality: list[int],
                 portable: bool = False, place=None):
        if columns > MAX_COLUMNS:
            raise InputError("table", f"{columns} columns are more than the {MAX_COLUMNS} that profiling can compare")
        self.rows, self.words, self.codes = len(codes[0]) if codes else 0, bits.words_for(columns), codes
        self.column_codes = dict(zip(original, codes))
        position = np.array(original, np.int32)
        size = np.array([array.itemsize for array in codes], np.int32)
        addresses = np.array([array.ctypes.data for array in codes], np.uintp)
        used = np.array([needed_bytes(one) for one in cardinality], np.int32)
        self.handle = _library.evidence_new(self.rows, len(codes), self.words, position.ctypes.data, used.ctypes.data,
                                            int(portable))
        self._check()
        self._tile, first, last = None, 0, self.rows
        if place is not None:
            self._tile, first, last = place(self.rows, _library.evidence_width(self.handle))
        _library.evidence_place(self.handle, None if self._tile is None else self._tile.ctypes.data)
        self._check()
        for start in range(first, last, FILL_ROWS):
            _library.evidence_fill(self.handle, addresses.ctypes.data, size.ctypes.data, start,
                                   min(start + FILL_ROWS, last))

    def __del__(self):
        if getattr(self, "handle", None):
            _library.evidence_free(self.handle)

    def _check(self):
        if not self.handle or _library.evidence_failed(self.handle):
            raise MemoryError("the evidence of a table does not fit the memory of this rank")

    @property
    def count(self) -> int:
        """Number of difference sets."""
        return _library.evidence_count(self.handle)

    def masks(self, since: int = 0) -> np.ndarray:
        """Local: a copy of the difference sets from number `since` on, in the order found."""
        return self.view(since).copy()

    def view(self, since: int = 0) -> np.ndarray:
        """Local: the difference sets from number `since` on, until more are found."""
        self._check()
        count = self.count - since
        if count <= 0:
            return np.empty((0, self.words), np.uint64)
        start = _library.evidence_masks(self.handle) + since * self.words * 8
        return np.frombuffer((ctypes.c_uint64 * (count * self.words)).from_address(start), np.uint64).reshape(
            count, self.words)

    def add(self, masks: np.ndarray):
        """Local: take over difference sets found elsewhere."""
        masks = np.ascontiguousarray(masks, np.uint64)
        _library.evidence_add(self.handle, masks.ctypes.data, len(masks))

    def reset(self):
        """Local: forget everything found."""
        _library.evidence_reset(self.handle)

    def keep_few(self):
        """Local: from now on keep of a star check only difference sets that hold a column which none before them held.

        They still tell every column that is violated; the others would be too many in a table of many columns."""
        _library.evidence_frugal(self.handle, 1)

    def pair(self, first: int, second: int):
        """Local: compare two rows."""
        _library.evidence_pair(self.handle, first, second)

    def window(self, column: int, latest: np.ndarray, start: int, stop: int):
        """Local: compare each row of [start, stop) with the one before it that has the same value in `column`.

        latest: int32 (cardinality,), zeros at first: the number of the last row of each value, plus one; it may be kept
        for other rows of the column."""
        codes = self.column_codes[column]
        _library.evidence_window(self.handle, codes.ctypes.data, codes.itemsize, latest.ctypes.data, start, stop)

    def pairs(self, partition: Partition, first: int = 0, last: int | None = None):
        """Local: compare all pairs inside clusters whose later member stands at a position in [first, last)."""
        last = len(partition.rows) if last is None else last
        _library.evidence_pairs(self.handle, partition.rows.ctypes.data, partition.starts.ctypes.data,
                                len(partition.starts) - 1, first, last)

    def star(self, partition: Partition) -> np.ndarray:
        """Local: compare the first row of each cluster with the others; returns the mask of columns that differ."""
        violated = np.zeros(self.words, np.uint64)
        _library.evidence_star(self.handle, partition.rows.ctypes.data, partition.starts.ctypes.data,
                               len(partition.starts) - 1, violated.ctypes.data)
        return violated


class PlainEvidence:
    """The plain version of NativeEvidence: the same calls on a matrix of codes."""

    def __init__(self, codes: list[np.ndarray], original: list[int], columns: int, cardinality: list[int],
                 portable: bool = False, place=None):
        self.rows, self.words, self.columns = len(codes[0]) if codes else 0, bits.words_for(columns), columns
        self.column_codes = dict(zip(original, codes))
        self.matrix = np.zeros((self.rows, columns), np.int64)
        for column, array in self.column_codes.items():
            self.matrix[:, column] = array
        self.few = False
        self.reset()

    def reset(self):
        """Local: forget everything found."""
        self.seen, self.found = {bytes(8 * self.words)}, []

    @property
    def count(self) -> int:
        """Number of difference sets."""
        return len(self.found)

    def masks(self, since: int = 0) -> np.ndarray:
        """Local: a copy of the difference sets from number `since` on, in the order found."""
        return np.array(self.found[since:], np.uint64).reshape(-1, self.words)

    view = masks

    def add(self, masks: np.ndarray):
        """Local: take over difference sets found elsewhere."""
        for mask in np.ascontiguousarray(masks, np.uint64):
            if mask.tobytes() not in self.seen:
                self.seen.add(mask.tobytes())
                self.found.append(mask)

    def _compare(self, first, second) -> np.ndarray:
        masks = bits.pack(self.matrix[first] != self.matrix[second])
        self.add(bits.unique(masks))
        return np.bitwise_or.reduce(masks, axis=0) if len(masks) else np.zeros(self.words, np.uint64)

    def keep_few(self):
        """Local: as of NativeEvidence."""
        self.few = True

    def pair(self, first: int, second: int):
        """Local: compare two rows."""
        self._compare(np.array([first]), np.array([second]))

    def window(self, column: int, latest: np.ndarray, start: int, stop: int):
        """Local: as of NativeEvidence, without looking at `latest`."""
        codes = self.column_codes[column][start:stop]
        order = np.argsort(codes, kind="stable")
        same = codes[order][1:] == codes[order][:-1]
        self._compare(start + order[1:][same], start + order[:-1][same])

    def pairs(self, partition: Partition, first: int = 0, last: int | None = None):
        """Local: compare all pairs inside clusters whose later member stands at a position in [first, last)."""
        rows, starts, _ = partition
        last = len(rows) if last is None else last
        for start, stop in pairwise(starts.tolist()):
            for position in range(max(first, start), min(last, stop)):
                earlier = rows[start:position]
                self._compare(np.full(len(earlier), rows[position]), earlier)

    def star(self, partition: Partition) -> np.ndarray:
        """Local: compare the first row of each cluster with the others; returns the mask of columns that differ."""
        rows, starts, _ = partition
        first = np.repeat(rows[starts[:-1]], np.diff(starts))
        if not self.few:
            return self._compare(rows, first)
        masks, violated = bits.pack(self.matrix[rows] != self.matrix[first]), np.zeros(self.words, np.uint64)
        for mask in masks:
            if (mask & ~violated).any():
                self.add(mask[None])
            violated |= mask
        return violated


def needed_bytes(cardinality: int) -> int:
    """Local: bytes that hold the codes 0..cardinality - 1 of one column."""
    return 1 if cardinality <= 1 << 8 else 2 if cardinality <= 1 << 16 else 3 if cardinality <= 1 << 24 else 4


Evidence = PlainEvidence if _library is None else NativeEvidence
