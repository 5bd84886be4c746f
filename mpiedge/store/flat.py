"""Rows of numbers in a file, read and written in ranges: what does not fit memory while a stage runs."""

import os
from pathlib import Path

import numpy as np

from mpiedge.store.parts import no_room


class FlatFile:
    """Rows of `width` numbers of one type, by their number, in a file of its own; rows that were never written are 0.

    Ranges may be read by one thread while another one reads or writes others.
    """

    def __init__(self, path: Path, dtype, width: int = 1):
        """Local: the file as it is; an empty one where there is none."""
        self.path, self.dtype, self.width = path, np.dtype(dtype), width
        self.row_bytes = self.dtype.itemsize * width
        self._file = open(path, "r+b" if path.exists() else "w+b", buffering=0)  # noqa: SIM115 (as long as this lives)

    def put(self, first: int, rows: np.ndarray) -> None:
        """Local: writes rows from number `first` on. Raises EnvironmentProblem: there is no room."""
        data = memoryview(np.ascontiguousarray(rows, self.dtype)).cast("B") if rows.size else memoryview(b"")
        start, done = first * self.row_bytes, 0
        try:
            while done < len(data):
                done += os.pwrite(self._file.fileno(), data[done:], start + done)
        except OSError as error:
            raise no_room(self.path, len(data), error, "--scratch") from error
        if hasattr(os, "posix_fadvise"):  # begin to write: else the kernel does when memory is short, and all wait
            os.posix_fadvise(self._file.fileno(), start, len(data), os.POSIX_FADV_DONTNEED)

    def get(self, first: int, stop: int) -> np.ndarray:
        """Local: the rows [first, stop), (stop - first, width)."""
        return self.read(first, np.zeros((stop - first, self.width), self.dtype))

    def read(self, first: int, rows: np.ndarray) -> np.ndarray:
        """Local: `rows`, contiguous zeros of this type, filled with those from number `first` on."""
        view, done = memoryview(rows.reshape(-1)).cast("B") if rows.size else memoryview(b""), 0
        while done < len(view):
            got = os.preadv(self._file.fileno(), [view[done:]], first * self.row_bytes + done)
            if not got:
                break
            done += got
        return rows

    def remove(self) -> None:
        """Local: the file is no longer needed."""
        self._file.close()
        self.path.unlink()
