"""Graphs of any size, drawn chunk by chunk from a seed: the same bytes for any number of ranks."""

import hashlib
import json
import math
import os
from pathlib import Path

import numpy as np

from mpiedge.errors import EnvironmentProblem
from mpiedge.runtime.root import on_root
from mpiedge.store.graphs import GRAPH_FILE, edge_file, node_file
from mpiedge.store.layout import CHUNK_ROWS
from mpiedge.store.parts import build_image, write_atomic

CLASSES, COLUMNS, WORDS = 8, 512, 12
EDGES_PER_CHUNK = 1 << 17
COMMUNITY = 500  # nodes of a community of the block model, about
ALIKE = 0.8  # share of its edges that stay within a community
TYPICAL = 0.35  # share of a node's words that are typical of its class
QUADRANTS = np.cumsum([0.57, 0.19, 0.19, 0.05])  # of R-MAT (Chakrabarti, Zhan & Faloutsos 2004)
TRAIN, VALIDATION, TEST = 1, 2, 3


def write_graph(world, folder: str, kind: str, nodes: int, edges: int, seed: int) -> dict:
    """Collective: writes a graph into `folder`; ranks that see it share the chunks. Returns its description.

    kind: "sbm", a stochastic block model of about 500 nodes a community, or "rmat", whose degrees follow a power law.
    edges: drawn ones; loops and repetitions among them are dropped when the graph is read. Message: checksums.
    """
    target = Path(folder)
    on_root(world, lambda: os.makedirs(target, exist_ok=True))
    seen = [message["sees"] for message in world.allgather({"sees": target.is_dir()})]
    readers = [rank for rank, sees in enumerate(seen) if sees]
    node_chunks, edge_chunks = -(-nodes // CHUNK_ROWS), -(-edges // EDGES_PER_CHUNK)
    own = {}
    for task in range(node_chunks + edge_chunks):
        if readers[task % len(readers)] != world.rank:
            continue
        if task < node_chunks:
            name, arrays = node_file(task), draw_nodes(kind, nodes, task, seed)
        else:
            name = edge_file(task - node_chunks)
            arrays = {"edges": draw_edges(kind, nodes, edges, task - node_chunks, seed)}
        image = build_image(arrays)
        try:
            write_atomic(target / name, image, durable=False)
        except OSError as error:
            raise EnvironmentProblem(target / name, error.strerror, "Free space or choose another folder") from None
        roles = np.bincount(arrays["split"], minlength=4).tolist() if "split" in arrays else [0] * 4
        own[name] = [hashlib.sha256(image).hexdigest(), *roles]
    found = dict(sorted(entry for message in world.allgather(own) for entry in message.items()))
    roles = np.array([entry[1:] for entry in found.values()]).sum(axis=0).tolist()
    about = {"kind": kind, "seed": seed, "nodes": nodes, "edges": edges, "columns": COLUMNS, "entries": nodes * WORDS,
             "classes": [f"class{number}" for number in range(CLASSES)], "node_chunks": node_chunks,
             "edge_chunks": edge_chunks, "chunk_rows": CHUNK_ROWS, "chunk_edges": EDGES_PER_CHUNK,
             "split": {"train": roles[TRAIN], "val": roles[VALIDATION], "test": roles[TEST]},
             "sha256": hashlib.sha256(json.dumps(found).encode()).hexdigest()}
    on_root(world, lambda: write_atomic(target / GRAPH_FILE, json.dumps(about, indent=1).encode()))
    return about


def classes_of(kind: str, nodes: int, numbers: np.ndarray) -> np.ndarray:
    """The class of every node: that of its community, or in R-MAT of its range of numbers."""
    return numbers % communities(nodes) % CLASSES if kind == "sbm" else numbers * CLASSES // nodes


def communities(nodes: int) -> int:
    """The number of communities of a block model."""
    return max(CLASSES, nodes // COMMUNITY)


def draw_nodes(kind: str, nodes: int, chunk: int, seed: int) -> dict[str, np.ndarray]:
    """Local: labels, roles and words of a chunk of nodes: words are columns that are 1, ascending and distinct."""
    random = np.random.default_rng([seed, 1, chunk])
    numbers = np.arange(chunk * CHUNK_ROWS, min((chunk + 1) * CHUNK_ROWS, nodes))
    labels = classes_of(kind, nodes, numbers)
    step = COLUMNS // WORDS  # one word from each range of columns, so that they are distinct
    typical = (labels[:, None] * 5 + np.arange(WORDS) * 7) % step
    drawn = random.integers(0, step, (len(numbers), WORDS))
    words = np.where(random.random(drawn.shape) < TYPICAL, typical, drawn) + np.arange(WORDS) * step
    split = random.choice(np.array([TRAIN, VALIDATION, TEST], np.int8), len(numbers), p=[0.6, 0.2, 0.2])
    return {"labels": labels.astype(np.int16), "split": split, "words": words.astype(np.int32)}


def draw_edges(kind: str, nodes: int, edges: int, chunk: int, seed: int) -> np.ndarray:
    """Local: int64 (e, 2), the edges of a chunk."""
    random = np.random.default_rng([seed, 2, chunk])
    count = min(EDGES_PER_CHUNK, edges - chunk * EDGES_PER_CHUNK)
    if kind == "sbm":
        groups = communities(nodes)
        source, target = random.integers(0, nodes, (2, count))
        near = random.random(count) < ALIKE
        target[near] = target[near] // groups * groups + source[near] % groups
        return np.stack([source, np.minimum(target, nodes - 1)], axis=1)
    levels = max(1, math.ceil(math.log2(nodes)))
    ends = np.zeros((count, 2), np.int64)
    for _ in range(levels):
        quadrant = np.searchsorted(QUADRANTS[:3], random.random(count), side="right")
        ends = ends * 2 + np.stack([quadrant // 2, quadrant % 2], axis=1)
    return ends * nodes // 2**levels
