"""Edges in any order become neighbour lists of chunks of nodes: a distributed sort that spills to disk.

Each round a rank reads one chunk of edges, sends both directions to the owners of their first ends' chunks, and
appends what arrives to one file per chunk of nodes. At the end every file is sorted by itself. So a rank holds one
chunk of edges, or one chunk of neighbour lists, and never the graph.
"""

import itertools
from pathlib import Path

import numpy as np

from mpiedge.graph.build import Adjacency
from mpiedge.graph.sparse import offsets


class SortedChunks:
    """The neighbour lists of this rank's chunks of nodes, on disk. chunks: their numbers, ascending."""

    def __init__(self, world, nodes: int, chunk_rows: int, folder: Path, holder: np.ndarray | None = None):
        """Local: holder: the rank of every chunk, ascending; without it chunks are dealt out in equal ranges."""
        self.world, self.total, self.chunk_rows, self.folder = world, nodes, chunk_rows, folder
        count = -(-nodes // chunk_rows)
        self.holder = np.arange(count) * world.size // count if holder is None else holder
        self.chunks = np.flatnonzero(self.holder == world.rank).tolist()
        folder.mkdir(parents=True, exist_ok=True)

    def add(self, edges: np.ndarray) -> None:
        """Collective: this rank's next edges (int64, (e, 2)), perhaps none. Message: to each rank the keys it keeps."""
        edges = edges[edges[:, 0] != edges[:, 1]]
        keys = np.concatenate([edges[:, 0] * self.total + edges[:, 1], edges[:, 1] * self.total + edges[:, 0]])
        keys = np.sort(keys)  # by node, so by chunk, too; faster than a stable order of the chunks
        starts = np.searchsorted(self.holder, np.arange(self.world.size + 1)) * self.chunk_rows * self.total
        ends = np.searchsorted(keys, starts)
        received = self.world.alltoall([{"keys": keys[a:b]} for a, b in itertools.pairwise(ends)])
        for message in received:
            keys = message["keys"]
            ends = np.searchsorted(keys, (np.array([*self.chunks, len(self.holder)]) * self.chunk_rows * self.total))
            for chunk, (first, last) in zip(self.chunks, itertools.pairwise(ends.tolist())):
                if last > first:
                    with open(self._file(chunk), "ab") as file:
                        file.write(keys[first:last].data)

    def finish(self) -> None:
        """Local: sorts every file and drops repeated edges."""
        for chunk in self.chunks:
            path = self._file(chunk)
            keys = np.fromfile(path, np.int64) if path.exists() else np.zeros(0, np.int64)
            keys.sort()
            keys[np.diff(keys, prepend=-1) > 0].tofile(path)

    def read(self, chunk: int) -> tuple[np.ndarray, Adjacency]:
        """Local: the numbers of a chunk's nodes and their neighbours (global numbers, int64)."""
        keys = np.fromfile(self._file(chunk), np.int64)
        first = chunk * self.chunk_rows
        numbers = np.arange(first, min(first + self.chunk_rows, self.total))
        counts = np.bincount(keys // self.total - first, minlength=len(numbers))
        return numbers, Adjacency(offsets(counts), keys % self.total)

    def rounds(self):
        """Collective: yields (numbers, neighbour lists) of one chunk after the other, the same number on all ranks."""
        for turn in range(int(np.bincount(self.holder).max())):
            if turn < len(self.chunks):
                yield self.read(self.chunks[turn])
            else:
                yield np.zeros(0, np.int64), Adjacency(np.zeros(1, np.int64), np.zeros(0, np.int64))

    def _file(self, chunk: int) -> Path:
        return self.folder / f"chunk-{chunk:06d}.bin"
