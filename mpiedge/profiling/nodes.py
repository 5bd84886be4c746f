"""Partitions of one column set after another: what a set shares with the one before it is not computed again."""

import copy

import numpy as np

from mpiedge.kernels import bits, partition
from mpiedge.kernels.codes import agreement, bounds
from mpiedge.kernels.partition import Partition

KEPT_BYTES = 32 << 20
SLICE = 1 << 16


class Nodes:
    """The columns of a table, and the partitions of sets of them.

    codes: one array (rows,) per column, of any unsigned or non-negative dtype, also mapped from a file. used: columns
    that sets are made of (all by default). Attributes: rows, columns; codes, cardinality: by column, narrow, None and 1
    for those not used; constant: columns with at most one value; by_rank: the others, the most selective first (fewest
    agreeing pairs); largest: rows with the most frequent value, by column.
    """

    def __init__(self, codes: list[np.ndarray], used: list[int] | None = None, world=None):
        """Collective (Local when world is None): each rank measures some of the columns; codes are the same on all."""
        self.rows, self.columns = len(codes[0]) if codes else 0, len(codes)
        used = list(range(self.columns) if used is None else used)
        self.cardinality, pairs, self.largest = _measure(codes, used, world)
        self.codes: list[np.ndarray | None] = [None] * self.columns
        for column in used:
            self.codes[column] = partition.narrow(codes[column], self.cardinality[column])
        self.constant = [column for column, largest in enumerate(self.largest) if largest == self.rows]
        active = [column for column in range(self.columns) if column not in self.constant]
        self.by_rank = sorted(active, key=lambda column: (pairs[column], column))
        self._rank = {column: place for place, column in enumerate([*self.by_rank, *self.constant])}
        self._singles: dict[int, Partition] = {}

    def part(self, chosen: np.ndarray, columns: list[int]) -> "Nodes":
        """Local: some columns at the rows `chosen`, in the order of the whole table."""
        part = copy.copy(self)
        part.rows, part._singles = len(chosen), {}
        part.codes, part.cardinality = [None] * self.columns, list(self.cardinality)
        for column in columns:
            part.codes[column], part.cardinality[column] = partition.compact(self.codes[column][chosen],
                                                                             self.cardinality[column])
        return part

    def most_selective(self, columns: tuple[int, ...]) -> int:
        """Local: the most selective of these columns."""
        return min(columns, key=self._rank.__getitem__)

    def in_order(self, masks: np.ndarray) -> np.ndarray:
        """Local: an order of sets (k, words) in which neighbours share their most selective columns."""
        order = [*self.by_rank, *self.constant]
        keys = [np.empty((0, -(-self.columns // 8)), np.uint8)]
        for begin in range(0, len(masks), SLICE):
            keys.append(np.packbits(bits.unpack(masks[begin : begin + SLICE], self.columns)[:, order], axis=1))
        return np.lexsort(np.concatenate(keys).T[::-1]) if len(masks) else np.zeros(0, np.int64)

    def walk(self, masks: np.ndarray):
        """Local: a generator of the partitions of sets (k, words), in their order."""
        stack: list[tuple[int, Partition]] = []
        for columns in bits.members(masks, self.columns):
            columns = sorted(columns, key=self._rank.__getitem__)
            shared = 0
            while shared < min(len(stack), len(columns)) and stack[shared][0] == columns[shared]:
                shared += 1
            del stack[shared:]
            for column in columns[shared:]:
                if stack:
                    node = partition.refine(stack[-1][1], self.codes[column], self.cardinality[column])
                else:
                    node = self._single(column)
                stack.append((column, node))
            yield stack[-1][1] if stack else partition.whole(self.rows)

    def _single(self, column: int) -> Partition:
        if column not in self._singles:
            if sum(one.nbytes for one in self._singles.values()) > KEPT_BYTES:
                self._singles.clear()
            self._singles[column] = partition.single(self.codes[column], self.cardinality[column])
        return self._singles[column]


def _measure(codes: list[np.ndarray], used: list[int], world) -> tuple[list[int], list[int], list[int]]:
    """Collective (Local when world is None): values, agreeing pairs and most frequent value of each column; one that is
    not used is taken for constant."""
    rows = len(codes[0]) if codes else 0
    first, step = (0, 1) if world is None else (world.rank, world.size)
    found = np.zeros((3, len(codes)), np.int64)
    own = used[first::step]
    for column, largest in zip(own, bounds([codes[column] for column in own])[1]):
        agreed = agreement([partition.unsigned(codes[column], largest + 1)], [largest + 1])
        found[:, column] = largest + 1, agreed.by_block[0, :, 0].sum(), agreed.largest[0]
    if world is not None:
        found = world.sum(found)
    for column in set(range(len(codes))) - set(used):
        found[:, column] = 1, 0, rows
    return found[0].tolist(), found[1].tolist(), found[2].tolist()


def estimate_bytes(rows: int, columns: int) -> int:
    """Local: about what partitions of a walk, and the search for approximate dependencies over them, take."""
    return 6 * rows * min(columns, 6) + 24 * rows + min(KEPT_BYTES, 6 * rows * columns)
