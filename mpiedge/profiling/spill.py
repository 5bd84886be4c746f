"""Arrays of one rank in a file of the scratch folder, written one after another and read back in parts."""

import mmap
import os
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mpiedge.errors import EnvironmentProblem
from mpiedge.store.parts import no_room


class Piece(NamedTuple):
    """Where an array lies in the file."""

    offset: int
    count: int
    dtype: np.dtype


class Spill:
    """A file without a name, made when it is first written to: it ends with this rank, however that ends."""

    def __init__(self, folder: Path | None = None):
        self.folder = Path(folder or tempfile.gettempdir())
        self._file = None
        self.nbytes = 0

    def append(self, array: np.ndarray) -> Piece:
        """Local: writes a one-dimensional array. Raises EnvironmentProblem when the folder has no room."""
        piece = Piece(self.nbytes, len(array), array.dtype)
        try:
            if self._file is None:
                self.folder.mkdir(parents=True, exist_ok=True)
                self._file = tempfile.TemporaryFile(dir=self.folder, buffering=0)  # noqa: SIM115 - as long as the spill
            data = memoryview(np.ascontiguousarray(array)).cast("B") if len(array) else b""
            while len(data):
                written = os.pwrite(self._file.fileno(), data, self.nbytes)
                data, self.nbytes = data[written:], self.nbytes + written
        except OSError as error:
            raise no_room(self.folder, array.nbytes, error, "--scratch") from error
        return piece

    def mapped(self, dtype) -> np.ndarray:
        """Local: all arrays that were written, which must have this dtype, as one array mapped from the file."""
        if not self.nbytes:
            return np.zeros(0, dtype)
        return np.frombuffer(mmap.mmap(self._file.fileno(), self.nbytes), dtype)

    def read(self, piece: Piece, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Local: items [start, stop) of an array that was written. Raises EnvironmentProblem."""
        stop = piece.count if stop is None else stop
        array = np.empty(stop - start, piece.dtype)
        view = memoryview(array).cast("B") if len(array) else b""
        offset = piece.offset + start * piece.dtype.itemsize
        while len(view):
            read = os.preadv(self._file.fileno(), [view], offset)
            if read == 0:
                raise EnvironmentProblem(self.folder, "a scratch file ends too early", "Check the disk")
            view, offset = view[read:], offset + read
        return array
