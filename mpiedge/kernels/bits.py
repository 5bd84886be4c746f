"""Sets of columns as rows of 64-bit words (bit c of the row = column c), and the ways in and out of them."""

from itertools import pairwise

import numpy as np


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


def first_of_equals(masks: np.ndarray) -> np.ndarray:
    """Local: for sorted masks, which are the first of their kind, bool (k,)."""
    first = np.ones(len(masks), bool)
    first[1:] = nonempty(masks[1:] ^ masks[:-1])
    return first


def order(masks: np.ndarray) -> np.ndarray:
    """Local: the permutation that sorts masks by size, then by value (last word most significant)."""
    return np.lexsort((*masks.T, sizes(masks)))


def unique(masks: np.ndarray) -> np.ndarray:
    """Local: distinct masks, sorted by size, then by value."""
    if len(masks) < 2:
        return masks.copy()
    masks = masks[order(masks)]
    return masks[first_of_equals(masks)]
