"""The E step of Fellegi-Sunter: how many matches are expected by column and level of agreement.

Every probability is rounded to a multiple of 2^-26 before it is added up. Sums of such numbers are exact in doubles for
up to 2^27 pairs, so they have the same bits in any order.
"""

import ctypes

import numpy as np

from mpiedge.kernels import native

LEVELS = 16  # room in the tables; missing cells are at the last
GRAIN = 2.0**26
PIECE = 65_536


def _declare(library):
    size, address = ctypes.c_int64, ctypes.c_void_p
    library.mpiedge_expectation.restype = None
    library.mpiedge_expectation.argtypes = [address, address, size, size, address, ctypes.c_double, address]
    return library


_library = _declare(native.library) if native.library is not None else None


def expected(levels: np.ndarray, counts: np.ndarray, ratio: np.ndarray, log_odds: float) -> np.ndarray:
    """Local: float64 (columns * LEVELS + 1,): expected matches by column and level, those of all columns at the end.

    levels: uint8 (columns, pairs); counts: int64 (pairs,) how often; ratio: float64 (columns, LEVELS) ln(m/u).
    """
    if _library is None:
        return expected_plain(levels, counts, ratio, log_odds)
    levels, counts = np.ascontiguousarray(levels, np.uint8), np.ascontiguousarray(counts, np.int64)
    ratio, sums = np.ascontiguousarray(ratio, np.float64), np.zeros(len(levels) * LEVELS + 1)
    _library.mpiedge_expectation(levels.ctypes.data, counts.ctypes.data, *levels.shape, ratio.ctypes.data, log_odds,
                                 sums.ctypes.data)
    return sums


def expected_plain(levels: np.ndarray, counts: np.ndarray, ratio: np.ndarray, log_odds: float) -> np.ndarray:
    """Local: `expected` by numpy."""
    sums = np.zeros(len(levels) * LEVELS + 1)
    for start in range(0, len(counts), PIECE):
        piece = np.minimum(levels[:, start:start + PIECE], LEVELS - 1)
        weight = log_odds + sum((row[level] for row, level in zip(ratio, piece)), np.zeros(piece.shape[1]))
        match = np.round(GRAIN / (1.0 + np.exp(-np.clip(weight, -500, 500)))) / GRAIN * counts[start:start + PIECE]
        sums += np.concatenate([*(np.bincount(level, match, LEVELS) for level in piece), [match.sum()]])
    return sums
