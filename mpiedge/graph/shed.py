"""New owners for a graph in parts: ranks that have too much give nodes to those that have too little, the rest stays.

Each rank chooses alone, among its own nodes, and in few passes over its own neighbour lists: dealing everything out
anew would make all ranks wait for the one that is slow, which is the rank that gives.
"""

import numpy as np

from mpiedge.graph.part import Part
from mpiedge.graph.partition import NODE_WEIGHT
from mpiedge.graph.sparse import SparseRows
from mpiedge.kernels.sparse_product import product

PASSES = 6  # nodes given in one draw the neighbours they leave behind after them in the next


def shed(world, part: Part, nodes: int, shares: np.ndarray) -> np.ndarray:
    """Collective: the owner (int32) of every node, so that rank r gets about shares[r] of the work.

    nodes: of the whole graph. Messages: a sum of the ranks' work; the numbers of all nodes with their owners, to all.
    """
    weights = np.diff(part.indptr) + NODE_WEIGHT
    loads = np.zeros(world.size)
    loads[world.rank] = weights.sum()
    excess = (loads := world.sum(loads)) - shares / shares.sum() * loads.sum()
    lacking = np.maximum(-excess, 0)
    given = max(excess[world.rank], 0) * lacking / max(lacking.sum(), 1e-9)
    owner = np.empty(nodes, np.int32)
    own = {"numbers": part.nodes[: part.owned].astype(np.min_scalar_type(nodes)),
           "owner": choose(part, world.rank, weights, given).astype(np.min_scalar_type(world.size))}
    for message in world.allgather(own):
        owner[message["numbers"]] = message["owner"]
    return owner


def choose(part: Part, rank: int, weights: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Local: owners (int32) of the owned nodes of `rank`, of which about given[s] of the weight goes to rank s: first
    those that have many neighbours there and few here."""
    home = np.concatenate([np.full(part.owned, rank), np.repeat(np.arange(len(given)), part.receive_counts)])
    lists = SparseRows(part.indptr, part.indices, None, len(home))
    left = given.astype(np.float64)
    for turn in range(PASSES, 0, -1) if given.any() else ():
        near = product(lists, (home[:, None] == np.arange(len(given))).astype(np.float32))
        for target in np.flatnonzero(given):
            staying = np.flatnonzero(home[: part.owned] == rank)
            order = staying[np.argsort(near[staying, rank] - near[staying, target], kind="stable")]
            count = np.searchsorted(np.cumsum(weights[order]), left[target] / turn, side="right")
            home[order[:count]] = target
            left[target] -= weights[order[:count]].sum()
    return home[: part.owned].astype(np.int32)
