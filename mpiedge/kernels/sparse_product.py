"""Sparse rows times a dense matrix, and their transpose times one, with dropout decided by a hash of each entry."""

import ctypes
from dataclasses import dataclass

import numpy as np

from mpiedge.kernels import native

GOLDEN = np.uint32(0x9E3779B9)


@dataclass(frozen=True)
class Dropout:
    """Which entries are dropped: each with `probability` (below 1), decided by two 32-bit keys and its place."""

    probability: float
    key_a: int
    key_b: int

    @classmethod
    def of(cls, probability: float, *place: int) -> "Dropout":
        """Dropout with keys drawn from whole numbers such as (seed, epoch, layer)."""
        key_a, key_b = np.random.SeedSequence(list(place)).generate_state(2)
        return cls(probability, int(key_a), int(key_b))

    @property
    def threshold(self) -> int:
        """Hashes below it drop their entry; at least 1, as 0 would mean no dropout at all."""
        return max(1, min(int(self.probability * 2**32), 2**32 - 1))

    @property
    def scale(self) -> float:
        """What kept entries are multiplied with, so that the expectation stays."""
        return 1.0 / (1.0 - self.probability)


def product(indptr, indices, values, dense, names=None, dropout: Dropout | None = None) -> np.ndarray:
    """Local: X dense, float32 (rows x width).

    X: indptr int64, indices int32, values float32 or None for ones. dense: float32, contiguous. names: int64, global
    numbers of X's rows, needed for dropout only.
    """
    out = np.zeros((len(indptr) - 1, dense.shape[1]), np.float32)
    return _multiply(0, indptr, indices, values, dense, out, names, dropout)


def product_transposed(indptr, indices, values, dense, columns, names=None, dropout: Dropout | None = None):
    """Local: transpose(X) dense, float32 (columns x width), with the entries of X that `product` drops dropped too."""
    out = np.zeros((columns, dense.shape[1]), np.float32)
    return _multiply(1, indptr, indices, values, dense, out, names, dropout)


def dropout_mask(names: np.ndarray, width: int, dropout: Dropout) -> np.ndarray:
    """Local: float32 (rows x width), 0 where an entry of a dense matrix is dropped, else `dropout.scale`."""
    if _library is None:
        return dropout_mask_plain(names, width, dropout)
    out = np.empty((len(names), width), np.float32)
    _library.mpiedge_dropout_mask(len(names), width, names.ctypes.data, out.ctypes.data, dropout.key_a, dropout.key_b,
                                  dropout.threshold, dropout.scale)
    return out


def _multiply(transposed, indptr, indices, values, dense, out, names, dropout):
    if len(dense) != (len(indptr) - 1 if transposed else len(dense)) or dense.dtype != np.float32:
        raise ValueError("the dense matrix does not fit the sparse one")
    dense = np.ascontiguousarray(dense)
    if _library is None:
        return _multiply_plain(transposed, indptr, indices, values, dense, out, names, dropout)
    keys = (dropout.key_a, dropout.key_b, dropout.threshold, dropout.scale) if dropout else (0, 0, 0, 1.0)
    _library.mpiedge_sparse_product(
        transposed, len(indptr) - 1, dense.shape[1], indptr.ctypes.data, indices.ctypes.data,
        None if values is None else values.ctypes.data, dense.ctypes.data, out.ctypes.data,
        None if names is None else names.ctypes.data, *keys)
    return out


def _multiply_plain(transposed, indptr, indices, values, dense, out, names, dropout):
    """The same with scipy, for hosts without the compiled kernels and as the oracle of the tests."""
    from scipy.sparse import csr_array

    values = np.ones(len(indices), np.float32) if values is None else values
    if dropout:
        rows = np.repeat(names, np.diff(indptr))
        values = np.where(_kept(rows, indices, dropout), values * np.float32(dropout.scale), np.float32(0))
    matrix = csr_array((values, indices, indptr), shape=(len(indptr) - 1, len(out) if transposed else len(dense)))
    out += (matrix.T if transposed else matrix) @ dense
    return out


def dropout_mask_plain(names: np.ndarray, width: int, dropout: Dropout) -> np.ndarray:
    """`dropout_mask` in numpy."""
    kept = _kept(names[:, None], np.arange(width, dtype=np.int32)[None, :], dropout)
    return np.where(kept, np.float32(dropout.scale), np.float32(0))


def _kept(names: np.ndarray, columns: np.ndarray, dropout: Dropout) -> np.ndarray:
    low, high = names.astype(np.uint32), (names >> 32).astype(np.uint32)
    key = _mix(_mix(low ^ np.uint32(dropout.key_a)) ^ high ^ np.uint32(dropout.key_b))
    return _mix(key ^ columns.astype(np.uint32) * GOLDEN) >= np.uint32(dropout.threshold)


def _mix(x: np.ndarray) -> np.ndarray:
    """A bijective 32-bit mixer of low bias (Wellons 2018)."""
    x = x ^ (x >> np.uint32(16))
    x = x * np.uint32(0x7FEB352D)
    x = x ^ (x >> np.uint32(15))
    x = x * np.uint32(0x846CA68B)
    return x ^ (x >> np.uint32(16))


def _declare(library):
    pointer, size, key = ctypes.c_void_p, ctypes.c_int64, ctypes.c_uint32
    keys = [key, key, key, ctypes.c_float]
    library.mpiedge_sparse_product.argtypes = [ctypes.c_int, size, size, *[pointer] * 6, *keys]
    library.mpiedge_sparse_product.restype = None
    library.mpiedge_dropout_mask.argtypes = [size, size, pointer, pointer, *keys]
    library.mpiedge_dropout_mask.restype = None
    return library


_library = _declare(native.library) if native.library is not None else None
