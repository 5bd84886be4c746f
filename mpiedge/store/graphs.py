"""A graph as a folder of chunks, so large that no rank reads it whole: graph.json, nodes-*.h5 and edges-*.h5.

graph.json: nodes, edges, columns, entries, classes (names), node_chunks, edge_chunks, chunk_rows, chunk_edges, split
(number of nodes by role) and sha256. nodes-*.h5: labels, split (1 train, 2 val, 3 test) and words (rows x k, the
columns that are 1) of `chunk_rows` nodes. edges-*.h5: edges, int64 (e, 2), in any order.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mpiedge.errors import InputError
from mpiedge.store.parts import read_image

GRAPH_FILE = "graph.json"
FACTS = ("nodes", "edges", "columns", "entries", "node_chunks", "edge_chunks", "chunk_rows", "chunk_edges")
ROLES = ("train", "val", "test")


def node_file(chunk: int) -> str:
    """Name of the file with a chunk of nodes."""
    return f"nodes-{chunk:06d}.h5"


def edge_file(chunk: int) -> str:
    """Name of the file with a chunk of edges."""
    return f"edges-{chunk:06d}.h5"


@dataclass
class StoredGraph:
    """A graph in a folder. about: what graph.json says; readers: ranks that see the folder."""

    folder: Path
    about: dict
    readers: list[int]

    def rounds(self, chunks: int, rank: int):
        """Local: for each round the chunk that this rank reads, or None; the same number of rounds on all ranks."""
        place = self.readers.index(rank) if rank in self.readers else None
        for first in range(0, chunks, len(self.readers)):
            mine = None if place is None else first + place
            yield mine if mine is not None and mine < chunks else None

    def edges(self, chunk: int) -> np.ndarray:
        """Local: int64 (e, 2). Raises InputError or StoreError."""
        arrays = read_image(self.folder / edge_file(chunk), ["edges"], foreign=True)
        edges = arrays["edges"].astype(np.int64).reshape(-1, 2)
        if len(edges) and not 0 <= edges.min() <= edges.max() < self.about["nodes"]:
            cause = "an edge names a node that does not exist"
            raise InputError(self.folder / edge_file(chunk), cause, "Write it again")
        return edges

    def nodes(self, chunk: int) -> dict[str, np.ndarray]:
        """Local: labels, split, words. Raises InputError or StoreError."""
        arrays = read_image(self.folder / node_file(chunk), ["labels", "split", "words"], foreign=True)
        rows = min(self.about["chunk_rows"], self.about["nodes"] - chunk * self.about["chunk_rows"])
        words = arrays["words"]
        if {len(array) for array in arrays.values()} != {rows} or words.ndim != 2 or words.min(initial=0) < 0 or (
                words.max(initial=0) >= self.about["columns"]):
            raise InputError(self.folder / node_file(chunk), "the arrays do not fit graph.json", "Write it again")
        return arrays


def read_about(folder: str) -> dict:
    """Local: what graph.json says. Raises InputError."""
    path = os.path.join(folder, GRAPH_FILE)
    try:
        about = json.loads(Path(path).read_text("utf-8"))
        numbers = [about[name] for name in FACTS] + [about["split"][role] for role in ROLES] + [len(about["sha256"])]
        if not all(isinstance(number, int) for number in numbers) or not about["nodes"] > 0:
            raise ValueError("a number is missing")
        return {**about, "classes": [str(name) for name in about["classes"]]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(path, f"it does not describe a graph ({error})", "Write it again: mpiedge-demo") from None
