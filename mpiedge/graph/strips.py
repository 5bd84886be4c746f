"""Edges in any order become the neighbours of this rank's nodes on disk, in the order in which sums need them.

A strip is a range of this rank's nodes, a block one of all nodes. For every neighbour of a strip's nodes its file has a
pair in 4 bytes: the place of the node in the strip and that of the neighbour in its block; by the neighbour's block,
then by node. So a sum reads dense rows block by block, and beside them the pairs of some strips, each from its first to
its last byte: a disk is asked for long ranges only, and for 4 bytes of every neighbour.

The sort is distributed and spills to disk. Each round a rank reads some edges, sends both directions to who holds the
first ends, and appends what arrives to one file for each strip. At the end every file is sorted by itself, in as many
parts as memory asks for.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mpiedge.graph.sparse import offsets
from mpiedge.store.flat import FlatFile

PAIR_BITS = 32  # of a pair
SORT_BYTES = 8  # of a pair while it is sorted, with the number of its block before it
STEP = 1 << 19  # pairs that are looked at together


class Strips:
    """The neighbours of nodes [first, stop), those of this rank's blocks. borders: the first node of every rank, and
    the end; count: of strips; rows: of a strip, the last one may be shorter; bits: of a pair, its lower ones, tell the
    place of the neighbour; ends: int64 (count, blocks + 1), where the pairs of a block begin and end in a strip's file,
    once it is sorted."""

    def __init__(self, world, nodes: int, block_rows: int, strip_blocks: int, holder: np.ndarray, folder: Path):
        """Local: holder: the rank of every block, ascending."""
        self.world, self.nodes, self.block_rows, self.folder = world, nodes, block_rows, folder
        self.borders = np.minimum(np.searchsorted(holder, np.arange(world.size + 1)) * block_rows, nodes)
        self.first, self.stop = self.borders[world.rank : world.rank + 2].tolist()
        self.rows, self.bits = strip_blocks * block_rows, (block_rows - 1).bit_length()
        if self.rows > most_rows(block_rows):
            raise ValueError("a strip has more nodes than a pair can tell")
        self.count = -(-(self.stop - self.first) // self.rows)
        self.ends = np.zeros((self.count, len(holder) + 1), np.int64)
        folder.mkdir(parents=True, exist_ok=True)

    def nodes_of(self, strip: int) -> tuple[int, int]:
        """Local: the numbers of a strip's first node and of the one after its last."""
        return self.first + strip * self.rows, min(self.first + (strip + 1) * self.rows, self.stop)

    def add(self, edges: np.ndarray) -> None:
        """Collective: this rank's next edges (int64, (e, 2)), perhaps none. Message: to each rank the keys it keeps."""
        edges = edges[edges[:, 0] != edges[:, 1]]
        keys = np.concatenate([edges[:, 0] * self.nodes + edges[:, 1], edges[:, 1] * self.nodes + edges[:, 0]])
        keys.sort()
        ends = np.searchsorted(keys, self.borders * self.nodes)
        for message in self.world.alltoall([{"keys": keys[a:b]} for a, b in itertools.pairwise(ends)]):
            node, neighbour = np.divmod(message["keys"], self.nodes)
            block, place = np.divmod(neighbour, self.block_rows)
            ends = np.searchsorted(node, [self.nodes_of(strip)[0] for strip in range(self.count)] + [self.stop])
            for strip, (begin, end) in enumerate(itertools.pairwise(ends.tolist())):
                part, first = slice(begin, end), self.nodes_of(strip)[0]
                pairs = block[part] << PAIR_BITS | node[part] - first << self.bits | place[part]
                self.ends[strip, 1:] += np.bincount(block[part], minlength=self.ends.shape[1] - 1)
                with open(self._file(strip, "unsorted"), "ab") as file:
                    file.write(pairs.data)

    def sort(self, room: float) -> Iterator[tuple[int, np.ndarray]]:
        """Local: sorts every strip without its repeated edges; yields the number of its first node and how many
        neighbours its nodes have (int32). room: bytes to sort in."""
        for strip in range(self.count):
            counts, self.ends[strip] = self.ends[strip, 1:].copy(), 0
            first, stop = self.nodes_of(strip)
            degrees, source = np.zeros(stop - first, np.int32), self._file(strip, "unsorted")
            with open(self._file(strip), "wb") as file:
                for blocks in groups(SORT_BYTES * counts, room):
                    pairs = _between(source, blocks, int(counts[blocks].sum()))
                    pairs.sort()
                    for begin in range(0, len(pairs), STEP):
                        some = pairs[begin : begin + STEP]
                        some = some[np.diff(some, prepend=pairs[begin - 1] if begin else -1) > 0]
                        self.ends[strip, 1:] += np.bincount(some >> PAIR_BITS, minlength=len(counts))
                        some = some.astype(np.uint32)
                        degrees += np.bincount(some >> np.uint32(self.bits), minlength=len(degrees)).astype(np.int32)
                        file.write(some.data)
            source.unlink(missing_ok=True)
            self.ends[strip] = np.cumsum(self.ends[strip])
            yield first, degrees
        self._sorted = [FlatFile(self._file(strip), np.uint32) for strip in range(self.count)]

    def read(self, strip: int, blocks: slice) -> np.ndarray:
        """Local: the pairs of a range of blocks, uint32."""
        return self._sorted[strip].get(*self.ends[strip, [blocks.start, blocks.stop]].tolist()).reshape(-1)

    def _file(self, strip: int, kind: str = "pairs") -> Path:
        return self.folder / f"{kind}-{strip:06d}.bin"


def most_rows(block_rows: int) -> int:
    """Local: the most nodes that a strip can have."""
    return 1 << PAIR_BITS - (block_rows - 1).bit_length()


def groups(sizes: np.ndarray, most: float) -> Iterator[slice]:
    """Local: ranges of neighbouring things of these sizes, together at most `most`, at least one thing each."""
    ends, start = offsets(sizes), 0
    while start < len(sizes):
        stop = max(start + 1, int(np.searchsorted(ends, ends[start] + most, side="right")) - 1)
        yield slice(start, stop)
        start = stop


def _between(path: Path, blocks: slice, count: int) -> np.ndarray:
    """Local: the pairs of some blocks, of which there are `count`, from an unsorted file."""
    found, done = np.empty(count, np.int64), 0
    if count:
        with open(path, "rb") as file:
            while len(pairs := np.fromfile(file, np.int64, STEP)):
                pairs = pairs[(pairs >= blocks.start << PAIR_BITS) & (pairs < blocks.stop << PAIR_BITS)]
                found[done : done + len(pairs)] = pairs
                done += len(pairs)
    return found
