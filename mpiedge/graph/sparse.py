"""Sparse rows (CSR) as three plain arrays, with the few operations that graphs and features need."""

from dataclasses import dataclass

import numpy as np


@dataclass
class SparseRows:
    """A sparse matrix by rows: row r holds `indices[indptr[r]:indptr[r + 1]]` with the values in `data`.

    indptr: int64 (rows + 1); indices: int32; data: float32 (float64 where a training is), or None where all are ones;
    columns: the width.
    """

    indptr: np.ndarray
    indices: np.ndarray
    data: np.ndarray
    columns: int

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.indptr) - 1

    @property
    def entries(self) -> int:
        """Number of stored entries."""
        return len(self.indices)

    @property
    def lengths(self) -> np.ndarray:
        """Entries of every row, int64."""
        return np.diff(self.indptr)

    @property
    def nbytes(self) -> int:
        """Bytes held by the three arrays."""
        return self.indptr.nbytes + self.indices.nbytes + self.data.nbytes

    def sound(self) -> bool:
        """Whether the three arrays fit together and every index is within the columns."""
        lengths_agree = self.indptr[0] == 0 and self.indptr[-1] == len(self.indices) == len(self.data)
        in_range = not len(self.indices) or 0 <= self.indices.min() <= self.indices.max() < self.columns
        return bool(lengths_agree and in_range and (np.diff(self.indptr) >= 0).all())

    def take(self, rows: np.ndarray) -> "SparseRows":
        """The given rows, in the given order."""
        indptr, positions = gather_positions(self.indptr, rows)
        return SparseRows(indptr, self.indices[positions], self.data[positions], self.columns)

    def head(self, rows: int) -> "SparseRows":
        """The first rows, in arrays of their own."""
        last = self.indptr[rows]
        arrays = self.indptr[: rows + 1], self.indices[:last], self.data[:last]
        return SparseRows(*(array.copy() for array in arrays), self.columns)

    def row_of_entry(self) -> np.ndarray:
        """The row number of every stored entry, int64."""
        return np.repeat(np.arange(self.rows, dtype=np.int64), np.diff(self.indptr))

    def transposed(self) -> "SparseRows":
        """The transpose, by rows."""
        order = np.argsort(self.indices, kind="stable")
        counts = np.bincount(self.indices, minlength=self.columns) if len(self.indices) else np.zeros(self.columns)
        data = None if self.data is None else self.data[order]
        return SparseRows(offsets(counts), self.row_of_entry()[order].astype(np.int32), data, self.rows)

    def normalised(self, order: int = 2) -> "SparseRows":
        """Every row divided by its length (order 2) or by the sum of its absolute values (order 1); empty rows stay."""
        rows = self.row_of_entry()
        totals = np.bincount(rows, weights=np.abs(self.data.astype(np.float64)) ** order, minlength=self.rows)
        totals[totals == 0] = 1.0
        scaled = (self.data / (totals ** (1 / order))[rows]).astype(np.float32)
        return SparseRows(self.indptr, self.indices, scaled, self.columns)

    def dense(self) -> np.ndarray:
        """The same matrix with its zeros, float32: for tests and tiny inputs only."""
        full = np.zeros((self.rows, self.columns), np.float32)
        np.add.at(full, (self.row_of_entry(), self.indices), self.data)
        return full


def empty(columns: int) -> SparseRows:
    """No rows."""
    return SparseRows(np.zeros(1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32), columns)


def stack(parts: list[SparseRows], columns: int) -> SparseRows:
    """Sparse rows of the same width on top of each other; without parts none."""
    if not parts:
        return empty(columns)
    lengths, indices, data = (np.concatenate([getattr(part, name) for part in parts])
                              for name in ("lengths", "indices", "data"))
    return SparseRows(offsets(lengths), indices, data, columns)


def offsets(counts: np.ndarray) -> np.ndarray:
    """Row offsets (int64, one more than `counts`) of rows with the given lengths."""
    indptr = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=indptr[1:])
    return indptr


def gather_positions(indptr: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Offsets of the chosen rows laid end to end, and the old position of each of their entries."""
    lengths = indptr[rows + 1] - indptr[rows]
    taken = offsets(lengths)
    positions = np.arange(taken[-1], dtype=np.int64) + np.repeat(indptr[rows] - taken[:-1], lengths)
    return taken, positions


def from_triplets(rows: np.ndarray, columns: np.ndarray, values: np.ndarray, shape: tuple[int, int]) -> SparseRows:
    """Sparse rows from unordered (row, column, value) entries: sorted, entries of one cell added, zeros dropped."""
    cells = np.asarray(rows, np.int64) * shape[1] + np.asarray(columns, np.int64)
    order = np.argsort(cells, kind="stable")
    cells, values = cells[order], np.asarray(values, np.float64)[order]
    starts = np.flatnonzero(np.concatenate([[True], cells[1:] != cells[:-1]])) if len(cells) else np.zeros(0, np.int64)
    totals = np.add.reduceat(values, starts) if len(cells) else values
    kept = totals != 0
    cells, totals = cells[starts][kept], totals[kept]
    width = max(shape[1], 1)
    return SparseRows(
        offsets(np.bincount(cells // width, minlength=shape[0])),
        (cells % width).astype(np.int32),
        totals.astype(np.float32),
        shape[1],
    )
