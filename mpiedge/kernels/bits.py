"""Sets of columns as rows of 64-bit words (bit c of the row = column c), and the ways in and out of them."""

import ctypes
from itertools import pairwise

import numpy as np

from mpiedge.kernels import native


def _declare(library):
    address, size, narrow = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int32
    library.bits_order.restype = None
    library.bits_order.argtypes = [address, size] + [narrow] * 2 + [address] * 3
    library.bits_counts.restype, library.bits_counts.argtypes = None, [address, size, narrow, address]
    return library


_library = _declare(native.library) if native.library is not None else None


def words_for(columns: int) -> int:
    """Local: number of 64-bit words that hold one bit per column."""
    return max(1, -(-columns // 64))


def pack(members: np.ndarray) -> np.ndarray:
    """Local: boolean matrix (k, columns) to masks (k, words) uint64."""
    count, columns = members.shape
    words = words_for(columns)
    octets = np.zeros((count, 8 * words), np.uint8)
    if columns:
        packed = np.packbits(members, axis=1, bitorder="little")
        octets[:, : packed.shape[1]] = packed
    return octets.view("<u8").astype(np.uint64, copy=False)


def unpack(masks: np.ndarray, columns: int) -> np.ndarray:
    """Local: masks (k, words) to a boolean matrix (k, columns)."""
    octets = np.ascontiguousarray(masks.astype("<u8", copy=False)).view(np.uint8)
    return np.unpackbits(octets, axis=1, count=columns, bitorder="little").astype(bool)


def members(masks: np.ndarray, columns: int) -> list[tuple[int, ...]]:
    """Local: the columns of each mask (k, words) as tuples of ascending numbers."""
    which, column = np.nonzero(unpack(masks, columns))
    edges, column = np.searchsorted(which, np.arange(len(masks) + 1)).tolist(), column.tolist()
    return [tuple(column[start:stop]) for start, stop in pairwise(edges)]


def mask_of(members, columns: int) -> np.ndarray:
    """Local: one mask (words,) with the given columns set."""
    mask = np.zeros(words_for(columns), np.uint64)
    for column in members:
        mask[column >> 6] |= np.uint64(1) << np.uint64(column & 63)
    return mask


def nonempty(masks: np.ndarray) -> np.ndarray:
    """Local: which rows of (k, words) hold any bit, bool (k,)."""
    return masks[:, 0] != 0 if masks.shape[1] == 1 else masks.any(axis=1)


def sizes(masks: np.ndarray) -> np.ndarray:
    """Local: members per mask, (k,)."""
    counts = np.bitwise_count(masks)
    return counts[:, 0] if masks.shape[1] == 1 else counts.sum(axis=1, dtype=np.int32)


def counts(masks: np.ndarray) -> np.ndarray:
    """Local: how many of the masks (k, words) hold each column, int64 (64 words,)."""
    columns = 64 * masks.shape[1]
    if _library is None:
        return unpack(masks, columns).sum(axis=0)
    masks, result = np.ascontiguousarray(masks), np.zeros(columns, np.int64)
    _library.bits_counts(masks.ctypes.data, *masks.shape, result.ctypes.data)
    return result


def first_of_equals(masks: np.ndarray) -> np.ndarray:
    """Local: for sorted masks, which are the first of their kind, bool (k,)."""
    first = np.ones(len(masks), bool)
    first[1:] = nonempty(masks[1:] ^ masks[:-1])
    return first


def order(masks: np.ndarray, by_columns: bool = False) -> np.ndarray:
    """Local: the permutation that sorts masks by size, then by value (last word most significant) or, with
    `by_columns`, by their ascending columns; equal masks stay in their order."""
    if _library is None:
        return order_plain(masks, by_columns)
    masks = np.ascontiguousarray(masks, np.uint64)
    starts, items = np.zeros(64 * masks.shape[1] + 3, np.int64), np.empty((2 * len(masks), 2), np.uint64)
    result = np.empty(len(masks), np.int64)
    _library.bits_order(masks.ctypes.data, *masks.shape, int(by_columns), starts.ctypes.data, items.ctypes.data,
                        result.ctypes.data)
    return result


def order_plain(masks: np.ndarray, by_columns: bool = False) -> np.ndarray:
    """Local: the plain version of `order`."""
    keys = masks.T
    if by_columns:
        keys = np.packbits(~unpack(masks, 64 * masks.shape[1]), axis=1).T[::-1]
    return np.lexsort((*keys, sizes(masks)))


def unique(masks: np.ndarray) -> np.ndarray:
    """Local: distinct masks, sorted by size, then by value."""
    if len(masks) < 2:
        return masks.copy()
    masks = masks[order(masks)]
    return masks[first_of_equals(masks)]


def absent(masks: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Local: which of the distinct masks are none of the distinct `known` ones, bool (k,)."""
    if not len(known):
        return np.ones(len(masks), bool)
    together = np.concatenate([known, masks])
    at = order(together)
    new = np.empty(len(together), bool)
    new[at] = first_of_equals(together[at])
    return new[len(known) :]
