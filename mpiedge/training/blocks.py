"""Training from disk: whether memory asks for it, in which blocks, and how these are made of a graph in chunks."""

import shutil
from dataclasses import dataclass, replace

import numpy as np

from mpiedge.graph.grid import WINDOW_BYTES, Grid
from mpiedge.graph.strips import most_rows
from mpiedge.kernels import native
from mpiedge.models.build import MODELS, uses_graph
from mpiedge.runtime import resources
from mpiedge.training.plan import (
    SCIPY_PRODUCT,
    Layout,
    entering_entries,
    finish_layout,
    fixed_memory,
    memory,
    widths,
)
from mpiedge.training.propagate import COLUMNS
from mpiedge.training.shares import HALO_ROOM, Shares

GROWTH_BYTES = 16e6  # by which programs grow until the plan is checked again: buffers of HDF5 and of the sort
BLOCK_ROWS, LEAST_ROWS = 8192, 256  # of a block, as memory has room: few enough to lie near the processor
BLOCK_SHARE = 0.15  # of the room, for one block; the rest is for sums: the more of them, the fewer passes over all rows


@dataclass
class Tile:
    """What is in memory at a time. block_rows: nodes of a block; strip_blocks: blocks of a strip of sums; block_bytes:
    of a block while it is made and used; sum_bytes: of the sums of a pass; read_bytes: of what is read for them."""

    block_rows: int
    strip_blocks: int
    block_bytes: float
    sum_bytes: float
    read_bytes: float = 2 * WINDOW_BYTES

    @property
    def bytes(self) -> float:
        """All of it."""
        return self.block_bytes + self.sum_bytes + self.read_bytes


def choose(stage, args, source, facts: dict, shares: Shares) -> Tile | None:
    """Collective: the tile to train with, the same on all ranks, or None to train in memory.

    facts: of the layout, without its parts. Raises MemoryPlanError on every rank where neither fits and disk would take
    less; where memory would, None: the plan of that refuses. Messages: two minima, a maximum.
    """
    world = stage.world
    share, edges = shares.values[world.rank], 2 * facts["edges"]
    rows = np.array([[facts["nodes"] * share, 0, (edges + facts["nodes"]) * share, facts["entries"] * share]])
    layout = finish_layout(args, source, facts | {"method": "", "cut_edges": 0, "rank_rows": rows.astype(np.int64),
                                                  "shares": shares})
    free = stage.own_budget_bytes - resources.current_rss_bytes(world.node_size)
    whole = HALO_ROOM * sum(memory(layout, 0).values())
    if args.hold == "memory":
        return None
    if args.hold == "auto" and world.min(np.array([int(whole <= free)]))[0]:
        return None
    room = world.min(np.array([free - GROWTH_BYTES - sum(fixed_memory(layout, on_disk=True).values())]))[0]
    tile = fit(layout, edges / facts["nodes"], float(room))
    if tile.bytes > room:
        needed = memory(replace(layout, tile=tile), 0) | {"buffers": GROWTH_BYTES}
        if args.hold == "auto" and world.max(np.array([whole]))[0] < sum(needed.values()):
            return None
        stage.require(**needed)
    return tile


def fit(layout: Layout, neighbours: float, room: float) -> Tile:
    """Local: the largest tile in `room` bytes, at least one of the smallest blocks."""
    wide, ahead = MODELS[layout.settings.model].side_by_side, MODELS[layout.settings.model].propagates
    width, entries = max(*widths(layout), COLUMNS if ahead else 0), entering_entries(layout, 0) / layout.rank_rows[0, 0]
    # Counted from the arrays of one step of training, and of the features that propagation puts together.
    real, product = layout.real, 0 if native.library else SCIPY_PRODUCT
    node_bytes = 64 + product * max(neighbours, entries) + max(
        (8 + 2 * real) * entries + 12 * real * width * wide, (28 + 3 * real) * entries if ahead else 0)
    block_rows = BLOCK_ROWS
    while block_rows > LEAST_ROWS and node_bytes * block_rows > BLOCK_SHARE * room:
        block_rows //= 2
    count, row_bytes = -(-layout.nodes // block_rows), real * width * block_rows
    most = int(np.clip((room - 2 * WINDOW_BYTES - node_bytes * block_rows) // row_bytes, 1, count))
    strips = -(-most * block_rows // most_rows(block_rows))  # that are summed up at a time
    return Tile(block_rows, -(-most // strips), node_bytes * block_rows, row_bytes * most)


def build(stage, source, args, facts: dict, shares: Shares, tile: Tile) -> tuple[Layout, Grid]:
    """Collective: sorts the edges into strips; features come later (`collect_rows`). Messages: see graph/strips.py."""
    world, stored, about = stage.world, source.stored, source.stored.about
    folder = stage.access.scratch / f"blocks-{world.rank}"
    shutil.rmtree(folder, ignore_errors=True)
    grid = Grid(world, folder, about["nodes"], tile.block_rows, tile.strip_blocks, tile.sum_bytes, shares.values,
                args.dtype)
    with stage.phase("sort"):
        for chunk in stored.rounds(about["edge_chunks"] if uses_graph(args.model) else 0, world.rank):
            grid.strips.add(np.zeros((0, 2), np.int64) if chunk is None else stored.edges(chunk))
        grid.sort(tile.sum_bytes)
    resources.return_freed()
    own = np.zeros((world.size, 4), np.int64)
    nodes = grid.strips.stop - grid.strips.first
    own[world.rank] = nodes, 0, grid.strips.ends[:, -1].sum() + nodes, nodes * _width(about)
    rows = world.sum(own)
    return finish_layout(args, source, facts | {
        "edges": int(rows[:, 2].sum() - about["nodes"]) // 2, "cut_edges": 0, "method": "blocks", "rank_rows": rows,
        "shares": shares, "tile": tile}), grid


def collect_rows(stage, source, grid: Grid) -> Grid:
    """Collective: reads labels and features and completes the blocks. Messages: those rows to whom they belong to."""
    stored, about = source.stored, source.stored.about
    for chunk in stored.rounds(about["node_chunks"], stage.world.rank):
        grid.add_rows(0 if chunk is None else chunk * about["chunk_rows"], None if chunk is None else
                      stored.nodes(chunk))
    grid.close(about["columns"], _width(about))
    return grid


def _width(about: dict) -> int:
    """Words of a node."""
    return about["entries"] // about["nodes"]
