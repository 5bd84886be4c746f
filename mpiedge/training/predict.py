"""Applies a trained model to new rows, alone or joined to the graph it was trained on; numpy is all it needs.

A new node gets exact sums over its neighbourhood. What its neighbours in the trained graph hand to it (their rows times
the weight, in each layer) is stored in the model, so neither the old graph nor its features are read again. Those old
nodes keep the hidden values they had: only their degrees, which weigh the sums, count the new edges. Without edges a
new node is its own only neighbour (or has none, where the model takes the mean over the others).
"""

import json
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from mpiedge.cleaning.rereading import reread
from mpiedge.errors import InputError
from mpiedge.graph.features import Encoder, as_number, as_text
from mpiedge.graph.sparse import SparseRows, from_triplets
from mpiedge.kernels.sparse_product import product

MOST_UNSEEN = 0.9
"""Share of the cells of a column of values, above which it is told that the training did not know them."""


@dataclass
class Predictor:
    """A trained model as arrays. config: settings and the names of the label and key columns; encoder: of tables."""

    config: dict
    encoder: Encoder | None
    classes: list[str]
    arrays: dict[str, np.ndarray]

    @property
    def uses_graph(self) -> bool:
        """Whether new rows can have neighbours."""
        return "node_1" in self.arrays


def load(subject: str, arrays: dict[str, np.ndarray], config: str) -> Predictor:
    """Local: the predictor of the arrays and settings of a model.h5. Raises InputError for one of another version."""
    encoder = arrays.pop("encoder", None)
    try:
        encoder = None if encoder is None else Encoder.from_message(json.loads(encoder[0]))
    except (KeyError, TypeError, ValueError):
        raise InputError(subject, "its features are described as this version does not know them",
                         "Train it again with mpiedge-train --fresh") from None
    return Predictor(json.loads(config), encoder, arrays.pop("classes").tolist(), arrays)


def check_for_rows(predictor: Predictor, subject: str) -> None:
    """Local: InputError for a model that cannot be applied to rows of a table; subject: its file."""
    if predictor.encoder is None:
        raise InputError(subject, "the model was trained on a graph file, whose features a CSV cannot hold",
                         "Give a graph file, or train on tables: mpiedge-train --nodes N.csv --edges E.csv")
    if predictor.config.get("hops"):
        raise InputError(subject, f"the features of {predictor.config['model']} were propagated over the whole graph",
                         "Train gcn, sage or mlp to predict new rows")


@dataclass
class Doubts:
    """How many cells of each column of new rows are not what the column holds (strange); and of columns of values, how
    many cells there are (filled), and how many of them the training did not know (unseen)."""

    strange: Counter = field(default_factory=Counter)
    filled: Counter = field(default_factory=Counter)
    unseen: Counter = field(default_factory=Counter)

    def notes(self, kinds: dict[str, str]) -> list[str]:
        """What there is to say of them; kinds: of the columns."""
        found = [f"column {name}: {count:,} cells are no {kinds[name]} and count as missing"
                 for name, count in self.strange.items() if count]
        return found + [f"column {name}: {count:,} of {self.filled[name]:,} cells hold values that the training did "
                        "not know and count as missing"
                        for name, count in self.unseen.items() if count > MOST_UNSEEN * self.filled[name]]


def encode(predictor: Predictor, subject: str, columns: dict[str, np.ndarray], doubts: Doubts) -> SparseRows:
    """Local: features of new rows; adds to `doubts`. Columns that have a notation, as those of clean tables, become
    what the training saw of them. Raises InputError."""
    missing = [name for name in predictor.encoder.kinds if name not in columns]
    if missing:
        raise InputError(subject, f"the column{'s' * (len(missing) > 1)} {', '.join(missing)} that the model uses "
                         f"{'are' if len(missing) > 1 else 'is'} missing", "Give the columns of the training table")
    notations = predictor.config.get("notations", {})
    for name in [name for name in notations if name in columns]:
        columns[name], unknown = reread(notations[name], columns[name])
        doubts.strange[name] += unknown * (name in predictor.encoder.kinds)
    for block in predictor.encoder.blocks:
        name = block.columns[0]
        if block.kind == "number" and name not in notations:
            numbers = as_number(predictor.encoder.kinds[name], columns[name])
            doubts.strange[name] += int((~np.isfinite(numbers) & (columns[name] != "")).sum())
        if block.kind == "values":
            known = set(block.vocabulary)
            for name in block.columns:
                cells = [text for text in as_text(columns[name]) if text]
                doubts.filled[name] += len(cells)
                doubts.unseen[name] += sum(text not in known for text in cells)
    return predictor.encoder.encode(columns)


def resolve_edges(predictor: Predictor, ids: list[str], ends: tuple[list[str], list[str]]) -> tuple[np.ndarray, int]:
    """Local: edges at new rows as (new row, neighbour), int64, both directions, each once; and how many name no node.

    Neighbours are numbered with the stored nodes first, then the new rows. Edges between stored nodes are skipped.
    """
    stored = predictor.arrays["node_id"].tolist()
    place = {name: number for number, name in enumerate(stored)}
    place |= {name: len(stored) + number for number, name in enumerate(ids)}
    pairs = np.array([[place.get(a, -1), place.get(b, -1)] for a, b in zip(*ends)], np.int64).reshape(-1, 2)
    known = (pairs >= 0).all(axis=1)
    pairs = pairs[known & (pairs[:, 0] != pairs[:, 1])]
    both = np.concatenate([pairs, pairs[:, ::-1]])
    both = np.unique(both[both[:, 0] >= len(stored)], axis=0)
    both[:, 0] -= len(stored)
    return both, int((~known).sum())


def predict(predictor: Predictor, features: SparseRows, edges: np.ndarray) -> np.ndarray:
    """Local: class probabilities of new rows, (m, classes). edges: as `resolve_edges` gives them."""
    weights, layers = predictor.arrays, predictor.config["layers"]
    near = neighbourhood(predictor, features.rows, edges) if predictor.uses_graph else None
    rows = product(features, weights["weight_1"])
    for layer in range(1, layers + 1):
        if layer > 1:
            rows = np.maximum(rows, 0) @ weights[f"weight_{layer}"]
        bias = weights[f"bias_{layer}"]
        own, handed = rows[:, : -len(bias)], rows[:, -len(bias) :]  # own: only where a node's row has its own weights
        rows = bias + (handed if near is None else _sum(near, weights[f"node_{layer}"], handed))
        if own.shape[1]:
            rows += own
    return softmax(rows)


def neighbourhood(predictor: Predictor, new: int, edges: np.ndarray) -> SparseRows:
    """Local: the rows of the normalised adjacency at the new nodes; columns: stored nodes, then new ones."""
    stored = len(predictor.arrays["node_degree"])
    degrees = np.ones(stored + new)
    degrees[:stored] = predictor.arrays["node_degree"]
    np.add.at(degrees, stored + edges[:, 0], 1)
    old = edges[:, 1] < stored  # an edge between two new rows is listed once in each direction
    np.add.at(degrees, edges[old, 1], 1)
    rows, neighbours = edges[:, 0], edges[:, 1]
    if predictor.config["norm"] == "mean":
        return from_triplets(rows, neighbours, 1 / (degrees[stored + rows] - 1), (new, stored + new))
    rows = np.concatenate([rows, np.arange(new)])
    neighbours = np.concatenate([neighbours, stored + np.arange(new)])
    scale = 1 / np.sqrt(degrees)
    return from_triplets(rows, neighbours, scale[stored + rows] * scale[neighbours], (new, stored + new))


def _sum(near: SparseRows, stored: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Weighted sums over neighbours; of the stored rows only those needed are copied."""
    needed, place = np.unique(near.indices, return_inverse=True)
    old = needed[needed < len(stored)]
    dense = np.concatenate([stored[old], new[needed[len(old) :] - len(stored)]])
    return product(SparseRows(near.indptr, place.astype(np.int32).reshape(-1), near.data, len(needed)), dense)


def softmax(scores: np.ndarray) -> np.ndarray:
    """Local: probabilities from scores, row by row."""
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
