"""Ranks with too much give nodes to those with too little."""

import sys
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1]))
from graphs import random_graph

from mpiedge.graph import part as parts
from mpiedge.graph.build import adjacency
from mpiedge.graph.partition import NODE_WEIGHT, cut_statistics
from mpiedge.graph.shed import choose, shed


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), nodes=st.integers(1, 200), edges=st.integers(0, 800))
def test_work_follows_the_shares(world, seed, nodes, edges):
    """All ranks know the same owners; nobody ends more than one node beside its share, and who lacks work keeps all."""
    graph = random_graph(seed, nodes=nodes, edges=edges)
    neighbours, random = adjacency(graph.edges, graph.nodes), np.random.default_rng(seed)
    before = random.integers(0, world.size, nodes).astype(np.int32)
    shares = random.uniform(0.2, 1, world.size)
    part = list(parts.cut(graph, neighbours, before, np.zeros(nodes, np.int8), world.size))[world.rank]
    owner = shed(world, part, nodes, shares)
    assert all(np.array_equal(owner, other) for other in world.allgather(owner))
    weights = neighbours.degrees() + 1 + NODE_WEIGHT
    load, had = (np.bincount(who, weights, world.size) for who in (owner, before))
    wanted, most = shares / shares.sum() * weights.sum(), weights.max() * world.size
    assert (np.abs(load - wanted) <= most).all()
    for rank in np.flatnonzero(had <= wanted):
        assert (owner[before == rank] == rank).all()


def test_the_border_goes_first():
    """Of a path that is cut in two, the half that gives ends at the new border: one edge is cut, as before."""
    nodes = 40
    edges = np.stack([np.arange(nodes - 1), np.arange(1, nodes)], axis=1).astype(np.int32)
    graph = random_graph(0, nodes=nodes, edges=0)
    graph.edges = edges
    neighbours, before = adjacency(edges, nodes), np.repeat([0, 1], nodes // 2).astype(np.int32)
    part = next(parts.cut(graph, neighbours, before, np.zeros(nodes, np.int8), 2))
    weights = np.diff(part.indptr) + NODE_WEIGHT
    after = before.copy()
    after[: nodes // 2] = choose(part, 0, weights, np.array([0.0, weights[0] * 8.0]))
    assert 5 <= (after[: nodes // 2] == 1).sum() <= 8
    assert cut_statistics(neighbours, after, 2, weights)["cut_edges"] <= 3
