"""Jaro-Winkler similarity of value numbers: short texts by a kernel, long ones and without it by rapidfuzz."""

import ctypes

import numpy as np
from rapidfuzz import process
from rapidfuzz.distance import JaroWinkler

from mpiedge.kernels import native
from mpiedge.kernels.cosine import Texts

ODD = "surrogatepass"  # halves of a character pair, left by a broken encoding


def _declare(library):
    size, address = ctypes.c_int64, ctypes.c_void_p
    library.mpiedge_jaro_winkler.restype = None
    library.mpiedge_jaro_winkler.argtypes = [address, address, address, address, size, address]
    return library


_library = _declare(native.library) if native.library is not None else None


def jaro_winkler(texts: Texts, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Local: float32 similarity of each pair of values (Winkler 1990; the bits of rapidfuzz)."""
    if _library is None:
        return jaro_winkler_plain(texts, a, b)
    a, b = np.ascontiguousarray(a, np.int32), np.ascontiguousarray(b, np.int32)
    similarity = np.empty(len(a), np.float32)
    _library.mpiedge_jaro_winkler(texts.text.ctypes.data, texts.offsets.ctypes.data, a.ctypes.data, b.ctypes.data,
                                  len(a), similarity.ctypes.data)
    long = np.flatnonzero(similarity < 0)
    if len(long):
        similarity[long] = jaro_winkler_plain(texts, a[long], b[long])
    return similarity


def jaro_winkler_plain(texts: Texts, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Local: `jaro_winkler` by rapidfuzz."""
    whole, offsets = memoryview(texts.text), texts.offsets
    one, other = ([str(whole[start:stop], "utf-8", ODD)
                   for start, stop in zip(offsets[side].tolist(), offsets[np.asarray(side) + 1].tolist())]
                  for side in (a, b))
    return process.cpdist(one, other, scorer=JaroWinkler.normalized_similarity, dtype=np.float32, workers=1)
