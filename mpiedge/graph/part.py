"""Cuts a graph into one part per rank: owned nodes, halo copies of their neighbours, and who sends what to whom."""

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np

from mpiedge.graph.build import Adjacency, Graph
from mpiedge.graph.sparse import SparseRows, empty, offsets

FEATURE_PARTS = ("indptr", "indices", "data", "columns")


@dataclass
class Part:
    """What one rank holds of a graph. Rows are the owned nodes (ascending), then the halo (by owner, ascending).

    nodes: int64, global numbers of all rows; owned: how many of them are owned; indptr, indices: rows of the
    adjacency of the owned nodes in these row numbers, with self loops; degrees: int64, number of neighbours in the
    whole graph plus one, of all rows; features: sparse rows of all rows; labels (int64) and split (int8) of the
    owned; send_rows: owned rows that other ranks need, by destination; send_counts, receive_counts: per rank.
    """

    nodes: np.ndarray
    owned: int
    indptr: np.ndarray
    indices: np.ndarray
    degrees: np.ndarray
    features: SparseRows
    labels: np.ndarray
    split: np.ndarray
    send_rows: np.ndarray
    send_counts: np.ndarray
    receive_counts: np.ndarray

    @property
    def halo(self) -> int:
        """Number of halo rows."""
        return len(self.nodes) - self.owned

    def to_message(self) -> dict:
        """As a message of arrays and numbers."""
        message = {entry.name: getattr(self, entry.name) for entry in fields(self) if entry.name != "features"}
        return message | {f"f_{name}": getattr(self.features, name) for name in FEATURE_PARTS}

    @classmethod
    def from_message(cls, message: dict) -> "Part":
        """The part in a message."""
        features = SparseRows(*(message[f"f_{name}"] for name in FEATURE_PARTS))
        own = {entry.name: message[entry.name] for entry in fields(cls) if entry.name != "features"}
        return cls(features=features, **own)


def cut(graph: Graph, neighbours: Adjacency | None, owner: np.ndarray, split: np.ndarray, ranks: int) -> Iterator[Part]:
    """Local: the parts of ranks 0, 1, ... one after the other, so that only one exists besides the graph.

    neighbours: None for models without a graph: then there is no halo. Features that lie on several ranks are yet to
    come. Every list of rows that goes from one rank to
    another is ascending in the global node number on both sides, so sender and receiver agree without a message.
    """
    place = np.empty(graph.nodes, np.int64)  # row of every node at its owner
    for rank in range(ranks):
        mine = np.flatnonzero(owner == rank)
        place[mine] = np.arange(len(mine))
    degrees = np.ones(graph.nodes, np.int64) if neighbours is None else neighbours.degrees() + 1
    needs = [[] for _ in range(ranks)]  # needs[s][r]: owned rows of s that r needs
    for rank in range(ranks):
        halo = _halo(neighbours, owner, rank)
        for source in range(ranks):
            needs[source].append(place[halo[owner[halo] == source]])
    for rank in range(ranks):
        mine = np.flatnonzero(owner == rank)
        halo = _halo(neighbours, owner, rank)
        nodes = np.concatenate([mine, halo])
        indptr, indices = _local_rows(neighbours, mine, halo, graph.nodes)
        yield Part(
            nodes=nodes,
            owned=len(mine),
            indptr=indptr,
            indices=indices,
            degrees=degrees[nodes],
            features=graph.features.take(nodes) if graph.features is not None else empty(0),
            labels=graph.labels[mine],
            split=split[mine],
            send_rows=np.concatenate(needs[rank]).astype(np.int64),
            send_counts=np.array([len(rows) for rows in needs[rank]], np.int64),
            receive_counts=np.bincount(owner[halo], minlength=ranks).astype(np.int64),
        )


def _halo(neighbours: Adjacency | None, owner: np.ndarray, rank: int) -> np.ndarray:
    """Nodes of other ranks next to a node of this rank, by owner, then ascending."""
    if neighbours is None:
        return np.zeros(0, np.int64)
    near = neighbours.neighbours[np.repeat(owner == rank, neighbours.degrees())]
    far = np.unique(near[owner[near] != rank]).astype(np.int64)
    return far[np.argsort(owner[far], kind="stable")]


def _local_rows(neighbours: Adjacency | None, mine: np.ndarray, halo: np.ndarray, nodes: int):
    """Adjacency rows of the owned nodes in local row numbers, ascending, each with its self loop."""
    if neighbours is None:
        return np.zeros(len(mine) + 1, np.int64), np.zeros(0, np.int32)
    local = np.zeros(nodes, np.int32)
    local[mine], local[halo] = np.arange(len(mine)), np.arange(len(mine), len(mine) + len(halo))
    chosen = np.zeros(nodes, bool)
    chosen[mine] = True
    entries = local[neighbours.neighbours[np.repeat(chosen, neighbours.degrees())]]
    lengths = neighbours.degrees()[mine]
    rows = np.concatenate([np.repeat(np.arange(len(mine)), lengths), np.arange(len(mine))])
    columns = np.concatenate([entries, np.arange(len(mine), dtype=np.int32)])
    order = np.lexsort((columns, rows))
    return offsets(lengths + 1), columns[order]


def scatter(world, parts: Iterator[Part] | None) -> Part:
    """Collective: rank 0 gives every rank its part; the others hold nothing else of the graph.

    Messages: one per rank, in rank order, so that rank 0 holds one part at a time besides the graph.
    """
    mine = None
    for rank in range(world.size):
        messages = [{} for _ in range(world.size)]
        if parts is not None:
            messages[rank] = next(parts).to_message()
        received = world.alltoall(messages)[0]
        if rank == world.rank:
            mine = Part.from_message(received)
    return mine
