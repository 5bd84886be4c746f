"""The most frequent of many strings; compiled, with the plain version."""

import ctypes
import heapq

import numpy as np

from mpiedge.kernels import native


def _declare(library):
    pointer, size = ctypes.c_void_p, ctypes.c_int64
    library.mpiedge_most_frequent.restype = size
    library.mpiedge_most_frequent.argtypes = [*[pointer] * 3, size, size, *[pointer] * 2]
    return library


_library = _declare(native.library) if native.library is not None else None


def most_frequent(data: np.ndarray, length: np.ndarray, counts: np.ndarray, many: int) -> tuple[np.ndarray, np.ndarray]:
    """Local: the `many` strings with the largest counts (int64), of equal counts those that come first as bytes.

    The strings lie one after another (uint8, int32). Returns their numbers and where they start (int64), in that order.
    """
    if _library is None:
        return most_frequent_plain(data, length, counts, many)
    data, length = np.ascontiguousarray(data, np.uint8), np.ascontiguousarray(length, np.int32)
    counts, found = np.ascontiguousarray(counts, np.int64), np.empty((2, many), np.int64)
    held = _library.mpiedge_most_frequent(data.ctypes.data, length.ctypes.data, counts.ctypes.data, len(length), many,
                                          found[0].ctypes.data, found[1].ctypes.data)
    return found[0, :held], found[1, :held]


def most_frequent_plain(data, length, counts, many) -> tuple[np.ndarray, np.ndarray]:
    """Local: the plain version of `most_frequent`."""
    start = np.cumsum(length, dtype=np.int64) - length
    chosen = np.arange(len(counts))
    if len(counts) > many:
        chosen = np.flatnonzero(counts >= np.partition(counts, len(counts) - many)[-many])
    text = data.tobytes()
    strings = ((-counts[index], text[start[index] : start[index] + length[index]], index) for index in chosen.tolist())
    which = np.array([index for _, _, index in heapq.nsmallest(many, strings)], np.int64)
    return which, start[which]
