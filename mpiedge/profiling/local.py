"""What one rank has read of a table: an id for every cell, and the strings that the ids of each column stand for.

Every column has one dictionary that lives over all blocks of the rank. When the dictionaries outgrow their allowance,
the strings of the largest go to scratch, sorted into buckets by hash, and it starts anew: the ids go on, so that a
string may have one id in each such generation, and merging (encode.py) unites them bucket by bucket. Where nearly all
cells of a column differ, it can be left to merging altogether: each cell has an id of its own.
"""

import mmap
from typing import NamedTuple

import numpy as np

from mpiedge.kernels import dictionary
from mpiedge.kernels.cells import Cells
from mpiedge.profiling.sketches import ColumnSketch
from mpiedge.profiling.spill import Piece, Spill
from mpiedge.profiling.texts import Texts

BUCKETS = 64
BUCKET_SHIFT = np.uint64(58)
"""The bits of a hash that choose its bucket; owners and hash tables use others."""

CHUNK_BYTES = 1 << 18
STRING_BYTES = 8
"""What a string takes on the way besides its text: its length, how often it occurs."""


class Generation(NamedTuple):
    """Strings in scratch, bucket by bucket: bucket b is strings [ends[b - 1], ends[b]), text [text_ends[b - 1], ...).

    The string at place i has the id first_id + places[i].
    """

    first_id: int
    data: Piece
    length: Piece
    places: Piece
    ends: np.ndarray
    text_ends: np.ndarray


class Ids:
    """The ids of a column's cells, block after block, in few large pieces of memory or in scratch."""

    def __init__(self, spill: Spill | None):
        self._spill = spill
        self._pieces: list[np.ndarray | Piece] = []
        self._room = np.zeros(0, np.uint8)
        self._used = 0
        self._blocks: list[tuple[int, int, int, int]] = []  # order, piece, start, items

    def append(self, order: int, ids: np.ndarray) -> None:
        """Local: the ids of a block."""
        if not len(ids):
            return
        if ids.dtype != self._room.dtype or self._used + len(ids) > len(self._room):
            self._close()
            room = max(CHUNK_BYTES, ids.nbytes)
            # Mapped, not from the heap: what is freed column by column then goes back to the system at once.
            memory = mmap.mmap(-1, room, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            self._room = np.frombuffer(memory, ids.dtype, room // ids.itemsize)
            self._pieces.append(self._room)
        self._room[self._used : self._used + len(ids)] = ids
        self._blocks.append((order, len(self._pieces) - 1, self._used, len(ids)))
        self._used += len(ids)

    def _close(self) -> None:
        if self._pieces and self._spill is not None:
            self._pieces[-1] = self._spill.append(self._room[: self._used])
        self._used = 0

    def __iter__(self):
        """Local: (order, ids) of every block, in the order they were read; each piece of scratch is read once."""
        known, piece = -1, None
        for order, number, start, items in self._blocks:
            if number != known:
                known, piece = number, self._pieces[number]
                piece = self._spill.read(piece) if isinstance(piece, Piece) else piece
            yield order, piece[start : start + items]


class LocalColumn:
    """One column of a LocalTable. compared: whether equal cells get one id. missing: its empty cells."""

    def __init__(self, spill: Spill | None, ids_spill: Spill | None, compared: bool = True):
        self._spill, self.compared = spill, compared
        self.dictionary = dictionary.new(compared)
        self.first_id = 0  # of the dictionary; the ids below stand for strings in scratch
        self.generations: list[Generation] = []
        self.ids = Ids(ids_spill)
        self.missing = 0
        self.text_bytes = 0  # of the generations

    def __len__(self) -> int:
        return self.first_id + len(self.dictionary)

    @property
    def string_bytes(self) -> int:
        """Bytes of the strings as they travel."""
        return self.text_bytes + self.dictionary.text_bytes + STRING_BYTES * len(self)

    def keep(self, order: int, ids: np.ndarray, missing: int) -> None:
        """Local: the ids (uint32) of a block as the dictionary gave them, and how many cells are empty."""
        self.missing += missing
        kind = np.min_scalar_type(max(len(self) - 1, 0))
        ids = ids.astype(kind)
        if self.first_id:
            ids += kind.type(self.first_id)
        self.ids.append(order, ids)

    def flush(self) -> None:
        """Local: the strings of the dictionary go to scratch."""
        if not len(self.dictionary):
            return
        data, length = self.dictionary.strings()
        texts = Texts(data, length)
        buckets = (dictionary.hashes(data, length) >> BUCKET_SHIFT).astype(np.uint8)
        places = np.argsort(buckets, kind="stable")
        ends = np.cumsum(np.bincount(buckets, minlength=BUCKETS))
        texts = texts.take(places)
        self.generations.append(Generation(
            self.first_id, self._spill.append(texts.data), self._spill.append(texts.length),
            self._spill.append(places.astype(np.uint32)), ends,
            np.concatenate(([0], np.cumsum(texts.length, dtype=np.int64)))[ends]))
        self.text_bytes += self.dictionary.text_bytes
        self.first_id += len(self.dictionary)
        self.dictionary = dictionary.new(self.compared)

    def strings(self, first: int, stop: int) -> list[tuple[Texts, np.ndarray | slice]]:
        """Local: the strings of buckets [first, stop) in parts, with their ids; what is in memory comes whole."""
        parts: list[tuple[Texts, np.ndarray | slice]] = []
        for one in self.generations:
            begin, end = (int(one.ends[bucket - 1]) if bucket else 0 for bucket in (first, stop))
            text_begin, text_end = (int(one.text_ends[bucket - 1]) if bucket else 0 for bucket in (first, stop))
            parts.append((Texts(self._spill.read(one.data, text_begin, text_end),
                                self._spill.read(one.length, begin, end)),
                          self._spill.read(one.places, begin, end).astype(np.int64) + one.first_id))
        if len(self.dictionary):
            parts.append((Texts(*self.dictionary.strings()), slice(self.first_id, len(self))))
        return parts


class SketchedColumn:
    """One column of a LocalTable of which only a sketch is kept; its dictionary is that of a block."""

    def __init__(self, may_be_numbers: bool):
        self.sketch = ColumnSketch(may_be_numbers)
        self.dictionary = dictionary.new()

    def keep(self, order: int, ids: np.ndarray, missing: int) -> None:
        """Local: as `LocalColumn.keep`."""
        self.sketch.add(order, Texts(*self.dictionary.strings()), ids)
        self.dictionary = dictionary.new()

    def flush(self) -> None:
        """Local: nothing is held between blocks."""


class LocalTable:
    """The blocks of a table that this rank has read.

    allowance_bytes: memory its dictionaries may take, None for any. spill: where the rest goes. spill_ids: the ids go
    to scratch as well. sketched: columns that are not kept, and whether they may hold numbers. different: columns whose
    cells nearly all differ, so that only the owners of the strings compare them. Attributes: columns: LocalColumn or
    SketchedColumn each; orders, rows: position and rows of the blocks.
    """

    def __init__(self, width: int, allowance_bytes: int | None = None, spill: Spill | None = None,
                 spill_ids: bool = False, sketched: dict[int, bool] | None = None,
                 different: frozenset[int] = frozenset()):
        self.spill = spill or Spill()
        self.allowance_bytes = allowance_bytes
        self.columns: list = [LocalColumn(self.spill, self.spill if spill_ids else None, column not in different)
                              for column in range(width)]
        for column, may_be_numbers in (sketched or {}).items():
            self.columns[column] = SketchedColumn(may_be_numbers)
        self.orders: list[int] = []
        self.rows: list[int] = []

    def add_cells(self, order: int, cells: Cells, null: bytes | None = None) -> None:
        """Local: a block of CSV cells; those equal to `null` become missing."""
        self._prepare(len(cells.data))
        ids, missing = dictionary.add_cells([column.dictionary for column in self.columns], cells, null)
        self._keep(order, len(cells.places), ids, missing)

    def add_arrays(self, order: int, arrays: list[np.ndarray], null: bytes | None = None) -> None:
        """Local: a block of typed columns: object arrays of str, int64, or float64 with NaN = missing.

        Numbers become canonical text, so that 3, 3.0 and "3" are equal.
        """
        every, missing = [], []
        for column, values in zip(self.columns, arrays):
            strings, places = _distinct(values)
            texts = Texts.of([b"" if string == null else string for string in strings])
            self._prepare(len(texts.data))
            ids = column.dictionary.add(texts.data, texts.length)[0][places]
            every.append(ids)
            missing.append(int(np.count_nonzero((texts.length == 0)[places])))
        self._keep(order, len(arrays[0]) if arrays else 0, every, missing)

    def _keep(self, order, rows, ids, missing) -> None:
        self.orders.append(order)
        self.rows.append(rows)
        for column, own, empty in zip(self.columns, ids, missing):
            column.keep(order, own, empty)
        self.heed_allowance()

    def _prepare(self, text_bytes: int) -> None:
        """Local: no dictionary holds more text than its 32-bit places reach."""
        for column in self.columns:
            if column.dictionary.text_bytes + text_bytes > dictionary.MOST_BYTES:
                column.flush()

    def take_sketches(self) -> dict[int, ColumnSketch]:
        """Local: the sketches of columns that are not kept, by their place; `columns` has the others from now on."""
        sketches = {place: column.sketch for place, column in enumerate(self.columns)
                    if isinstance(column, SketchedColumn)}
        self.columns = [column for place, column in enumerate(self.columns) if place not in sketches]
        return sketches

    @property
    def dictionary_bytes(self) -> int:
        """Memory of the dictionaries."""
        return sum(column.dictionary.nbytes for column in self.columns)

    def heed_allowance(self) -> None:
        """Local: flushes the largest dictionaries until half the allowance is free."""
        if self.allowance_bytes is None or (held := self.dictionary_bytes) <= self.allowance_bytes:
            return
        for column in sorted(self.columns, key=lambda column: -column.dictionary.nbytes):
            if held <= self.allowance_bytes // 2:
                break
            held -= column.dictionary.nbytes
            column.flush()


def _distinct(values: np.ndarray) -> tuple[list[bytes], np.ndarray]:
    """Local: the distinct values as text, and the place of each row's among them."""
    if values.dtype == object:
        known: dict = {}
        places = np.fromiter((known.setdefault(value, len(known)) for value in values.tolist()), np.int64, len(values))
        return [value.encode("utf-8", "surrogatepass") for value in known], places
    numbers, places = np.unique(values, return_inverse=True)
    return [canonical_number(number) for number in numbers.tolist()], places


def canonical_number(number: int | float) -> bytes:
    """The text of a number: integers without a fraction, others as short as they can be read back; NaN is empty."""
    if isinstance(number, float):
        if number != number:
            return b""
        if number.is_integer() and abs(number) < 2.0**63:
            number = int(number)
    return repr(number).encode()
