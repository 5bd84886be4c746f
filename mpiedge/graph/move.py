"""Deals a graph out anew among ranks that hold it in parts: nobody reads the source again or holds the whole."""

import itertools

import numpy as np

from mpiedge.graph import assemble, partition
from mpiedge.graph.build import Adjacency
from mpiedge.graph.part import Part
from mpiedge.graph.shed import shed
from mpiedge.graph.sparse import SparseRows, offsets, stack

CHUNK_ROWS = 8192
METIS_BYTES = 40
"""Per adjacency entry on the rank that runs METIS: its copy of the graph and coarser ones (counted, not measured)."""


class PartChunks:
    """The neighbour lists of a graph in parts, as graph/sort.py gives them: each rank its owned nodes, in chunks."""

    def __init__(self, world, part: Part, nodes: int):
        """Collective: nodes: of the whole graph. Message: a maximum."""
        most = int(world.max(np.array([part.owned]))[0])
        self.part, self.total, self.chunk_rows = part, nodes, max(1, min(most, CHUNK_ROWS))
        self.turns = -(-most // self.chunk_rows)

    def rounds(self):
        """Local: yields (numbers, neighbour lists) of one chunk after the other, equally many on all ranks."""
        part = self.part
        for turn in range(self.turns):
            first, last = (min((turn + more) * self.chunk_rows, part.owned) for more in (0, 1))
            near = part.indices[part.indptr[first] : part.indptr[last]]
            rows = np.repeat(np.arange(first, last), np.diff(part.indptr[first : last + 1]))
            others = near != rows  # a part lists every node as its own neighbour too
            counts = np.bincount(rows[others] - first, minlength=last - first)
            yield part.nodes[first:last], Adjacency(offsets(counts), part.nodes[near[others]])


def place(world, part: Part, nodes: int, shares: np.ndarray, method: str, seed: int, rooms: np.ndarray) -> np.ndarray:
    """Collective: the owner (int32) of every node of a graph in parts under new shares.

    rooms: bytes that each rank may use besides. METIS runs anew on the rank of the largest share, where it placed the
    graph before and has room; else nodes are given away as in graph/shed.py, with more cut edges, but without a rank
    that holds the graph. Messages: METIS: the neighbour lists to that rank, the owners to all.
    """
    fastest = int(shares.argmax())
    entries = int(world.sum(np.array([len(part.indices)], np.int64))[0])
    if method != "metis" or not METIS_BYTES * entries < rooms[fastest]:
        return shed(world, part, nodes, shares)
    lists = [(numbers, found.degrees(), found.neighbours.astype(np.int32))
             for numbers, found in PartChunks(world, part, nodes).rounds()]
    own = dict(zip(("numbers", "lengths", "near"), (np.concatenate(column) for column in zip(*lists)))) if lists else {}
    gathered = world.gather(own, fastest)
    owner = None
    if gathered is not None:
        numbers, lengths, near = (np.concatenate([message[name] for message in gathered if message])
                                  for name in ("numbers", "lengths", "near"))
        whole = SparseRows(offsets(lengths), near, np.zeros(len(near), np.int8), nodes).take(np.argsort(numbers))
        owner = partition.partition(Adjacency(whole.indptr, whole.indices), shares, "metis", seed)
    return world.bcast(owner, fastest)


def move(world, part: Part, owner: np.ndarray) -> Part:
    """Collective: this rank's part under new owners (int32, of all nodes, the same on every rank).

    Features travel as they are, so what was multiplied into them stays. The old part is taken apart meanwhile: of its
    edges nothing is there beside the new ones, of its features those that stay.
    Messages: see `assemble.collect_edges`; rows of features, labels and roles to their new owners; then which copies of
    the boundary a rank has not, and these.
    """
    new = assemble.collect_edges(world, PartChunks(world, part, len(owner)), owner)
    part.indptr = part.indices = None
    target = owner[part.nodes[: part.owned]]
    sent, kept = [], {}
    for rank in range(world.size):
        rows = np.flatnonzero(target == rank)
        message = {"numbers": part.nodes[rows], "labels": part.labels[rows], "split": part.split[rows]}
        message |= _to_message(part.features.take(rows))
        kept, message = (message, {}) if rank == world.rank else (kept, message)
        sent.append(message)
    held = find(part.nodes[: part.features.rows], new.nodes[new.owned :])
    columns, copies, part.features = part.features.columns, part.features.take(held[held >= 0]), None
    found = world.alltoall(sent)
    found[world.rank] = kept
    del sent, kept
    numbers, labels, split = (np.concatenate([message[name] for message in found])
                              for name in ("numbers", "labels", "split"))
    order = np.argsort(numbers)
    if not np.array_equal(numbers[order], new.nodes[: new.owned]):
        raise ValueError("rows were lost between ranks")
    new.labels, new.split = labels[order], split[order]
    owned = stack([_from_message(message) for message in found], columns)
    del found
    owned = owned.take(order)
    lacking = _lacking(world, new, owned, held < 0)
    place = np.concatenate([np.flatnonzero(held >= 0), np.flatnonzero(held < 0)])
    copies = stack([copies, *lacking], columns).take(np.argsort(place))
    new.features = stack([owned, copies], columns)
    return new


def find(numbers: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Local: where each wanted number stands among `numbers`, distinct ones in any order: int64, -1 where it is not."""
    if not len(numbers):
        return np.full(len(wanted), -1, np.int64)
    order = np.argsort(numbers)
    place = order[np.searchsorted(numbers, wanted, sorter=order).clip(max=len(numbers) - 1)]
    return np.where(numbers[place] == wanted, place, -1)


def _lacking(world, new: Part, owned: SparseRows, lacks: np.ndarray) -> list[SparseRows]:
    """Collective: features of the halo rows that this rank `lacks` (bool), by owner. Messages: a bit for each row of
    the halo to its owner, and what is lacking."""
    ends = np.cumsum([0, *new.receive_counts])
    asked = world.alltoall([{"lacks": np.packbits(lacks[a:b])} for a, b in itertools.pairwise(ends)])
    ends, answers = np.cumsum([0, *new.send_counts]), []
    for message, (begin, end) in zip(asked, itertools.pairwise(ends)):
        rows = new.send_rows[begin:end][np.unpackbits(message["lacks"], count=end - begin).astype(bool)]
        answers.append(_to_message(owned.take(rows)))
    return [_from_message(message) for message in world.alltoall(answers)]


def _to_message(rows: SparseRows) -> dict:
    return {"indptr": rows.indptr, "indices": rows.indices, "data": rows.data, "columns": rows.columns}


def _from_message(message: dict) -> SparseRows:
    return SparseRows(message["indptr"], message["indices"], message["data"], message["columns"])
