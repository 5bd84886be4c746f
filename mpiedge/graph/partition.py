"""Decides which rank owns which node: few cut edges (METIS, LDG) or none of that (hash), in given shares."""

import importlib.metadata
import re

import numpy as np

from mpiedge.errors import InputError, UsageError
from mpiedge.graph.build import Adjacency

METHODS = ("metis", "ldg", "hash")
LDG_BLOCK, LDG_PASSES = 256, 5
NODE_WEIGHT = 4  # cost of a node beside its edges, in edges: features, hidden rows and loss


def default_method() -> str:
    """METIS where a pymetis is installed that takes unequal shares (2025.2 and later), else LDG."""
    try:
        release = re.findall(r"\d+", importlib.metadata.version("pymetis"))
    except importlib.metadata.PackageNotFoundError:
        return "ldg"
    return "metis" if tuple(map(int, release[:2])) >= (2025, 2) else "ldg"


def partition(graph: Adjacency, shares: np.ndarray, method: str, seed: int = 0) -> np.ndarray:
    """Local: the owner (int32) of every node, so that rank r gets about shares[r] of the work.

    shares: positive, one per rank, any scale. The same arguments give the same owners. Raises UsageError when METIS
    is asked for and pymetis is not installed.
    """
    shares = np.asarray(shares, np.float64) / np.sum(shares)
    if len(shares) == 1 or graph.nodes == 0:
        return np.zeros(graph.nodes, np.int32)
    if method == "metis":
        return _metis(graph, shares, seed)
    if method == "ldg":
        return _linear_deterministic_greedy(graph, shares, seed)
    return _hash(graph, shares, seed)


def _metis(graph: Adjacency, shares: np.ndarray, seed: int) -> np.ndarray:
    """Multilevel k-way partitioning (Karypis & Kumar 1998) of nodes weighted by their work."""
    if default_method() != "metis":
        cause = "pymetis 2025.2 or later is not installed"
        raise UsageError("--partition metis", cause, "Install it, or give ldg or hash")
    import pymetis

    options = pymetis.Options()
    options.seed = seed
    edges = pymetis.CSRAdjacency(adj_starts=graph.indptr.astype(np.int32), adjacent=graph.neighbours)
    weights = (graph.degrees() + NODE_WEIGHT).astype(np.int32)
    _, owner = pymetis.part_graph(len(shares), edges, vweights=weights, tpwgts=shares.tolist(), options=options)
    return np.asarray(owner, np.int32)


def _hash(graph: Adjacency, shares: np.ndarray, seed: int) -> np.ndarray:
    """Nodes in a seeded random order, cut where the shares say: the baseline."""
    order = np.random.default_rng([seed, 1]).permutation(graph.nodes)
    bounds = np.round(np.cumsum(shares) * graph.nodes).astype(np.int64)
    owner = np.empty(graph.nodes, np.int32)
    owner[order] = np.searchsorted(bounds, np.arange(graph.nodes), side="right").clip(max=len(shares) - 1)
    return owner


def _linear_deterministic_greedy(graph: Adjacency, shares: np.ndarray, seed: int) -> np.ndarray:
    """Linear deterministic greedy (Stanton & Kliot 2012), streamed five times in blocks of 256 nodes.

    A node goes where most of its neighbours are, times the part's free room. Within a block the rooms are those at
    its start, so a block is a few array operations; a part can be overfull by one block at most.
    """
    ranks, nodes = len(shares), graph.nodes
    weight = (graph.degrees() + NODE_WEIGHT).astype(np.float64)
    capacity = np.maximum(shares * weight.sum(), 1e-9)
    owner = np.full(nodes, -1, np.int32)
    load = np.zeros(ranks)
    order = np.random.default_rng([seed, 2]).permutation(nodes)
    for _ in range(LDG_PASSES):
        for start in range(0, nodes, LDG_BLOCK):
            block = order[start : start + LDG_BLOCK]
            placed = owner[block] >= 0
            np.subtract.at(load, owner[block[placed]], weight[block[placed]])
            lengths = graph.indptr[block + 1] - graph.indptr[block]
            rows = np.repeat(np.arange(len(block)), lengths)
            first = np.repeat(graph.indptr[block] - np.cumsum(lengths) + lengths, lengths)
            neighbour_owner = owner[graph.neighbours[first + np.arange(len(rows))]]
            seen = neighbour_owner >= 0
            near = np.bincount(rows[seen] * ranks + neighbour_owner[seen], minlength=len(block) * ranks)
            room = np.maximum(1 - load / capacity, 0)
            score = near.reshape(len(block), ranks) * room
            # Nodes without a neighbour near a part with room spread over the free room, not all to one part.
            spread = np.searchsorted(np.cumsum(room * shares) / max((room * shares).sum(), 1e-12),
                                     (np.arange(len(block)) + 0.5) / len(block))
            best = np.where(score.max(axis=1) > 0, score.argmax(axis=1), spread.clip(max=ranks - 1))
            owner[block] = best
            np.add.at(load, best, weight[block])
    return owner


def read_owners(path: str, nodes: int, ranks: int) -> np.ndarray:
    """Local: the owner (int32) of every node from a text file: a rank a line, as METIS writes it. Raises InputError."""
    try:
        owner = np.loadtxt(path, dtype=np.int64, ndmin=1)
    except OSError:
        raise InputError(path, "no such file", "Give metis, ldg, hash or a file with a rank a line") from None
    except ValueError as error:
        raise InputError(path, f"it is no list of ranks ({error})", "Write a rank a line, one for each node") from None
    if owner.shape != (nodes,) or not ((owner >= 0) & (owner < ranks)).all():
        raise InputError(path, f"it does not name one of {ranks} ranks for each of {nodes:,} nodes",
                         "Write a rank a line, 0 the first")
    return owner.astype(np.int32)


def cut_statistics(graph: Adjacency, owner: np.ndarray, ranks: int, weight: np.ndarray) -> dict:
    """What a partition costs: cut edges; per rank (arrays) its halo copies and the sum of their weights."""
    source = np.repeat(np.arange(graph.nodes), graph.degrees())
    crossing = owner[source] != owner[graph.neighbours]
    copies = np.unique(owner[source[crossing]].astype(np.int64) * max(graph.nodes, 1) + graph.neighbours[crossing])
    holder, node = copies // max(graph.nodes, 1), copies % max(graph.nodes, 1)
    return {
        "cut_edges": int(crossing.sum()) // 2,
        "halo": np.bincount(holder, minlength=ranks),
        "halo_weight": np.bincount(holder, weights=weight[node], minlength=ranks),
    }
