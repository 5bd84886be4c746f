"""A graph on disk in blocks of nodes, where it does not fit memory; sums over neighbours are streamed.

Blocks are ranges of node numbers, dealt out to the ranks in order; a span is several blocks in a row. For each of its
blocks a rank keeps one HDF5 file: features, labels, roles, degrees; and one of plain numbers: the neighbours, span by
span, in as many small pieces. A sum over neighbours loads the dense rows of one span after the other and adds them to
those of two spans of its own, so memory holds three spans of dense rows and one block of everything else, however large
the graph is.
"""

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from mpiedge.graph.sort import SortedChunks
from mpiedge.graph.sparse import SparseRows, offsets
from mpiedge.kernels.sparse_product import product
from mpiedge.store.parts import open_to_write

OWN_SPANS = 2  # spans of own rows that a sum adds to at a time: the more, the less often all rows are read


@dataclass
class Block:
    """What there is to know of the nodes of a block. nodes: int64, global numbers; degrees: int64, neighbours plus one;
    features: sparse rows, None where they were not asked for."""

    nodes: np.ndarray
    degrees: np.ndarray
    labels: np.ndarray
    split: np.ndarray
    features: SparseRows | None

    @property
    def owned(self) -> int:
        """Number of nodes."""
        return len(self.nodes)


class Grid:
    """The blocks of this rank. holder: the rank of every block; own: this rank's blocks, ascending; rows: of every own
    block its nodes, adjacency entries (with self loops) and feature entries, int64 (n, 3), once it is built; dtype: of
    features and dense rows."""

    def __init__(self, world, folder: Path, nodes: int, block_rows: int, span_blocks: int, shares: np.ndarray,
                 dtype=np.float32):
        """Local: nothing is there yet: `add_rows` as often as there are rows, then `close`."""
        self.world, self.folder, self.nodes, self.dtype = world, folder, nodes, np.dtype(dtype)
        self.block_rows, self.span_blocks, self.count = block_rows, span_blocks, -(-nodes // block_rows)
        ends = np.round(np.cumsum(shares) / np.sum(shares) * self.count)
        self.holder = np.searchsorted(ends, np.arange(self.count), side="right").clip(max=world.size - 1)
        self.own = np.flatnonzero(self.holder == world.rank).tolist()
        self.rows = np.zeros((len(self.own), 3), np.int64)
        self.spans = -(-self.count // span_blocks)
        self.ends = np.zeros((len(self.own), self.spans + 1), np.int64)
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def span_rows(self) -> int:
        """Rows of a span; the last one may be shorter."""
        return self.block_rows * self.span_blocks

    def add_rows(self, first: int, arrays: dict[str, np.ndarray] | None) -> None:
        """Collective: labels, split and words of nodes of one block, numbered from `first`; None: no more here.

        Message: the arrays to the rank that holds the block.
        """
        messages: list[dict] = [{} for _ in range(self.world.size)]
        if arrays is not None:
            messages[self.holder[first // self.block_rows]] = arrays | {"first": np.array([first], np.int64)}
        for found in self.world.alltoall(messages):
            if found:
                place = int(found["first"][0])
                block, start = divmod(place, self.block_rows)
                for name, dtype in (("labels", np.int64), ("split", np.int8), ("words", np.int32)):
                    self._put(block, name, np.ascontiguousarray(found[name], dtype), start)

    def close(self, chunks: SortedChunks, columns: int, width: int) -> None:
        """Local: writes the blocks. chunks: one per block, on the rank that holds it; width: words of a node, out of
        `columns`."""
        for place, block in enumerate(self.own):
            numbers, lists = chunks.read(block)
            words = self._read(block, "words", np.int32)
            if len(words) != len(numbers) * width:
                raise ValueError("rows were lost between ranks")
            data = np.full(words.size, 1 / np.sqrt(max(width, 1)), self.dtype)
            features = SparseRows(np.arange(len(numbers) + 1) * width, words, data, columns)
            self.rows[place] = len(numbers), len(lists.neighbours) + len(numbers), len(words)
            spans = lists.neighbours // self.span_rows
            order = np.argsort(spans, kind="stable")
            self.ends[place] = np.searchsorted(spans[order], np.arange(self.spans + 1))
            rows = np.repeat(np.arange(len(numbers), dtype=np.int32), lists.degrees())[order]
            near = (lists.neighbours[order] % self.span_rows).astype(np.int32)
            with open(self._file(block, "near"), "wb") as file:
                for start, stop in itertools.pairwise(self.ends[place]):
                    file.write(rows[start:stop].data)
                    file.write(near[start:stop].data)
            with open_to_write(self._file(block, "block", "h5"), "w") as file:
                file["degrees"] = lists.degrees() + 1
                file["labels"], file["split"] = (self._read(block, "labels", np.int64),
                                                 self._read(block, "split", np.int8))
                _write(file, "features", features)
            for name in ("words", "labels", "split"):
                self._file(block, name).unlink()

    def load(self, block: int, features: bool = False) -> Block:
        """Local: an own block, on demand with its features."""
        first = block * self.block_rows
        with h5py.File(self._file(block, "block", "h5"), "r") as file:
            degrees, labels, split = (file[name][:] for name in ("degrees", "labels", "split"))
            return Block(np.arange(first, first + len(labels)), degrees, labels, split,
                         _matrix(file, "features") if features else None)

    def set_features(self, block: int, features: SparseRows) -> None:
        """Local: other features for the nodes of a block."""
        with open_to_write(self._file(block, "block", "h5"), "r+") as file:
            del file["features"]
            _write(file, "features", features)

    def put(self, block: int, name: str, rows: np.ndarray) -> None:
        """Local: keeps dense rows of a block on disk."""
        np.ascontiguousarray(rows, self.dtype).tofile(self._file(block, name))

    def get(self, block: int, name: str, width: int, drop: bool = False) -> np.ndarray:
        """Local: dense rows that were kept; drop: they are not needed again."""
        rows = self._read(block, name, self.dtype).reshape(-1, width)
        if drop:
            self._file(block, name).unlink()
        return rows

    def share(self, name: str) -> None:
        """Collective: dense rows of all blocks onto the disk of every rank. Message: each block's rows to all ranks."""
        if self.world.size == 1:
            return
        for block in range(self.count):
            holder = int(self.holder[block])
            mine = holder == self.world.rank
            found = self.world.bcast({"rows": self._read(block, name, self.dtype)} if mine else None, holder)
            if not mine:
                self.put(block, name, found["rows"])

    def sums(self, name: str, width: int, loops: bool) -> Iterator[tuple[int, np.ndarray]]:
        """Local: yields own blocks with the sums of the shared rows `name` over the neighbours of their nodes.

        loops: every node is its own neighbour, too.
        """
        for first in range(0, len(self.own), OWN_SPANS * self.span_blocks):
            places = range(first, min(first + OWN_SPANS * self.span_blocks, len(self.own)))
            out = {place: np.zeros((self._height(self.own[place]), width), self.dtype) for place in places}
            for span in range(self.spans):
                rows = self._span_rows(span, name, width)
                for place in places:
                    product(self._near(place, span), rows, out[place])
            for place in places:
                block, sums = self.own[place], out.pop(place)
                if loops:
                    sums += self.get(block, name, width)
                yield block, sums

    def _span_rows(self, span: int, name: str, width: int) -> np.ndarray:
        """Local: the dense rows of a span's blocks, one below the other."""
        first = span * self.span_rows
        rows = np.empty((min(self.span_rows, self.nodes - first), width), self.dtype)
        for start in range(0, len(rows), self.block_rows):
            rows[start : start + self.block_rows] = self.get((first + start) // self.block_rows, name, width)
        return rows

    def _near(self, place: int, span: int) -> SparseRows:
        """Local: the neighbours of an own block's nodes in a span, numbered from its first node."""
        block, (start, stop) = self.own[place], self.ends[place, span : span + 2]
        with open(self._file(block, "near"), "rb", buffering=0) as file:
            if hasattr(os, "posix_fadvise"):  # else eight times as much is read ahead, and thrown away
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
            pairs = np.fromfile(file, np.int32, 2 * (stop - start), offset=8 * start).reshape(2, -1)
        indptr = offsets(np.bincount(pairs[0], minlength=self._height(block)))
        return SparseRows(indptr, pairs[1], None, self.span_rows)

    def _height(self, block: int) -> int:
        return min(self.block_rows, self.nodes - block * self.block_rows)

    def _file(self, block: int, name: str, ending: str = "bin") -> Path:
        return self.folder / f"{name}-{block:06d}.{ending}"

    def _read(self, block: int, name: str, dtype) -> np.ndarray:
        return np.fromfile(self._file(block, name), dtype)

    def _put(self, block: int, name: str, array: np.ndarray, start: int) -> None:
        """Writes rows of a block from row `start` on."""
        path = self._file(block, name)
        with open(path, "r+b" if path.exists() else "w+b") as file:
            file.seek(start * array.nbytes // max(len(array), 1))
            array.tofile(file)


def _write(file: h5py.File, name: str, matrix: SparseRows) -> None:
    group = file.create_group(name)
    group["indptr"], group["indices"], group.attrs["columns"] = matrix.indptr, matrix.indices, matrix.columns
    if matrix.data is not None:
        group["data"] = matrix.data


def _matrix(file: h5py.File, name: str) -> SparseRows:
    group = file[name]
    data = group["data"][:] if "data" in group else None
    return SparseRows(group["indptr"][:], group["indices"][:], data, int(group.attrs["columns"]))
