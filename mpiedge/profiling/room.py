"""Where long lists of results lie: in memory as long as they take little of it, then in files that are mapped."""

import weakref
from pathlib import Path

import numpy as np

from mpiedge.runtime.shared import file_array, stored

ALWAYS = 1 << 16
"""Arrays of so many bytes lie in memory whatever else does."""


class Room:
    """Room for arrays of one rank.

    most_bytes: what arrays in memory may take together, None for any. folder: where the files of the others lie; they
    have no name and end with the arrays, and their pages are dropped by the kernel where memory is short.
    """

    def __init__(self, most_bytes: float | None = None, folder: Path | None = None):
        self.most_bytes, self.folder, self.held = most_bytes, folder, 0

    def empty(self, shape, dtype) -> np.ndarray:
        """Local: an array to be filled. Raises EnvironmentProblem where a file has no room."""
        array = np.empty(shape, dtype)  # takes no memory before it is written to
        return array if self._fits(array) else file_array(array.shape, array.dtype, self.folder)

    def keep(self, array: np.ndarray) -> np.ndarray:
        """Local: the array itself, or a copy of it in a file."""
        return array if self._fits(array) else stored(array, self.folder)

    def _fits(self, array: np.ndarray) -> bool:
        size = array.nbytes
        if self.most_bytes is None or self.folder is None or size <= ALWAYS:
            return True
        if self.held + size > self.most_bytes:
            return False
        self.held += size
        weakref.finalize(array, self._leave, size)
        return True

    def _leave(self, size: int) -> None:
        self.held -= size
