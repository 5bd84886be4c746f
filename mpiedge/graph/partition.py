"""Decides which rank owns which node: few cut edges (METIS, LDG) or none of that (hash), in given shares."""

import importlib.metadata
import re

import numpy as np

from mpiedge.errors import InputError, UsageError
from mpiedge.graph.build import Adjacency
from mpiedge.graph.sparse import gather_positions

METHODS = ("metis", "ldg", "hash")
LDG_BLOCK, LDG_PASSES = 256, 5
STREAM_BLOCK, STREAM_ROUNDS = 1024, 16
METIS_ROUNDS = 3  # of refinement at each level: 10, as by default, take up to 1.7 times as long and cut 1 % less
SLACK = 1.1  # without it the rooms left are noise that outweighs the neighbours
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

    shares: one per rank, any scale, not all 0. The same arguments give the same owners. Raises UsageError when METIS
    is asked for and pymetis is not installed.
    """
    taking = np.flatnonzero(shares)
    if len(taking) < len(shares):
        return taking[partition(graph, shares[taking], method, seed)].astype(np.int32)
    shares = np.asarray(shares, np.float64) / np.sum(shares)
    if len(shares) == 1 or graph.nodes == 0:
        return np.zeros(graph.nodes, np.int32)
    if method == "metis" and graph.nodes >= len(shares):  # fewer it cannot cut, and says so on the terminal
        return _metis(graph, shares, seed)
    if method != "hash":
        return _linear_deterministic_greedy(graph, shares, seed)
    return _hash(graph.nodes, shares, seed)


def _metis(graph: Adjacency, shares: np.ndarray, seed: int) -> np.ndarray:
    """Multilevel bisection, again and again (Karypis & Kumar 1998), of nodes weighted by their work: for many parts it
    is nearer to the shares than k-way partitioning, and sooner done."""
    if default_method() != "metis":
        cause = "pymetis 2025.2 or later is not installed"
        raise UsageError("--partition metis", cause, "Install it, or give ldg or hash")
    import pymetis

    options = pymetis.Options()
    options.seed, options.niter = seed, METIS_ROUNDS
    edges = pymetis.CSRAdjacency(adj_starts=graph.indptr.astype(np.int32), adjacent=graph.neighbours)
    weights = (graph.degrees() + NODE_WEIGHT).astype(np.int32)
    _, owner = pymetis.part_graph(len(shares), edges, vweights=weights, tpwgts=shares.tolist(), options=options,
                                   recursive=True)
    return np.asarray(owner, np.int32)


def _hash(nodes: int, shares: np.ndarray, seed: int) -> np.ndarray:
    """Nodes in a seeded random order, cut where the shares say: the baseline."""
    owner = np.empty(nodes, np.int32)
    owner[np.random.default_rng([seed, 1]).permutation(nodes)] = blocks(nodes, shares)
    return owner


def _linear_deterministic_greedy(graph: Adjacency, shares: np.ndarray, seed: int) -> np.ndarray:
    """Linear deterministic greedy (Stanton & Kliot 2012), streamed five times in blocks of 256 nodes."""
    placement = Greedy(graph.nodes, shares, float((graph.degrees() + NODE_WEIGHT).sum()))
    order = np.random.default_rng([seed, 2]).permutation(graph.nodes)
    for _ in range(LDG_PASSES):
        for start in range(0, graph.nodes, LDG_BLOCK):
            block = order[start : start + LDG_BLOCK]
            taken, positions = gather_positions(graph.indptr, block)
            placement.move(block, np.diff(taken), placement.choose(block, taken, graph.neighbours[positions]))
    return placement.owner


class Greedy:
    """A streamed placement: a node goes where most of its neighbours are, times the part's free room.

    Within a block the rooms are those at its start, so a block is a few array operations; a part can be overfull by
    one block at most. owner: int32, -1 where not placed yet.
    """

    def __init__(self, nodes: int, shares: np.ndarray, weight: float):
        self.shares = np.asarray(shares, np.float64) / np.sum(shares)
        self.capacity = np.maximum(self.shares * weight, 1e-9)
        self.owner = np.full(nodes, -1, np.int32)
        self.load = np.zeros(len(self.shares))

    def choose(self, block: np.ndarray, indptr: np.ndarray, neighbours: np.ndarray) -> np.ndarray:
        """Local: parts (int32) for a block of nodes with the given neighbour lists, as if they were not placed yet."""
        ranks, count = len(self.shares), len(indptr) - 1
        rows = np.repeat(np.arange(count), np.diff(indptr))
        near_owner = self.owner[neighbours]
        seen = near_owner >= 0
        near = np.bincount(rows[seen] * ranks + near_owner[seen], minlength=count * ranks)
        load, before = self.load.copy(), self.owner[block]
        np.subtract.at(load, before[before >= 0], (np.diff(indptr) + NODE_WEIGHT)[before >= 0])
        room = np.maximum(1 - load / self.capacity, 0)
        score = near.reshape(count, ranks) * room
        # Nodes without a neighbour near a part with room spread over the free room, not all to one part.
        spread = np.searchsorted(np.cumsum(room * self.shares) / max((room * self.shares).sum(), 1e-12),
                                 (np.arange(count) + 0.5) / max(count, 1))
        best = np.where(score.max(axis=1) > 0, score.argmax(axis=1), spread.clip(max=ranks - 1))
        return best.astype(np.int32)

    def move(self, block: np.ndarray, degrees: np.ndarray, parts: np.ndarray) -> None:
        """Local: places nodes."""
        weight, before = degrees + NODE_WEIGHT, self.owner[block]
        placed = before >= 0
        np.subtract.at(self.load, before[placed], weight[placed])
        np.add.at(self.load, parts, weight)
        self.owner[block] = parts


def partition_stream(world, chunks, shares: np.ndarray, method: str, seed: int) -> np.ndarray:
    """Collective: the owner (int32) of every node of a graph that lies in sorted chunks on all ranks (graph/sort.py).

    ldg: as above, streamed over the chunks; each round every rank places one block knowing all earlier rounds.
    Messages: each round's choices to all ranks.
    """
    if world.size == 1 or method == "hash":
        return _hash(chunks.total, shares / shares.sum(), seed)
    taking = np.flatnonzero(shares)
    weight = sum(lists.degrees().sum() + NODE_WEIGHT * len(numbers) for numbers, lists in chunks.rounds())
    placement = Greedy(chunks.total, shares[taking], SLACK * float(world.sum(np.array([weight], np.float64))[0]))
    step = max(1, min(STREAM_BLOCK, chunks.total // (STREAM_ROUNDS * world.size)))
    for _ in range(LDG_PASSES):
        for numbers, lists in chunks.rounds():
            for start in range(0, min(chunks.chunk_rows, chunks.total), step):
                block = numbers[start : start + step]
                taken = lists.indptr[start : start + len(block) + 1] if len(block) else np.zeros(1, np.int64)
                best = placement.choose(block, taken - taken[0], lists.neighbours[taken[0] : taken[-1]])
                own = {"block": block, "degrees": np.diff(taken), "parts": best}
                for message in world.allgather(own):
                    placement.move(message["block"], message["degrees"], message["parts"])
    return taking[placement.owner].astype(np.int32)


def blocks(nodes: int, shares: np.ndarray) -> np.ndarray:
    """Local: the owner (int32) of every node when ranges of numbers are dealt out: for models without a graph."""
    bounds = np.round(np.cumsum(shares) / np.sum(shares) * nodes).astype(np.int64)
    return np.searchsorted(bounds, np.arange(nodes), side="right").clip(max=len(shares) - 1).astype(np.int32)


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
