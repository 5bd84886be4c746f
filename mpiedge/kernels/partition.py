"""Stripped partitions: the clusters of at least two rows that agree on a set of columns; with the plain versions."""

import ctypes
from typing import NamedTuple

import numpy as np

from mpiedge.kernels import native
from mpiedge.kernels.codes import count


class Partition(NamedTuple):
    """Clusters of rows: `rows` int32 one after the other, `starts` int32 (clusters + 1), and how many `pairs`."""

    rows: np.ndarray
    starts: np.ndarray
    pairs: int

    @property
    def nbytes(self) -> int:
        """Bytes of both arrays."""
        return self.rows.nbytes + self.starts.nbytes


def _declare(library):
    address, size, narrow = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int32
    library.partition_renumber.restype = size
    library.partition_renumber.argtypes = [address, size, address, address, size]
    library.partition_select.restype = size
    library.partition_select.argtypes = [address, narrow, size, ctypes.c_uint32, ctypes.c_uint32, address, address]
    library.partition_single.restype = size
    library.partition_single.argtypes = [address, narrow, size, address, size] + [address] * 3
    library.partition_refine.restype = size
    library.partition_refine.argtypes = [address, address, size, address, narrow] + [address] * 6
    return library


_library = _declare(native.library) if native.library is not None else None


def narrow(codes: np.ndarray, cardinality: int) -> np.ndarray:
    """Local: the codes as contiguous uint8, uint16 or uint32, whichever just holds `cardinality` values (a copy only if
    needed)."""
    kind = np.uint8 if cardinality <= 256 else np.uint16 if cardinality <= 65536 else np.uint32
    if codes.dtype == np.int32 and kind is np.uint32:
        return np.ascontiguousarray(codes).view(np.uint32)
    return np.ascontiguousarray(codes.astype(kind, copy=False))


def compact(codes: np.ndarray, cardinality: int) -> tuple[np.ndarray, int]:
    """Local: codes of some rows and their cardinality, numbered anew where most values are gone."""
    if cardinality > 2 * len(codes) + 256:
        codes, cardinality = renumber(codes, cardinality)
    return narrow(codes, cardinality), cardinality


def whole(rows: int) -> Partition:
    """Local: the partition of the empty set of columns: all rows in one cluster."""
    return Partition(np.arange(rows, dtype=np.int32), np.array([0, rows], np.int32), rows * (rows - 1) // 2)


def unsigned(codes: np.ndarray, cardinality: int) -> np.ndarray:
    """Local: the codes as uint8, uint16 or uint32, as they are where that needs no copy."""
    if codes.dtype.itemsize <= 4 and codes.flags.c_contiguous and codes.dtype.isnative:
        return codes.view(f"u{codes.dtype.itemsize}")
    return narrow(codes, cardinality)


def renumber(codes: np.ndarray, cardinality: int) -> tuple[np.ndarray, int]:
    """Local: the codes numbered anew without gaps, in their order, as uint32, and how many there are."""
    if _library is None:
        values, codes = np.unique(codes, return_inverse=True)
        return codes.astype(np.uint32), len(values)
    codes = codes.astype(np.uint32)
    words = cardinality // 64 + 1
    present, before = np.zeros(words, np.uint64), np.empty(words, np.uint32)
    distinct = _library.partition_renumber(codes.ctypes.data, len(codes), present.ctypes.data, before.ctypes.data,
                                           words)
    return codes, distinct


def single(codes: np.ndarray, cardinality: int, given: np.ndarray | None = None) -> Partition:
    """Local: the partition of one column; clusters by code, rows ascending; given: the rows (int32) that have the
    codes, where these are not 0, 1, 2, ..."""
    counts = count(codes, cardinality)
    sizes = counts[counts > 1].astype(np.int64)
    pairs = int((sizes * (sizes - 1) // 2).sum())
    if _library is None:
        keep = counts[codes] > 1
        rows = (np.flatnonzero(keep) if given is None else given[keep]).astype(np.int32)
        rows = rows[np.argsort(codes[keep], kind="stable")]
        return Partition(rows, np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32), pairs)
    rows, starts = np.empty(int(sizes.sum()), np.int32), np.empty(len(sizes) + 1, np.int32)
    _library.partition_single(codes.ctypes.data, codes.itemsize, len(codes), counts.ctypes.data, cardinality,
                              given if given is None else given.ctypes.data, rows.ctypes.data, starts.ctypes.data)
    return Partition(rows, starts, pairs)


def part(codes: np.ndarray, first: int, last: int) -> Partition:
    """Local: those clusters of `single` whose codes are in [first, last), in the time of a look at all codes."""
    if last <= first:
        return Partition(np.empty(0, np.int32), np.zeros(1, np.int32), 0)
    if _library is None:
        rows = np.flatnonzero((codes >= first) & (codes < last)).astype(np.int32)
        found = codes[rows].astype(np.int64) - first
    else:
        rows, found = np.empty(len(codes), np.int32), np.empty(len(codes), codes.dtype)
        kept = _library.partition_select(codes.ctypes.data, codes.itemsize, len(codes), first, last - first,
                                         rows.ctypes.data, found.ctypes.data)
        rows, found = rows[:kept], found[:kept]
    return single(found, last - first, rows)


def clusters(partition: Partition, first: int, last: int) -> Partition:
    """Local: the clusters [first, last) of a partition."""
    rows, starts, _ = partition
    starts = starts[first : last + 1]
    sizes = np.diff(starts).astype(np.int64)
    return Partition(rows[starts[0] : starts[-1]], starts - starts[0], int((sizes * (sizes - 1) // 2).sum()))


def join(parts: list[Partition]) -> Partition:
    """Local: the clusters of several partitions, one after the other."""
    sizes = [np.diff(part.starts) for part in parts]
    return Partition(np.concatenate([part.rows for part in parts]),
                     np.concatenate([[0], *sizes]).cumsum().astype(np.int32), sum(part.pairs for part in parts))


def refine(partition: Partition, codes: np.ndarray, cardinality: int) -> Partition:
    """Local: split every cluster by one more column."""
    if _library is None:
        return refine_plain(partition, codes)
    rows, starts, _ = partition
    largest = int(np.diff(starts).max(initial=0))
    counts = np.zeros(cardinality, np.int32)
    touched, row_codes = np.empty(largest, np.int32), np.empty(largest, np.int32)
    rows_out, starts_out = np.empty(len(rows), np.int32), np.empty(len(rows) // 2 + 1, np.int32)
    pairs = np.zeros(1, np.int64)
    clusters = _library.partition_refine(
        rows.ctypes.data, starts.ctypes.data, len(starts) - 1, codes.ctypes.data, codes.itemsize, counts.ctypes.data,
        touched.ctypes.data, row_codes.ctypes.data, rows_out.ctypes.data, starts_out.ctypes.data, pairs.ctypes.data)
    kept = int(starts_out[clusters])
    rows_out.resize(kept, refcheck=False)  # in place: what is cut off goes back to the system
    starts_out.resize(clusters + 1, refcheck=False)
    return Partition(rows_out, starts_out, int(pairs[0]))


def refine_by_all(partition: Partition, codes: list[np.ndarray]) -> Partition:
    """Local: split every cluster by several more columns at once, for a few rows; clusters come in another order."""
    cluster = np.repeat(np.arange(len(partition.starts) - 1), np.diff(partition.starts))
    cells = np.stack([cluster, *[column[partition.rows] for column in codes]])
    order = np.lexsort(cells)
    cells = cells[:, order]
    group = np.zeros(len(order), np.int64)
    group[order[1:]] = np.cumsum((cells[:, 1:] != cells[:, :-1]).any(axis=0))
    return _regrouped(partition.rows, group)


def refine_plain(partition: Partition, codes: np.ndarray) -> Partition:
    """Local: the plain version of `refine`; clusters come in another order."""
    rows, starts, _ = partition
    cluster = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    cells = cluster * (int(codes.max(initial=0)) + 1) + codes[rows].astype(np.int64)
    return _regrouped(rows, np.unique(cells, return_inverse=True)[1])


def _regrouped(rows: np.ndarray, group: np.ndarray) -> Partition:
    """Local: the clusters of at least two rows that have the same number."""
    sizes = np.bincount(group)
    keep = sizes[group] > 1
    rows = rows[keep][np.argsort(group[keep], kind="stable")]
    sizes = sizes[sizes > 1].astype(np.int64)
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
    return Partition(rows, starts, int((sizes * (sizes - 1) // 2).sum()))
