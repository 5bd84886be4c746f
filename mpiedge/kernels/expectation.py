"""The E step of Fellegi-Sunter: how many matches are expected by column and level of agreement.

Every probability is rounded to a multiple of 2^-26 before it is added up. Sums of such numbers are exact in doubles for
up to 2^27 pairs, so they have the same bits in any order. Levels are packed, two columns a byte, so that one look-up
finds the evidence of both.
"""

import ctypes

import numpy as np

from mpiedge.kernels import native

LEVELS = 16  # room in the tables; missing cells are at the last
GRAIN = 2.0**26
PIECE = 65_536


def _declare(library):
    size, address = ctypes.c_int64, ctypes.c_void_p
    library.mpiedge_pack_levels.restype = None
    library.mpiedge_pack_levels.argtypes = [address, size, size, size, address]
    library.mpiedge_expectation.restype = None
    library.mpiedge_expectation.argtypes = [address, address, size, size, size, address, ctypes.c_double, address]
    return library


_library = _declare(native.library) if native.library is not None else None


def pack(levels: np.ndarray) -> np.ndarray:
    """Local: uint8 levels (columns, pairs) as uint8 rows (pairs, a multiple of 8): two columns a byte, the first in the
    low bits; levels 0 and 1 are taken as one, all from LEVELS on as missing."""
    columns, pairs = levels.shape
    rows = np.zeros((pairs, -(-columns // 16) * 8), np.uint8)
    if _library is None:
        folded = np.clip(levels, 1, LEVELS - 1)
        rows[:, :-(-columns // 2)] = folded[0::2].T
        rows[:, :columns // 2] |= folded[1::2].T << 4
    else:
        levels = np.ascontiguousarray(levels, np.uint8)
        _library.mpiedge_pack_levels(levels.ctypes.data, columns, pairs, rows.shape[1], rows.ctypes.data)
    return rows


def expected(rows: np.ndarray, counts: np.ndarray, ratio: np.ndarray, log_odds: float) -> np.ndarray:
    """Local: float64 (columns * LEVELS + 1,): expected matches by column and level, and in all at the end.

    rows: as of `pack`; counts: int64 (pairs,) how often; ratio: float64 (columns, LEVELS) ln(m/u).
    """
    if _library is None:
        return expected_plain(rows, counts, ratio, log_odds)
    rows, counts = np.ascontiguousarray(rows, np.uint8), np.ascontiguousarray(counts, np.int64)
    evidence, sums = _evidence(ratio), np.zeros(ratio.size + 1)
    _library.mpiedge_expectation(rows.ctypes.data, counts.ctypes.data, len(ratio), *rows.shape, evidence.ctypes.data,
                                 log_odds, sums.ctypes.data)
    return sums


def expected_plain(rows: np.ndarray, counts: np.ndarray, ratio: np.ndarray, log_odds: float) -> np.ndarray:
    """Local: `expected` by numpy."""
    evidence, sums = _evidence(ratio), np.zeros(ratio.size + 1)
    for start in range(0, len(counts), PIECE):
        piece, weight = rows[start:start + PIECE], 0.0
        for byte, of_byte in enumerate(evidence):
            weight = weight + of_byte[piece[:, byte]]
        match = np.round(GRAIN / (1.0 + np.exp(-np.clip(weight + log_odds, -500, 500)))) / GRAIN
        match *= counts[start:start + PIECE]
        levels = (piece[:, column // 2] >> 4 * (column % 2) & (LEVELS - 1) for column in range(len(ratio)))
        sums += np.concatenate([*(np.bincount(level, match, LEVELS) for level in levels), [match.sum()]])
    return sums


def _evidence(ratio: np.ndarray) -> np.ndarray:
    """float64 (bytes, 256): the evidence of the two columns of each byte."""
    padded = np.zeros((-(-len(ratio) // 2) * 2, LEVELS))
    padded[:len(ratio)] = ratio
    return np.ascontiguousarray((padded[0::2, None, :] + padded[1::2, :, None]).reshape(-1, LEVELS * LEVELS))
