"""Partitions and parts: every node and every edge exactly once, sender and receiver agreeing on each halo row."""

import numpy as np
import pytest
from graphs import dense_adjacency, random_graph
from hypothesis import given, settings
from hypothesis import strategies as st

from mpiedge.errors import UsageError
from mpiedge.graph import part as parts
from mpiedge.graph import partition
from mpiedge.graph.build import adjacency

METHODS = [name for name in partition.METHODS if name != "metis" or partition.default_method() == "metis"]


def cut(graph, ranks, method="hash", seed=0):
    """Owners and parts of a graph."""
    neighbours = adjacency(graph.edges, graph.nodes)
    owner = partition.partition(neighbours, np.ones(ranks), method, seed)
    return owner, list(parts.cut(graph, neighbours, owner, graph.splits["column:role"], ranks))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shares", [[2.0, 1.0, 1.0], [0.0, 2.0, 1.0, 0.0]])
def test_owners_are_repeatable_and_follow_the_shares(method, shares):
    """The same call gives the same owners; a rank with twice the share gets about twice the work, one without none."""
    graph = random_graph(3, nodes=3000, edges=9000)
    neighbours = adjacency(graph.edges, graph.nodes)
    shares = np.array(shares)
    owner = partition.partition(neighbours, shares, method, 5)
    np.testing.assert_array_equal(owner, partition.partition(neighbours, shares, method, 5))
    work = np.bincount(owner, weights=neighbours.degrees() + partition.NODE_WEIGHT, minlength=len(shares))
    np.testing.assert_allclose(work / work.sum(), shares / shares.sum(), atol=0.06)
    assert not work[shares == 0].any()


@pytest.mark.parametrize("method", [name for name in METHODS if name != "hash"])
def test_graph_aware_methods_cut_fewer_edges(method):
    """On a ring of dense groups METIS and LDG cut far fewer edges than a random order does."""
    groups, size = 40, 25
    random = np.random.default_rng(0)
    inside = np.concatenate([random.integers(0, size, (100, 2)) + group * size for group in range(groups)])
    across = np.stack([np.arange(groups) * size, (np.arange(groups) * size + size) % (groups * size)], axis=1)
    from mpiedge.graph.build import undirected

    neighbours = adjacency(undirected(np.concatenate([inside, across]), groups * size), groups * size)
    weight = np.ones(groups * size)
    found, plain = (partition.cut_statistics(neighbours, partition.partition(neighbours, np.ones(4), name), 4, weight)
                    for name in (method, "hash"))  # fmt: skip
    assert found["cut_edges"] < 0.5 * plain["cut_edges"] and found["halo"].sum() < plain["halo"].sum()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("nodes", "edges"), [(0, 0), (1, 0), (2, 1), (5, 0), (3, 9)])
def test_more_ranks_than_nodes(method, nodes, edges):
    """Tiny graphs are partitioned over more ranks than nodes: owners in range, nobody lost."""
    graph = random_graph(1, nodes=nodes, edges=edges) if nodes else None
    neighbours = adjacency(graph.edges if graph else np.zeros((0, 2), np.int64), nodes)
    owner = partition.partition(neighbours, np.ones(7), method)
    assert len(owner) == nodes and ((owner >= 0) & (owner < 7)).all()


def test_metis_without_pymetis(monkeypatch):
    """--partition metis without pymetis is a usage error, and the default becomes LDG."""
    for version in ("2023.1.1", "2025.1.1"):  # these cannot cut unequal shares
        monkeypatch.setattr(partition.importlib.metadata, "version", lambda name, version=version: version)
        assert partition.default_method() == "ldg"
    with pytest.raises(UsageError, match=r"pymetis 2025\.2 or later is not installed"):
        partition.partition(adjacency(np.array([[0, 1]]), 2), np.ones(2), "metis")


@given(st.integers(0, 10_000), st.integers(1, 40), st.integers(0, 120), st.integers(1, 6), st.sampled_from(METHODS))
@settings(max_examples=40, deadline=None)
def test_parts_are_the_graph(seed, nodes, edges, ranks, method):
    """Parts put together give every node once, its features, label and role, and the whole adjacency with loops."""
    graph = random_graph(seed, nodes=nodes, edges=edges)
    _, made = cut(graph, ranks, method, seed)
    owned = np.concatenate([part.nodes[: part.owned] for part in made])
    assert sorted(owned.tolist()) == list(range(nodes))
    whole = dense_adjacency(graph) > 0
    features = graph.features.dense()
    for part in made:
        mine = part.nodes[: part.owned]
        assert (np.diff(mine) > 0).all()
        rebuilt = np.zeros((part.owned, nodes), bool)
        rows = np.repeat(np.arange(part.owned), np.diff(part.indptr))
        rebuilt[rows, part.nodes[part.indices]] = True
        np.testing.assert_array_equal(rebuilt, whole[mine])
        assert part.indptr[-1] == whole[mine].sum()
        np.testing.assert_array_equal(part.features.dense(), features[part.nodes])
        np.testing.assert_array_equal(part.degrees, whole.sum(axis=1)[part.nodes])
        np.testing.assert_array_equal(part.labels, graph.labels[mine])
        np.testing.assert_array_equal(part.split, graph.splits["column:role"][mine])
        again = parts.Part.from_message(part.to_message())
        assert again.features.columns == part.features.columns and again.owned == part.owned


@given(st.integers(0, 10_000), st.integers(1, 40), st.integers(0, 120), st.integers(2, 6))
@settings(max_examples=40, deadline=None)
def test_sender_and_receiver_agree(seed, nodes, edges, ranks):
    """What rank s sends to rank r are the very nodes, in the very order, that r expects from s."""
    graph = random_graph(seed, nodes=nodes, edges=edges)
    owner, made = cut(graph, ranks)
    for receiver, part in enumerate(made):
        halo = part.nodes[part.owned :]
        ends = np.cumsum(part.receive_counts)
        for sender, other in enumerate(made):
            expected = halo[ends[sender] - part.receive_counts[sender] : ends[sender]]
            starts = np.cumsum(other.send_counts) - other.send_counts
            rows = other.send_rows[starts[receiver] : starts[receiver] + other.send_counts[receiver]]
            np.testing.assert_array_equal(other.nodes[rows], expected)
            assert (owner[expected] == sender).all() and (sender != receiver or not len(expected))
