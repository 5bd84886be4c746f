"""Opens the graph to train on, on rank 0: a file or folder of a known form, or tables."""

import hashlib
import os
import zipfile
from dataclasses import dataclass, field

import numpy as np

from mpiedge.errors import InputError
from mpiedge.graph import readers
from mpiedge.graph.build import Graph
from mpiedge.graph.features import Encoder
from mpiedge.graph.spread import SpreadRows
from mpiedge.runtime.root import on_root
from mpiedge.store.graphs import StoredGraph
from mpiedge.training.encoding import Encoding

READ_COPIES = 12
"""Memory that rank 0 takes to read a graph file (7 to 12 times its unpacked bytes were measured)."""


@dataclass
class Source:
    """Where the graph came from; the same on every rank but for `graph`, which rank 0 alone has.

    inputs: checksums; notes: what was guessed; encoder: how tables become features, None for graph files; schema: the
    label and key columns of tables, and how clean read them; stored, owner: a graph in chunks and, until it is cut, the
    owner of each of its nodes, both on every rank; encoding, features: of tables, to be encoded while the graph is cut,
    then spread over the ranks until it is dealt out.
    """

    name: str
    inputs: dict = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    graph: Graph | None = None
    stored: StoredGraph | None = None
    owner: np.ndarray | None = None
    encoding: Encoding | None = None
    features: SpreadRows | None = None
    encoder: Encoder | None = None
    schema: dict = field(default_factory=dict)


def open_graph_files(stage, path: str, label: str | None) -> Source:
    """Collective: reads a graph file or folder on rank 0. Raises InputError on every rank.

    Messages: the list of files and their sizes; the files' bytes do not travel.
    """
    source = Source(path)

    def list_files() -> dict:
        if not os.path.exists(path):
            raise InputError(path, "no such file or folder", "Check the path")
        names = os.listdir(path) if os.path.isdir(path) else []
        return {"names": readers.file_names(path, names)}

    names = on_root(stage.world, list_files)["names"]
    files = {name: stage.access.input(os.path.join(path, name) if name else path) for name in names}
    unpacked = on_root(stage.world, lambda: sum(unpacked_bytes(file) for file in files.values()))
    stage.foresee(reading=READ_COPIES * unpacked)

    def read() -> dict:
        inputs = {}

        def read_file(name: str) -> bytes:
            data = stage.access.read_bytes(files[name], 0, files[name].size)
            inputs[name or os.path.basename(path)] = hashlib.sha256(data).hexdigest()
            return data

        source.graph = readers.read_graph(path, names, read_file, label)
        return {"inputs": inputs, "notes": source.graph.notes}

    found = on_root(stage.world, read)
    source.inputs, source.notes = found["inputs"], found["notes"]
    return source


def unpacked_bytes(file) -> int:
    """Local, on rank 0: the size of an input file; of a zip archive, that of its members."""
    try:
        with zipfile.ZipFile(file.path) as archive:
            return sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, OSError):
        return file.size
