"""Whether a text is another one with words shortened (J. Smith) or left out (Smith)."""

import ctypes

import numpy as np

from mpiedge.kernels import native
from mpiedge.kernels.cosine import Texts

APART, SHORTENED, LEFT_OUT = 0, 1, 2
LEAST_WHOLE = 4  # bytes of the words that are equal, where others are left out


def _declare(library):
    size, address = ctypes.c_int64, ctypes.c_void_p
    library.mpiedge_shortened.restype = None
    library.mpiedge_shortened.argtypes = [address, address, address, address, size, size, address]
    return library


_library = _declare(native.library) if native.library is not None else None


def shortened(texts: Texts, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Local: uint8 kind of each pair of different values: SHORTENED, if one has as many words and each is a word of the
    other or its beginning; LEFT_OUT, if it has fewer; else APART. The order of words counts; digits are not shortened.
    """
    if _library is None:
        return shortened_plain(texts, a, b)
    a, b = np.ascontiguousarray(a, np.int64), np.ascontiguousarray(b, np.int64)
    kind = np.empty(len(a), np.uint8)
    _library.mpiedge_shortened(texts.text.ctypes.data, texts.offsets.ctypes.data, a.ctypes.data, b.ctypes.data, len(a),
                               LEAST_WHOLE, kind.ctypes.data)
    return kind


def shortened_plain(texts: Texts, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Local: `shortened` in plain Python."""
    def words(value):
        text = texts.text[texts.offsets[value]:texts.offsets[value + 1]].tobytes()
        return text.split(b" ") if text else []

    kind = np.empty(len(a), np.uint8)
    for p, (one, other) in enumerate(zip(a.tolist(), b.tolist())):
        few, many = sorted((words(one), words(other)), key=len)
        if len(few) == len(many):
            pairs = list(zip(few, many))
            whole = (all(_stands_for(x, y) for x, y in pairs) or all(_stands_for(y, x) for x, y in pairs))
            kind[p] = SHORTENED if whole else APART
        else:
            kind[p] = LEFT_OUT if _stands_in(few, many) else APART
    return kind


def _stands_in(few: list[bytes], many: list[bytes]) -> bool:
    left, whole = iter(many), 0
    for word in few:
        other = next((other for other in left if _stands_for(word, other)), None)
        if other is None:
            return False
        whole += len(word) if word == other else 0
    return whole >= LEAST_WHOLE


def _stands_for(word: bytes, other: bytes) -> bool:
    if word == other:
        return bool(word)
    if len(word) != len(other):
        word = word.removesuffix(b".")
    return (bool(word) and not word[:1].isdigit() and other.startswith(word)
            and other[len(word):len(word) + 1].decode("latin-1") not in map(chr, range(0x80, 0xC0)))
