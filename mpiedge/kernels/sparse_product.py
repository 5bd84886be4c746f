"""Sparse rows times a dense matrix, with dropout decided by a hash of each entry."""

import ctypes
from dataclasses import dataclass

import numpy as np

from mpiedge.kernels import native

GOLDEN = np.uint32(0x9E3779B9)
NAMES = {np.dtype(np.float32): "", np.dtype(np.float64): "_double"}  # what ends the names of kernels by their numbers
NEAR_BYTES = 1 << 20
"""A dense matrix up to this size is taken to lie near the processor: asking for its rows ahead would only cost."""


@dataclass(frozen=True)
class Dropout:
    """Which entries of a matrix X are dropped: each with `probability` (below 1), decided by its row's key and column.

    keys: uint32, one per row of X.
    """

    probability: float
    keys: np.ndarray

    @classmethod
    def of(cls, probability: float, names: np.ndarray, *place: int) -> "Dropout":
        """Dropout of rows whose global numbers are `names` (int64), drawn from whole numbers such as (seed, epoch)."""
        key_a, key_b = np.random.SeedSequence(list(place)).generate_state(2)
        if _library is None:
            return cls(probability, row_keys_plain(names, key_a, key_b))
        keys = np.empty(len(names), np.uint32)
        _library.mpiedge_row_keys(len(names), names.ctypes.data, int(key_a), int(key_b), keys.ctypes.data)
        return cls(probability, keys)

    @property
    def threshold(self) -> int:
        """Hashes below it drop their entry; at least 1, as 0 would mean no dropout at all."""
        return max(1, min(int(self.probability * 2**32), 2**32 - 1))

    @property
    def scale(self) -> float:
        """What kept entries are multiplied with, so that the expectation stays."""
        return 1.0 / (1.0 - self.probability)


def product(rows, dense, out=None, targets=None, scale=None, dropout: Dropout | None = None, part=slice(None)):
    """Local: adds rows times dense to `out` (zeros if not given) and returns it.

    rows: anything with indptr (int64), indices (int32) and data (None for ones); dense: float32 or float64, and so are
    all other numbers (floats beside doubles are left to scipy). targets: int64, the row of `out` that each sparse row
    is added to; scale: factors of the rows of `out`.
    part: a range of sparse rows, for those who do other things in between (not together with targets or dropout).
    """
    indptr = rows.indptr[part.start : None if part.stop is None else part.stop + 1]
    if out is None:
        out = np.zeros((len(rows.indptr) - 1, dense.shape[1]), dense.dtype)
    into, scale = out[part], None if scale is None else scale[part]
    dense = np.ascontiguousarray(dense)
    if not _multiply(indptr, rows, dense, into, targets, scale, dropout, dense.nbytes, back=False):
        product_plain(indptr, rows.indices, rows.data, dense, into, targets, scale, dropout)
    return out


def product_back(rows, dense, out, sources=None, dropout: Dropout | None = None):
    """Local: adds the transpose of rows times dense to `out` and returns it; arguments as of `product`.

    sources: int64, the row of `dense` that each sparse row goes with; dropout: of the sparse rows, not their transpose.
    """
    dense = np.ascontiguousarray(dense)
    if not _multiply(rows.indptr, rows, dense, out, sources, None, dropout, out.nbytes, back=True):
        taken = dense if sources is None else dense[sources]
        out += _matrix(rows.indptr, rows.indices, rows.data, dropout, len(out), dense.dtype).T @ taken
    return out


def _multiply(indptr, rows, dense, out, places, scale, dropout, reached: int, back: bool) -> bool:
    """Local: what both products have in common; False where it is left to scipy. reached: bytes that column numbers
    point into."""
    if dense.dtype not in NAMES or out.dtype != dense.dtype or dense.ndim != 2 or not out.flags.c_contiguous:
        raise ValueError("the dense matrix does not fit the sparse one")
    alike = all(array is None or array.dtype == dense.dtype for array in (rows.data, scale))
    if not alike and dense.dtype == np.float32:
        raise ValueError("the dense matrix is less exact than the sparse one")
    if _library is None or not alike:
        return False
    drop = (dropout.keys.ctypes.data, dropout.threshold, dropout.scale) if dropout else (None, 0, 1)
    _kernel("sparse_product", dense.dtype)(
        len(indptr) - 1, dense.shape[1], indptr.ctypes.data, rows.indices.ctypes.data, _address(rows.data),
        dense.ctypes.data, out.ctypes.data, _address(places), _address(scale), *drop, reached > NEAR_BYTES, back)
    return True


def add_pairs(pairs: np.ndarray, bits: int, dense: np.ndarray, out: np.ndarray) -> None:
    """Local: for every pair (uint32) adds the row of `dense` that its lower `bits` name to the row of `out` that the
    others name; both contiguous, of one type, float32 or float64."""
    contiguous = dense.flags.c_contiguous and out.flags.c_contiguous
    if dense.dtype not in NAMES or out.dtype != dense.dtype or dense.shape[1] != out.shape[1] or not contiguous:
        raise ValueError("the dense matrices do not fit each other")
    if _library is None:
        add_pairs_plain(pairs, bits, dense, out)
        return
    _kernel("add_pairs", dense.dtype)(len(pairs), dense.shape[1], pairs.ctypes.data, bits, dense.ctypes.data,
                                      out.ctypes.data)


def relu_dropout(rows: np.ndarray, dropout: Dropout) -> np.ndarray:
    """Local: what is positive in dense rows and kept by dropout, times `dropout.scale`, else 0; a new array."""
    rows = np.ascontiguousarray(rows)
    if _library is None:
        return relu_dropout_plain(rows, dropout)
    out = np.empty_like(rows)
    _kernel("relu_dropout", rows.dtype)(*rows.shape, dropout.keys.ctypes.data, rows.ctypes.data, out.ctypes.data,
                                        dropout.threshold, dropout.scale)
    return out


def relu_dropout_back(outcome: np.ndarray, gradient: np.ndarray, dropout: Dropout) -> np.ndarray:
    """Local: the gradient of the rows that `relu_dropout` was given, from that of its outcome; a new array."""
    gradient = np.array(gradient, order="C")
    if _library is None:
        gradient *= (outcome != 0) * gradient.dtype.type(dropout.scale)
        return gradient
    _kernel("relu_dropout_back", gradient.dtype)(gradient.size, outcome.ctypes.data, gradient.ctypes.data,
                                                 dropout.scale)
    return gradient


def product_plain(indptr, indices, values, dense, out, targets=None, scale=None, dropout=None) -> None:
    """`product` with scipy, for hosts without the compiled kernels and as the oracle of the tests."""
    places = slice(None) if targets is None else targets
    out[places] += _matrix(indptr, indices, values, dropout, len(dense), dense.dtype) @ dense
    if scale is not None:
        out[places] *= scale[places, None]


def add_pairs_plain(pairs: np.ndarray, bits: int, dense: np.ndarray, out: np.ndarray) -> None:
    """`add_pairs` in numpy."""
    np.add.at(out, pairs >> np.uint32(bits), dense[pairs & np.uint32((1 << bits) - 1)])


def _matrix(indptr, indices, values, dropout, columns: int, dtype):
    """The sparse rows as scipy has them, without what is dropped."""
    from scipy.sparse import csr_array

    taken = slice(indptr[0], indptr[-1])
    indices = indices[taken]
    values = np.ones(len(indices), dtype) if values is None else values[taken]
    if dropout:
        rows = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
        kept = _kept(dropout.keys[rows], indices, dropout)
        values = np.where(kept, values * dtype.type(dropout.scale), values.dtype.type(0))
    return csr_array((values, indices, indptr - indptr[0]), shape=(len(indptr) - 1, columns))


def row_keys_plain(names: np.ndarray, key_a: int, key_b: int) -> np.ndarray:
    """The key of every row in numpy."""
    low, high = names.astype(np.uint32), (names >> 32).astype(np.uint32)
    return _mix(_mix(low ^ np.uint32(key_a)) ^ high ^ np.uint32(key_b))


def relu_dropout_plain(rows: np.ndarray, dropout: Dropout) -> np.ndarray:
    """`relu_dropout` in numpy."""
    kept = _kept(dropout.keys[:, None], np.arange(rows.shape[1], dtype=np.int32)[None, :], dropout)
    return np.where(kept, np.maximum(rows, 0) * rows.dtype.type(dropout.scale), rows.dtype.type(0))


def _kept(keys: np.ndarray, columns: np.ndarray, dropout: Dropout) -> np.ndarray:
    return _mix(keys ^ columns.astype(np.uint32) * GOLDEN) >= np.uint32(dropout.threshold)


def _mix(x: np.ndarray) -> np.ndarray:
    """A bijective 32-bit mixer of low bias (Wellons 2018)."""
    x = x ^ (x >> np.uint32(16))
    x = x * np.uint32(0x7FEB352D)
    x = x ^ (x >> np.uint32(15))
    x = x * np.uint32(0x846CA68B)
    return x ^ (x >> np.uint32(16))


def _address(array: np.ndarray | None) -> int | None:
    return None if array is None else array.ctypes.data


def _kernel(name: str, dtype: np.dtype):
    return getattr(_library, f"mpiedge_{name}{NAMES[dtype]}")


def _declare(library):
    pointer, size, key, flag = ctypes.c_void_p, ctypes.c_int64, ctypes.c_uint32, ctypes.c_int
    library.mpiedge_row_keys.argtypes = [size, pointer, key, key, pointer]
    library.mpiedge_row_keys.restype = None
    for ending, real in (("", ctypes.c_float), ("_double", ctypes.c_double)):
        for name, arguments in (("sparse_product", [size, size, *[pointer] * 8, key, real, flag, flag]),
                                ("add_pairs", [size, size, pointer, ctypes.c_int32, pointer, pointer]),
                                ("relu_dropout", [size, size, *[pointer] * 3, key, real]),
                                ("relu_dropout_back", [size, pointer, pointer, real])):
            function = getattr(library, f"mpiedge_{name}{ending}")
            function.argtypes, function.restype = arguments, None
    return library


_library = _declare(native.library) if native.library is not None else None
