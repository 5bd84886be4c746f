"""Builds every rank's part out of chunks that lie anywhere: neighbour lists first, then features, then the halo's."""

import itertools

import numpy as np

from mpiedge.graph.part import Part
from mpiedge.graph.sort import SortedChunks
from mpiedge.graph.sparse import SparseRows, empty, gather_positions, offsets

STEP = 1 << 18


def collect_edges(world, chunks: SortedChunks, owner: np.ndarray) -> Part:
    """Collective: this rank's part without features and labels; owner: int32, of all nodes, the same on every rank.

    Messages: each chunk's neighbour lists to the owners of its nodes; then, once, to every owner the list of those of
    its nodes that are copied here, and its answer, their degrees.
    """
    pieces = []
    for mine, lists in chunks.rounds():
        pieces += world.alltoall([_pick(mine, lists, owner, rank) for rank in range(world.size)])
    owned = np.concatenate([piece["numbers"] for piece in pieces])
    lengths = np.concatenate([piece["lengths"] for piece in pieces])
    order = np.argsort(owned)
    owned, lengths, place = owned[order], lengths[order], np.empty(len(owned), np.int64)
    place[order] = np.arange(len(owned))
    near = _in_order(pieces, offsets(lengths), place)
    copied = np.zeros(len(owner), bool)
    for part in _slices(len(near)):
        copied[near[part]] = True
    away = np.flatnonzero(copied & (owner != world.rank))
    halo = away[np.argsort(owner[away], kind="stable")]
    ends = np.searchsorted(owner[halo], np.arange(world.size + 1))
    wanted = world.alltoall([{"numbers": halo[a:b]} for a, b in itertools.pairwise(ends)])
    send_rows = [np.searchsorted(owned, message["numbers"]) for message in wanted]
    answers = world.alltoall([{"degrees": lengths[rows] + 1} for rows in send_rows])
    row = np.empty(len(owner), np.int32)  # here, of every node that is owned or copied
    row[owned], row[halo] = np.arange(len(owned)), len(owned) + np.arange(len(halo))
    for part in _slices(len(near)):
        near[part] = row[near[part]]
    indptr = offsets(lengths + 1)
    loops = np.zeros(len(near) + len(owned), bool)
    loops[indptr[1:] - 1] = True
    indices = np.empty(len(loops), np.int32)
    indices[~loops], indices[loops] = near, np.arange(len(owned))
    return Part(nodes=np.concatenate([owned, halo]), owned=len(owned), indptr=indptr, indices=indices,
                degrees=np.concatenate([lengths + 1, *(message["degrees"] for message in answers)]),
                features=empty(0),
                labels=np.zeros(0, np.int64), split=np.zeros(0, np.int8),
                send_rows=np.concatenate(send_rows).astype(np.int64),
                send_counts=np.array([len(rows) for rows in send_rows], np.int64), receive_counts=np.diff(ends))


def collect_rows(world, part: Part, rounds, owner: np.ndarray, columns: int) -> None:
    """Collective: labels, roles and features (rows of length 1) for a part, the halo's features too.

    rounds: yields, equally often on all ranks, (first number, arrays of a chunk of nodes) or None. Messages: each
    chunk's rows to their owners; then once the features of the boundary to those who hold copies.
    """
    owned = part.nodes[: part.owned]
    found = []
    for chunk in rounds:
        messages = [{}] * world.size
        if chunk is not None:
            first, arrays = chunk
            mine = owner[first : first + len(arrays["labels"])]
            messages = [{name: array[mine == rank] for name, array in arrays.items()}
                        | {"numbers": first + np.flatnonzero(mine == rank)} for rank in range(world.size)]
        found += [message for message in world.alltoall(messages) if message]
    numbers, labels, split, words = (np.concatenate([message[name] for message in found])
                                     for name in ("numbers", "labels", "split", "words"))
    order = np.argsort(numbers)
    part.labels, part.split = labels[order].astype(np.int64), split[order].astype(np.int8)
    words = words[order]
    ends = np.cumsum([0, *part.send_counts])
    sent = [{"words": words[part.send_rows[a:b]]} for a, b in itertools.pairwise(ends)]
    copies = [message["words"] for message in world.alltoall(sent)]
    words = np.concatenate([words, *copies])
    if len(numbers) != len(owned) or len(words) != len(part.nodes):
        raise ValueError("rows were lost between ranks")
    each = words.shape[1]
    data = np.full(words.size, 1 / np.sqrt(max(each, 1)), np.float32)
    part.features = SparseRows(np.arange(len(words) + 1) * each, np.ascontiguousarray(words.reshape(-1), np.int32),
                               data, columns)


def _in_order(pieces: list[dict], indptr: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Local: the neighbours of all rows where `indptr` says; place: of the pieces' rows. Empties the pieces."""
    near, first = np.empty(indptr[-1], pieces[0]["neighbours"].dtype), 0
    for piece in pieces:
        lengths, neighbours = piece["lengths"], piece.pop("neighbours")
        starts = indptr[place[first : first + len(lengths)]]
        within = np.arange(len(neighbours)) - np.repeat(offsets(lengths)[:-1], lengths)
        near[np.repeat(starts, lengths) + within] = neighbours
        first += len(lengths)
    return near


def _slices(length: int):
    """Local: slices of so many entries that indexing with them copies little."""
    return (slice(start, start + STEP) for start in range(0, length, STEP))


def _pick(numbers: np.ndarray, lists, owner: np.ndarray, rank: int) -> dict:
    rows = np.flatnonzero(owner[numbers] == rank)
    taken, positions = gather_positions(lists.indptr, rows)
    kind = np.int32 if len(owner) <= 1 << 31 else np.int64
    return {"numbers": numbers[rows], "lengths": np.diff(taken), "neighbours": lists.neighbours[positions].astype(kind)}
