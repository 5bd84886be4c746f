"""Opens a graph that lies in chunks, so large that no rank reads it whole; every rank builds its own part."""

import os
import shutil
from pathlib import Path

import numpy as np

from mpiedge.errors import UsageError
from mpiedge.graph import assemble, partition
from mpiedge.graph.grid import Grid
from mpiedge.graph.part import Part
from mpiedge.graph.sort import SortedChunks
from mpiedge.models.build import uses_graph
from mpiedge.runtime.root import on_root
from mpiedge.store.graphs import GRAPH_FILE, StoredGraph, read_about
from mpiedge.training import blocks
from mpiedge.training.plan import Layout, choose_shares, finish_layout, measure_rows
from mpiedge.training.sources import Source

SORT_COPIES, LIST_BYTES = 12, 48
"""Copies of a chunk of edges while it is sorted (measured); bytes per neighbour while a part is put together (counted
from the arrays of graph/assemble.py that live at the same time, six of 8 bytes)."""


def is_stored(world, path: str | None) -> bool:
    """Collective: whether rank 0 finds a graph in chunks at `path`."""
    return bool(path) and on_root(world, lambda: os.path.isfile(os.path.join(path, GRAPH_FILE)))


def open_stored(stage, path: str) -> Source:
    """Collective: what graph.json says, on every rank. Raises InputError on every rank. Messages: the description."""
    about = on_root(stage.world, lambda: read_about(path))
    file = os.path.join(path, GRAPH_FILE)
    mine = os.path.isfile(file) and os.path.getsize(file)
    seen = stage.world.allgather({"size": int(mine), "root": stage.world.is_root})
    readers = [rank for rank, message in enumerate(seen) if message["size"] == seen[0]["size"]]
    source = Source(path, inputs={GRAPH_FILE: about["sha256"]})
    source.stored = StoredGraph(Path(path), about, readers)
    return source


def make_layout(stage, source: Source, args) -> tuple[Layout, Part | Grid]:
    """Collective: sorts, partitions, and gives every rank the edges of its part, or of its
    blocks on disk where parts would not fit memory. Raises UsageError, MemoryPlanError.

    Messages: see graph/sort.py, graph/partition.py and graph/assemble.py.
    """
    world, stored, about = stage.world, source.stored, source.stored.about
    connected = uses_graph(args.model)
    method = "blocks" if not connected else args.partition or "ldg"
    if method not in ("blocks", "ldg", "hash") or args.split not in (None, "stored") or args.select:
        flag = f"--split {args.split}" if method in ("blocks", "ldg", "hash") else f"--partition {method}"
        flag = "--select" if args.select else flag
        error = UsageError(flag, "this does not work for a graph in chunks", "Leave it out (ldg, the stored split)")
        error.everywhere = True
        raise error
    facts = {"split_name": "stored", "split_counts": about["split"], "classes": about["classes"],
             "nodes": about["nodes"], "columns": about["columns"], "entries": about["entries"],
             "edges": about["edges"] if connected else 0}
    shares = choose_shares(stage, args, source, facts)
    tile = blocks.choose(stage, args, source, facts, shares)
    if tile:
        stage.foresee(sort=16 * SORT_COPIES * about["chunk_edges"], sums=tile.sum_bytes)
        return blocks.build(stage, source, args, facts, shares, tile)
    lists = 2 * facts["edges"] * shares.values[world.rank]
    stage.foresee(owners=4 * about["nodes"], sort=16 * SORT_COPIES * about["chunk_edges"], edges=LIST_BYTES * lists)
    folder = stage.access.scratch / f"graph-{world.rank}"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        chunks = SortedChunks(world, about["nodes"], about["chunk_rows"], folder)
        with stage.phase("sort"):
            for chunk in stored.rounds(about["edge_chunks"] if connected else 0, world.rank):
                chunks.add(np.zeros((0, 2), np.int64) if chunk is None else stored.edges(chunk))
            chunks.finish()
        with stage.phase("partition"):
            if connected:
                owner = partition.partition_stream(world, chunks, shares.values, method, args.seed)
            else:
                owner = partition.blocks(about["nodes"], shares.values)
        with stage.phase("scatter", "communicate"):
            part = assemble.collect_edges(world, chunks, owner)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    source.owner = owner
    rows, cut_edges = measure_rows(world, part)
    rows[:, 3] = about["entries"] // about["nodes"] * (rows[:, 0] + rows[:, 1])  # the features are yet to come
    layout = finish_layout(args, source, facts | {
        "edges": int(rows[:, 2].sum() - about["nodes"]) // 2, "cut_edges": cut_edges, "method": method,
        "rank_rows": rows, "shares": shares})
    return layout, part


def collect_rows(stage, source: Source, part: Part | Grid) -> Part | Grid:
    """Collective: reads labels and features and gives every rank its own. Messages: see graph/assemble.py."""
    if isinstance(part, Grid):
        return blocks.collect_rows(stage, source, part)
    stored, world = source.stored, stage.world
    size = stored.about["chunk_rows"]
    rounds = (None if chunk is None else (chunk * size, stored.nodes(chunk))
              for chunk in stored.rounds(stored.about["node_chunks"], world.rank))
    assemble.collect_rows(world, part, rounds, source.owner, stored.about["columns"])
    source.owner = None
    return part
