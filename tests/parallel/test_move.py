"""A graph in parts is dealt out anew."""

import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1]))
from graphs import random_graph

from mpiedge.graph import part as parts
from mpiedge.graph.build import adjacency
from mpiedge.graph.move import find, move
from mpiedge.graph.part import FEATURE_PARTS


@pytest.mark.parametrize("copies", [True, False])
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), nodes=st.integers(1, 200), edges=st.integers(0, 800), moved=st.floats(0, 1))
def test_a_part_is_as_if_cut_from_the_whole_graph(world, copies, seed, nodes, edges, moved):
    """Whether old parts have copies of the halo's features, most of which stay, or only their own."""
    graph = random_graph(seed, nodes=nodes, edges=edges)
    neighbours, random = adjacency(graph.edges, graph.nodes), np.random.default_rng(seed)
    before = random.integers(0, world.size, nodes).astype(np.int32)
    after = np.where(random.random(nodes) < moved, random.integers(0, world.size, nodes), before).astype(np.int32)
    split = random.integers(0, 4, nodes).astype(np.int8)
    old, expected = (list(parts.cut(graph, neighbours, owner, split, world.size))[world.rank]
                     for owner in (before, after))
    if not copies:
        old.features = old.features.head(old.owned)
    new = move(world, old, after)
    for field in fields(expected):
        if field.name == "indices":  # neighbours of a node in any order
            rows = np.repeat(np.arange(expected.owned), np.diff(expected.indptr))
            assert np.array_equal(new.indices[np.lexsort((new.indices, rows))], expected.indices)
        elif field.name != "features":
            np.testing.assert_array_equal(getattr(new, field.name), getattr(expected, field.name), field.name)
    for name in FEATURE_PARTS:
        np.testing.assert_array_equal(getattr(new.features, name), getattr(expected.features, name), name)


def test_numbers_are_found():
    """In any order, -1 for those that are not there, among none as well."""
    assert find(np.array([5, 2, 9]), np.array([2, 3, 9, 10, 0])).tolist() == [1, -1, 2, -1, -1]
    assert find(np.array([], np.int64), np.array([4])).tolist() == [-1]
    assert find(np.array([4]), np.array([], np.int64)).tolist() == []
