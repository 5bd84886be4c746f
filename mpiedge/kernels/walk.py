"""The walk over the prefix trie of candidates with a stack of partitions; compiled, and plain in numpy."""

import ctypes
from copy import copy
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from mpiedge.kernels import bits, native, partition
from mpiedge.kernels.partition import Partition

DONE, MORE, EXHAUST, EXPAND, FAILED = range(5)
PAIR_NS, ROW_NS = 2.0, 8.0


class Candidates:
    """The candidates of one round: column sets `left` with the right-hand sides still open, sorted for the walk.

    left, right: (k, words) uint64; by_rank: the columns in the order of the walk. Every prefix in this order is one
    range of candidates, and the candidate that equals the prefix stands at its end. `sequence[start[i]:start[i + 1]]`
    are the columns of candidate i in this order.
    """

    def __init__(self, left: np.ndarray, right: np.ndarray, by_rank: np.ndarray, columns: int):
        members = bits.unpack(left, columns)[:, by_rank]
        keys = np.packbits(members, axis=1)
        at = np.lexsort(tuple(255 - column for column in keys.T[::-1])) if len(left) else np.empty(0, np.int64)
        self.left, self.right = np.ascontiguousarray(left[at]), np.ascontiguousarray(right[at])
        which, rank = np.nonzero(members[at])
        self.sequence = by_rank[rank].astype(np.int32)
        self.start = np.concatenate([[0], np.cumsum(np.bincount(which, minlength=len(left)))]).astype(np.int64)
        self.count = len(left)

    def some(self, low: int, high: int) -> "Candidates":
        """Local: candidates [low, high) alone, numbered from 0, with right-hand sides of their own."""
        part = copy(self)
        part.left, part.right, part.count = self.left[low:high], self.right[low:high].copy(), high - low
        part.start = self.start[low : high + 1]
        return part

    def groups(self, low: int, high: int, depth: int) -> list[tuple[int, int]]:
        """Local: cut candidates [low, high), which share `depth` columns, into ranges that share one more."""
        starts = self.start[low:high]
        longer = self.start[low + 1 : high + 1] - starts > depth
        column = np.where(longer, self.sequence[np.minimum(starts + depth, len(self.sequence) - 1)], -1)
        cuts = np.flatnonzero(np.diff(column)) + 1
        edges = [0, *cuts.tolist(), high - low]
        return [(low + a, low + b) for a, b in pairwise(edges) if longer[a]]

    def prefix(self, candidate: int, depth: int) -> np.ndarray:
        """Local: the first `depth` columns of a candidate."""
        return self.sequence[self.start[candidate] : self.start[candidate] + depth]


class Outcome(NamedTuple):
    """What a walk settled: closed column sets (k, words); checked candidates (numbers); columns none violated."""

    closed: np.ndarray
    checked: np.ndarray
    safe: np.ndarray


def _declare(library):
    address, size, narrow, real = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int32, ctypes.c_double
    signatures = {
        "new": (address, [address, narrow, size, address, address, real, size, narrow, real]),
        "free": (None, [address]),
        "candidates": (None, [address] * 6),
        "open": (size, [address, size, size]),
        "begin": (narrow, [address, size, size, narrow, address, address, size, size]),
        "run": (narrow, [address, real, narrow]),
        "top": (None, [address] * 4),
        "split": (narrow, [address, real, address, address, address]),
        "leave": (None, [address]),
        "closed_count": (size, [address]),
        "closed": (address, [address]),
        "star_count": (size, [address]),
        "stars": (address, [address]),
        "safe": (address, [address]),
        "refinements": (size, [address]),
        "pairs": (size, [address]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, "walk_" + name)
        function.restype, function.argtypes = result, arguments
    return library


_library = _declare(native.library) if native.library is not None else None


def _copy(address: int, kind, shape) -> np.ndarray:
    size = int(np.prod(shape)) * np.dtype(kind).itemsize
    if not size:
        return np.empty(shape, kind)
    return np.frombuffer((ctypes.c_uint8 * size).from_address(address), kind).reshape(shape).copy()


def _node(numbers: np.ndarray, rows, starts) -> tuple[int, int, int, int, Partition]:
    candidate, depth, clusters, pairs, low, high = numbers.tolist()
    where = _copy(starts.value, np.int32, (clusters + 1,))
    return candidate, depth, low, high, Partition(_copy(rows.value, np.int32, (int(where[-1]),)), where, pairs)


class NativeWalk:
    """One round's walk over candidates: `begin` at a node, then `run` until DONE.

    evidence: where difference sets go; codes, cardinality: dict by column; beta weighs comparing all pairs against
    going on; nodes with more than `defer_pairs` pairs to compare are handed to the caller (EXHAUST, then `leave`);
    keys: one pair that agrees on a candidate refutes it for all right-hand sides; pair_ns: what comparing a pair costs.
    """

    def __init__(self, evidence, cardinality: dict, candidates: Candidates, beta: float, defer_pairs: int,
                 keys: bool = False, pair_ns: float = PAIR_NS):
        self.evidence, words = evidence, evidence.words
        columns = 64 * words
        self._codes, self._itemsize = np.zeros(columns, np.uintp), np.zeros(columns, np.int32)
        for column, array in evidence.column_codes.items():
            self._codes[column], self._itemsize[column] = array.ctypes.data, array.itemsize
        self.handle = _library.walk_new(evidence.handle, words, max(cardinality.values()), self._codes.ctypes.data,
                                        self._itemsize.ctypes.data, beta, defer_pairs, int(keys), pair_ns)
        if not self.handle:
            raise MemoryError("no memory for the walk")
        self.restart(candidates)

    def restart(self, candidates: Candidates):
        """Local: forget what was settled; go on with other candidates, which all evidence so far was tested against."""
        self.candidates = candidates
        self._checked = np.full(candidates.count, self.evidence.count, np.int64)
        _library.walk_candidates(self.handle, candidates.start.ctypes.data, candidates.sequence.ctypes.data,
                                 candidates.left.ctypes.data, candidates.right.ctypes.data, self._checked.ctypes.data)

    def __del__(self):
        if getattr(self, "handle", None):
            _library.walk_free(self.handle)

    def open(self, low: int, high: int) -> int:
        """Local: how many of the candidates [low, high) the evidence does not refute for all right-hand sides."""
        return _library.walk_open(self.handle, low, high)

    def begin(self, low: int, high: int, depth: int, node: Partition):
        """Local: start at the node of the first `depth` columns shared by candidates [low, high)."""
        self._node = node
        if not _library.walk_begin(self.handle, low, high, depth, node.rows.ctypes.data, node.starts.ctypes.data,
                                   len(node.starts) - 1, node.pairs):
            raise MemoryError("no memory for the walk")

    def run(self, budget_ns: float = 5e7, one_level: bool = False) -> int:
        """Local: go on for about `budget_ns`; returns DONE, MORE, EXHAUST or (with one_level) EXPAND."""
        status = _library.walk_run(self.handle, budget_ns, int(one_level))
        if status == FAILED:
            raise MemoryError("no memory for the walk")
        return status

    def top(self) -> tuple[int, int, int, int, Partition]:
        """Local: the node the walk stopped at: candidate, depth, the range below it, and a copy of its partition."""
        numbers, rows, starts = np.zeros(6, np.int64), ctypes.c_void_p(), ctypes.c_void_p()
        _library.walk_top(self.handle, numbers.ctypes.data, ctypes.byref(rows), ctypes.byref(starts))
        return _node(numbers, rows, starts)

    def split(self, least_ns: float) -> tuple[int, int, int, int, Partition] | None:
        """Local: after MORE, give up the candidates not begun below one node, told as by `top`, where they are at least
        about `least_ns` of work; None where there are none."""
        numbers, rows, starts = np.zeros(6, np.int64), ctypes.c_void_p(), ctypes.c_void_p()
        found = _library.walk_split(self.handle, least_ns, numbers.ctypes.data, ctypes.byref(rows),
                                    ctypes.byref(starts))
        return _node(numbers, rows, starts) if found else None

    def leave(self):
        """Local: drop the node the walk stopped at; the caller took it over."""
        _library.walk_leave(self.handle)

    def forget(self):
        """Local: the evidence was numbered anew; test candidates against all of it from now on."""
        self._checked[:] = 0

    def outcome(self) -> Outcome:
        """Local: what was settled since the start of the round."""
        words, count = self.evidence.words, _library.walk_star_count(self.handle)
        closed = _copy(_library.walk_closed(self.handle), np.int64, (_library.walk_closed_count(self.handle), 2))
        return Outcome(
            prefix_masks(self.candidates, closed, words),
            _copy(_library.walk_stars(self.handle), np.int64, (count,)),
            _copy(_library.walk_safe(self.handle), np.uint64, (count, words)),
        )


class PlainWalk:
    """The plain version of NativeWalk."""

    def __init__(self, evidence, cardinality: dict, candidates: Candidates, beta: float, defer_pairs: int,
                 keys: bool = False, pair_ns: float = PAIR_NS):
        self.evidence, self.cardinality, self.beta, self.keys, self.pair_ns = evidence, cardinality, beta, keys, pair_ns
        self.restart(candidates)

    def restart(self, candidates: Candidates):
        """Local: forget what was settled; go on with other candidates, which all evidence so far was tested against."""
        self.candidates, self.right = candidates, candidates.right
        self.checked = [self.evidence.count] * candidates.count
        self._closed, self._stars, self._safe, self._stack = [], [], [], []

    def begin(self, low: int, high: int, depth: int, node: Partition):
        """Local: start at the node of the first `depth` columns shared by candidates [low, high)."""
        self._stack = [(low, high, depth, node)]

    def open(self, low: int, high: int) -> int:
        """Local: how many of the candidates [low, high) the evidence does not refute for all right-hand sides."""
        for i in range(low, high):
            fresh = self.evidence.masks(self.checked[i])
            refuting = fresh[~(fresh & self.candidates.left[i]).any(axis=1)]
            if len(refuting):
                self.right[i] &= 0 if self.keys else ~np.bitwise_or.reduce(refuting, axis=0)
            self.checked[i] = self.evidence.count
        return int(self.right[low:high].any(axis=1).sum())

    def run(self, budget_ns: float = 5e7, one_level: bool = False) -> int:
        """Local: go on to the end; returns DONE or (with one_level) EXPAND."""
        while self._stack:
            low, high, depth, node = self._stack.pop()
            rows = len(node.rows)
            if not rows:
                self._closed.append((low, depth))
                continue
            left = self.open(low, high)
            if not left:
                continue
            if node.pairs * self.pair_ns <= left * rows * ROW_NS * self.beta + 2 * rows * PAIR_NS:
                self._closed.append((low, depth))
                self.evidence.pairs(node)
                continue
            last = high - 1
            if self._length(last) == depth:
                if self.right[last].any():
                    self._stars.append(last)
                    self._safe.append(~self.evidence.star(node))
                    self.right[last] = 0
                high = last
            if one_level:
                self._stack.append((low, high, depth, node))
                return EXPAND
            for first, end in reversed(self.candidates.groups(low, high, depth) if high > low else []):
                column = int(self.candidates.prefix(first, depth + 1)[-1])
                split = partition.refine(node, self.evidence.column_codes[column], self.cardinality[column])
                self._stack.append((first, end, depth + 1, split))
        return DONE

    def _length(self, candidate: int) -> int:
        return int(self.candidates.start[candidate + 1] - self.candidates.start[candidate])

    def top(self) -> tuple[int, int, int, int, Partition]:
        """Local: the node the walk stopped at: candidate, depth, the range below it, and its partition."""
        low, high, depth, node = self._stack[-1]
        return low, depth, low, high, node

    def split(self, least_ns: float) -> None:
        """Local: nothing, as this walk does not stop on its way."""

    def leave(self):
        """Local: drop the node the walk stopped at; the caller took it over."""
        self._stack.pop()

    def forget(self):
        """Local: the evidence was numbered anew; test candidates against all of it from now on."""
        self.checked = [0] * self.candidates.count

    def outcome(self) -> Outcome:
        """Local: what was settled since the start of the round."""
        words = self.evidence.words
        return Outcome(prefix_masks(self.candidates, np.array(self._closed, np.int64).reshape(-1, 2), words),
                       np.array(self._stars, np.int64), np.array(self._safe, np.uint64).reshape(-1, words))


def prefix_masks(candidates: Candidates, nodes: np.ndarray, words: int) -> np.ndarray:
    """Local: nodes (k, 2) of (candidate, depth) to the masks (k, words) of their columns."""
    masks = np.zeros((len(nodes), words), np.uint64)
    for mask, (candidate, depth) in zip(masks, nodes.tolist()):
        for column in candidates.prefix(candidate, depth).tolist():
            mask[column >> 6] |= np.uint64(1 << (column & 63))
    return masks


Walk = PlainWalk if _library is None else NativeWalk
