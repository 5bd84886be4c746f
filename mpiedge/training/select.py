"""Trains on the most useful part of the training nodes: at random, the hard ones, or as many of each class."""

import numpy as np

from mpiedge.graph.build import NO_SPLIT, TRAIN, Graph
from mpiedge.graph.sparse import SparseRows
from mpiedge.kernels.sparse_product import product

METHODS = ("random", "hard", "balanced")


def select(graph: Graph, split: np.ndarray, share: float, method: str, seed: int) -> np.ndarray:
    """Local: the split with `share` of its training nodes, at least one of each class; the others have no role.

    random: drawn; balanced: as many of each class as there are, drawn; hard: those that are most like another class and
    least like their own (see `hardness`), the same share of each class. Draws depend on the seed alone.
    """
    train = np.flatnonzero(split == TRAIN)
    labels = graph.labels[train]
    order = np.random.default_rng([seed, 11]).permutation(len(train))
    if method == "hard":
        order = order[np.argsort(-hardness(graph.features.take(train), labels, len(graph.classes))[order],
                                 kind="stable")]
    count = np.bincount(labels, minlength=len(graph.classes))
    wanted = np.maximum(np.round(share * count), count > 0).astype(np.int64)
    if method == "balanced":
        wanted = level(count, round(share * len(train)))
    place = np.empty(len(train), np.int64)  # of every node among those of its class
    for number in range(len(count)):
        mine = order[labels[order] == number]
        place[mine] = np.arange(len(mine))
    if method == "random":
        kept = np.zeros(len(train), bool)
        kept[order[: max(1, round(share * len(train)))]] = True
        kept |= place == 0
    else:
        kept = place < wanted[labels]
    chosen = split.copy()
    chosen[train[~kept]] = NO_SPLIT
    return chosen


def hardness(features: SparseRows, labels: np.ndarray, classes: int) -> np.ndarray:
    """Local: how much more a row is like the nearest other class than like its own, float64: its products with the mean
    rows of the classes (Rocchio), where it does not count itself."""
    rows = features.normalised()
    sums = product(rows.transposed(), np.eye(classes, dtype=np.float32)[labels])
    similar = product(rows, sums).astype(np.float64)
    own = similar[np.arange(len(labels)), labels] - 1
    counts = np.maximum(np.bincount(labels, minlength=classes), 1).astype(np.float64)
    similar /= counts
    similar[np.arange(len(labels)), labels] = -np.inf
    return similar.max(axis=1, initial=-np.inf) - own / np.maximum(counts[labels] - 1, 1)


def level(count: np.ndarray, total: int) -> np.ndarray:
    """Local: about `total` in equal parts, none above its count and none of an occurring class below one."""
    low, high = 1, max(int(count.max(initial=1)), 1)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if np.minimum(count, middle).sum() <= total else (low, middle - 1)
    return np.minimum(count, low)
