"""Small graphs that the tests of graphs and training share."""

import io
import pickle

import numpy as np

from mpiedge.graph.build import TEST, TRAIN, VALIDATION, Graph, undirected
from mpiedge.graph.sparse import from_triplets


def random_graph(seed: int, nodes: int = 60, edges: int = 150, columns: int = 30, classes: int = 3) -> Graph:
    """A graph whose features and edges follow its classes, with isolated nodes and some labels missing."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, nodes)
    source, target = random.integers(0, nodes, edges), random.integers(0, max(nodes - 2, 1), edges)
    alike = (labels[source] == labels[target]) | (random.random(edges) < 0.2)
    alike &= source < max(nodes - 2, 1)  # the last two nodes stay isolated
    rows = np.repeat(np.arange(nodes), 5)
    words = (labels[rows] * (columns // classes) + random.integers(0, columns // 2, len(rows))) % columns
    features = from_triplets(rows, words, np.ones(len(rows)), (nodes, columns)).normalised()
    known = np.where(random.random(nodes) < 0.9, labels, -1)
    split = random.choice([TRAIN, VALIDATION, TEST], nodes).astype(np.int8)
    split[known < 0] = 0
    names = [str(number) for number in range(classes)]
    edges = undirected(np.stack([source[alike], target[alike]], axis=1), nodes)
    return Graph(np.arange(nodes).astype(str), features, known, names, edges, {"column:role": split}, "column:role")


def dense_adjacency(graph: Graph) -> np.ndarray:
    """The symmetric normalised adjacency with self loops (Kipf & Welling 2017), float64."""
    full = np.eye(graph.nodes)
    full[graph.edges[:, 0], graph.edges[:, 1]] = full[graph.edges[:, 1], graph.edges[:, 0]] = 1
    scale = 1 / np.sqrt(full.sum(axis=1))
    return full * scale[:, None] * scale[None, :]


def old_pickle(value, names: dict[str, str] = {}) -> bytes:  # noqa: B006 - never changed
    """A protocol 2 pickle as Python 2 with an old numpy and scipy wrote it (module names of that time)."""
    data = pickle.dumps(value, protocol=2)
    renamed = {"numpy._core.multiarray": "numpy.core.multiarray", "scipy.sparse._csr": "scipy.sparse.csr"} | names
    for new, old in renamed.items():
        data = data.replace(f"c{new}\n".encode(), f"c{old}\n".encode())
    return data


def planetoid_files(nodes: int = 30, columns: int = 8, classes: int = 3, train: int = 6, test: int = 8, seed: int = 0):
    """The eight files of a small Planetoid data set: name -> bytes. One test node has no row, as in Citeseer."""
    import scipy.sparse

    random = np.random.default_rng(seed)
    known = nodes - test
    test_index = np.delete(np.arange(known, nodes), 2)
    random.shuffle(test_index)
    features = scipy.sparse.csr_matrix((random.random((nodes, columns)) < 0.4).astype(np.float32))
    one_hot = np.eye(classes, dtype=np.int32)[random.integers(0, classes, nodes)]
    graph = {node: random.integers(0, nodes, 3).tolist() for node in range(nodes)}
    tested = slice(known, nodes - 1)
    values = {"x": features[:train], "y": one_hot[:train], "allx": features[:known], "ally": one_hot[:known],
              "tx": features[tested], "ty": one_hot[tested], "graph": graph}  # fmt: skip
    files = {f"ind.toy.{name}": old_pickle(value) for name, value in values.items()}
    files["ind.toy.test.index"] = "\n".join(map(str, test_index)).encode() + b"\n"
    return files, features.toarray(), one_hot, test_index


def npz_bytes(graph: Graph, **more) -> bytes:
    """A graph as an npz of plain arrays."""
    target = io.BytesIO()
    features, ones = graph.features, np.ones(len(graph.features.data), np.uint8)
    np.savez(target, edges=graph.edges.astype(np.int32), labels=graph.labels.astype(np.int8),
             feat_indptr=features.indptr, feat_indices=features.indices, feat_data=ones,
             feat_shape=np.array([features.rows, features.columns]), **more)  # fmt: skip
    return target.getvalue()
