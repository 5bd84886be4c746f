"""Memory of a file that processes share, in huge pages where the system gives some (Linux 6.1 and later)."""

import ctypes
import errno
import os

import numpy as np

from mpiedge.kernels import native


def _declare(library):
    address, size, narrow = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int32
    library.pages_map.restype, library.pages_map.argtypes = address, [narrow, size]
    library.pages_take.restype, library.pages_take.argtypes = narrow, [address, size, size]
    library.pages_next.restype, library.pages_next.argtypes = size, [address]
    for function in (library.pages_unmap, library.pages_leave):
        function.restype, function.argtypes = None, [address, size]
    return library


_library = _declare(native.library) if native.library is not None else None


class Pages:
    """`size` bytes of an open file of memory, mapped to be read and written; `np.asarray` gives them as uint8 (size,).

    They are unmapped with the last array of them. Raises OSError where the system does not map them so.
    """

    def __init__(self, file: int, size: int):
        self.size = size
        self.address = _library.pages_map(file, size) if _library is not None else None
        if self.address is None:
            raise OSError("the system does not map memory at huge pages")

    def __del__(self):
        if self.address is not None:
            _library.pages_unmap(self.address, self.size)

    @property
    def __array_interface__(self) -> dict:
        return {"version": 3, "shape": (self.size,), "typestr": "|u1", "data": (self.address, False)}

    def take(self, begin: int, end: int) -> bool:
        """Local: takes memory for the pages that begin in [begin, end); False where the system cannot.

        Raises OSError: there is no room."""
        error = _library.pages_take(self.address, begin, end)
        if error and error != errno.EINVAL:
            raise OSError(error, os.strerror(error))
        return not error

    def leave(self) -> None:
        """Local: the pages need not be mapped, and do not count as this process's memory, until touched again."""
        _library.pages_leave(self.address, self.size)


def next_number(counter: np.ndarray) -> int:
    """Local: the number (int64) that stands first in a shared array, which grows by one: no two processes get the same.

    Needs the compiled kernels (`can_count`)."""
    return _library.pages_next(counter.ctypes.data)


def can_count() -> bool:
    """Local: whether `next_number` works here."""
    return _library is not None
