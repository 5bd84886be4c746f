"""Applies a trained model to another graph of the same kind, as a whole; numpy is all it needs.

Models of propagated features are linear in them before the first bias, so their weight comes first and narrow rows
travel over the edges: A^k (X W) is (A^k X) W, up to rounding.
"""

import numpy as np

from mpiedge.errors import InputError
from mpiedge.graph.build import Adjacency, Graph, adjacency
from mpiedge.graph.sparse import SparseRows, offsets
from mpiedge.kernels.sparse_product import product
from mpiedge.training.predict import Predictor, softmax
from mpiedge.training.propagate import project


def predict_graph(predictor: Predictor, subject: str, graph: Graph) -> np.ndarray:
    """Local: class probabilities of all nodes, float32 (n, classes). Raises InputError for other features."""
    weights, config, features = predictor.arrays, predictor.config, graph.features
    if features.columns != config["columns"]:
        raise InputError(subject, f"it has {features.columns:,} features, the model was trained on "
                         f"{config['columns']:,}", "Give a graph with the same features")
    if config["projection"]:
        features = project(features, config["projection"], config["seed"])
    neighbours = adjacency(graph.edges, graph.nodes)
    if config["hops"]:
        rows = _propagated(features, weights["weight_1"], normalised(neighbours, "symmetric"), config["hops"])
    else:
        rows = product(features, weights["weight_1"])
    near = normalised(neighbours, config["norm"]) if config["norm"] else None
    for layer in range(1, config["layers"] + 1):
        bias = weights[f"bias_{layer}"]
        if layer > 1:
            rows = np.maximum(rows, 0) @ weights[f"weight_{layer}"]
        own, handed = rows[:, : -len(bias)], np.ascontiguousarray(rows[:, -len(bias) :])
        rows = bias + (handed if near is None else product(near, handed))
        if own.shape[1]:  # only where a node's row has its own weights
            rows += own
    return softmax(rows)


def normalised(neighbours: Adjacency, norm: str) -> SparseRows:
    """Local: the normalised adjacency of a whole graph (see graph/blocks.py)."""
    nodes, degrees = neighbours.nodes, neighbours.degrees()
    rows = np.repeat(np.arange(nodes), degrees)
    if norm == "mean":
        data = (1 / np.maximum(degrees, 1))[rows].astype(np.float32)
        return SparseRows(neighbours.indptr, neighbours.neighbours, data, nodes)
    loops = np.arange(nodes)
    columns, rows = np.concatenate([neighbours.neighbours, loops]), np.concatenate([rows, loops])
    order = np.argsort(rows, kind="stable")
    shift = 1 / np.sqrt(degrees + 1)
    return SparseRows(offsets(degrees + 1), columns[order].astype(np.int32),
                      (shift[rows] * shift[columns])[order].astype(np.float32), nodes)


def _propagated(features: SparseRows, weight: np.ndarray, near: SparseRows, hops: int) -> np.ndarray:
    """Local: features that went `hops` times over the graph, or each time side by side, times weight."""
    pieces = weight.reshape(-1, features.columns, weight.shape[1])  # one of them, or one for each hop from 0 on
    rows = product(features, pieces[-1])
    for hop in range(hops - 1, -1, -1):
        rows = product(near, rows)
        if len(pieces) > 1:
            rows += product(features, pieces[hop])
    return rows
