"""Where long lists of results lie: in memory as long as they take little of it, then in files that are mapped."""

import weakref
from itertools import pairwise
from pathlib import Path

import numpy as np

from mpiedge.kernels import bits
from mpiedge.runtime.lists import gather_lists
from mpiedge.runtime.resources import open_many_files
from mpiedge.runtime.shared import file_array, shared_array, stored

ALWAYS = 1 << 16
"""Arrays of so many bytes lie in memory whatever else does."""

PASS_BYTES = 8 << 20
"""Sets of all ranks in one exchange."""

SHARED_BYTES = 1 << 18
"""Fewer bytes of sets are sent: to make an array that all ranks of a host hold together takes longer."""

FIRST_SETS, MOST_SETS = 1 << 6, 1 << 17
"""Sets that the first and the largest arrays of a pile have room for."""


class Room:
    """Room for arrays of one rank.

    most_bytes: what arrays in memory may take together, None for any. folder: where the files of the others lie; they
    have no name and end with the arrays, and their pages are dropped by the kernel where memory is short.
    """

    def __init__(self, most_bytes: float | None = None, folder: Path | None = None):
        self.most_bytes, self.folder, self.held = most_bytes, folder, 0
        if folder is not None:
            open_many_files()  # wide tables have some for each right-hand side

    def empty(self, shape, dtype) -> np.ndarray:
        """Local: an array to be filled. Raises EnvironmentProblem where a file has no room."""
        array = np.empty(shape, dtype)  # takes no memory before it is written to
        return array if self._fits(array) else file_array(array.shape, array.dtype, self.folder)

    def shared(self, world, shape, dtype) -> np.ndarray:
        """Collective: an array to be filled that the ranks of a host hold together. Raises EnvironmentProblem."""
        share = int(np.prod(shape)) * np.dtype(dtype).itemsize // world.node_size
        fits = world.node_all(self._has_room(share))
        array = shared_array(world, shape, dtype, folder=None if fits else self.folder)
        if fits:
            self._hold(array if array.base is None else array.base, share)  # which its views hold on to
        return array

    def keep(self, array: np.ndarray) -> np.ndarray:
        """Local: the array itself, or a copy of it in a file."""
        return array if self._fits(array) else stored(array, self.folder)

    def _fits(self, array: np.ndarray) -> bool:
        if self._has_room(array.nbytes):
            self._hold(array, array.nbytes)
            return True
        return False

    def _has_room(self, size: int) -> bool:
        return (self.most_bytes is None or self.folder is None or size <= ALWAYS
                or self.held + size <= self.most_bytes)

    def _hold(self, array: np.ndarray, size: int) -> None:
        if self.most_bytes is not None and size > ALWAYS:
            self.held += size
            weakref.finalize(array, self._leave, size)

    def _leave(self, size: int) -> None:
        self.held -= size


class Pile:
    """Column sets (k, words) that come in `lots` of any size and lie in few arrays of a room."""

    def __init__(self, words: int, room: Room):
        self.words, self.room, self.count, self.lots = words, room, 0, 0
        self._arrays: list[np.ndarray] = []
        self._free = 0  # sets that the last array has room for

    def add(self, sets: np.ndarray) -> None:
        """Local: puts sets on the pile."""
        self.lots += len(sets) > 0
        while len(sets):
            if not self._free:
                self._free = min(max(len(sets), FIRST_SETS, self.count), MOST_SETS)
                self._arrays.append(self.room.empty((self._free, self.words), np.uint64))
            last = self._arrays[-1]
            begin = len(last) - self._free
            taken = min(self._free, len(sets))
            last[begin : begin + taken] = sets[:taken]
            sets, self._free, self.count = sets[taken:], self._free - taken, self.count + taken

    def parts(self, begin: int, end: int) -> list[np.ndarray]:
        """Local: sets [begin, end) in the order they came, as views of the arrays they lie in."""
        found, before = [], 0
        for array in self._arrays if begin < end else ():
            if begin < before + len(array) and before < end:
                found.append(array[max(begin - before, 0) : min(end, self.count) - before])
            before += len(array)
        return found


def gather_sets(world, piles: list[Pile], words: int, room: Room) -> list[np.ndarray]:
    """Collective (Local when world is None): pile by pile the column sets (k, words) of all ranks, in order.

    They are views of one array. Each lot of a pile is in order, and no set is in two of them.

    Messages: how many sets each rank has (all-gather). Ranks of one host write them into an array that they hold
    together; else they are sent, at most PASS_BYTES of all ranks at a time.
    """
    own_counts = np.array([[pile.count, pile.lots] for pile in piles], np.int64).reshape(-1, 2)
    messages = [own_counts] if world is None or world.size == 1 else gather_lists(world, own_counts)
    counts = np.array(messages, np.int64)
    lots, counts = counts[:, :, 1].sum(axis=0).tolist(), counts[:, :, 0]
    edges = np.concatenate([[0], counts.sum(axis=0).cumsum()]).tolist()
    shared = len(messages) > 1 and world.node_size == world.size and edges[-1] * words * 8 > SHARED_BYTES
    whole = room.shared(world, (edges[-1], words), np.uint64) if shared else room.empty((edges[-1], words), np.uint64)
    every = [whole[begin:end] for begin, end in pairwise(edges)]
    if shared:
        firsts = (counts.cumsum(axis=0) - counts)[world.rank].tolist()
        for sets, pile, first in zip(every, piles, firsts):
            np.concatenate([sets[:0], *pile.parts(0, pile.count)], out=sets[first : first + pile.count])
        world.node_barrier()
    elif len(messages) == 1:
        for sets, pile in zip(every, piles):
            np.concatenate([sets[:0], *pile.parts(0, pile.count)], out=sets)
    else:
        _exchange(world, piles, counts, every, whole[:0])
    unordered = [sets for sets, several in zip(every, lots) if several > 1]
    for sets in unordered[world.rank :: world.size] if shared else unordered:
        sets[:] = sets[bits.order(sets)]
    if shared:
        world.node_barrier()
    return every


def _exchange(world, piles: list[Pile], counts: np.ndarray, every: list[np.ndarray], nothing: np.ndarray) -> None:
    """Collective: fills `every` with the sets of all ranks, of which counts (ranks, piles) are on each pile."""
    filled, ends = [0] * len(piles), counts.cumsum(axis=1)
    starts, share = ends - counts, max(1, PASS_BYTES // (nothing.itemsize * nothing.shape[1] * len(counts)))
    for begin in range(0, int(ends.max(initial=0)), share):
        # Of each rank and pile the sets from `lows` to `highs`, as numbers of the rank's sets, go with this exchange.
        lows, highs = (np.clip(at, starts, ends) for at in (begin, begin + share))
        own = ((edge[world.rank] - starts[world.rank]).tolist() for edge in (lows, highs))
        parts = [part for pile, low, high in zip(piles, *own) for part in pile.parts(low, high)]
        for rank, sets in enumerate(world.allgather(np.concatenate([nothing, *parts]))):
            for index, (low, high) in enumerate(zip((lows[rank] - begin).tolist(), (highs[rank] - begin).tolist())):
                if high > low:
                    every[index][filled[index] : filled[index] + high - low] = sets[low:high]
                    filled[index] += high - low


def joined(parts: list[np.ndarray], words: int, room: Room) -> tuple[np.ndarray, list[np.ndarray]]:
    """Local: column sets one after another as one array, and the parts, of which `parts` lets go, as views of it.

    Nothing is copied where that is what they are already."""
    ends = np.cumsum([len(part) for part in parts], dtype=np.int64).tolist()
    whole = _one_behind_the_other(parts, words, ends)
    if whole is not None:
        return whole, list(parts)
    whole = room.empty((ends[-1] if ends else 0, words), np.uint64)
    views = []
    for index, (begin, end) in enumerate(zip([0, *ends], ends)):
        whole[begin:end] = parts[index]
        parts[index] = None
        views.append(whole[begin:end])
    return whole, views


def _one_behind_the_other(parts: list[np.ndarray], words: int, ends: list[int]) -> np.ndarray | None:
    """Local: what the parts are views of, from the first of them to the last, if they lie there without gaps."""
    base = parts[0].base if parts else None
    if not isinstance(base, np.ndarray):
        return None
    size, first = 8 * words, parts[0].ctypes.data
    if not all(part.base is base and (not len(part) or part.ctypes.data == first + size * begin)
               for part, begin in zip(parts, [0, *ends])):
        return None
    begin = first - base.ctypes.data
    return base.reshape(-1).view(np.uint8)[begin : begin + size * ends[-1]].view(np.uint64).reshape(-1, words)
