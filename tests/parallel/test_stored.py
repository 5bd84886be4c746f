"""A graph in chunks: drawn, sorted and cut by all ranks together as one rank would do it in memory."""

import numpy as np
import pytest

from mpiedge.demo import graphs
from mpiedge.graph import assemble, partition
from mpiedge.graph import part as parts
from mpiedge.graph.build import Graph, adjacency, undirected
from mpiedge.graph.sort import SortedChunks
from mpiedge.graph.sparse import from_triplets
from mpiedge.store.graphs import StoredGraph, read_about


@pytest.fixture(params=["sbm", "rmat"])
def drawn(world, shared_tmp_path, monkeypatch, request):
    """A small graph in many chunks: its folder as the ranks see it, and the whole of it in memory."""
    monkeypatch.setattr(graphs, "CHUNK_ROWS", 70)
    monkeypatch.setattr(graphs, "EDGES_PER_CHUNK", 300)
    folder = shared_tmp_path / "graph"
    about = graphs.write_graph(world, str(folder), request.param, 500, 1700, seed=3)
    assert about == read_about(folder)
    nodes = [graphs.draw_nodes(request.param, 500, chunk, 3) for chunk in range(8)]
    edges = np.concatenate([graphs.draw_edges(request.param, 500, 1700, chunk, 3) for chunk in range(6)])
    words = np.concatenate([chunk["words"] for chunk in nodes])
    features = from_triplets(np.repeat(np.arange(500), words.shape[1]), words.reshape(-1), np.ones(words.size),
                             (500, graphs.COLUMNS)).normalised()  # fmt: skip
    whole = Graph(np.arange(500), features, np.concatenate([chunk["labels"] for chunk in nodes]).astype(np.int64),
                  about["classes"], undirected(edges, 500),
                  {"stored": np.concatenate([chunk["split"] for chunk in nodes])})  # fmt: skip
    return StoredGraph(folder, about, list(range(world.size))), whole


def sorted_chunks(world, stored, folder):
    """The neighbour lists of a stored graph."""
    chunks = SortedChunks(world, 500, 70, folder / f"scratch{world.rank}")
    for chunk in stored.rounds(stored.about["edge_chunks"], world.rank):
        chunks.add(np.zeros((0, 2), np.int64) if chunk is None else stored.edges(chunk))
    chunks.finish()
    return chunks


@pytest.mark.parametrize("method", ["ldg", "hash"])
def test_parts_from_chunks_are_those_cut_in_memory(world, drawn, shared_tmp_path, method):
    """Edges, degrees, features, labels, roles and the plan of exchanges equal those of a graph cut on one rank."""
    stored, whole = drawn
    chunks = sorted_chunks(world, stored, shared_tmp_path)
    owner = partition.partition_stream(world, chunks, np.ones(world.size), method, seed=1)
    np.testing.assert_array_equal(owner, world.bcast({"owner": owner})["owner"])
    neighbours = adjacency(whole.edges, 500)
    load = np.bincount(owner, weights=neighbours.degrees() + 4, minlength=world.size)
    assert load.max() <= 1.3 * load.mean()
    cut = (owner[whole.edges[:, 0]] != owner[whole.edges[:, 1]]).mean()
    drawn_by_lot = 1 - 1 / world.size
    assert world.size == 1 or method == "hash" or cut < 0.95 * drawn_by_lot, "neighbours are not kept together"
    part = assemble.collect_edges(world, chunks, owner)
    rounds = (None if chunk is None else (chunk * 70, stored.nodes(chunk)) for chunk in stored.rounds(8, world.rank))
    assemble.collect_rows(world, part, rounds, owner, graphs.COLUMNS)
    expected = list(parts.cut(whole, neighbours, owner, whole.splits["stored"], world.size))[world.rank]
    for name in ("nodes", "owned", "indptr", "degrees", "labels", "split", "send_rows", "send_counts",
                 "receive_counts"):  # fmt: skip
        np.testing.assert_array_equal(getattr(part, name), getattr(expected, name), err_msg=name)
    rows = np.repeat(np.arange(part.owned), np.diff(part.indptr))
    np.testing.assert_array_equal(part.indices[np.lexsort((part.indices, rows))], expected.indices)
    np.testing.assert_allclose(part.features.dense(), expected.features.dense(), rtol=1e-6)
