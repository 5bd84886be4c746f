"""Room for arrays that may be larger than memory: small ones lie in memory, large ones in mapped files without a name.

The system keeps those pages of a mapped file that are in use and drops the others when memory gets scarce. Pages
that this process has touched still count as its own, so it lets go of them itself before they exceed its budget.
"""

import contextlib
import mmap
import os
import tempfile

import numpy as np

from mpiedge.errors import EnvironmentProblem
from mpiedge.runtime import resources
from mpiedge.runtime.shared import leave_to_kernel, shared_array

MAPPED_BYTES, MAPPED_SHARE = 24 << 20, 1 / 12  # bytes, and share of the budget, from which an array leaves memory
FULL = 0.85  # share of the budget from which mapped pages are given back
ROUND_BYTES, ROUND_SHARE, MOST_ROUND = 6 << 20, 1 / 64, 24 << 20  # of what goes to every rank at once
SPARE_BYTES = 16 << 20  # pages let in before they are given back again, where the rest alone fills the budget


def mapped_bytes(budget_bytes: int) -> int:
    """Local: the size from which an array lies in a mapped file."""
    return min(MAPPED_BYTES, int(MAPPED_SHARE * budget_bytes))


def runs(sizes: list[int], most: float) -> list[tuple[int, int]]:
    """Local: runs (first, last + 1) of items whose sizes add up to `most` at most, or of one item."""
    found, first, held = [], 0, 0
    for number, size in enumerate(sizes):
        if number > first and held + size > most:
            found.append((first, number))
            first, held = number, 0
        held += size
    return [*found, (first, len(sizes))] if len(sizes) > first else found


class Room:
    """Makes the arrays of one search and gives their pages back when this rank holds too much."""

    def __init__(self, stage):
        access = getattr(stage, "access", None)
        self.folder = str(access.scratch) if access is not None and access.sees_run else tempfile.gettempdir()
        self.mapped_bytes = mapped_bytes(stage.budget_bytes)
        self.round_bytes = min(max(ROUND_BYTES, ROUND_SHARE * stage.budget_bytes), MOST_ROUND)
        self._full = self._most = FULL * stage.budget_bytes
        self._maps: list[mmap.mmap] = []
        self._together: list[np.ndarray] = []

    def array(self, shape: tuple[int, ...], dtype) -> np.ndarray:
        """Local: an array without content."""
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        if size < self.mapped_bytes or not size:
            return np.empty(shape, dtype)
        with self.open() as file:
            self._call(os.posix_fallocate, file.fileno(), 0, size)
            return self.mapped(file, dtype).reshape(shape)

    def together(self, world, shape: tuple[int, ...], dtype) -> np.ndarray:
        """Collective: an array of zeros that the ranks of a host hold together (`shared_array`)."""
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        mapped = size >= self.mapped_bytes
        array = shared_array(world, shape, dtype, folder=self.folder if mapped else None)
        if mapped:
            self._together.append(array)
        return array

    def copy(self, array: np.ndarray, columns: list[int]) -> np.ndarray:
        """Local: some columns of a matrix."""
        result = self.array((len(array), len(columns)), array.dtype)
        for start in range(0, len(array), 65_536):
            result[start:start + 65_536] = array[start:start + 65_536, columns]
        return result

    def file(self, dtype) -> "Growing":
        """Local: an array that grows at its end."""
        return Growing(self, dtype)

    def open(self):
        """Local: a new file that nobody else sees and that is gone when it is closed."""
        self._call(os.makedirs, self.folder, exist_ok=True)
        return self._call(tempfile.TemporaryFile, dir=self.folder)

    def mapped(self, file, dtype) -> np.ndarray:
        """Local: the content of a file."""
        mapping = self._call(mmap.mmap, file.fileno(), 0)
        self._maps.append(mapping)
        return np.frombuffer(mapping, dtype)

    def relax(self) -> None:
        """Local: gives mapped pages back when this rank comes near its budget; their content stays in the files."""
        if (self._maps or self._together) and resources.current_rss_bytes() > self._full:
            self.give_back()
            self._full = max(self._most, resources.current_rss_bytes() + SPARE_BYTES)

    def give_back(self) -> None:
        """Local: gives all mapped pages back."""
        for mapping in self._maps:
            mapping.madvise(mmap.MADV_DONTNEED)
        for array in self._together:
            leave_to_kernel(array)

    def _call(self, call, *arguments, **options):
        try:
            return call(*arguments, **options)
        except OSError as error:
            raise EnvironmentProblem(self.folder, error.strerror or str(error),
                                     "Free space or choose another folder with --scratch") from error


class Growing:
    """An array that is written from its beginning to its end and then read; in memory while it is small."""

    def __init__(self, room: Room, dtype):
        self.room, self.dtype, self.length = room, np.dtype(dtype), 0
        self._parts: list[np.ndarray] = []
        self._file = None

    def write(self, items: np.ndarray) -> None:
        """Local: adds items at the end."""
        items = np.ascontiguousarray(items, self.dtype)
        self.length += len(items)
        if self._file is not None:
            self.room._call(self._file.write, items.data)
            return
        self._parts.append(items)
        if self.length * self.dtype.itemsize >= self.room.mapped_bytes:
            self._file = self.room.open()
            for part in self._parts:
                self.room._call(self._file.write, part.data)
            self._parts.clear()

    def cut(self, length: int) -> None:
        """Local: forgets all items from `length` on."""
        if self._file is None:
            self._parts = [np.concatenate([np.zeros(0, self.dtype), *self._parts])[:length]]
        else:
            self._file.flush()
            self._file.truncate(length * self.dtype.itemsize)
            self._file.seek(0, os.SEEK_END)
        self.length = length

    def array(self) -> np.ndarray:
        """Local: all items; nothing can be written afterwards."""
        if self._file is None or not self.length:  # an empty file cannot be mapped
            whole = np.concatenate([np.zeros(0, self.dtype), *self._parts])
            self._parts.clear()
            return whole
        with contextlib.closing(self._file):
            self.room._call(self._file.flush)
            return self.room.mapped(self._file, self.dtype)
