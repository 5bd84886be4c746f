"""A search that may end early: when to stop, agreed by all ranks, and the facts to go on with later."""

import time
import zipfile
import zlib
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from mpiedge.errors import InputError, StoreError


class Stop:
    """Whether a search is to end early, asked between its slices.

    deadline: seconds from now, or a function () -> bool asked on this rank (such as: was Ctrl-C pressed); None: never.
    Given on every rank or on none. A rank that is to stop tells the others by a letter while they share a queue; what
    all do about it is agreed on by `agreed`, at the end of each step, so no rank leaves a step that another goes on
    with. A step that is ended early computes nothing more: its tasks return at once, on every rank they are stolen to.
    """

    def __init__(self, deadline=None, world=None, queue=None):
        self.asked = deadline is not None
        self.reached = self._told = False
        self._world, self._mail = world, queue.mail if queue is not None and self.asked else None
        if deadline is None or callable(deadline):
            self._ask = deadline
        else:
            end_s = time.monotonic() + deadline
            self._ask = lambda: time.monotonic() >= end_s
        if self._mail is not None:
            self._mail.handle("stop", self._hear)

    def _hear(self, source: int, message) -> None:
        self.reached = self._told = True

    def __call__(self) -> bool:
        """Local: whether this rank knows that the search is to end."""
        if self.asked and not self.reached:
            self.reached = bool(self._ask())
        return self.reached

    def tell(self) -> bool:
        """Local, in a task of a queue: as calling it, and the other ranks are told (once, by those not told yet)."""
        if self() and not self._told and self._mail is not None:
            self._told = True
            for other in range(self._world.size):
                if other != self._world.rank:
                    self._mail.send(other, "stop")
        return self.reached

    def agreed(self) -> bool:
        """Collective: whether any rank is to stop; then all do."""
        self()
        if self.asked and self._world is not None and self._world.size > 1:
            self.reached = bool(self._world.max(np.array([self.reached], np.int64))[0])
        return self.reached


@dataclass
class State:
    """What a search knows about a table: given to a later search of the same table, it goes on from there.

    rows: of the table; cardinality: (columns,) int64, values per column, which tell whether it is the same table;
    sampled: whether neighbours were compared; sets: the minimal difference sets found; closed: column sets of which
    every agreeing pair is in `sets`; checked_left, checked_safe: column sets X with the columns A for which X -> A
    holds unless `sets` refutes it. All sets are (k, words) uint64. These are facts about the table, true whatever is
    asked of it: it does not matter which search, at how many ranks, found them.
    """

    rows: int
    cardinality: np.ndarray
    sampled: bool
    sets: np.ndarray
    closed: np.ndarray
    checked_left: np.ndarray
    checked_safe: np.ndarray

    def arrays(self) -> dict[str, np.ndarray]:
        """Local: the state as plain arrays, one per name, for any container of arrays (HDF5, npz)."""
        return {field.name: np.asarray(getattr(self, field.name)) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays) -> "State":
        """Local: the state back from what `arrays` gave; StoreError when something is missing or has another shape."""
        try:
            masks = {name: np.asarray(arrays[name]).astype(np.uint64)
                     for name in ("sets", "closed", "checked_left", "checked_safe")}
            found = cls(int(np.asarray(arrays["rows"])), np.asarray(arrays["cardinality"]).astype(np.int64),
                        bool(np.asarray(arrays["sampled"])), **masks)
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError("saved search", f"it cannot be read ({error})", "Start the search anew") from None
        words = max(1, -(-len(found.cardinality) // 64))
        if any(array.ndim != 2 or array.shape[1] != words for array in masks.values()):
            raise StoreError("saved search", "its column sets have another width", "Start the search anew")
        return found

    def save(self, path: Path):
        """Local: write the state as an npz file of plain arrays."""
        with open(path, "wb") as file:
            np.savez_compressed(file, **self.arrays())

    @classmethod
    def load(cls, path: Path) -> "State":
        """Local: read what `save` wrote; StoreError when the file is damaged or something else."""
        try:
            with np.load(path) as arrays:
                return cls.from_arrays(arrays)
        except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise StoreError(str(path), f"it cannot be read ({error})", "Start the search anew") from None

    def require(self, rows: int, cardinality: np.ndarray):
        """Local: raise InputError unless this is about a table with these numbers of rows and values per column."""
        if self.rows != rows or not np.array_equal(self.cardinality, cardinality):
            error = InputError("saved search", "it is about another table", "Start the search anew")
            error.everywhere = True
            raise error
