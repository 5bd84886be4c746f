"""A graph on disk in blocks of nodes, where it does not fit memory; sums over neighbours are streamed.

Blocks are ranges of node numbers, dealt out to the ranks in order. Of its blocks a rank keeps on disk the features
(HDF5, a file for each block), labels, roles, degrees and dense rows (a flat file each), and the pairs of neighbours
(graph/strips.py). A sum over neighbours adds to the rows of as many strips of own nodes as fit memory at a time, while
the dense rows of all nodes are read one after the other. So memory holds those sums, a few blocks that were read ahead
and one block of everything else, however large the graph is; the more it holds, the less often all dense rows are read.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from mpiedge.graph.sparse import SparseRows
from mpiedge.graph.strips import Strips, groups
from mpiedge.kernels.sparse_product import add_pairs
from mpiedge.runtime.ahead import ahead
from mpiedge.store.flat import FlatFile
from mpiedge.store.parts import open_to_write

WINDOW_BYTES = 4e6
"""Dense rows and pairs that are read together; twice as many are there, as the next ones are read ahead."""

LINE_BYTES = 64
"""That come from memory together."""


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
    """The blocks of this rank. holder: the rank of every block; own: this rank's blocks, ascending; dtype: of features
    and dense rows."""

    def __init__(self, world, folder: Path, nodes: int, block_rows: int, strip_blocks: int, sum_bytes: float,
                 shares: np.ndarray, dtype=np.float32):
        """Local: nothing is there yet: `strips` are to be filled and sorted, then `add_rows` as often as there are rows
        and `close`. sum_bytes: of the dense rows that a sum adds to at a time."""
        self.world, self.folder, self.nodes, self.dtype = world, folder, nodes, np.dtype(dtype)
        self.block_rows, self.sum_bytes, self.count = block_rows, sum_bytes, -(-nodes // block_rows)
        ends = np.round(np.cumsum(shares) / np.sum(shares) * self.count)
        self.holder = np.searchsorted(ends, np.arange(self.count), side="right").clip(max=world.size - 1)
        self.own = np.flatnonzero(self.holder == world.rank).tolist()
        folder.mkdir(parents=True, exist_ok=True)
        self.strips = Strips(world, nodes, block_rows, strip_blocks, self.holder, folder)
        self._files: dict[str, FlatFile] = {}
        self._alike: dict[tuple[int, str], np.ndarray] = {}

    def sort(self, room: float) -> None:
        """Local: sorts the edges that `strips` were given. room: bytes to do so."""
        for first, neighbours in self.strips.sort(room):
            self._put("degrees", first, neighbours + 1)

    def add_rows(self, first: int, arrays: dict[str, np.ndarray] | None) -> None:
        """Collective: labels, split and words of nodes numbered from `first` on; None: no more here.

        Message: the arrays to the ranks that hold these nodes.
        """
        messages: list[dict] = [{} for _ in range(self.world.size)]
        if arrays is not None:
            count = len(arrays["labels"])
            borders = np.clip(self.strips.borders - first, 0, count).tolist()
            for rank, (begin, end) in enumerate(itertools.pairwise(borders)):
                if end > begin:
                    messages[rank] = {name: array[begin:end] for name, array in arrays.items()}
                    messages[rank]["first"] = np.array([first + begin], np.int64)
        for found in self.world.alltoall(messages):
            if found:
                place = int(found["first"][0])
                for name, dtype in (("labels", np.int32), ("split", np.int8), ("words", np.int32)):
                    self._put(name, place, found[name].astype(dtype))

    def close(self, columns: int, width: int) -> None:
        """Local: writes the features. width: words of a node, out of `columns`."""
        for block in self.own:
            words = self.get(block, "words")
            data = np.full(words.size, 1 / np.sqrt(max(width, 1)), self.dtype)
            self.set_features(block, SparseRows(np.arange(len(words) + 1) * width, words.reshape(-1), data, columns))
        self.drop("words")

    def load(self, block: int, features: bool = False) -> Block:
        """Local: an own block, on demand with its features."""
        first, stop = self._range(block)
        degrees, labels, split = (self.get(block, name).reshape(-1) for name in ("degrees", "labels", "split"))
        return Block(np.arange(first, stop), degrees, labels.astype(np.int64), split,
                     self._features(block) if features else None)

    def set_features(self, block: int, features: SparseRows) -> None:
        """Local: other features for the nodes of a block."""
        with open_to_write(self._features_file(block), "w") as file:
            _write(file, features)

    def put(self, block: int, name: str, rows: np.ndarray) -> None:
        """Local: keeps dense rows of a block on disk; one row, where there are more nodes, is that of all of them."""
        first, stop = self._range(block)
        if len(rows) == 1 < stop - first:
            self._alike[block, name] = rows
        else:
            self._put(name, first, np.asarray(rows, self.dtype))

    def get(self, block: int, name: str) -> np.ndarray:
        """Local: rows of a block that were kept."""
        found = self._alike.get((block, name))
        return self._files[name].get(*self._range(block)) if found is None else found

    def drop(self, *names: str) -> None:
        """Local: removes dense rows of all blocks, as far as there are any."""
        for name in names:
            if name in self._files:
                self._files.pop(name).remove()

    def share(self, name: str) -> None:
        """Collective: dense rows of all blocks onto the disk of every rank. Messages: a maximum; each rank's rows,
        some MB at a time, to all others."""
        if self.world.size == 1:
            return
        row_bytes = self._files[name].row_bytes if self.own else 1
        step = max(1, int(WINDOW_BYTES // self.world.max(np.array([row_bytes]))[0]))
        for holder, (first, stop) in enumerate(itertools.pairwise(self.strips.borders.tolist())):
            for begin in range(first, stop, step):
                mine = holder == self.world.rank
                rows = {"rows": self._files[name].get(begin, min(begin + step, stop))} if mine else None
                found = self.world.bcast(rows, holder)
                if not mine:
                    self._put(name, begin, found["rows"])

    def sums(self, name: str, loops: bool) -> Iterator[tuple[int, np.ndarray]]:
        """Local: yields own blocks with the sums of the shared rows `name` over the neighbours of their nodes.

        loops: every node is its own neighbour, too.
        """
        strips, block = self.strips, iter(self.own)
        if not strips.count:
            return
        shared = self._files[name]
        at_once = max(1, int(self.sum_bytes // (strips.rows * shared.row_bytes)))
        for turn, begin in enumerate(range(0, strips.count, at_once)):
            chosen = range(begin, min(begin + at_once, strips.count))
            first, stop = strips.nodes_of(chosen[0])[0], strips.nodes_of(chosen[-1])[1]
            out = aligned_zeros(stop - first, shared.width, self.dtype)
            if loops:
                shared.read(first, out)
            for blocks, rows, pairs in ahead(self._windows(shared, chosen, turn % 2)):
                for strip in chosen:
                    ends = strips.ends[strip, blocks.start : blocks.stop + 1]
                    self._add(ends - ends[0], rows, pairs[strip], out[strips.nodes_of(strip)[0] - first :])
                del rows, pairs
            for place in range(0, stop - first, self.block_rows):
                yield next(block), out[place : place + self.block_rows].copy()  # a view would keep all of `out`
            del out

    def _windows(self, shared: FlatFile, chosen: range, back: bool) -> Iterator[tuple]:
        """Local: yields ranges of blocks (slices), their dense rows, and the pairs of each chosen strip, as they lie on
        disk. back: from the last to the first: what the pass before has read last may still be in memory."""
        pairs = np.diff(self.strips.ends[chosen.start : chosen.stop].sum(axis=0))
        sizes = pairs * np.uint32().itemsize + self.block_rows * shared.row_bytes
        for blocks in list(groups(sizes, WINDOW_BYTES))[:: -1 if back else 1]:
            rows = shared.get(self._range(blocks.start)[0], self._range(blocks.stop - 1)[1])
            yield blocks, rows, {strip: self.strips.read(strip, blocks) for strip in chosen}

    def _add(self, ends: np.ndarray, rows: np.ndarray, pairs: np.ndarray, out: np.ndarray) -> None:
        """Local: adds dense rows of several blocks to the nodes of one strip. ends: of the blocks' pairs."""
        for place, (begin, end) in enumerate(itertools.pairwise(ends.tolist())):
            add_pairs(pairs[begin:end], self.strips.bits, rows[place * self.block_rows :], out)

    def _range(self, block: int) -> tuple[int, int]:
        """Local: the numbers of a block's first node and of the one after its last."""
        return block * self.block_rows, min((block + 1) * self.block_rows, self.nodes)

    def _put(self, name: str, first: int, rows: np.ndarray) -> None:
        """Local: rows into the flat file of that name, made when the first ones come."""
        if name not in self._files:
            width = rows.shape[1] if rows.ndim > 1 else 1
            self._files[name] = FlatFile(self.folder / f"{name}.bin", rows.dtype, width)
        self._files[name].put(first, rows)

    def _features_file(self, block: int) -> Path:
        return self.folder / f"features-{block:06d}.h5"

    def _features(self, block: int) -> SparseRows:
        with h5py.File(self._features_file(block), "r") as file:
            indices = file["indices"][:].astype(np.int32)
            wide, value = file.attrs.get("width"), file.attrs.get("value")
            indptr = file["indptr"][:] if wide is None else np.arange(0, len(indices) + 1, wide, dtype=np.int64)
            data = file["data"][:] if value is None else np.full(len(indices), value, self.dtype)
            return SparseRows(indptr, indices, data, int(file.attrs["columns"]))


def aligned_zeros(rows: int, width: int, dtype: np.dtype) -> np.ndarray:
    """Local: dense rows that begin with a cache line: rows as long as one then touch no two (1.5 times as fast)."""
    memory = np.zeros(rows * width + LINE_BYTES // dtype.itemsize, dtype)
    start = -memory.ctypes.data % LINE_BYTES // dtype.itemsize
    return memory[start : start + rows * width].reshape(rows, width)


def _write(file: h5py.File, matrix: SparseRows) -> None:
    """Local: sparse rows in few bytes: equally long ones without their ends, equal values as one."""
    lengths, data = matrix.lengths, matrix.data
    file.attrs["columns"] = matrix.columns
    file["indices"] = matrix.indices.astype(np.min_scalar_type(max(matrix.columns - 1, 0)))
    if len(lengths) and lengths[0] and (lengths == lengths[0]).all():
        file.attrs["width"] = lengths[0]
    else:
        file["indptr"] = matrix.indptr
    if len(data) and (data == data[0]).all():
        file.attrs["value"] = data[0]
    else:
        file["data"] = data
