"""Sets of columns as rows of 64-bit words (bit c of the row = column c), and the ways in and out of them."""

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


def mask_of(members, columns: int) -> np.ndarray:
    """Local: one mask (words,) with the given columns set."""
    mask = np.zeros(words_for(columns), np.uint64)
    for column in members:
        mask[column >> 6] |= np.uint64(1) << np.uint64(column & 63)
    return mask


def order(masks: np.ndarray) -> np.ndarray:
    """Local: the permutation that sorts masks by size, then by value (last word most significant)."""
    sizes = np.bitwise_count(masks).sum(axis=1, dtype=np.int64)
    return np.lexsort((*masks.T, sizes))


def unique(masks: np.ndarray) -> np.ndarray:
    """Local: distinct masks, sorted by size, then by value."""
    if len(masks) < 2:
        return masks.copy()
    masks = masks[order(masks)]
    return masks[np.concatenate([[True], (masks[1:] != masks[:-1]).any(axis=1)])]
