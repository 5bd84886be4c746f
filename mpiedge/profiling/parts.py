"""Some of a table's rows in memory, and how the rows of a table are cut into such parts by the values of columns."""

import numpy as np

from mpiedge.kernels import partition
from mpiedge.kernels.codes import count
from mpiedge.profiling.evidence import COMPACT, TableEvidence
from mpiedge.profiling.needs import BINS, SLICE_ROWS


class Part:
    """Some rows of a table in memory: their codes by active column, numbered anew where they are sparse."""

    def __init__(self, table: TableEvidence, codes: dict[int, np.ndarray]):
        self.codes, self.cardinality = {}, {}
        for column in list(codes):
            self.codes[column], self.cardinality[column] = partition.compact(codes.pop(column),
                                                                             table.cardinality[column])
        self.table, self.rows = table, len(next(iter(self.codes.values())))
        self.evidence = table.make_evidence(self.codes, self.cardinality)
        if table.few:
            self.evidence.keep_few()
        self.evidence.add(table.sets)
        self._known = self.evidence.count

    def deliver(self):
        """Local: hand what was found to the table."""
        self.table.evidence.add(self.evidence.masks(self._known))
        self._known = self.evidence.count
        self.table.compact()

    def relieve(self) -> bool:
        """Local: when much was found, hand it over and keep the minimal sets; True if they were renumbered."""
        if self.evidence.count - self._known < COMPACT:
            return False
        self.deliver()
        self.table.settle()
        self.evidence.reset()
        self.evidence.add(self.table.sets)
        self._known = self.evidence.count
        return True


class Grouping:
    """A cut of the rows into parts such that rows that agree on `columns` are in one part.

    A row's bin is the value of a single column (neighbouring values together where they are many), or a hash of the
    values of several. edges: (parts, 2) ranges of bins; sizes: rows of each part; heavy: bins with more than `most`
    rows, which are in no part.
    """

    def __init__(self, table: TableEvidence, columns: tuple[int, ...], most: int):
        self.columns, self._table = columns, table
        self._shift = 0
        while len(columns) == 1 and table.cardinality[columns[0]] >> self._shift > BINS:
            self._shift += 1
        hash_bits = min(BINS.bit_length() - 1, 2 + table.rows.bit_length())
        self.bins = (table.cardinality[columns[0]] - 1 >> self._shift) + 1 if len(columns) == 1 else 1 << hash_bits
        self._drop_bits = np.uint64(64 - hash_bits)
        counts = np.zeros(self.bins, np.int32)
        for _, _, bins in self.slices():
            count(bins, self.bins, counts)
        self.largest, self.heavy = int(counts.max()), np.flatnonzero(counts > most)
        counts[self.heavy] = 0
        ends = np.cumsum(counts, dtype=np.int64)
        total = int(ends[-1])
        target = max(int(counts.max()), -(-total // max(1, -(-total // most))))
        edges, before = [0], 0
        while edges[-1] < self.bins and total > before:
            edges.append(max(edges[-1] + 1, int(np.searchsorted(ends, before + target, side="right"))))
            before = int(ends[edges[-1] - 1])
        self.edges = np.column_stack([edges[:-1], edges[1:]]).tolist() if len(edges) > 1 else []
        self.sizes = np.diff(np.concatenate([[0], ends[np.array(edges[1:], np.int64) - 1]])).tolist()

    def of(self, start: int, stop: int) -> np.ndarray:
        """Local: the bins of rows [start, stop), as unsigned integers."""
        codes = [self._table.codes[column][start:stop] for column in self.columns]
        if len(codes) == 1:
            return np.ascontiguousarray(codes[0] >> self._shift if self._shift else codes[0])
        key = np.zeros(stop - start, np.uint64)
        for one in codes:
            key = (key ^ one) * np.uint64(0x9E3779B97F4A7C15)
            key ^= key >> np.uint64(29)
        return ((key * np.uint64(0xD6E8FEB86659FD93)) >> self._drop_bits).astype(np.uint32)

    def slices(self):
        """Local: a generator of (start, stop, their bins) over all rows."""
        for start in range(0, self._table.rows, SLICE_ROWS):
            stop = min(start + SLICE_ROWS, self._table.rows)
            yield start, stop, self.of(start, stop)

    def load(self, number: int):
        """Local: a generator that yields None between slices and returns the Part of that number."""
        (low, high), rows = self.edges[number], self.sizes[number]
        codes = {column: np.empty(rows, array.dtype) for column, array in self._table.codes.items()}
        at = 0
        for start, stop, bins in self.slices():
            # Heavy bins have no rows in a part, wherever they lie.
            inside = (bins >= low) & (bins < high)
            if len(self.heavy):
                inside &= ~np.isin(bins, self.heavy)
            chosen = np.flatnonzero(inside)
            for column, target in codes.items():
                np.take(self._table.codes[column][start:stop], chosen, out=target[at : at + len(chosen)], mode="clip")
            at += len(chosen)
            yield None
        return Part(self._table, codes)
