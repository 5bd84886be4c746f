"""Rows to remove until columns determine another, and the sets that stay above a limit; with the plain versions."""

import ctypes

import numpy as np

from mpiedge.kernels import native, partition
from mpiedge.kernels.partition import Partition


def _declare(library):
    address, size, narrow = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int32
    library.removals_count.restype = size
    library.removals_count.argtypes = [address, address, size, address, narrow, address, size]
    library.removals_extend.restype = size
    library.removals_extend.argtypes = [address, address, address, address, address, size, size, size, narrow, size,
                                        address, size, narrow, *[address] * 7]
    return library


STEP_ROWS = 1 << 18
"""Rows that a step of `Removals.extend` looks at: 3 to 6 ms of work."""

_library = _declare(native.library) if native.library is not None else None


class Removals:
    """Counts removals over one table; codes: one array per column, narrow; cardinality: of each.

    order: the columns that `extend` may add, in the order it tries them.
    """

    def __init__(self, codes: list[np.ndarray], cardinality: list[int], order: list[int], words: int):
        self.codes, self.order, self.words = codes, np.array(order, np.int32), words
        self.cardinality = cardinality
        if _library is None:
            return
        rows = len(codes[0]) if codes else 0
        self._count = np.zeros(max(cardinality, default=0), np.int32)
        self._touched, self._row_codes = np.empty(rows, np.int32), np.empty(rows, np.int32)
        self._space = [np.empty(rows if at % 2 == 0 else rows // 2 + 1, np.int32) for at in range(4)]
        self._addresses = np.array([array.ctypes.data for array in codes], np.uintp)
        self._itemsizes = np.array([array.itemsize for array in codes], np.int32)
        self._space_addresses = np.array([array.ctypes.data for array in self._space], np.uintp)
        self._taken = np.empty(words, np.uint64)

    def count(self, node: Partition, right: int, limit: int) -> int:
        """Local: rows to remove until the columns of `node` determine column `right`; any number above `limit` means
        more than `limit`."""
        if _library is None:
            return removals_plain(node, self.codes[right])
        codes = self.codes[right]
        return _library.removals_count(node.rows.ctypes.data, node.starts.ctypes.data, len(node.starts) - 1,
                                       codes.ctypes.data, codes.itemsize, self._count.ctypes.data, limit)

    def extend(self, node: Partition, mask: np.ndarray, right: int, limit: int, known: np.ndarray):
        """Local: a generator, step by step: adds to `mask` (words,) columns until it is a largest set that needs more
        than `limit` removals to determine `right`. Each is run to its end before the next is begun.

        node: the partition of `mask`, which must be such a set; known: sets (k, words) known not to be.
        """
        if _library is None:
            yield from self._extend_plain(node, mask, right, limit, known)
            return
        known, place = np.ascontiguousarray(known), 0
        held = np.array([-1, len(node.starts) - 1], np.int64)
        while place < len(self.order):
            place = _library.removals_extend(
                node.rows.ctypes.data, node.starts.ctypes.data, self._addresses.ctypes.data,
                self._itemsizes.ctypes.data, self.order.ctypes.data, len(self.order), place, STEP_ROWS, right, limit,
                known.ctypes.data, len(known), self.words, self._count.ctypes.data, self._touched.ctypes.data,
                self._row_codes.ctypes.data, self._space_addresses.ctypes.data, held.ctypes.data,
                self._taken.ctypes.data, mask.ctypes.data)
            yield

    def _extend_plain(self, node, mask, right, limit, known):
        for column in self.order.tolist():
            bit = np.uint64(1) << np.uint64(column & 63)
            if column == right or mask[column >> 6] & bit:
                continue
            wider = mask.copy()
            wider[column >> 6] |= bit
            if len(known) and not (known & ~wider).any(axis=1).all():
                continue
            refined = partition.refine(node, self.codes[column], self.cardinality[column])
            if removals_plain(refined, self.codes[right]) > limit:
                node, mask[:] = refined, wider
            yield


def removals_plain(node: Partition, codes: np.ndarray) -> int:
    """Local: the plain version of `Removals.count`, without a limit."""
    sizes = np.diff(node.starts).astype(np.int64)
    cluster = np.repeat(np.arange(len(sizes)), sizes)
    pairs, times = np.unique(cluster * (int(codes.max(initial=0)) + 1) + codes[node.rows].astype(np.int64),
                             return_counts=True)
    most = np.zeros(len(sizes), np.int64)
    np.maximum.at(most, pairs // (int(codes.max(initial=0)) + 1), times)
    return int((sizes - most).sum())
