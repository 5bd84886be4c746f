"""Which labelled nodes train, which choose the best epoch, and which are kept for the final figures."""

import re

import numpy as np

from mpiedge.errors import UsageError
from mpiedge.graph.build import NO_SPLIT, TEST, TRAIN, VALIDATION, Graph
from mpiedge.training.select import select

PER_CLASS_VALIDATION = 30


def make_split(graph: Graph, name: str | None, seed: int) -> tuple[str, np.ndarray]:
    """Local: the split's name and the role of every node (int8, NO_SPLIT..TEST); unlabelled nodes have none.

    name: None for the graph's own default; `planetoid` or `column:NAME` as given with the graph; `A/B/C` per cent for
    train/validation/test in the order of numpy's RandomState(seed).permutation of the labelled nodes; `Kperclass`: K
    nodes of each class train and 30 validate, the rest tests (Shchur et al. 2018). Raises UsageError.
    """
    name = name or graph.default_split
    if name in graph.splits:
        split = graph.splits[name].copy()
    elif match := re.fullmatch(r"(\d+)/(\d+)/(\d+)", name):
        split = _by_shares(graph, [int(share) for share in match.groups()], seed)
    elif match := re.fullmatch(r"(\d+)perclass", name):
        split = _per_class(graph, int(match[1]), seed)
    else:
        known = ", ".join(["60/20/20", "20perclass", *graph.splits][:6])
        raise UsageError(f"--split {name}", "this graph has no such split", f"It has: {known}")
    split[graph.labels < 0] = NO_SPLIT
    return name, split


def of_training(graph: Graph, args) -> tuple[str, np.ndarray]:
    """Local: as `make_split`, with the part of the training nodes that --select names."""
    name, split = make_split(graph, args.split, args.seed)
    if args.select is None:
        return name, split
    share, method = args.select
    return f"{name}, {share:g}:{method} of train", select(graph, split, share, method, args.seed)


def _by_shares(graph: Graph, shares: list[int], seed: int) -> np.ndarray:
    if sum(shares) != 100 or shares[0] == 0:
        raise UsageError("--split", "the shares must add up to 100 and the first be above 0", "Give 60/20/20")
    labelled = np.flatnonzero(graph.labels >= 0)
    order = labelled[np.random.RandomState(seed).permutation(len(labelled))]
    train = max(1, int(len(order) * shares[0] / 100))
    validation = int(len(order) * shares[1] / 100)
    split = np.full(graph.nodes, NO_SPLIT, np.int8)
    split[order[:train]], split[order[train : train + validation]] = TRAIN, VALIDATION
    split[order[train + validation :]] = TEST
    return split


def _per_class(graph: Graph, count: int, seed: int) -> np.ndarray:
    """Classes with fewer nodes than asked for give half of theirs to training and half of the rest to validation."""
    split = np.full(graph.nodes, NO_SPLIT, np.int8)
    order = np.random.RandomState(seed).permutation(graph.nodes)
    for number in range(len(graph.classes)):
        nodes = order[graph.labels[order] == number]
        train = min(count, -(-len(nodes) // 2))
        validation = min(PER_CLASS_VALIDATION, (len(nodes) - train) // 2)
        split[nodes[:train]], split[nodes[train : train + validation]] = TRAIN, VALIDATION
        split[nodes[train + validation :]] = TEST
    return split


def counts(split: np.ndarray) -> dict[str, int]:
    """Local: number of nodes in each role."""
    return {"train": int((split == TRAIN).sum()), "val": int((split == VALIDATION).sum()),
            "test": int((split == TEST).sum())}
