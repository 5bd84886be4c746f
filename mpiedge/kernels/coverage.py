"""How much of one record's words another record covers, near-equal words counting as partners."""

import ctypes
from dataclasses import dataclass

import numpy as np

from mpiedge.kernels import native


@dataclass(frozen=True)
class Words:
    """Records as sets of words: indptr int64 (records + 1,), words int32; weight float64 per word of the vocabulary;
    partners of a word w: partner int32 and strength float32 at start[w]..start[w + 1] (int64), itself with 1."""

    indptr: np.ndarray
    words: np.ndarray
    weight: np.ndarray
    start: np.ndarray
    partner: np.ndarray
    strength: np.ndarray


def _declare(library):
    size, address = ctypes.c_int64, ctypes.c_void_p
    library.mpiedge_coverage.restype = ctypes.c_int
    library.mpiedge_coverage.argtypes = [*[address] * 6, size, address, address, size, address]
    return library


_library = _declare(native.library) if native.library is not None else None


def coverage(words: Words, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Local: float64 share of the weight of record a[p]'s words that have a partner among those of record b[p].

    The strengths of a word's partners add up to 1 at most; 0 for a record without words.
    """
    if _library is None:
        return coverage_plain(words, a, b)
    a, b = np.ascontiguousarray(a, np.int32), np.ascontiguousarray(b, np.int32)
    covered = np.empty(len(a))
    arrays = (words.indptr, words.words, words.start, words.partner, words.strength, words.weight)
    if _library.mpiedge_coverage(*(array.ctypes.data for array in arrays), len(words.weight), a.ctypes.data,
                                 b.ctypes.data, len(a), covered.ctypes.data):
        raise MemoryError("comparing words")
    return covered


def coverage_plain(words: Words, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Local: `coverage` in plain Python."""
    covered = np.empty(len(a))
    for p, (left, right) in enumerate(zip(a, b)):
        present = set(words.words[words.indptr[right]:words.indptr[right + 1]].tolist())
        whole = found = 0.0
        for word in words.words[words.indptr[left]:words.indptr[left + 1]].tolist():
            total = 0.0
            for k in range(words.start[word], words.start[word + 1]):
                if int(words.partner[k]) in present:
                    total += float(words.strength[k])
            whole += float(words.weight[word])
            found += float(words.weight[word]) * min(total, 1.0)
        covered[p] = found / whole if whole > 0 else 0.0
    return covered
