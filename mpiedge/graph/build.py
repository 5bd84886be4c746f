"""A graph as read from its source: node names, sparse features, labels, undirected edges and given splits."""

from dataclasses import dataclass, field

import numpy as np

from mpiedge.graph.sparse import SparseRows, offsets

NO_SPLIT, TRAIN, VALIDATION, TEST = 0, 1, 2, 3  # the role of a node; also the values of split arrays (int8)


@dataclass
class Graph:
    """A whole graph, held by one rank between reading and cutting.

    ids: text of every node (n); features: None where they lie on several ranks (graph/spread.py); labels: int64 (n), -1
    where unknown; classes: names of the labels, sorted; edges: int64 (e, 2), undirected, each once, no self loops;
    splits: name -> int8 (n) of NO_SPLIT..TEST; notes: sentences on what was guessed or left out, for the user.
    """

    ids: np.ndarray
    features: SparseRows | None
    labels: np.ndarray
    classes: list[str]
    edges: np.ndarray
    splits: dict[str, np.ndarray] = field(default_factory=dict)
    default_split: str = "60/20/20"
    notes: list[str] = field(default_factory=list)

    @property
    def nodes(self) -> int:
        """Number of nodes."""
        return len(self.ids)


@dataclass
class Adjacency:
    """Neighbours of every node in ascending order: `neighbours[indptr[v]:indptr[v + 1]]`, both directions stored."""

    indptr: np.ndarray
    neighbours: np.ndarray

    @property
    def nodes(self) -> int:
        """Number of nodes."""
        return len(self.indptr) - 1

    def degrees(self) -> np.ndarray:
        """Number of neighbours of every node, int64."""
        return np.diff(self.indptr)


def undirected(edges: np.ndarray, nodes: int) -> np.ndarray:
    """Each undirected edge once, smaller end first, sorted; self loops and repetitions dropped. int64 (e, 2)."""
    edges = np.asarray(edges, np.int64).reshape(-1, 2)
    edges = edges[edges[:, 0] != edges[:, 1]]
    keys = np.unique(edges.min(axis=1) * nodes + edges.max(axis=1))
    return np.stack([keys // max(nodes, 1), keys % max(nodes, 1)], axis=1)


def adjacency(edges: np.ndarray, nodes: int) -> Adjacency:
    """Both directions of undirected edges as sorted neighbour lists."""
    source = np.concatenate([edges[:, 0], edges[:, 1]])
    target = np.concatenate([edges[:, 1], edges[:, 0]])
    order = np.lexsort((target, source))
    return Adjacency(offsets(np.bincount(source, minlength=nodes)), target[order].astype(np.int32))


def class_codes(labels: list[str]) -> tuple[np.ndarray, list[str]]:
    """Codes (int64, -1 for the empty text) of label texts, and the class names in sorted order."""
    names = sorted({label for label in labels if label})
    if all(name.lstrip("-").isdigit() for name in names):
        names.sort(key=int)
    code = {name: number for number, name in enumerate(names)}
    return np.array([code.get(label, -1) for label in labels], np.int64).reshape(-1), names
