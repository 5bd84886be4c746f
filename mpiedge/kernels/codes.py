"""Codes of all columns of a table in one call: bounds, which rows agree, the order of rows; with the plain versions."""

import ctypes
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from mpiedge.kernels import native

BLOCKS = 128
"""Of the codes of a column, in whose counts a node is cut into parts of about one size."""

CALL_CELLS = 1 << 24
"""Looked at in a call, or one column: signals are heard between two calls."""


def _declare(library):
    address, size, narrow = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int32
    signatures = {
        "bounds": [address, address, size, size, address, address],
        "count": [address, narrow, size, address, size],
        "agreement": [address, address, address, size, size, size, address, address, address],
        "order": [address, address, address, size, size, address, address, address],
    }
    for name, arguments in signatures.items():
        function = getattr(library, "codes_" + name)
        function.restype, function.argtypes = None, arguments
    return library


_library = _declare(native.library) if native.library is not None else None


class Agreement(NamedTuple):
    """Of some columns: `largest`, int64 (columns,): rows with the most frequent code; `by_block`, int64 (columns,
    BLOCKS, 2): pairs of rows that agree, and rows that agree with another, by block of codes (see `block_edges`)."""

    largest: np.ndarray
    by_block: np.ndarray


def block_edges(cardinality: int) -> list[int]:
    """Local: block b holds the codes from number b of these to number b + 1 of these."""
    return [block * cardinality // BLOCKS for block in range(BLOCKS + 1)]


def bounds(codes: list[np.ndarray]) -> tuple[list[int], list[int]]:
    """Local: the smallest and the largest code of each column; 0 without rows. codes: of any integer type."""
    if not codes or not len(codes[0]):
        return [0] * len(codes), [0] * len(codes)
    if _library is None or not all(map(_plain, codes)):
        return [int(array.min()) for array in codes], [int(array.max()) for array in codes]
    kinds = np.array([-array.itemsize if array.dtype.kind == "i" else array.itemsize for array in codes], np.int32)
    smallest, largest = np.empty(len(codes), np.int64), np.empty(len(codes), np.int64)
    for part in _calls(codes):
        addresses = _addresses(codes[part])
        _library.codes_bounds(addresses.ctypes.data, kinds[part].ctypes.data, len(addresses), len(codes[0]),
                              smallest[part].ctypes.data, largest[part].ctypes.data)
    return smallest.tolist(), largest.tolist()


def count(codes: np.ndarray, cardinality: int, counts: np.ndarray | None = None) -> np.ndarray:
    """Local: how often each code occurs, int32 (cardinality,), added to `counts` if given. codes: not negative."""
    counts = np.zeros(cardinality, np.int32) if counts is None else counts
    if _library is None or codes.itemsize > 4:
        counts += np.bincount(codes, minlength=cardinality).astype(np.int32)
    else:
        _library.codes_count(codes.ctypes.data, codes.itemsize, len(codes), counts.ctypes.data, cardinality)
    return counts


def agreement(codes: list[np.ndarray], cardinality: list[int]) -> Agreement:
    """Local: how many rows agree in each of some columns. codes: unsigned, of up to 4 bytes, contiguous."""
    largest, by_block = np.zeros(len(codes), np.int64), np.zeros((len(codes), BLOCKS, 2), np.int64)
    if _library is None:
        for column, (array, values) in enumerate(zip(codes, cardinality)):
            counts = count(array, values)
            largest[column] = counts.max(initial=0)
            for block, (first, last) in zip(by_block[column], pairwise(block_edges(values))):
                sizes = counts[first:last].astype(np.int64)
                block[:] = (sizes * (sizes - 1)).sum() // 2, sizes[sizes > 1].sum()
    elif codes:
        room = np.empty(max(cardinality), np.int32)
        for part in _calls(codes):
            addresses, sizes, values = _table(codes[part], cardinality[part])
            _library.codes_agreement(addresses.ctypes.data, sizes.ctypes.data, values.ctypes.data, len(addresses),
                                     len(codes[0]), BLOCKS, room.ctypes.data, largest[part].ctypes.data,
                                     by_block[part].ctypes.data)
    return Agreement(largest, by_block)


def row_order(codes: list[np.ndarray], cardinality: list[int]) -> np.ndarray:
    """Local: the numbers (int32) of the rows in lexicographic order, the last column counting most; rows that are equal
    stay in their order. codes: as of `agreement`, of at least one column."""
    if _library is None:
        return np.lexsort(codes).astype(np.int32)
    addresses, sizes, values = _table(codes, cardinality)
    room, result, other = (np.empty(size, np.int32) for size in (max(cardinality), len(codes[0]), len(codes[0])))
    _library.codes_order(addresses.ctypes.data, sizes.ctypes.data, values.ctypes.data, len(codes), len(codes[0]),
                         room.ctypes.data, result.ctypes.data, other.ctypes.data)
    return result


def _plain(codes: np.ndarray) -> bool:
    """Local: whether the kernels can read a column as it lies in memory."""
    return codes.flags.c_contiguous and codes.flags.aligned and codes.dtype.isnative and codes.dtype != np.uint64


def _calls(codes: list[np.ndarray]) -> list[slice]:
    """Local: the columns of each call."""
    step = max(1, CALL_CELLS // max(1, len(codes[0])))
    return [slice(first, first + step) for first in range(0, len(codes), step)]


def _addresses(codes: list[np.ndarray]) -> np.ndarray:
    return np.array([array.__array_interface__["data"][0] for array in codes], np.uintp)


def _table(codes: list[np.ndarray], cardinality: list[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Local: what the kernels are told of some columns: addresses, bytes of a code, cardinalities."""
    return _addresses(codes), np.array([array.itemsize for array in codes], np.int32), np.array(cardinality, np.int64)
