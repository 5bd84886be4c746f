"""The checksum that HDF5's filter fletcher32 puts behind a chunk (Fletcher 1982)."""

import ctypes

import numpy as np

from mpiedge.kernels import native


def _declare(library):
    library.mpiedge_fletcher32.restype = ctypes.c_uint32
    library.mpiedge_fletcher32.argtypes = [ctypes.c_char_p, ctypes.c_int64]
    return library


_library = _declare(native.library) if native.library is not None else None


def fletcher32(data: bytes) -> int:
    """Local: the checksum of any number of bytes, below 2^32."""
    return fletcher32_plain(data) if _library is None else _library.mpiedge_fletcher32(data, len(data))


def fletcher32_plain(data: bytes) -> int:
    """Local: `fletcher32` in plain numpy."""
    words = np.frombuffer(data + bytes(len(data) % 2), ">u2").astype(np.uint64)
    sums = int(words.sum()), int(words @ np.arange(len(words), 0, -1, dtype=np.uint64))
    low, high = ((one - 1) % 65535 + 1 if one else 0 for one in sums)  # sums are folded: only 0 becomes 0
    return high << 16 | low
