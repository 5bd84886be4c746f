"""Propagates features over the graph once, before training: afterwards a part needs neither edges nor halo."""

from collections.abc import Callable

import numpy as np

from mpiedge.graph.blocks import Blocks, split_blocks
from mpiedge.graph.grid import Grid
from mpiedge.graph.halo import HaloExchange
from mpiedge.graph.part import Part
from mpiedge.graph.sparse import SparseRows, offsets
from mpiedge.kernels.sparse_product import product

COLUMNS = 64
"""Columns that are propagated at a time: they are dense meanwhile."""


def propagate(world, part: Part, hops: int, keep: str, heed: Callable[[], None]) -> Part:
    """Collective: the part with features A^hops X (keep "last") or X, A X, ..., A^hops X side by side ("all").

    A is the symmetric normalised adjacency. heed() raises when memory runs out. Messages: `hops` exchanges of boundary
    rows for every 64 columns.
    """
    blocks, exchange = split_blocks(part, "symmetric"), HaloExchange(world, part)
    features = part.features.take(np.arange(part.owned))
    by_column, columns = features.transposed(), features.columns
    wide = columns if keep == "last" else columns * (hops + 1)
    found = []
    for start in range(0, columns, COLUMNS):
        chosen = by_column.take(np.arange(start, min(start + COLUMNS, columns)))
        rows = np.zeros((part.owned, chosen.rows), chosen.data.dtype)
        rows[chosen.indices, chosen.row_of_entry()] = chosen.data
        for hop in range(hops + 1):
            if keep == "all" or hop == hops:
                found.append(_entries(rows, start + (hop * columns if keep == "all" else 0)))
            if hop < hops:
                rows = _step(blocks, exchange, rows)
        heed()
    none = np.zeros(0, np.int64)
    return Part(part.nodes[: part.owned], part.owned, np.zeros(part.owned + 1, np.int64), np.zeros(0, np.int32),
                part.degrees[: part.owned], _stack(found, part.owned, wide), part.labels, part.split, none,
                np.zeros(world.size, np.int64), np.zeros(world.size, np.int64))


def propagate_blocks(grid: Grid, columns: int, hops: int, keep: str, heed: Callable[[], None]) -> int:
    """Collective: as `propagate`, for blocks on disk, which have the propagated features afterwards; their columns.

    Messages: `hops` exchanges of all rows for every 64 columns.
    """
    pieces = {}
    for start in range(0, columns, COLUMNS):
        width = min(COLUMNS, columns - start)
        for block in grid.own:
            features = grid.load(block, features=True).features
            chosen = np.flatnonzero((features.indices >= start) & (features.indices < start + width))
            rows = np.zeros((features.rows, width), grid.dtype)
            rows[features.row_of_entry()[chosen], features.indices[chosen] - start] = features.data[chosen]
            grid.put(block, "hop", rows)
        for hop in range(hops + 1):
            if keep == "all" or hop == hops:
                name = f"piece{len(pieces)}"
                pieces[name] = start + (hop * columns if keep == "all" else 0)
                for block in grid.own:
                    grid.put(block, name, grid.get(block, "hop"))
            if hop < hops:
                _step_blocks(grid)
        grid.drop("hop", "handed")  # the last columns may be fewer
        heed()
    wide = columns if keep == "last" else columns * (hops + 1)
    for block in grid.own:
        found = [_entries(grid.get(block, name), first) for name, first in pieces.items()]
        grid.set_features(block, _stack(found, grid.load(block).owned, wide))
        heed()
    grid.drop(*pieces)
    return wide


def _step_blocks(grid: Grid) -> None:
    """Collective: A times the rows "hop" of all blocks."""
    def shift(block: int) -> np.ndarray:
        return (1 / np.sqrt(grid.load(block).degrees)).astype(grid.dtype)[:, None]

    for block in grid.own:
        grid.put(block, "handed", grid.get(block, "hop") * shift(block))
    grid.share("handed")
    for block, sums in grid.sums("handed", loops=True):
        grid.put(block, "hop", sums * shift(block))


def project(features: SparseRows, columns: int, seed: int) -> SparseRows:
    """Local: features times a random matrix of signs (Achlioptas 2003), the same for every rank: dense rows.

    Distances between rows are kept up to about 1 / sqrt(columns); rare features drown (see docs/log.md).
    """
    random = np.random.default_rng([seed, 7])
    signs = random.choice(np.array([-1, 1], np.float32), (features.columns, columns)) / np.float32(np.sqrt(columns))
    dense = product(features, signs.astype(features.data.dtype))
    return _stack([_entries(dense, 0)], features.rows, columns)


def _step(blocks: Blocks, exchange: HaloExchange, rows: np.ndarray) -> np.ndarray:
    """Collective: A times rows."""
    rows = rows * blocks.shift[: len(rows), None]
    exchange.start(rows)
    out = product(blocks.near, rows, scale=blocks.scale)
    return product(blocks.far, exchange.finish(rows.shape[1]), out, targets=blocks.boundary)


def _entries(rows: np.ndarray, first: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row number, column (from `first` on) and value of what is not zero, int32, int32, as it is."""
    row, column = np.nonzero(rows)
    return row.astype(np.int32), (column + first).astype(np.int32), rows[row, column]


def _stack(found: list, rows: int, columns: int) -> SparseRows:
    """Sparse rows from entries that come in blocks of columns, each sorted by row."""
    row = np.concatenate([entries[0] for entries in found])
    order = np.argsort(row, kind="stable")
    indptr = offsets(np.bincount(row, minlength=rows))
    return SparseRows(indptr, np.concatenate([entries[1] for entries in found])[order],
                      np.concatenate([entries[2] for entries in found])[order], columns)
