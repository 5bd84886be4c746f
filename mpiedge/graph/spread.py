"""Features of all nodes, spread over the ranks by the chunks of rows that each has encoded."""

import itertools

import numpy as np

from mpiedge.graph.sparse import SparseRows, offsets, stack

PASS_ROWS = 1 << 14
"""Rows that a rank asks for at a time: what travels is in memory twice."""


class SpreadRows:
    """Sparse rows of a table; every chunk of them lies on one rank.

    rows, columns, entries: of the whole, on every rank; lengths: of every row, int64, on rank 0 only.
    """

    def __init__(self, world, mine: dict[int, SparseRows], chunks: int, columns: int):
        """Collective: mine: this rank's chunks by number, each of range(chunks) on exactly one rank; let go of it.

        Messages: the sizes of all chunks; to rank 0 the lengths of all rows.
        """
        self.world, self.columns = world, columns
        told = np.array([[number, part.rows, len(part.indices)] for number, part in mine.items()], np.int64)
        tables = [message["chunks"] for message in world.allgather({"chunks": told.reshape(-1, 3)})]
        self._holder, counts, self.entries = np.full(chunks, -1, np.int32), np.zeros(chunks, np.int64), 0
        for rank, table in enumerate(tables):
            self._holder[table[:, 0]], counts[table[:, 0]] = rank, table[:, 1]
            self.entries += int(table[:, 2].sum())
        if (self._holder < 0).any():
            raise ValueError("a chunk of features was lost")
        self._first = offsets(counts)
        self.rows = int(self._first[-1])
        order = sorted(mine)
        self._start = np.zeros(chunks, np.int64)  # of this rank's chunks among its rows
        self._start[order] = offsets(counts[order])[:-1]
        self._mine = stack([mine.pop(number) for number in order], columns)
        gathered = world.gather({"numbers": np.array(order, np.int64), "lengths": np.diff(self._mine.indptr)})
        self.lengths = None
        if gathered:
            self.lengths = np.empty(self.rows, np.int64)
            for message in gathered:
                ends = offsets(counts[message["numbers"]])
                for number, (begin, end) in zip(message["numbers"].tolist(), itertools.pairwise(ends.tolist())):
                    self.lengths[self._first[number] : self._first[number + 1]] = message["lengths"][begin:end]

    def take(self, nodes: np.ndarray) -> SparseRows:
        """Collective: the rows of any nodes (int64) in the order given, each rank's own.

        Messages: to the holders the numbers of the rows that are wanted, PASS_ROWS at a time, and their answers.
        """
        passes = int(self.world.max(np.array([-(-len(nodes) // PASS_ROWS)]))[0])
        return stack([self._pass(nodes[at * PASS_ROWS : (at + 1) * PASS_ROWS]) for at in range(passes)], self.columns)

    def _pass(self, nodes: np.ndarray) -> SparseRows:
        chunk = np.searchsorted(self._first, nodes, side="right") - 1
        holder = self._holder[chunk]
        order = np.argsort(holder, kind="stable")
        ends = np.searchsorted(holder[order], np.arange(self.world.size + 1))
        wanted = [{"nodes": nodes[order[begin:end]]} for begin, end in itertools.pairwise(ends.tolist())]
        answers = [self._held(message["nodes"]) for message in self.world.alltoall(wanted)]
        received = self.world.alltoall([{"lengths": np.diff(rows.indptr), "indices": rows.indices, "data": rows.data}
                                        for rows in answers])
        found = stack([SparseRows(offsets(message["lengths"]), message["indices"], message["data"], self.columns)
                       for message in received], self.columns)
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        return found.take(place)

    def _held(self, nodes: np.ndarray) -> SparseRows:
        chunk = np.searchsorted(self._first, nodes, side="right") - 1
        return self._mine.take(self._start[chunk] + nodes - self._first[chunk])

    def gather_root(self) -> SparseRows | None:
        """Collective: all rows on rank 0, for what one rank does alone; None elsewhere."""
        rows = self.take(np.arange(self.rows if self.world.is_root else 0))
        return rows if self.world.is_root else None
