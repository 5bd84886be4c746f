"""The shapes of strings and their lengths in characters; compiled, with the plain versions."""

import ctypes

import numpy as np

from mpiedge.kernels import native

LONGEST = 40
"""Bytes of a pattern that are kept."""

UPPER, LOWER = ord("A"), ord("a")
CLASSES = np.arange(256, dtype=np.uint8)
CLASSES[:32] = ord(" ")
CLASSES[ord("A") : ord("Z") + 1] = UPPER
CLASSES[ord("a") : ord("z") + 1] = LOWER
CLASSES[ord("0") : ord("9") + 1] = ord("9")
CLASSES[128:] = LOWER


def _declare(library):
    pointer, size, byte = ctypes.c_void_p, ctypes.c_int64, ctypes.c_uint8
    library.mpiedge_text_patterns.restype = size
    library.mpiedge_text_patterns.argtypes = [pointer, pointer, size, pointer, byte, byte, ctypes.c_int32, pointer,
                                              pointer]
    library.mpiedge_text_characters.restype = None
    library.mpiedge_text_characters.argtypes = [pointer, size, pointer, pointer, size, pointer]
    return library


_library = _declare(native.library) if native.library is not None else None


def patterns(data: np.ndarray, length: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Local: the pattern of every string, cut to 40 bytes: text (uint8) and lengths (int32), as those of the strings.

    Letters become A or a (runs once), digits 9, control characters blanks."""
    if _library is None:
        return patterns_plain(data, length)
    data, length = np.ascontiguousarray(data, np.uint8), np.ascontiguousarray(length, np.int32)
    found, sizes = np.empty(len(data), np.uint8), np.empty(len(length), np.int32)
    used = _library.mpiedge_text_patterns(data.ctypes.data, length.ctypes.data, len(length), CLASSES.ctypes.data, UPPER,
                                          LOWER, LONGEST, found.ctypes.data, sizes.ctypes.data)
    return found[:used], sizes


def patterns_plain(data: np.ndarray, length: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Local: the plain version of `patterns`."""
    shapes, start = CLASSES[data], _starts(length)
    kept = np.ones(len(shapes), bool)
    kept[1:] = (shapes[1:] != shapes[:-1]) | ((shapes[1:] != UPPER) & (shapes[1:] != LOWER))
    kept[start[length > 0]] = True
    before = np.concatenate(([0], np.cumsum(kept, dtype=np.int64)))
    kept &= before[:-1] - np.repeat(before[start], length) < LONGEST
    sizes = np.minimum(before[start + length] - before[start], LONGEST).astype(np.int32)
    return shapes[kept], sizes


def characters(data: np.ndarray, length: np.ndarray, counts: np.ndarray) -> tuple[int, int, int]:
    """Local: how long UTF-8 strings, which lie one after another, are in characters: the shortest, the longest, and all
    together when each occurs `counts` (int64) times. There is at least one."""
    if _library is None:
        before = np.concatenate(([0], np.cumsum((data & 0xC0) != 0x80, dtype=np.int64)))
        found = before[_starts(length) + length] - before[_starts(length)]
        return int(found.min()), int(found.max()), int((found * counts).sum())
    data, length = np.ascontiguousarray(data, np.uint8), np.ascontiguousarray(length, np.int32)
    counts, found = np.ascontiguousarray(counts, np.int64), np.empty(3, np.int64)
    _library.mpiedge_text_characters(data.ctypes.data, len(data), length.ctypes.data, counts.ctypes.data, len(length),
                                     found.ctypes.data)
    return tuple(found.tolist())


def _starts(length: np.ndarray) -> np.ndarray:
    return np.cumsum(length, dtype=np.int64) - length
